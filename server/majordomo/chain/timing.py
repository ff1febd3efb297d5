"""Waiting with an end, in which what has already arrived wins."""

import asyncio
from types import TracebackType

_TURNS = 8
"""Turns of the event loop between the end of the time and giving up."""


class Patience:
    """Raise TimeoutError when the block is still waiting at the moment `when`.

    Like asyncio.timeout_at, but after a stall of the event loop, when the timer
    and the data are both due, the data is handed on first: the timer lets the loop
    turn a few times before it cancels (rule 5.5).
    """

    __slots__ = ("_cancelling", "_expired", "_handle", "_loop", "_task", "_when")

    def __init__(self, when: float) -> None:
        self._when = when
        self._expired = False
        self._handle: asyncio.Handle | None = None

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("Patience needs a running task")
        self._task = task
        self._cancelling = task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_at(self._when, self._turn, _TURNS)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if (
            self._expired
            and self._task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error

    def _turn(self, turns: int) -> None:
        if turns:
            self._handle = self._loop.call_soon(self._turn, turns - 1)
        else:
            self._handle = None
            self._expired = True
            self._task.cancel()
