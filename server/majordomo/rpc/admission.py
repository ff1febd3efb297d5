"""How much the server takes on at once (rule 6.1).

Of GenerationService only: operators and health checks get through to a full server.
"""

from contextvars import ContextVar
from typing import Any

from grpc.aio import ServicerContext

from majordomo.rpc.wrapping import Behaviour, WrappingInterceptor

_LIMITED = "majordomo.v1.GenerationService/"


class ServerFull(Exception):
    """As many calls, or bytes of requests, are in flight as may be."""


_size: ContextVar[int] = ContextVar("size", default=0)
"""Bytes of the request of the call in hand, as it came."""


class Admission(WrappingInterceptor):
    """Turns calls away that are too many; raises ServerFull."""

    def __init__(self, most_calls: int, most_bytes: int) -> None:
        super().__init__()
        self._calls = 0
        self._bytes = 0
        self.configure(most_calls, most_bytes)

    def configure(self, most_calls: int, most_bytes: int) -> None:
        """Set the limits for the calls that come; those in flight stay."""
        self._most_calls = most_calls
        self._most_bytes = most_bytes

    def wrap(self, behaviour: Any, method: str) -> Behaviour:
        if not method.startswith(_LIMITED):
            unlimited: Behaviour = behaviour
            return unlimited

        async def limited(request: Any, context: ServicerContext[Any, Any]) -> Any:
            size = _size.get()
            # One call alone may be of any size that gRPC lets in.
            full = self._calls and self._bytes + size > self._most_bytes
            if full or self._calls >= self._most_calls:
                raise ServerFull
            self._calls += 1
            self._bytes += size
            try:
                return await behaviour(request, context)
            finally:
                self._calls -= 1
                self._bytes -= size

        return limited

    def reading(self, deserialize: Any) -> Any:
        """Take the size on the way: a message would be serialized to tell it."""

        def read(data: bytes) -> Any:
            _size.set(len(data))
            return deserialize(data)

        return read
