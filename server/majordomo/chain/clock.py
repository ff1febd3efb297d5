"""The time that decisions are made by.

Durations and deadlines are read off a monotonic clock and are never moved by a
change of the wall clock; wall time only labels what people read.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

NANOSECONDS = 1_000_000_000
"""A second."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from; tests bring their own."""

    monotonic: Callable[[], float] = time.monotonic
    """Seconds from an arbitrary start; must be the event loop's own time."""

    wall_nanoseconds: Callable[[], int] = time.time_ns
    """Nanoseconds since the Unix epoch."""

    def stamp(self, field: Timestamp, at: float | None = None) -> None:
        """Set `field`, of another message, to the wall time of the moment `at`.

        `at` is monotonic; None: now.
        """
        nanoseconds = self.wall_nanoseconds()
        if at is not None:
            nanoseconds += round((at - self.monotonic()) * NANOSECONDS)
        field.seconds, field.nanos = divmod(nanoseconds, NANOSECONDS)

    def timestamp(self, at: float | None = None) -> Timestamp:
        """The wall time of the monotonic moment `at` (now, if None)."""
        made = Timestamp()
        self.stamp(made, at)
        return made


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
