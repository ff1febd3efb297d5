"""A call of a method of ours that has ended, as observers are given it."""

from collections.abc import Callable
from typing import NamedTuple

from majordomo.chain.call import Call
from majordomo.telemetry.labels import error_reason
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SKIPPED,
    FAILURE_REASON_NOT_REACHED,
    Attempt,
)
from majordomo.v1.errors_pb2 import ErrorReason


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
    """What its caller was told of its failure."""

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
