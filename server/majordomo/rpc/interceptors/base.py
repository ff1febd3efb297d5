"""How an interceptor surrounds the methods of the server, whatever their shape."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
from grpc.aio import ServerInterceptor, ServicerContext

if TYPE_CHECKING:
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]
else:
    Handler = grpc.RpcMethodHandler  # generic for the type checker only

GONE_NOTICED = 1.0
"""Seconds in which grpc.aio has noticed that a caller is gone."""

Behaviour = Callable[[Any, ServicerContext[Any, Any]], Awaitable[Any]]
"""A handler's coroutine: it returns the answer, or writes the answers itself."""


class Interceptor(ServerInterceptor):
    """Wraps each method once; every call finds it wrapped."""

    def __init__(self) -> None:
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        method = handler_call_details.method
        if method in self._wrapped:
            return self._wrapped[method]
        handler = await continuation(handler_call_details)
        if handler is not None:
            handler = self.around(handler, method.removeprefix("/"))
            self._wrapped[method] = handler
        return handler

    def around(self, handler: Handler, method: str) -> Handler:
        """What is called in the place of `handler`; `method` is "service/Method"."""
        return like(handler, self.wrap(behaviour_of(handler), method))

    def wrap(self, behaviour: Any, method: str) -> Behaviour:
        """What runs in the place of `behaviour`."""
        raise NotImplementedError


def behaviour_of(handler: Handler) -> Any:
    """The one function that a handler has."""
    return (
        handler.unary_unary
        or handler.unary_stream
        or handler.stream_unary
        or handler.stream_stream
    )


def like(handler: Handler, behaviour: Behaviour) -> Handler:
    """A handler of the same shape that runs `behaviour`."""
    return made(
        behaviour,
        handler.request_deserializer,
        handler.response_serializer,
        requests=handler.request_streaming,
        responses=handler.response_streaming,
    )


def made(
    behaviour: Any, read: Any, pack: Any, *, requests: bool, responses: bool
) -> Handler:
    """A handler of many `requests` or one, and many `responses` or one."""
    shape = f"{_many(requests)}_{_many(responses)}"
    make: Any = getattr(grpc, f"{shape}_rpc_method_handler")
    handler: Handler = make(behaviour, read, pack)
    return handler


def _many(messages: bool) -> str:
    return "stream" if messages else "unary"
