"""What all attempts of a call used (rule 2.21)."""

from collections.abc import Iterable
from http import HTTPStatus

from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_SKIPPED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    FAILURE_REASON_CANCELLED,
    FAILURE_REASON_CONNECTION,
    FAILURE_REASON_DEADLINE,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_TIMEOUT,
    Attempt,
    Usage,
)
from majordomo.v1.generation_service_pb2 import TotalUsage

_MOST = 2**31 - 1
_CUT = {FAILURE_REASON_TIMEOUT, FAILURE_REASON_DEADLINE, FAILURE_REASON_CANCELLED}
"""Reasons of ours to end an attempt at which the provider may have been at work."""

_BROKEN = {FAILURE_REASON_CONNECTION, FAILURE_REASON_MALFORMED_RESPONSE}
"""Reasons why an answer that had begun has no end."""


def add_up(attempts: Iterable[Attempt], total: TotalUsage) -> None:
    """Write down in `total` what `attempts` used, and whether that is all."""
    for attempt in attempts:
        if attempt.HasField("usage"):
            if total.HasField("usage"):
                _add(attempt.usage, total.usage)
            else:
                total.usage.CopyFrom(attempt.usage)
        if not total.lower_bound and may_be_uncounted(attempt):
            total.lower_bound = True


def may_be_uncounted(attempt: Attempt) -> bool:
    """Whether more may be billed for `attempt` than its usage says."""
    if attempt.outcome == ATTEMPT_OUTCOME_SKIPPED:
        return False
    if attempt.outcome == ATTEMPT_OUTCOME_SUCCEEDED:
        return not attempt.HasField("usage")
    if attempt.http_status_code >= HTTPStatus.BAD_REQUEST:
        return False  # refused
    if attempt.failure_reason in _CUT:
        return True
    begun = attempt.HasField("usage") or attempt.HasField("first_content_latency")
    broken = attempt.failure_reason in _BROKEN and attempt.http_status_code > 0
    return begun or broken


def _add(usage: Usage, total: Usage) -> None:
    for field, count in usage.ListFields():
        before = getattr(total, field.name)
        setattr(total, field.name, min(before + count, _MOST))
