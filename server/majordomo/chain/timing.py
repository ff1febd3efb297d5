"""Waiting with an end, in which what has already arrived wins."""

import asyncio
from types import TracebackType
from typing import Self

_TURNS = 8
"""Turns of the event loop between the end of the time and giving up."""


class RearmableTimeout:
    """Bounds one wait of a task after another.

        with patience.until(moment):
            await something

    raises TimeoutError when the block still waits at the moment. Like
    asyncio.timeout_at, but after a stall of the event loop, when the timer and the data
    are both due, the data is handed on first: the timer lets the loop turn a few times
    before it cancels (rule 5.5). And a timer that a wait did not need is left to the
    next one, which mostly ends later: `end` after the last.
    """

    __slots__ = (
        "_cancelling",
        "_expired",
        "_loop",
        "_rings",
        "_task",
        "_timer",
        "_wait",
        "_waiting",
        "_when",
    )

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._rings = 0.0
        self._when = 0.0
        self._wait = 0
        self._waiting = False
        self._expired = False

    def until(self, when: float) -> Self:
        """Bound the wait that begins now; `when` is in the event loop's time."""
        self._when = when
        return self

    def end(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> None:
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("RearmableTimeout needs a running task")
        self._task = task
        self._cancelling = task.cancelling()
        self._wait += 1
        self._waiting = True
        if self._timer is None:
            self._arm()
        elif self._rings > self._when:
            self._timer.cancel()
            self._arm()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._waiting = False
        if self._expired:
            self._expired = False
            if (
                self._task.uncancel() <= self._cancelling
                and kind is asyncio.CancelledError
            ):
                raise TimeoutError from error

    def _arm(self) -> None:
        self._rings = self._when
        self._timer = self._loop.call_at(self._when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        if self._rings < self._when:  # it was set for a wait before this one
            self._arm()
        else:
            self._turn(self._wait, _TURNS)

    def _turn(self, wait: int, turns: int) -> None:
        if not self._waiting or wait != self._wait:
            return
        if turns:
            self._loop.call_soon(self._turn, wait, turns - 1)
        else:
            self._expired = True
            self._task.cancel()
