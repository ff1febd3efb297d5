"""How much the server takes on at once, before anything of it is read (rule 6.1).

Places for calls are counted for GenerationService only: operators and health checks get
through to a full server. Whatever may last takes memory, whosever it is.
"""

import asyncio
from asyncio import Task
from typing import Any

from grpc.aio import ServicerContext

from majordomo.contract import GENERATION
from majordomo.errors import ServerOverloaded
from majordomo.rpc.interceptors.base import (
    Behaviour,
    Handler,
    Interceptor,
    behaviour_of,
    like,
)
from majordomo.rpc.leaving import Leaving
from majordomo.rpc.memory import CALL, Account
from majordomo.rpc.scope import current
from majordomo.rpc.shares import Shares
from majordomo.rpc.terms import Caller

_LIMITED = f"{GENERATION}/"


class AdmissionInterceptor(Interceptor):
    """Turns calls away that are too many; raises ServerOverloaded.

    A call keeps what it has until gRPC is done with it, and its answer is read.
    """

    def __init__(self, max_calls: int, memory_budget: int) -> None:
        super().__init__()
        self._places = Shares(max_calls)
        self._memory = Shares(memory_budget)
        self._leaving = Leaving()

    def configure(self, max_calls: int, memory_budget: int) -> None:
        """Set the limits for the calls that come; those in flight stay."""
        self._places.limit(max_calls)
        self._memory.limit(memory_budget)

    def around(self, handler: Handler, method: str) -> Handler:
        behaviour = behaviour_of(handler)
        limited = method.startswith(_LIMITED)
        takes = CALL if limited or handler.response_streaming else 0
        return like(handler, self._admitting(behaviour, takes, limited=limited))

    def _admitting(self, behaviour: Any, takes: int, *, limited: bool) -> Behaviour:
        async def admitted(request: Any, context: ServicerContext[Any, Any]) -> Any:
            scope = current.get()
            own = scope.account = Account(self._memory, scope.caller.name)
            if takes:
                own.take(takes)
            if limited:
                try:
                    self._take_place(scope.caller)
                except ServerOverloaded:
                    own.close()
                    raise
            task: Any = asyncio.current_task()

            def done(task: Task[Any]) -> None:
                self._leaving.end(task)
                own.close()
                if limited:
                    self._places.give(own.holder, 1)

            task.add_done_callback(done)
            try:
                return await behaviour(request, context)
            finally:
                self._leaving.begin(task)

        return admitted

    def _take_place(self, who: Caller) -> None:
        most = who.terms.max_calls
        if most is not None and self._places.held(who.name) >= most:
            raise ServerOverloaded(f"this token may have {most} calls in hand, and has")
        if not self._places.take(who.name, 1):
            raise ServerOverloaded
