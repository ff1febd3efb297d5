"""Answers of generateContent, whole and streamed.

A streamed answer is a row of answers, each with a few more parts; the last one, or
each, says why the model stopped, and the end of the body is the end. Without
server-sent events it is a JSON array of the same.

What only Gemini can read, such as code that ran, goes out as it came (`blocks`).

Parts may be signed. A signature belongs to its own part and goes out as its
provider_state: of a call, of text (perhaps of an empty text at the end), of a thought.
"""

from functools import reduce
from typing import Any

import msgspec

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer
from majordomo.codec.errors.body import parse
from majordomo.codec.errors.classify import classify
from majordomo.codec.event_stream import malformed
from majordomo.codec.finish import cut, failed, finish_reason, own_words
from majordomo.codec.json_text import WHITESPACE, read_broken, repair
from majordomo.codec.opaque import again, described, kept
from majordomo.codec.pieces import OTHER, REASONING, TEXT, Block, Pieces
from majordomo.codec.state import pack
from majordomo.codec.usage import GeminiCounts, gemini_usage, later_counts
from majordomo.deltas import message
from majordomo.providers.gemini import blocks
from majordomo.providers.gemini.blocks import WIRE, Grounding
from majordomo.providers.gemini.partial_arguments import PartialArguments
from majordomo.v1.attempt_pb2 import FAILURE_REASON_CONTENT_REFUSED, Usage
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_CONTENT_FILTER,
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    Completion,
    Prompt,
)

_NOTHING = msgspec.Raw(b"")


class FunctionCall(msgspec.Struct, rename="camel"):
    """A call of a tool, as far as it is read."""

    name: Any = None
    id: Any = None
    args: msgspec.Raw = _NOTHING
    partial_args: Any = None
    will_continue: Any = None


_END_OF_CALL = FunctionCall()


class Part(msgspec.Struct, rename="camel"):
    """A part of those kinds that are read."""

    text: Any = None
    thought: Any = None
    thought_signature: Any = None
    function_call: FunctionCall | None = None


class Content(msgspec.Struct):
    """What a candidate holds."""

    parts: list[Part] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """One of the answers, of which only the first is read."""

    content: Content | None = None
    finish_reason: Any = None
    finish_message: Any = None
    grounding_metadata: Any = None
    citation_metadata: Any = None
    url_context_metadata: Any = None
    index: Any = None


class Whole(msgspec.Struct, rename="camel"):
    """An answer, or a piece of one, as far as it is read."""

    candidates: list[Candidate] | None = None
    prompt_feedback: Any = None
    usage_metadata: GeminiCounts | None = None
    model_version: Any = None
    response_id: Any = None
    error: Any = None


_NOTHING_COUNTED = GeminiCounts()
_NOT_READ = Whole()
"""A piece of which nothing is read: perhaps an error of another shape."""


class _Writing:
    """A call whose arguments come in pieces."""

    def __init__(self, block: Block, id: str) -> None:  # noqa: A002
        self.block = block
        self.id = id
        self.state = {"id": id} if id else {}
        self.arguments = PartialArguments()


_decode_whole = msgspec.json.Decoder(Whole).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


