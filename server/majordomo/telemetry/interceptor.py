"""Begins and ends the trace of every call of ours.

opentelemetry-instrumentation-grpc's interceptor is passed over: for grpc.aio it loses
the status of calls that are aborted with details, and of those that are cancelled.
"""

import asyncio
from contextvars import ContextVar
from typing import Any

from grpc import StatusCode
from grpc.aio import AbortError, ServicerContext
from opentelemetry.trace import TracerProvider

from majordomo.rpc.wrapping import Behaviour, WrappingInterceptor
from majordomo.telemetry.spans import Trace

current_trace: ContextVar[Trace | None] = ContextVar("current_trace", default=None)
"""The trace of the call in hand."""

_CODES = {code.value[0]: code for code in StatusCode}

# A client whose deadline passes resets its stream, and we may have been told of a later
# one: the transport rounds up by at most 1 %, and sends one that it has sent before if
# that is up to 3 % longer (chttp2, TimeoutCompressorImpl).
_DEADLINE_ROUNDING = 0.04


class Tracing(WrappingInterceptor):
    """Surrounds handlers that are coroutines, unary or streaming."""

    def __init__(self, tracers: TracerProvider) -> None:
        super().__init__()
        self._tracer = tracers.get_tracer("majordomo")

    def wrap(self, behaviour: Any, method: str) -> Behaviour:
        async def traced(request: Any, context: ServicerContext[Any, Any]) -> Any:
            trace = Trace(self._tracer, method, context.invocation_metadata() or ())
            current_trace.set(trace)
            given: float | None = context.time_remaining()
            code = StatusCode.OK
            try:
                return await behaviour(request, context)
            except AbortError:
                code = _code(context)
                raise
            except BaseException:
                # Cancelled by its caller or its deadline, or the caller is gone.
                code = _cancelled(given, context.time_remaining())
                raise
            finally:
                # The status goes out when this returns: the spans come after it.
                asyncio.get_running_loop().call_soon(trace.end, code)

        return traced


def _code(context: ServicerContext[Any, Any]) -> StatusCode:
    """The code that the call was aborted with."""
    code: Any = context.code()
    return code if isinstance(code, StatusCode) else _CODES[int(code)]


def _cancelled(given: float | None, left: float | None) -> StatusCode:
    """Why a call was cut that had `given` seconds and was cut with `left`."""
    if given is None or left is None or left > given * _DEADLINE_ROUNDING:
        return StatusCode.CANCELLED
    return StatusCode.DEADLINE_EXCEEDED
