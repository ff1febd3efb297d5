"""How an interceptor surrounds the methods of the contract, whatever their shape."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
from grpc.aio import ServerInterceptor, ServicerContext

if TYPE_CHECKING:
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]
else:
    Handler = grpc.RpcMethodHandler  # generic for the type checker only

Behaviour = Callable[[Any, ServicerContext[Any, Any]], Awaitable[Any]]
"""A handler's coroutine: it returns the answer, or writes the answers itself."""

_OURS = "/majordomo.v1."


class WrappingInterceptor(ServerInterceptor):
    """Wraps each method of the contract once; every call finds it wrapped.

    Health and reflection pass through.
    """

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
        if handler is not None and method.startswith(_OURS):
            behaviour: Any = handler.unary_unary or handler.unary_stream
            wrapped = self.wrap(behaviour, method.removeprefix("/"))
            read = handler.request_deserializer
            if read is not None:
                read = self.reading(read)
            handler = self._wrapped[method] = _like(handler, wrapped, read)
        return handler

    def wrap(self, behaviour: Any, method: str) -> Behaviour:
        """What runs in the place of `behaviour`; `method` is "service/Method"."""
        raise NotImplementedError

    def reading(self, deserialize: Any) -> Any:
        """What makes a request of its bytes in the place of `deserialize`."""
        return deserialize


def _like(handler: Handler, behaviour: Behaviour, read: Any) -> Handler:
    """A handler of the same shape that runs `behaviour` on what `read` makes."""
    make: Any = grpc.unary_unary_rpc_method_handler
    if handler.unary_unary is None:
        make = grpc.unary_stream_rpc_method_handler
    made: Handler = make(behaviour, read, handler.response_serializer)
    return made
