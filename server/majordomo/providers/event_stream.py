"""Answers streamed as server-sent events: what is the same for every wire.

A wire's own reading of its events is an EventReader; this is the rest of what
codec.StreamDecoder asks for.
"""

from collections.abc import Iterable
from typing import Protocol

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer
from majordomo.providers.pieces import Pieces
from majordomo.providers.sse import Event, EventParser
from majordomo.v1.attempt_pb2 import FAILURE_REASON_MALFORMED_RESPONSE, Usage
from majordomo.v1.generation_service_pb2 import Completion, PartDelta


class EventReader(Protocol):
    """Reads the events of one answer, one by one."""

    pieces: Pieces
    complete: bool
    """The terminal marker was read."""

    @property
    def usage(self) -> Usage | None:
        """As far as the provider has said."""

    def read_event(self, name: bytes, data: bytes) -> None:
        """Read one event; Failure for an error and for what cannot be read."""

    def end(self) -> None:
        """The body has ended, well; for some wires that completes the answer."""

    def completion(self) -> Completion:
        """How the answer ended, once it is complete."""


class EventStreamDecoder:
    """Reads one streamed answer; implements codec.StreamDecoder."""

    def __init__(self, reader: EventReader) -> None:
        self.complete = False
        self._events = EventParser()
        self._reader = reader
        self._failure: Failure | None = None

    @property
    def usage(self) -> Usage | None:
        """As far as the provider has said."""
        return self._reader.usage

    @property
    def reasons(self) -> bool:
        """The model was seen to reason, whether that is shown or not."""
        return self._reader.pieces.reasons

    def feed(self, data: bytes) -> list[PartDelta]:
        """The content that `data` completes."""
        return self._read(self._events.feed(data))

    def close(self) -> list[PartDelta]:
        """The content that the end of the body completes."""
        return self._read(self._events.close(), at_end=True)

    def finish(self) -> Answer:
        """How the answer ended."""
        if self._failure is not None:
            raise self._failure
        if not self.complete:
            raise malformed("the stream ended before the answer did")
        return Answer(self._reader.completion())

    def _read(
        self, events: Iterable[Event], *, at_end: bool = False
    ) -> list[PartDelta]:
        if self._failure is not None:
            raise self._failure
        reader = self._reader
        try:
            for name, data in events:
                if reader.complete:
                    break
                reader.read_event(name, data)
            if at_end and not reader.complete:
                reader.end()
        except Failure as failure:
            deltas = reader.pieces.take()
            if not deltas:
                raise
            self._failure = failure
            return deltas
        finally:
            self.complete = reader.complete or self._failure is not None
        return reader.pieces.take()


def malformed(problem: str) -> Failure:
    """The failure of what is no answer of its wire."""
    return Failure(FAILURE_REASON_MALFORMED_RESPONSE, problem)
