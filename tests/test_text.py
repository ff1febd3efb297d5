"""Text within bytes, and enumerated values by their names."""

import pytest

from majordomo.contract import GENERATION, OPERATOR, label
from majordomo.text import cut
from majordomo.v1.attempt_pb2 import FAILURE_REASON_OVERLOADED, FailureReason
from majordomo.v1.operator_service_pb2 import HealthChange, TargetHealth


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("twelve bytes", "twelve bytes"),
        ("thirteen byte", "thirteen …"),
        ("ééééééé", "éééé…"),
        ("", ""),
    ],
)
def test_text_is_cut_between_characters(text: str, expected: str) -> None:
    """Twelve bytes of UTF-8 at most, the ellipsis with its three among them."""
    found = cut(text, 12)

    assert expected == found
    assert len(found.encode()) <= 12


def test_values_have_names_without_prefix() -> None:
    """Also of enumerations inside messages; a number without a name stays one."""
    assert "OVERLOADED" == label(FailureReason, FAILURE_REASON_OVERLOADED)
    assert "BENCHED" == label(TargetHealth.State, TargetHealth.STATE_BENCHED)
    cause = HealthChange.CAUSE_OPERATOR_BENCH
    assert "OPERATOR_BENCH" == label(HealthChange.Cause, cause)
    assert "4711" == label(FailureReason, 4711)


def test_services_have_their_full_names() -> None:
    """As the contract's package and theirs make them."""
    assert ("majordomo.v1.GenerationService", "majordomo.v1.OperatorService") == (
        GENERATION,
        OPERATOR,
    )
