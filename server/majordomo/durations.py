"""Durations: seconds, texts with a unit, and protobuf's messages."""

import re
from collections.abc import Mapping

from google.protobuf.duration_pb2 import Duration

NANOSECONDS = 1_000_000_000
"""A second."""

UNITS: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
"""Seconds of each unit that configurations and scripts know."""

CLI_UNITS: Mapping[str, float] = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400}
"""Those of the command line, which are for people: a day, and plain seconds."""

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([a-z]*)")


def parse(text: str, units: Mapping[str, float] = UNITS) -> float:
    """Seconds, from a number with one of `units`: "1.5s". Raises ValueError."""
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in units:
        raise ValueError(f"{text!r} is no duration")
    return float(match[1]) * units[match[2]]


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
