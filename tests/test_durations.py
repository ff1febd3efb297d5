"""Durations as texts and as protobuf's messages."""

import pytest

from majordomo.durations import duration, parse, parse_go, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("250ms", 0.25), ("5s", 5.0), ("1.5m", 90.0), ("2h", 7200.0)],
)
def test_one_number_with_a_unit(text: str, expected: float) -> None:
    """As configurations, scripts and the command line write it."""
    assert expected == parse(text)


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "1d", "1m30s", "1e3s"])
def test_anything_else_is_no_duration(text: str) -> None:
    """A unit that is not among those asked for is none either."""
    with pytest.raises(ValueError, match="no duration"):
        parse(text)
    assert 86_400.0 == parse("1d", ("s", "d"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6m0s", 360.0),
        ("59.56s", 59.56),
        ("1h2m", 3720.0),
        ("120ms", 0.12),
        ("5µs", 5e-6),
    ],
)
def test_durations_of_go(text: str, expected: float) -> None:
    """Several units in a row, as many providers answer."""
    assert expected == pytest.approx(parse_go(text))
    with pytest.raises(ValueError, match="no duration"):
        parse_go(f"{text} later")


def test_protobuf_keeps_nanoseconds() -> None:
    """There and back; what is below zero is zero."""
    assert 1.000000001 == seconds(duration(1.000000001))
    assert 0.0 == seconds(duration(-3.0))