class GeminiReader:
    """Reads one answer; implements event_stream.EventReader."""

    thinking = False

    def __init__(self, prompt: Prompt) -> None:
        self.pieces = Pieces()
        self._counts: list[GeminiCounts] = []
        self.complete = False
        self.finished = False
        self._with_reasoning = prompt.config.reasoning.include_text
        self._id = ""
        self._model = ""
        self._said_model: object = None
        self._went_on = False
        self._finish_reason = ""
        self._finish_message: object = None
        self._blocked = ""
        self._grounding: Grounding | None = None
        self._calls: list[_Writing] = []

    @property
    def usage(self) -> Usage | None:
        """Of all pieces: each counts all so far, as far as it counts."""
        if not self._counts:
            return None
        searches = 0 if self._grounding is None else self._grounding.searches
        return gemini_usage(reduce(later_counts, self._counts), searches)

    def read_event(self, name: bytes, data: bytes) -> None:  # noqa: ARG002
        """Read one piece of the answer, or an array of them."""
        if data.startswith(b"["):
            try:
                pieces = _decode_array(data)
            except (ValueError, RecursionError):
                raise _unreadable(data) from None
            for piece in pieces:
                self._read(bytes(piece))
        elif data:
            self._read(data)

    def end(self, *, whole: bool = False) -> None:
        """The body has ended: so has the answer, if the model had stopped.

        `whole`: it was no stream, which may be cut; what was read is all.
        """
        self._end_calls()
        if self._blocked and self.pieces.empty:
            raise Failure(
                FAILURE_REASON_CONTENT_REFUSED,
                ": ".join(filter(None, ("the prompt was blocked", self._words))),
                code=self._blocked,
            )
        if failure := failed(self._finish_reason):
            raise failure
        if self._finish_reason or self._blocked or (whole and not self.pieces.empty):
            if self._grounding is not None:
                self._grounding.settle(self.pieces, self.pieces.texts)
            self.pieces.end(cut=cut(self._finish_reason))
            self.complete = True

    def finish(self) -> None:
        """Nothing more will come."""
        self.end()

    def completion(self) -> Completion:
        """How the answer ended."""
        reason = finish_reason(self._finish_reason)
        if self._blocked:
            reason = FINISH_REASON_CONTENT_FILTER
        if reason == FINISH_REASON_STOP and self.pieces.tool_calls:
            reason = FINISH_REASON_TOOL_CALLS
        completion = Completion(
            provider_model=self._model,
            finish_reason=reason,
            provider_finish_reason=self._finish_reason or self._blocked,
            usage=self.usage,
            provider_response_id=self._id,
        )
        if self._finish_message:
            completion.provider_finish_message = self._words
        return self.pieces.account(completion)

    @property
    def _words(self) -> str:
        """The provider's own for why the model stopped, or the prompt was blocked."""
        return own_words(self._finish_message) if self._finish_message else ""

    def _read(self, data: bytes) -> None:
        try:
            whole = _decode_whole(data)
        except (ValueError, RecursionError):
            whole = self._broken(data)
        if whole.error:
            raise classify(200, {}, data)
        if whole == _NOT_READ and parse(data) is not None:
            raise classify(200, {}, data)
        if not self._id and whole.response_id:
            self._id = repair(str(whole.response_id))
        if whole.model_version and whole.model_version != self._said_model:
            self._said_model = whole.model_version
            self._model = repair(str(whole.model_version))
        counts = whole.usage_metadata
        if counts is not None and counts != _NOTHING_COUNTED:
            self._counts.append(counts)
        feedback = whole.prompt_feedback
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._blocked = repair(str(feedback["blockReason"]))
            self._finish_message = feedback.get("blockReasonMessage")
        for candidate in whole.candidates or ():
            if not candidate.index:
                self._read_candidate(candidate, data)
            else:
                self.pieces.omit("candidates", "answers beside the first")

    def _broken(self, data: bytes) -> Whole:
        try:
            whole = read_broken(data, Whole, raw="args")
        except ValueError:
            raise _unreadable(data) from None
        self.pieces.broken = True
        return whole

    def _read_candidate(self, candidate: Candidate, data: bytes) -> None:
        """Read the first candidate in `data`."""
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                if part.text is None and part.function_call is None:
                    self._read_other(candidate, part, data)
                else:
                    self._read_part(part)
        if (
            candidate.grounding_metadata
            or candidate.citation_metadata
            or candidate.url_context_metadata
        ):
            self._read_grounding(candidate)
        reason = candidate.finish_reason
        if reason and reason != "FINISH_REASON_UNSPECIFIED":
            self._finish_reason = repair(str(reason))
            self._finish_message = candidate.finish_message
            # Some say it in every piece: then it shows nothing of the end.
            self.finished = self._went_on
        else:
            self._went_on = True

    def _read_part(self, part: Part) -> None:
        signature = _text(part.thought_signature)
        if part.function_call is not None:
            self._read_call(part.function_call, signature)
            return
        if part.thought:
            self._read_thought(_text(part.text), signature)
        elif signature:
            # Never joined with another: what was signed is this text.
            block = Block(TEXT)
            self.pieces.begin(block)
            if text := _text(part.text):
                self.pieces.add(block, text)
            self._state(block, signature=signature)
        elif part.text:
            self.pieces.text(_text(part.text))

    def _read_other(self, candidate: Candidate, part: Part, data: bytes) -> None:
        """Read a part that is neither text nor a call: media, or Google's own."""
        whole = _again(candidate, part, data)
        kind = blocks.kind(whole)
        signature = _text(part.thought_signature)
        if not kind:
            self._read_part(part)
        elif part.thought and kind in ("inlineData", "fileData"):
            self.pieces.omit(kind, "media of the model's reasoning")
        elif kind == "inlineData":
            self._read_media(whole[kind], signature)
        elif uri := blocks.uri(whole):
            block = Block(OTHER)
            self.pieces.reference(block, *uri)
            if signature:
                self._state(block, signature=signature)
        else:
            part_ = described(kind, {"type": kind, **_object(whole[kind])})
            self.pieces.opaque(Block(OTHER), part_, kept(WIRE, whole))

    def _read_media(self, said: object, signature: str) -> None:
        try:
            media = blocks.inline(said)
        except ValueError as error:
            self.pieces.omit("inlineData", f"media that cannot be read: {error}")
            return
        block = Block(OTHER)
        self.pieces.media(block, *media)
        if signature:
            self._state(block, signature=signature)

    def _read_grounding(self, candidate: Candidate) -> None:
        if self._grounding is None:
            self._grounding = Grounding()
        grounding = self._grounding
        content = candidate.content
        texts = [part.text or "" for part in (content and content.parts) or ()]
        grounding.add(candidate.grounding_metadata, texts, streamed=self._went_on)
        grounding.recited(candidate.citation_metadata)
        grounding.fetched(candidate.url_context_metadata)

    def _read_call(self, call: FunctionCall, signature: str) -> None:
        writing = self._call_of(_text(call.id), _text(call.name))
        if writing is None:
            if call == _END_OF_CALL:
                return
            raise malformed("a tool call has no name")
        if signature:
            writing.state["signature"] = signature
        writing.arguments.add(call.partial_args)
        arguments = bytes(call.args).decode(errors="replace")
        if arguments not in ("", "null", "{}"):
            self.pieces.arguments(writing.block, arguments)
        elif not call.will_continue:
            arguments = writing.arguments.json()
            if arguments != "{}":
                self.pieces.arguments(writing.block, arguments)
        if not call.will_continue:
            self._calls.remove(writing)
            self._state(writing.block, **writing.state)

    def _call_of(self, id_: str, name: str) -> _Writing | None:
        """The call that a piece goes on with, or a new one; None if it names neither.

        By its id, where it has one, or else the last. One without an id is whole when
        the next begins, though not stated so.
        """
        for writing in reversed(self._calls):
            if writing.id == id_ if id_ else not name:
                return writing
        if not name:
            return None
        if not all(writing.id for writing in self._calls):
            self._end_calls()
        writing = _Writing(self.pieces.tool_call(id_, name), id_)
        self._calls.append(writing)
        return writing

    def _end_calls(self) -> None:
        """No more comes of what calls are open."""
        while self._calls:
            self._read_call(_END_OF_CALL, "")

    def _read_thought(self, text: str, signature: str) -> None:
        self.pieces.alive = True
        if signature:
            # Of its own, as signed text is.
            block = Block(REASONING)
            self.pieces.begin(block)
            if self._with_reasoning and text:
                self.pieces.add(block, text)
                self._state(block, signature=signature)
            else:
                self._state(block, signature=signature, thought=text)
        elif self._with_reasoning and text:
            self.pieces.reasoning(text)

    def _state(self, block: Block, **strings: str) -> None:
        if strings:
            repaired = {key: repair(value) for key, value in strings.items()}
            self.pieces.state(block, pack(WIRE, **repaired))


def decode_gemini(prompt: Prompt, body: bytes) -> Answer:
    """The answer in a whole body; see codec.Codec.decode()."""
    reader = GeminiReader(prompt)
    reader.read_event(b"", body.strip(WHITESPACE))
    reader.end(whole=True)
    if not reader.complete:
        raise _unreadable(body)
    return Answer(reader.completion(), message(reader.pieces.rest()))


def _again(candidate: Candidate, part: Part, data: bytes) -> dict[str, Any]:
    """All of a part of the first candidate in `data`."""
    parts = candidate.content.parts if candidate.content else None
    place = next(i for i, one in enumerate(parts or ()) if one is part)
    first = next(one for one in again(data)["candidates"] if not one.get("index"))
    whole: dict[str, Any] = first["content"]["parts"][place]
    return whole


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise malformed("a part of the answer cannot be read")
    return value


def _unreadable(data: bytes) -> Failure:
    if parse(data) is not None:
        return classify(200, {}, data)
    return malformed("the provider's answer cannot be read")
