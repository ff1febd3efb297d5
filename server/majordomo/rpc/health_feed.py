"""When those who watch the targets' health are woken.

A change makes one timer due and costs its call no more, however many watch. The timer
begins a round: it wakes all who wait, a few at a time so that calls get their turns in
between, and the next round begins after a pause. Another timer is set for the moment at
which a bench ends. Both run only while somebody watches.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from majordomo.chain.changes import NEVER
from majordomo.chain.faces import Onlooked
from majordomo.errors import ServerDraining

ROUND_INTERVAL = 0.1
"""Seconds, at least, from one round to the next: a watcher misses what is between."""

_WOKEN_AT_ONCE = 10
_BREATH = 0.02
"""Seconds between the wakings of a round: 1 000 watchers take two seconds.

To tell one costs about 0.2 ms of CPU: this bounds it to a tenth of a core.
"""


class HealthFeed:
    """Wakes any number of watchers when the tracker has news.

    The tracker's clock must be the event loop's.
    """

    def __init__(self, tracker: Onlooked) -> None:
        self._tracker = tracker
        self._watchers = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = False
        self._news = False  # since the round began
        self._next_round = 0.0
        self._round: list[asyncio.Future[None]] = []  # still to be woken
        self._waking: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """End all watches and turn new ones away."""
        self._closed = True
        self.look()

    def look(self) -> None:
        """Wake all watchers at once: it may be that they have to end."""
        for waiter in self._waiting:
            _wake(waiter)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Surrounds a watch. Raises ServerDraining."""
        self._check()
        self._watchers += 1
        if self._watchers == 1:
            self._start()
        try:
            yield
        finally:
            self._watchers -= 1
            if self._watchers == 0:
                self._stop()

    async def wait(self, version: int, until: float) -> bool:
        """Wait for a round; True if there may be something newer than `version`.

        False at the moment `until` of the loop's time, if that comes first. Raises
        ServerDraining.
        """
        self._check()
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiting.add(waiter)
        if self._tracker.changes.version > version:
            self._changed()
        try:
            await asyncio.wait([waiter], timeout=until - loop.time())
        finally:
            self._waiting.discard(waiter)
        self._check()
        return waiter.done()

    def _check(self) -> None:
        if self._closed:
            raise ServerDraining

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop_listening = self._tracker.changes.listen(self._changed)
        self._expire()

    def _stop(self) -> None:
        self._stop_listening()
        for timer in (self._waking, self._expiry):
            if timer is not None:
                timer.cancel()
        self._waking = self._expiry = None

    def _changed(self) -> None:
        """Runs within the call that changed something."""
        self._news = True
        if self._waking is None:
            self._waking = self._loop.call_at(self._next_round, self._begin_round)

    def _begin_round(self) -> None:
        self._news = False
        self._next_round = self._loop.time() + ROUND_INTERVAL
        self._round = list(self._waiting)
        self._wake_some()

    def _wake_some(self) -> None:
        """Wake the next few of the round."""
        for waiter in self._round[:_WOKEN_AT_ONCE]:
            _wake(waiter)
        del self._round[:_WOKEN_AT_ONCE]
        self._waking = None
        if self._round:
            self._waking = self._loop.call_later(_BREATH, self._wake_some)
        elif self._news:
            self._changed()
        self._set_expiry()

    def _set_expiry(self) -> None:
        """Let the timer be due when the next bench ends."""
        moment = self._tracker.changes.next_expiry
        if self._expiry is not None:
            if self._expiry.when() == moment:
                return
            self._expiry.cancel()
            self._expiry = None
        if moment != NEVER:
            self._expiry = self._loop.call_at(moment, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        self._tracker.expire()
        self._set_expiry()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
