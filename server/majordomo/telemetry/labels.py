"""How telemetry calls the contract's enumerated values: their names in lower case."""

from collections.abc import Callable
from typing import Any

from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CANCELLED,
    Attempt,
    AttemptOutcome,
    FailureReason,
)
from majordomo.v1.errors_pb2 import ErrorReason
from majordomo.v1.generation_service_pb2 import FinishReason
from majordomo.v1.operator_service_pb2 import HealthChange, TargetHealth


def _of(enumeration: Any, prefix: str) -> Callable[[int], str]:
    labels = {
        value: name.removeprefix(prefix).lower() for name, value in enumeration.items()
    }
    return labels.__getitem__


error_reason = _of(ErrorReason, "ERROR_REASON_")
failure_reason = _of(FailureReason, "FAILURE_REASON_")
outcome = _of(AttemptOutcome, "ATTEMPT_OUTCOME_")
finish_reason = _of(FinishReason, "FINISH_REASON_")
cause = _of(HealthChange.Cause, "CAUSE_")
state = _of(TargetHealth.State, "STATE_")


def why(attempt: Attempt) -> str:
    """The reason of an attempt that gave no answer, or of a skip."""
    return failure_reason(attempt.failure_reason or FAILURE_REASON_CANCELLED)
