"""Runs the methods: their messages come in and go out here, as bytes.

gRPC would read, and keep, a whole request before anybody has looked at whose it is. So
every method is one that reads for itself, as far as gRPC knows: what is outside of the
driver has let the call in by then.
"""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from google.protobuf.message import DecodeError
from grpc.aio import ServicerContext

from majordomo.chain.timing import RearmableTimeout
from majordomo.errors import (
    AnswerTooLarge,
    CallerStalled,
    InvalidRequest,
    RequestCompressed,
    Violation,
)
from majordomo.rpc import memory
from majordomo.rpc.interceptors.base import (
    GONE_NOTICED,
    Behaviour,
    Handler,
    Interceptor,
    behaviour_of,
    made,
)
from majordomo.rpc.memory import (
    ANSWER_WEIGHT,
    REQUEST_WEIGHT,
    SMALL,
    Account,
    Arrivals,
)
from majordomo.rpc.scope import current

MOST_SENT = 16 << 20
"""Bytes of an answer, or of one message of a stream, at most."""

_UNREADABLE = Violation("request", "must be the method's message, its texts in UTF-8")
_GZIP = b"\x1f\x8b"
_DEFLATE = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""How what gRPC compresses begins; no message of the contract does."""


class StreamInterceptor(Interceptor):
    """Reads requests, runs methods to their own end, and packs answers.

    grpc.aio iterates an async generator without ever closing it: when the caller goes
    away its cleanup runs later, in another task. Here the generator is closed by the
    task that runs it, whatever ends it. Source: grpc/grpc#42295.
    """

    def __init__(self) -> None:
        super().__init__()
        self._arrivals = Arrivals()

    def around(self, handler: Handler, method: str) -> Handler:  # noqa: ARG002
        behaviour = behaviour_of(handler)
        pack = None
        if not handler.response_streaming:
            run = self._answering(handler, behaviour)
        elif inspect.isasyncgenfunction(behaviour):
            run = self._streaming(handler, behaviour)
        else:
            run = self._writing(handler, behaviour)
            pack = handler.response_serializer
        return made(
            run, None, pack, requests=True, responses=handler.response_streaming
        )

    def _answering(self, handler: Handler, behaviour: Any) -> Behaviour:
        read: Any = handler.request_deserializer or bytes
        pack: Any = handler.response_serializer or bytes

        async def run(_: Any, context: ServicerContext[Any, Any]) -> bytes:
            own = current.get().account
            request = await self._one(read, context, own)
            answer = await behaviour(request, context)
            data: bytes = pack(answer)
            _make_room(data, own)
            return data

        return run

    def _streaming(self, handler: Handler, behaviour: Any) -> Behaviour:
        read: Any = handler.request_deserializer or bytes
        pack: Any = handler.response_serializer or bytes
        asked: Any = self._each if handler.request_streaming else self._one

        async def run(_: Any, context: ServicerContext[Any, Any]) -> None:
            own = current.get().account
            request = asked(read, context, own)
            if not handler.request_streaming:
                request = await request
            messages: AsyncGenerator[Any] = behaviour(request, context)
            time = asyncio.get_running_loop().time
            timer = RearmableTimeout()
            try:
                async with aclosing(messages):
                    async for message in messages:
                        data = pack(message)
                        taken = _make_room(data, own)
                        try:
                            with timer.until(time() + memory.PATIENCE):
                                await context.write(data)
                        except TimeoutError:
                            raise CallerStalled("read", memory.PATIENCE) from None
                        if taken:
                            own.give(taken)
            finally:
                timer.end()

        return run

    def _writing(self, handler: Handler, behaviour: Any) -> Behaviour:
        """A method that writes by itself; the contract has none."""
        read: Any = handler.request_deserializer or bytes

        async def run(_: Any, context: ServicerContext[Any, Any]) -> None:
            await behaviour(
                await self._one(read, context, current.get().account), context
            )

        return run

    async def _one(
        self, read: Callable[[bytes], Any], context: Any, own: Account
    ) -> Any:
        """The request. Raises InvalidRequest and what `Arrivals.read` raises."""
        data = await self._arrivals.read(context, own)
        if data is None:
            # Mostly the caller is gone, and grpc.aio about to cancel us.
            await asyncio.sleep(GONE_NOTICED)
            raise InvalidRequest([_UNREADABLE])
        if len(data) > SMALL:
            own.take(len(data) * REQUEST_WEIGHT)
        return _unpacked(read, data)

    async def _each(
        self, read: Callable[[bytes], Any], context: Any, own: Account
    ) -> AsyncGenerator[Any]:
        """The requests, one after another."""
        while (data := await self._arrivals.read(context, own)) is not None:
            size = len(data) * REQUEST_WEIGHT
            own.take(size)
            yield _unpacked(read, data)
            own.give(size)


def _unpacked(read: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return read(data)
    except DecodeError:
        if data[:2] == _GZIP or data[:2] in _DEFLATE:
            raise RequestCompressed from None
        raise InvalidRequest([_UNREADABLE]) from None


def _make_room(data: bytes, own: Account) -> int:
    """Hold what `data` takes until it is read: bytes. Raises what tells the caller."""
    size = len(data)
    if size <= SMALL:
        return 0
    if size > MOST_SENT:
        raise AnswerTooLarge(size, MOST_SENT)
    own.take(size * ANSWER_WEIGHT)
    return size * ANSWER_WEIGHT
