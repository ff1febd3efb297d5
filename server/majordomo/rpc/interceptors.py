"""What surrounds the methods: the boundary that no error gets through."""

import asyncio
import logging
import secrets
from contextvars import ContextVar
from typing import Any

from grpc.aio import AbortError, InternalError, ServicerContext

from majordomo.rpc.driver import GONE_NOTICED, AnswerTooLarge
from majordomo.rpc.leaving import cut
from majordomo.rpc.status import is_bug, refusal
from majordomo.rpc.wrapping import Behaviour, WrappingInterceptor
from majordomo.secrets import where
from majordomo.telemetry.observation import current

generation_id: ContextVar[str] = ContextVar("generation_id", default="")
"""The id of the call in hand, once it has one."""

_log = logging.getLogger("majordomo")


class ErrorBoundary(WrappingInterceptor):
    """Turns every error into its status: the only place that aborts a call."""

    everything = True

    def wrap(self, behaviour: Any, method: str) -> Behaviour:  # noqa: ARG002
        async def bounded(request: Any, context: ServicerContext[Any, Any]) -> Any:
            try:
                return await behaviour(request, context)
            except AbortError:
                raise  # the call has ended
            except InternalError:
                # The caller is gone. grpc.aio calls that an error in its log unless
                # it has seen so itself; then it cancels us.
                await asyncio.sleep(GONE_NOTICED)
                raise
            except Exception as error:
                await _abort(error, context)

        return bounded


async def _abort(error: Exception, context: ServicerContext[Any, Any]) -> None:
    call = generation_id.get() or secrets.token_hex(12)
    told = refusal(error, call)
    observation = current.get()
    if observation is not None:
        observation.reason = told.reason
    if is_bug(told):
        # The type and the places; an exception's text may quote what must not be told.
        _log.error("a bug in call %s: %s", call, where(error))
    elif isinstance(error, AnswerTooLarge):
        _log.warning("call %s: %s", call, str(error))  # it was paid for
    trailers = (*(context.trailing_metadata() or ()), *told.trailers)
    try:
        await context.abort(told.code, told.message, trailers)
    except InternalError:
        # The caller has not even read our first message, and gRPC takes no further one.
        task: Any = asyncio.current_task()
        cut([task])
        await asyncio.sleep(0)
