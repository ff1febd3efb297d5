"""What a process of the command line needs before anything else: signals, streams.

It imports nothing that takes time.
"""

import os
import signal
import sys
from types import FrameType


def take_signals() -> None:
    """Let SIGTERM end the process from now on, as process 1 too; SIGINT does already.

    The kernel drops signals that process 1 has no handler for, and imports take a
    second. `serve` puts its own handlers in place of these. SIGHUP, which asks for a
    reload, ends nothing that is still to load its configuration.
    """
    signal.signal(signal.SIGTERM, _end)
    if "serve" in sys.argv:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _end(number: int, _frame: FrameType | None) -> None:
    # Nothing is begun yet, and an exception could be lost in a callback.
    os._exit(128 + number)


def open_streams() -> None:
    """Open the standard streams that the process was started without, as /dev/null.

    A socket would take their numbers otherwise, and be written into.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free
            stream = open(descriptor, "w" if descriptor else "r")  # noqa: SIM115
            setattr(sys, name, stream)


def drop_stdout() -> None:
    """Let go of a stdout that takes no more.

    What it still holds would be tried again at the end of the process, and fail it.
    """
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process
