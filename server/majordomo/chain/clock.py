"""The time that decisions are made by.

Durations and deadlines are read off a monotonic clock and are never moved by a
change of the wall clock; wall time only labels what people read.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from google.protobuf.timestamp_pb2 import Timestamp

from majordomo.durations import NANOSECONDS

_WALL_CLOCK_SET = NANOSECONDS
"""Two measurements differ by less unless somebody has set the wall clock between."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from; tests bring their own."""

    monotonic: Callable[[], float] = time.monotonic
    """Seconds from an arbitrary start; must be the event loop's own time."""

    wall_nanoseconds: Callable[[], int] = time.time_ns
    """Nanoseconds since the Unix epoch."""

    _offset: list[int] = field(default_factory=lambda: [0], repr=False, compare=False)
    """Wall time less monotonic, in nanoseconds, when last measured."""

    def stamp(self, field: Timestamp, at: float | None = None) -> None:
        """Set `field`, of another message, to the wall time of the moment `at`.

        `at` is monotonic; None: now. A moment has the same time whenever it is asked
        for, until the wall clock is set.
        """
        nanoseconds = self.wall_nanoseconds()
        if at is not None:
            nanoseconds = round(at * NANOSECONDS) + self._difference(nanoseconds)
        field.seconds, field.nanos = divmod(nanoseconds, NANOSECONDS)

    def _difference(self, wall: int) -> int:
        measured = wall - round(self.monotonic() * NANOSECONDS)
        if abs(measured - self._offset[0]) > _WALL_CLOCK_SET:
            self._offset[0] = measured
        return self._offset[0]

    def timestamp(self, at: float | None = None) -> Timestamp:
        """The wall time of the monotonic moment `at` (now, if None)."""
        made = Timestamp()
        self.stamp(made, at)
        return made


CLOCK = Clock()
"""This process's, one for all: a moment has one wall time, no matter who shows it."""
