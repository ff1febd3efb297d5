"""Records every call of ours, from its begin to its end.

opentelemetry-instrumentation-grpc's interceptor is passed over: for grpc.aio it loses
the status of calls that are aborted with details, and of those that are cancelled.
"""

from typing import Any

from grpc import StatusCode
from grpc.aio import AbortError, ServicerContext

from majordomo.rpc.interceptors.base import Behaviour, Interceptor
from majordomo.rpc.scope import CallScope, current
from majordomo.telemetry.record import Recorder

_OURS = "majordomo.v1."

_CODES = {code.value[0]: code for code in StatusCode}

# A client whose deadline passes resets its stream, and we may have been informed of a
# later one: the transport rounds up by at most 1 %, and sends one that it has sent
# before if that is up to 3 % longer (chttp2, TimeoutCompressorImpl).
_DEADLINE_ROUNDING = 0.04


class TelemetryInterceptor(Interceptor):
    """Opens the scope of every call, and records those of the contract's methods.

    The outermost one: handlers are coroutines, unary or streaming.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def wrap(self, behaviour: Any, method: str) -> Behaviour:
        recorder = self._recorder

        async def scoped(request: Any, context: ServicerContext[Any, Any]) -> Any:
            current.set(CallScope())
            return await behaviour(request, context)

        async def recorded(request: Any, context: ServicerContext[Any, Any]) -> Any:
            record = recorder.begin(method, context.invocation_metadata() or ())
            current.set(CallScope(record))
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
                record.finish(code.name)

        return recorded if method.startswith(_OURS) else scoped


def _code(context: ServicerContext[Any, Any]) -> StatusCode:
    """The code that the call was aborted with."""
    code: Any = context.code()
    return code if isinstance(code, StatusCode) else _CODES[int(code)]


def _cancelled(given: float | None, left: float | None) -> StatusCode:
    """Why a call was cut that had `given` seconds and was cut with `left`."""
    if given is None or left is None or left > given * _DEADLINE_ROUNDING:
        return StatusCode.CANCELLED
    return StatusCode.DEADLINE_EXCEEDED
