"""A call of a method of ours that has ended, as observers are given it."""

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from majordomo.chain.call import Call
from majordomo.chain.usage import add_up
from majordomo.telemetry.labels import error_reason
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SKIPPED,
    FAILURE_REASON_NOT_REACHED,
    Attempt,
)
from majordomo.v1.errors_pb2 import ErrorReason
from majordomo.v1.generation_service_pb2 import TotalUsage


class FinishedCall(NamedTuple):
    """One call, its end included."""

    method: str
    """As in "majordomo.v1.GenerationService/Stream"."""

    trace_id: str
    """In hex; empty where there is no trace."""

    span_id: str
    """Of the SERVER span, in hex; empty where there is no trace."""

    call: Call | None
    """Where a chain was walked."""

    code: str
    """The name of the status code that it ended with."""

    reason: ErrorReason | None
    """What its caller received its failure."""

    duration: float
    """Seconds, from the handler's begin to its end."""

    ended_nanoseconds: int
    """Since the Unix epoch."""

    attempts: list[Attempt]
    """Those that were begun."""

    skipped: list[Attempt]
    failovers: int
    outcome: str
    """first_try, recovered, restarted; the ErrorReason, cancelled, or the code."""

    caller: str
    """The name of a token, or of a certificate; empty for others."""

    total_usage: TotalUsage | None
    """Of all attempts, also where nobody answered; None without a walk."""

    cost: Decimal | None
    """Of all attempts whose models have prices; None: none of them has."""


Observer = Callable[[FinishedCall], None]
"""Is given every call of ours once it has ended."""


def attempts_of(call: Call | None) -> tuple[list[Attempt], list[Attempt]]:
    """The attempts of `call` that were begun, and those that were skipped."""
    begun: list[Attempt] = []
    skipped: list[Attempt] = []
    for attempt in () if call is None else call.attempts:
        if attempt.outcome != ATTEMPT_OUTCOME_SKIPPED:
            begun.append(attempt)
        elif attempt.failure_reason != FAILURE_REASON_NOT_REACHED:
            skipped.append(attempt)
    return begun, skipped


def usage_of(call: Call) -> TotalUsage:
    """What all attempts of `call` used."""
    if call.completion is not None:
        return call.completion.total_usage
    total = TotalUsage()
    add_up(call.attempts, total)
    return total


def cost_of(call: Call, begun: list[Attempt]) -> Decimal | None:
    """What the attempts cost whose models have prices; None: none of them has."""
    costs = [call.target(attempt.target).cost_of(attempt) for attempt in begun]
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal()) if known else None


def outcome_of(
    code: str, reason: ErrorReason | None, call: Call | None, begun: list[Attempt]
) -> str:
    """How a call went, in a word."""
    if code != "OK":
        return code.lower() if reason is None else error_reason(reason)
    if call is None or len(call.attempts) == 1:
        return "first_try"
    if any(a.outcome == ATTEMPT_OUTCOME_INTERRUPTED for a in begun):
        return "restarted"
    return "recovered"
