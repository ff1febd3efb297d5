"""What surrounds a servicer's method, from the inside out: the driver, the boundary.

Both leave one kind of handler behind, a coroutine that answers or writes; what
surrounds them (the tracing of `majordomo.telemetry`) has nothing else to handle.
"""

import asyncio
import inspect
import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

from google.protobuf.message import DecodeError
from grpc.aio import AbortError, InternalError, ServicerContext

from majordomo.chain.timing import Patience
from majordomo.rpc.status import ReaderStalled, is_bug, refusal
from majordomo.rpc.validation import InvalidRequest, Violation
from majordomo.rpc.wrapping import Behaviour, WrappingInterceptor
from majordomo.secrets import where
from majordomo.telemetry.observation import current

READER_PATIENCE = 60.0
"""Seconds that a caller may leave a message unread (rule 5.5)."""

_NOTICE = 1.0
"""Seconds in which grpc.aio has noticed that a caller is gone."""

_UNREADABLE = Violation("request", "must be the method's message, its texts in UTF-8")

generation_id: ContextVar[str] = ContextVar("generation_id", default="")
"""The id of the call in hand, once it has one."""

_log = logging.getLogger("majordomo")


class Driver(WrappingInterceptor):
    """Runs streaming methods in their own task to their own end.

    grpc.aio iterates an async generator without ever closing it: when the caller
    goes away its cleanup runs later, in another task. Here the generator is closed
    by the task that runs it, whatever ends it. Source: grpc/grpc#42295.
    """

    def wrap(self, behaviour: Any, method: str) -> Behaviour:  # noqa: ARG002
        if not inspect.isasyncgenfunction(behaviour):
            unary: Behaviour = behaviour
            return unary

        async def drive(request: Any, context: ServicerContext[Any, Any]) -> None:
            messages: AsyncGenerator[Any] = behaviour(request, context)
            time = asyncio.get_running_loop().time
            patience = Patience()
            try:
                async with aclosing(messages):
                    async for message in messages:
                        try:
                            with patience.until(time() + READER_PATIENCE):
                                await context.write(message)
                        except TimeoutError:
                            raise ReaderStalled(READER_PATIENCE) from None
            finally:
                patience.end()

        return drive


class ErrorBoundary(WrappingInterceptor):
    """Turns every error into its status: the only place that aborts a call."""

    def wrap(self, behaviour: Any, method: str) -> Behaviour:  # noqa: ARG002
        async def bounded(request: Any, context: ServicerContext[Any, Any]) -> Any:
            try:
                if request is None:
                    raise InvalidRequest([_UNREADABLE])
                return await behaviour(request, context)
            except AbortError:
                raise  # the call has ended
            except InternalError:
                # The caller is gone. grpc.aio calls that an error in its log unless
                # it has seen so itself; then it cancels us.
                await asyncio.sleep(_NOTICE)
                raise
            except Exception as error:
                await _abort(error, context)

        return bounded

    def reading(self, deserialize: Any) -> Any:
        """None for bytes that are no message: grpc.aio would call it UNKNOWN."""

        def read(data: bytes) -> Any:
            try:
                return deserialize(data)
            except DecodeError:
                return None

        return read


async def _abort(error: Exception, context: ServicerContext[Any, Any]) -> None:
    call = generation_id.get() or secrets.token_hex(12)
    told = refusal(error, call)
    observation = current.get()
    if observation is not None:
        observation.reason = told.reason
    if is_bug(told):
        # The type and the places; an exception's text may quote what must not be told.
        _log.error("a bug in call %s: %s", call, where(error))
    trailers = (*(context.trailing_metadata() or ()), *told.trailers)
    await context.abort(told.code, told.message, trailers)
