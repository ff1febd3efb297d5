"""Every error as its status: the one place that aborts calls."""

import asyncio
import logging
import secrets
from typing import Any

from grpc.aio import AbortError, InternalError, ServicerContext

from majordomo.errors import AnswerTooLarge
from majordomo.rpc.interceptors.base import GONE_NOTICED, Behaviour, Interceptor
from majordomo.rpc.leaving import cut
from majordomo.rpc.scope import CallScope, current
from majordomo.rpc.status import status_for
from majordomo.secrets import where

_log = logging.getLogger("majordomo")


class ErrorInterceptor(Interceptor):
    """Ends every call that fails with the status of its error."""

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
    scope = current.get(None) or CallScope()
    call = scope.generation_id or secrets.token_hex(12)
    status = status_for(error, call)
    if scope.record is not None:
        scope.record.on_error(status.reason)
    if status.is_bug:
        # The type and the places; an exception's text may quote what must not be
        # disclosed.
        _log.error("a bug in call %s: %s", call, where(error))
    elif isinstance(error, AnswerTooLarge):
        _log.warning("call %s: %s", call, str(error))  # it was paid for
    trailers = (*(context.trailing_metadata() or ()), *status.trailers)
    try:
        await context.abort(status.code, status.message, trailers)
    except InternalError:
        # The caller has not even read our first message, and gRPC takes no further one.
        task: Any = asyncio.current_task()
        cut([task])
        await asyncio.sleep(0)
