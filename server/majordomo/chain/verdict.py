"""What a call that was not answered comes to (docs/semantics.md, section 7)."""

from collections.abc import Sequence

from majordomo.chain.failure import PERMANENT
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SKIPPED,
    FAILURE_REASON_BENCHED,
    FAILURE_REASON_CONTENT_REFUSED,
    FAILURE_REASON_CREDENTIALS,
    FAILURE_REASON_DEADLINE,
    FAILURE_REASON_INVALID_REQUEST,
    FAILURE_REASON_MODEL_NOT_FOUND,
    FAILURE_REASON_NOT_REACHED,
    FAILURE_REASON_QUOTA_EXHAUSTED,
    FAILURE_REASON_RATE_LIMITED,
    Attempt,
)
from majordomo.v1.errors_pb2 import (
    ERROR_REASON_ALL_BENCHED,
    ERROR_REASON_CHAIN_EXHAUSTED,
    ERROR_REASON_CHAIN_RATE_LIMITED,
    ERROR_REASON_CONTENT_REFUSED,
    ERROR_REASON_DEADLINE_EXCEEDED,
    ERROR_REASON_MODEL_NOT_FOUND,
    ERROR_REASON_PROVIDER_CREDENTIALS,
    ERROR_REASON_REQUEST_REFUSED,
    ERROR_REASON_REQUEST_UNSUPPORTED,
    ERROR_REASON_STREAM_INTERRUPTED,
    ErrorReason,
)

_ENDED_BY = {
    FAILURE_REASON_INVALID_REQUEST: ERROR_REASON_REQUEST_REFUSED,
    FAILURE_REASON_CONTENT_REFUSED: ERROR_REASON_CONTENT_REFUSED,
    FAILURE_REASON_CREDENTIALS: ERROR_REASON_PROVIDER_CREDENTIALS,
}
ALWAYS_ADVANCE = PERMANENT - _ENDED_BY.keys()
"""Permanent reasons that the next target may well not have (rule 2.5)."""

_LIMITED = {FAILURE_REASON_RATE_LIMITED, FAILURE_REASON_QUOTA_EXHAUSTED}


def verdict(attempts: Sequence[Attempt], *, ended: bool) -> ErrorReason:
    """The one reason for a walk without an answer: total over its attempts.

    `ended`: a permanent failure ended the call, and it is the last attempt made.
    """
    if any(a.outcome == ATTEMPT_OUTCOME_INTERRUPTED for a in attempts):
        return ERROR_REASON_STREAM_INTERRUPTED
    if ended:
        last = next(
            a for a in reversed(attempts) if a.outcome != ATTEMPT_OUTCOME_SKIPPED
        )
        return _ENDED_BY[last.failure_reason]
    if any(a.failure_reason == FAILURE_REASON_DEADLINE for a in attempts):
        return ERROR_REASON_DEADLINE_EXCEEDED
    returning = may_come_back(attempts)
    if returning:
        tried = any(a.outcome != ATTEMPT_OUTCOME_SKIPPED for a in attempts)
        if not tried and all(
            a.failure_reason == FAILURE_REASON_BENCHED for a in returning
        ):
            return ERROR_REASON_ALL_BENCHED
        causes = {
            a.bench.failure_reason
            if a.failure_reason == FAILURE_REASON_BENCHED
            else a.failure_reason
            for a in returning
        }
        if causes <= _LIMITED:
            return ERROR_REASON_CHAIN_RATE_LIMITED
        return ERROR_REASON_CHAIN_EXHAUSTED
    reasons = {a.failure_reason for a in last_words(attempts).values()}
    if FAILURE_REASON_CREDENTIALS in reasons:
        return ERROR_REASON_PROVIDER_CREDENTIALS
    if reasons == {FAILURE_REASON_MODEL_NOT_FOUND}:
        return ERROR_REASON_MODEL_NOT_FOUND
    return ERROR_REASON_REQUEST_UNSUPPORTED


def may_come_back(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The last attempt at each target that may answer another time."""
    return [
        attempt
        for attempt in last_words(attempts).values()
        if attempt.failure_reason not in PERMANENT
        and attempt.failure_reason != FAILURE_REASON_NOT_REACHED
    ]


def last_words(attempts: Sequence[Attempt]) -> dict[str, Attempt]:
    """The last attempt, or skip, of each target by its name: what it comes to."""
    return {attempt.target: attempt for attempt in attempts}
