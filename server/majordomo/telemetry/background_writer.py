"""A log that holds nobody up, no matter who reads it or does not."""

import os
import threading
from collections import deque

_MOST_WAITING = 4096
_MOST_AT_ONCE = 64
"""Texts that go out in one write."""

_PAUSE = 0.02
"""Seconds from one round of writing to the next. To wake the thread costs its waker a
tenth of a millisecond: so it is woken once for all that comes within a pause."""

_LAST_WORDS = 1.0
"""Seconds that what waits at the end may take."""


class BackgroundWriter:
    """Writes to a file descriptor in a thread of its own, as a context manager.

    A pipe that nobody reads and a disk that is full would else stop, or fail, no matter
    who writes. Texts that cannot be written, or are more than 4096 waiting, are lost;
    how many, the next one that gets through tells.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: deque[str] = deque()
        self._news = threading.Event()
        self._ended = threading.Event()
        self._lost = 0
        # By the descriptor and as a daemon: the end of the process waits neither for
        # the thread nor for the lock of a file object that it would hold.
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "BackgroundWriter":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._news.set()
        self._thread.join(_LAST_WORDS)

    def write(self, text: str) -> None:
        """Let `text` be written soon. Does not wait, does not fail."""
        if len(self._waiting) >= _MOST_WAITING:
            self._lost += 1
            return
        self._waiting.append(text)
        if not self._news.is_set():
            self._news.set()

    def _run(self) -> None:
        ended = False
        while not ended:
            self._news.wait()
            ended = self._ended.is_set()
            self._news.clear()
            while self._waiting:
                self._write_some()
            if not ended:
                self._ended.wait(_PAUSE)

    def _write_some(self) -> None:
        count = min(len(self._waiting), _MOST_AT_ONCE)
        texts = [self._waiting.popleft() for _ in range(count)]
        lost, self._lost = self._lost, 0
        if lost:
            texts.append(f"{lost} entries of this log are lost\n")
        left = "".join(texts).encode(errors="backslashreplace")
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            self._lost += lost + count
