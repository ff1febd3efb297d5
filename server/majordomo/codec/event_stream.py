"""Answers streamed as server-sent events: what is the same for every wire.

A wire's own reading of its events is an EventReader; this is the rest of what
codec.StreamDecoder asks for.
"""

import re
from collections.abc import Callable, Iterable
from typing import Protocol

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer, Life
from majordomo.codec.base import Codec
from majordomo.codec.pieces import Pieces
from majordomo.codec.sse import Event, EventParser
from majordomo.deltas import message
from majordomo.v1.attempt_pb2 import FAILURE_REASON_MALFORMED_RESPONSE, Usage
from majordomo.v1.generation_service_pb2 import Completion, PartDelta, Prompt


class EventReader(Protocol):
    """Reads the events of one answer, one by one."""

    pieces: Pieces
    complete: bool
    """The terminal marker was read."""

    finished: bool
    """The provider has reported why the model stopped; its end should follow at
    once."""

    thinking: bool
    """The model has begun to reason and has not ended it."""

    @property
    def usage(self) -> Usage | None:
        """As far as the provider has reported."""

    def read_event(self, name: bytes, data: bytes) -> None:
        """Read one event; Failure for an error and for what cannot be read."""

    def end(self) -> None:
        """The body has ended, well; for some wires that completes the answer."""

    def finish(self) -> None:
        """Nothing more will come once `finished`: complete the answer."""

    def completion(self) -> Completion:
        """How the answer ended, once it is complete."""


class EventStreamDecoder:
    """Reads one streamed answer; implements codec.StreamDecoder."""

    def __init__(self, reader: EventReader) -> None:
        self.complete = False
        self.heard = False
        self.life: Life | None = None
        self._thinking = False
        self._events = EventParser()
        self._reader = reader
        self._failure: Failure | None = None

    @property
    def usage(self) -> Usage | None:
        """As far as the provider has reported."""
        return self._reader.usage

    @property
    def finished(self) -> bool:
        """The provider has reported why the model stopped; its end should follow."""
        return self._reader.finished

    def feed(self, data: bytes) -> list[PartDelta]:
        """The content that `data` completes."""
        return self._read(self._events.feed(data))

    def close(self) -> list[PartDelta]:
        """The content that the end of the body completes."""
        deltas = self._read(self._events.close())
        if self.complete:
            return deltas
        return deltas + self._end(self._reader.end)

    def settle(self) -> list[PartDelta]:
        """The content that is complete once nothing more comes after `finished`."""
        return self._end(self._reader.finish)

    def finish(self) -> Answer:
        """How the answer ended."""
        if self._failure is not None:
            raise self._failure
        if not self.complete:
            raise malformed("the stream ended before the answer did")
        return Answer(self._reader.completion(), rest=self._reader.pieces.rest())

    def _read(self, events: Iterable[Event]) -> list[PartDelta]:
        if self._failure is not None:
            raise self._failure
        reader = self._reader
        self.heard = False
        try:
            for name, data in events:
                if reader.complete:
                    break
                if name in _BEATS or (len(data) < _LONGEST_BEAT and _is_beat(data)):
                    continue
                self.heard = True
                reader.read_event(name, data)
        except Failure as failure:
            return self._broken_off(failure)
        self.complete = reader.complete
        return self._taken()

    def _end(self, end: Callable[[], None]) -> list[PartDelta]:
        try:
            end()
        except Failure as failure:
            return self._broken_off(failure)
        self.complete = self._reader.complete
        return self._taken()

    def _taken(self) -> list[PartDelta]:
        reader = self._reader
        deltas = reader.pieces.take()
        self.life = None
        if reader.pieces.alive or reader.thinking is not self._thinking:
            if not deltas or reader.thinking is not self._thinking:
                self.life = Life.THINKING if reader.thinking else Life.ALIVE
            self._thinking = reader.thinking
            reader.pieces.alive = False
        return deltas

    def _broken_off(self, failure: Failure) -> list[PartDelta]:
        """The content before `failure`, which is raised now only if there is none."""
        deltas = self._reader.pieces.take()
        if not deltas:
            raise failure
        self._failure = failure
        self.complete = True
        return deltas


_BEATS = frozenset(
    {b"ping", b"pong", b"keepalive", b"keep-alive", b"keep_alive", b"heartbeat"}
)
"""Names of events that only keep the connection up, whatever their data."""

_BEAT = re.compile(
    rb"\s*(?::.*|ping|pong|keep[-_ ]?alive|heartbeat|null|\{\s*\})?\s*",
    re.DOTALL | re.IGNORECASE,
)
"""Data of such events, a comment among them that was written as data."""

_LONGEST_BEAT = 64


def _is_beat(data: bytes) -> bool:
    return _BEAT.fullmatch(data) is not None


EVENT_STREAM = b"text/event-stream"
_FIELD = re.compile(rb"[\xef\xbb\xbf\s]*(?:data|event|id|retry)?:")


def decode_whole(codec: Codec, prompt: Prompt, body: bytes) -> Answer:
    """The answer in a whole body; also where the body is an event stream."""
    if not _FIELD.match(body):
        return codec.decode(prompt, body)
    decoder = codec.decoder(prompt)
    deltas = decoder.feed(body)
    if not decoder.complete:
        deltas += decoder.close()
    answer = decoder.finish()
    return Answer(answer.completion, message([*deltas, *answer.rest]))


def malformed(problem: str) -> Failure:
    """The failure of what is no answer of its wire."""
    return Failure(FAILURE_REASON_MALFORMED_RESPONSE, problem)
