"""The one budget of memory: what calls take, from their first byte to their last.

    own = Account(shares, "token checkout")
    data = await arrivals.read(context, own)
    own.take(len(data) * REQUEST_WEIGHT)

Each call has an account in the name of its caller, who may hold a share of the budget
(rule 6.8). What is counted: the call itself, messages that are late in arriving, the
request while it is worked on, and what was answered and is not yet read.
"""

import asyncio
from asyncio import Task
from dataclasses import dataclass
from typing import Any

from grpc.aio import EOF, ServicerContext

from majordomo.errors import CallerStalled, ServerOverloaded
from majordomo.rpc.shares import Shares

CALL = 32 << 10
"""Bytes that a call takes whatever it asks: its tasks, its stream, a small request."""

SMALL = 8 << 10
"""Bytes up to which a message is counted with the call itself."""

REQUEST_WEIGHT = 4
"""Bytes that a byte of a request takes at most: in the message, in Base64 within the
text for the provider, and once more while one becomes the other."""

ANSWER_WEIGHT = 3
"""Bytes that a byte of an answer takes until it is read: in the message, packed, and
in gRPC's buffers."""

MOST_RECEIVED = 32 << 20
"""Bytes of a request, at most."""

PROMPT = 0.05
"""Seconds between two looks at what arrives. What both see counts as the largest."""

PATIENCE = 60.0
"""Seconds in which a message must have arrived, and one of a stream been read."""


@dataclass(slots=True)
class Account:
    """What one call holds of the budget."""

    shares: Shares
    holder: str
    held: int = 0

    def take(self, amount: int) -> None:
        """Hold `amount` more. Raises ServerOverloaded."""
        if not self.shares.take(self.holder, amount, own=self.held):
            raise ServerOverloaded
        self.held += amount

    def try_take(self, amount: int) -> bool:
        """Hold `amount` more; False, and nothing, where that is too much."""
        try:
            self.take(amount)
        except ServerOverloaded:
            return False
        return True

    def give(self, amount: int) -> None:
        """Hold `amount` less."""
        self.held -= amount
        self.shares.give(self.holder, amount)

    def close(self) -> None:
        """Hold nothing any more."""
        if self.held:
            self.give(self.held)


@dataclass(slots=True)
class _Arrival:
    account: Account
    begun: float
    looked_at: bool = False
    reserved: int = 0
    end: Exception | None = None


class Arrivals:
    """Reads the messages of callers, and bounds what is on its way.

    Nobody knows how large a message is until all of it is there. So anyone who is not
    prompt needs room for the largest; and has to have sent it at some time.
    """

    def __init__(self) -> None:
        self._waiting: dict[Task[Any], _Arrival] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def read(
        self, context: ServicerContext[Any, Any], own: Account
    ) -> bytes | None:
        """The next message; None after the last one.

        Raises ServerOverloaded and CallerStalled.
        """
        loop = asyncio.get_running_loop()
        task: Any = asyncio.current_task(loop)
        arrival = self._waiting[task] = _Arrival(own, loop.time())
        if self._timer is None:
            self._timer = loop.call_later(PROMPT, self._look)
        try:
            data: Any = await context.read()
        except asyncio.CancelledError:
            if arrival.end is None:
                raise
            task.uncancel()
            raise arrival.end from None
        finally:
            del self._waiting[task]
            if arrival.reserved:
                own.give(arrival.reserved)
        return None if data is EOF else data

    def _look(self) -> None:
        """See who is late.

        Once is not enough: it may be this process that was, and what has arrived
        meanwhile is handed on after the first look.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        for task, arrival in self._waiting.items():
            if not arrival.looked_at:
                arrival.looked_at = True
            elif now - arrival.begun > PATIENCE:
                arrival.end = CallerStalled("sent", PATIENCE)
            elif not arrival.reserved and arrival.end is None:
                try:
                    arrival.account.take(MOST_RECEIVED)
                    arrival.reserved = MOST_RECEIVED
                except ServerOverloaded as error:
                    arrival.end = error
            if arrival.end is not None:
                task.cancel()
        waiting = bool(self._waiting)
        self._timer = loop.call_later(PROMPT, self._look) if waiting else None
