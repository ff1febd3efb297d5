"""How telemetry calls the contract's enumerated values: their names in lower case."""

from collections.abc import Callable
from typing import Any

from majordomo.contract import label
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CANCELLED,
    AnswerFault,
    Attempt,
    AttemptOutcome,
    FailureReason,
)
from majordomo.v1.errors_pb2 import ErrorReason
from majordomo.v1.generation_service_pb2 import FinishReason
from majordomo.v1.operator_service_pb2 import HealthChange, TargetHealth


def _of(enumeration: Any) -> Callable[[int], str]:
    words = {value: label(enumeration, value).lower() for value in enumeration.values()}
    return words.__getitem__


error_reason = _of(ErrorReason)
failure_reason = _of(FailureReason)
outcome = _of(AttemptOutcome)
answer_fault = _of(AnswerFault)
finish_reason = _of(FinishReason)
cause = _of(HealthChange.Cause)
state = _of(TargetHealth.State)


def why(attempt: Attempt) -> str:
    """Why an attempt gave no answer, or none to go with, or a target was skipped."""
    if attempt.answer_fault:
        return f"answer_{answer_fault(attempt.answer_fault)}"
    return failure_reason(attempt.failure_reason or FAILURE_REASON_CANCELLED)
