"""A log that holds nobody up, whoever reads it or does not."""

import os
import queue
import threading

_MOST_WAITING = 4096
_LAST_WORDS = 1.0
"""Seconds that what waits at the end may take."""


class DetachedStream:
    """Writes to a file descriptor in a thread of its own, as a context manager.

    A pipe that nobody reads and a disk that is full would else stop, or fail, whoever
    writes. Texts that cannot be written, or are more than 4096 waiting, are lost; how
    many, the next one that gets through tells.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._lost = 0
        # By the descriptor and as a daemon: the end of the process waits neither for
        # the thread nor for the lock of a file object that it would hold.
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "DetachedStream":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(_LAST_WORDS)

    def write(self, text: str) -> None:
        """Let `text` be written as soon as it can be. Does not wait, does not fail."""
        try:
            self._waiting.put_nowait(text)
        except queue.Full:
            self._lost += 1

    def _run(self) -> None:
        while (text := self._waiting.get()) is not None:
            lost, self._lost = self._lost, 0
            if lost:
                text += f"{lost} entries of this log are lost\n"
            left = text.encode(errors="backslashreplace")
            try:
                while left:
                    left = left[os.write(self._descriptor, left) :]
            except OSError:
                self._lost += lost + 1
