"""Turns at something that few can do at once, shared among callers and not calls."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Lets at most `most` in at once, and of each caller one.

    Callers that wait are let in round robin, however many of their calls wait.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._busy: set[str] = set()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """Wait for a turn of `caller`'s; it lasts as long as the block."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        self._let_in()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._busy.discard(caller)
                self._free += 1
            else:
                self._forget(caller, turn)
            self._let_in()

    def _let_in(self) -> None:
        for caller in list(self._waiting):
            if not self._free:
                return
            if caller not in self._busy:
                turn = self._waiting[caller][0]
                self._forget(caller, turn)
                self._busy.add(caller)
                self._free -= 1
                turn.set_result(None)

    def _forget(self, caller: str, turn: asyncio.Future[None]) -> None:
        """It waits no longer; no matter who else waits for `caller` goes to the end."""
        waiting = self._waiting.pop(caller)
        waiting.remove(turn)
        if waiting:
            self._waiting[caller] = waiting
