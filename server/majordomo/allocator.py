"""The C library's allocator, asked to give memory back."""

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGE = 512 << 10
"""Bytes from which memory is the system's own, and goes back to it when it is freed.

More than the 256 KiB that asyncio makes ready for each read of a socket: those would be
mapped, faulted in and unmapped for every chunk."""

_FREE = 1 << 20
"""Bytes free at the end of the heap from which they go back."""


def give_back() -> None:
    """Let memory go back to the system after a burst.

    glibc moves its thresholds up with what is allocated: after a few large messages
    the next ones come out of the heap, and stay there. Setting them keeps them. Other
    C libraries do well by themselves.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, _FREE)
