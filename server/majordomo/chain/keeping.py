"""What is kept of answers while the walk goes on (rule 3.17).

A call keeps one answer, the first that had a fault. What a stream has shown is held
besides where it may have to be judged, or shown again. All of it is taken from the
server's memory; where there is no room, nothing is kept.
"""

from collections.abc import Sequence
from typing import NamedTuple

from majordomo.chain.attempt import RunningAttempt
from majordomo.chain.call import Memory
from majordomo.chain.target import Answer
from majordomo.v1.generation_service_pb2 import PartDelta


class Kept(NamedTuple):
    """An answer that the walk went on after."""

    running: RunningAttempt
    answer: Answer
    shown: Sequence[PartDelta]
    """What the caller of a stream has seen of it."""


class Shown:
    """What a stream has shown, held as long as there is room for it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._size = 0
        self.deltas: list[PartDelta] | None = []
        """None: there was no room."""

    def add(self, deltas: Sequence[PartDelta]) -> None:
        if self.deltas is None:
            return
        size = sum(delta.ByteSize() for delta in deltas)
        if self._memory.try_take(size):
            self._size += size
            self.deltas += deltas
        else:
            self.drop()

    def drop(self) -> None:
        """Hold nothing any more."""
        self._memory.give(self._size)
        self._size = 0
        self.deltas = None
