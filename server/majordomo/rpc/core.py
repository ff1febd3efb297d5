"""gRPC's server, made to survive a path that is no text.

grpc.aio decodes the path of a call to a method that is not registered, and its whole
server ends where that fails: one frame of anybody's would be enough. Here such calls
are answered without being named. What this leans on is not documented; without it the
server does not start, and `tests/rpc/test_core.py` fails.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
from grpc._cython import cygrpc  # noqa: PLC2701 - docs/private-parts.md
from grpc.aio import ServerInterceptor
from grpc.aio._server import Server  # noqa: PLC2701


class _CoreServer(cygrpc.AioServer):  # type: ignore[misc]
    """Hands on calls to registered methods alone; the rest are UNIMPLEMENTED."""

    def _make_request_call_future(self, method: bytes | None) -> Any:
        if method is not None:
            return super()._make_request_call_future(method)
        return asyncio.ensure_future(self._refuse_unknown())

    async def _refuse_unknown(self) -> None:
        """Until the server ends, which raises."""
        nothing = cygrpc._MethodResolver([], {})  # noqa: SLF001
        loop = asyncio.get_running_loop()
        answers: set[asyncio.Task[None]] = set()
        while True:
            call = await super()._request_call()
            answer = cygrpc._handle_rpc(  # noqa: SLF001
                "",
                nothing,
                (),
                call,
                loop,
                False,  # noqa: FBT003
            )
            ending = cygrpc._schedule_rpc_coro(answer, call, loop, "")  # noqa: SLF001
            task = loop.create_task(ending)
            answers.add(task)
            task.add_done_callback(answers.discard)


class _Server(Server):
    def __init__(
        self,
        interceptors: Sequence[ServerInterceptor],
        options: Sequence[tuple[str, Any]],
    ) -> None:
        # Not what the base class does: it would make a server of the other kind.
        self._loop = cygrpc.get_working_loop()
        handlers: tuple[grpc.GenericRpcHandler, ...] = ()
        self._server = _CoreServer(
            self._loop, None, handlers, [*interceptors], tuple(options), None
        )


def core_server(
    interceptors: Sequence[ServerInterceptor], options: Sequence[tuple[str, Any]]
) -> grpc.aio.Server:
    """As `grpc.aio.server`; every method has to be registered to be found."""
    made: Any = _Server(interceptors, options)
    server: grpc.aio.Server = made
    return server
