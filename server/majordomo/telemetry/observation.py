"""One call as its observers see it: what was asked, how it went, how it ended."""

from collections.abc import Callable
from contextvars import ContextVar
from decimal import Decimal

from grpc import StatusCode

from majordomo.chain.call import Call
from majordomo.chain.usage import add_up
from majordomo.telemetry.spans import Trace
from majordomo.telemetry.words import error_reason
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SKIPPED,
    FAILURE_REASON_NOT_REACHED,
    Attempt,
)
from majordomo.v1.errors_pb2 import ErrorReason
from majordomo.v1.generation_service_pb2 import TotalUsage


class Observation:
    """One call of a method of ours.

    Whoever handles the call fills in what it learns; the rest is there once the call
    has ended, and its status is on its way.
    """

    __slots__ = (
        "attempts",
        "call",
        "caller",
        "code",
        "cost",
        "duration",
        "ended_nanoseconds",
        "failovers",
        "method",
        "outcome",
        "reason",
        "skipped",
        "total_usage",
        "trace",
    )

    def __init__(self, method: str, trace: Trace) -> None:
        self.method = method
        """As in "majordomo.v1.GenerationService/Stream"."""

        self.trace = trace
        self.call: Call | None = None
        """Set by the servicer, once it knows what is asked; not for Explain."""

        self.caller = ""
        """Who called: the name of a token, or of a certificate; empty for others."""

        self.reason: ErrorReason | None = None
        """What its caller was told of its failure."""

        self.code = StatusCode.OK
        self.duration = 0.0
        """Seconds, from the handler's begin to its end."""

        self.ended_nanoseconds = 0
        """Since the Unix epoch."""

        self.attempts: list[Attempt] = []
        """Those that were begun."""

        self.skipped: list[Attempt] = []
        self.failovers = 0
        self.total_usage: TotalUsage | None = None
        """Of all attempts, also where nobody answered; None without a walk."""

        self.cost: Decimal | None = None
        """Of all attempts whose models have prices; None: none of them has."""

        self.outcome = ""
        """first_try, recovered, restarted; the ErrorReason, cancelled, or the code."""

    def noticed(self, attempt: Attempt) -> None:
        """An attempt has failed, or a target was skipped, and the call goes on."""
        if self.call is not None:
            self.trace.noticed(self.call, attempt)

    def sum_up(self) -> None:
        """Work out the rest, once the call has ended and its code is set."""
        call = self.call
        if call is not None:
            for attempt in call.attempts:
                if attempt.outcome != ATTEMPT_OUTCOME_SKIPPED:
                    self.attempts.append(attempt)
                elif attempt.failure_reason != FAILURE_REASON_NOT_REACHED:
                    self.skipped.append(attempt)
            self.failovers = max(len({a.target for a in self.attempts}) - 1, 0)
            self._add_up(call)
        if self.code is not StatusCode.OK:
            told = self.reason
            self.outcome = (
                self.code.name.lower() if told is None else error_reason(told)
            )
        elif call is None or len(call.attempts) == 1:
            self.outcome = "first_try"
        elif any(a.outcome == ATTEMPT_OUTCOME_INTERRUPTED for a in self.attempts):
            self.outcome = "restarted"
        else:
            self.outcome = "recovered"

    def _add_up(self, call: Call) -> None:
        if call.completion is not None:
            self.total_usage = call.completion.total_usage
        else:
            self.total_usage = TotalUsage()
            add_up(call.attempts, self.total_usage)
        for attempt in self.attempts:
            cost = call.target(attempt.target).cost_of(attempt)
            if cost is not None:
                self.cost = cost + (self.cost or 0)


Observer = Callable[[Observation], None]
"""Is given every call of ours once it has ended."""

current: ContextVar[Observation | None] = ContextVar("current", default=None)
"""The call in hand."""
