"""Observes every call of ours, from its begin to its end.

opentelemetry-instrumentation-grpc's interceptor is passed over: for grpc.aio it loses
the status of calls that are aborted with details, and of those that are cancelled.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from grpc import StatusCode
from grpc.aio import AbortError, ServicerContext

from majordomo.rpc.wrapping import Behaviour, WrappingInterceptor
from majordomo.secrets import where
from majordomo.telemetry.observation import Observation, Observer, current
from majordomo.telemetry.spans import Traces

_log = logging.getLogger("majordomo")

_LULL = 0.01
"""Seconds from the end of a call until the observers are given it, and with it those
that have ended meanwhile."""

_CODES = {code.value[0]: code for code in StatusCode}

# A client whose deadline passes resets its stream, and we may have been told of a later
# one: the transport rounds up by at most 1 %, and sends one that it has sent before if
# that is up to 3 % longer (chttp2, TimeoutCompressorImpl).
_DEADLINE_ROUNDING = 0.04


class Observing(WrappingInterceptor):
    """Surrounds handlers that are coroutines, unary or streaming.

    The trace of a call is begun with it; `observers` are given it soon after its end,
    with all others that have ended by then: one after another they cost half as much.
    """

    def __init__(self, traces: Traces, observers: Sequence[Observer] = ()) -> None:
        super().__init__()
        self._traces = traces
        self._observers = observers
        self._ended: list[Observation] = []
        self.in_flight = 0
        """Calls that have begun and not ended."""

    def wrap(self, behaviour: Any, method: str) -> Behaviour:
        async def observed(request: Any, context: ServicerContext[Any, Any]) -> Any:
            started = time.perf_counter()
            self.in_flight += 1
            trace = self._traces.begin(method, context.invocation_metadata() or ())
            observation = Observation(method, trace)
            current.set(observation)
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
                self.in_flight -= 1
                observation.code = code
                observation.duration = time.perf_counter() - started
                observation.ended_nanoseconds = time.time_ns()
                if not self._ended:
                    asyncio.get_running_loop().call_later(_LULL, self.tell)
                self._ended.append(observation)

        return observed

    def tell(self) -> None:
        """Give the observers the calls that have ended by now."""
        ended, self._ended = self._ended, []
        for step in (_sum_up, *self._observers):
            for observation in ended:
                try:
                    step(observation)
                except Exception as error:
                    _log.error("a bug in what is told of a call: %s", where(error))


def _sum_up(observation: Observation) -> None:
    observation.sum_up()
    observation.trace.end(observation)


def _code(context: ServicerContext[Any, Any]) -> StatusCode:
    """The code that the call was aborted with."""
    code: Any = context.code()
    return code if isinstance(code, StatusCode) else _CODES[int(code)]


def _cancelled(given: float | None, left: float | None) -> StatusCode:
    """Why a call was cut that had `given` seconds and was cut with `left`."""
    if given is None or left is None or left > given * _DEADLINE_ROUNDING:
        return StatusCode.CANCELLED
    return StatusCode.DEADLINE_EXCEEDED
