"""Durations: seconds, texts with a unit, and protobuf's messages."""

import re
from collections.abc import Collection, Mapping

from google.protobuf.duration_pb2 import Duration

NANOSECONDS = 1_000_000_000
"""A second."""

SECONDS: Mapping[str, float] = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
}
"""Of each unit."""

UNITS = ("ms", "s", "m", "h")
"""Those of configurations and scripts."""

_ONE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([a-z]*)")
_GO = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?(?:h|ms|m|s|us|µs|ns))+")
_GO_PART = re.compile(r"([0-9.]+)([a-zµ]+)")


def parse(text: str, units: Collection[str] = UNITS) -> float:
    """Seconds, from a number with one of `units`: "1.5s". Raises ValueError."""
    match = _ONE.fullmatch(text)
    if match is None or match[2] not in units:
        raise ValueError(f"{text!r} is no duration")
    return float(match[1]) * SECONDS[match[2]]


def parse_go(text: str) -> float:
    """Seconds, as Go's time.Duration writes them: "1h2m", "59.56s", "120ms".

    Raises ValueError.
    """
    if not _GO.fullmatch(text):
        raise ValueError(f"{text!r} is no duration")
    return sum(float(n) * SECONDS[unit] for n, unit in _GO_PART.findall(text))


def set_duration(field: Duration, seconds: float) -> None:
    """Set `field`, of another message, to `seconds`, zero or more."""
    nanoseconds = round(max(seconds, 0.0) * NANOSECONDS)
    field.seconds, field.nanos = divmod(nanoseconds, NANOSECONDS)


def duration(seconds: float) -> Duration:
    """`seconds`, zero or more, as a protobuf Duration."""
    made = Duration()
    set_duration(made, seconds)
    return made


def seconds(value: Duration) -> float:
    """A protobuf Duration in seconds."""
    return value.seconds + value.nanos / NANOSECONDS
