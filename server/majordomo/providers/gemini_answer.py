"""Answers of generateContent, whole and streamed.

A streamed answer is a row of answers, each with a few more parts; the last one, or
each, says why the model stopped, and the end of the body is the end. Without
server-sent events it is a JSON array of the same.

Parts may be signed. A signature belongs to its own part and goes out as its
provider_state: of a call, of text (perhaps of an empty text at the end), of a thought.
"""

from typing import Any

import msgspec

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer
from majordomo.deltas import message
from majordomo.providers.classify import classify
from majordomo.providers.error_body import parse
from majordomo.providers.event_stream import malformed
from majordomo.providers.gemini_partial import PartialArguments
from majordomo.providers.json_text import WHITESPACE, mend, read_broken
from majordomo.providers.pieces import Pieces
from majordomo.providers.state import pack
from majordomo.providers.usage import GeminiCounts, gemini_usage
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONTENT_REFUSED,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_PROVIDER_ERROR,
    FAILURE_REASON_UNSUPPORTED,
    FailureReason,
    Usage,
)
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_CONTENT_FILTER,
    FINISH_REASON_LENGTH,
    FINISH_REASON_OTHER,
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    Completion,
    FinishReason,
    Prompt,
)

WIRE = "gemini"
"""The name of this wire in provider_state."""

_FILTERS = (
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MODEL_ARMOR",
    "ESCALATION",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
)
_FINISH_REASONS: dict[str, FinishReason] = {
    "STOP": FINISH_REASON_STOP,
    "MAX_TOKENS": FINISH_REASON_LENGTH,
    **dict.fromkeys(_FILTERS, FINISH_REASON_CONTENT_FILTER),
}
_WENT_WRONG: dict[str, FailureReason] = {
    "MALFORMED_FUNCTION_CALL": FAILURE_REASON_MALFORMED_RESPONSE,
    "MALFORMED_RESPONSE": FAILURE_REASON_MALFORMED_RESPONSE,
    "UNEXPECTED_TOOL_CALL": FAILURE_REASON_MALFORMED_RESPONSE,
    "TOO_MANY_TOOL_CALLS": FAILURE_REASON_MALFORMED_RESPONSE,
    "MISSING_THOUGHT_SIGNATURE": FAILURE_REASON_UNSUPPORTED,
    "IMAGE_OTHER": FAILURE_REASON_PROVIDER_ERROR,
    "LANGUAGE": FAILURE_REASON_PROVIDER_ERROR,
    "NO_IMAGE": FAILURE_REASON_PROVIDER_ERROR,
    "OTHER": FAILURE_REASON_PROVIDER_ERROR,
}
"""Why the model stopped, where what it wrote is no answer."""

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

    def __init__(self, index: int, state: dict[str, str]) -> None:
        self.index = index
        self.state = state
        self.arguments = PartialArguments()


_decode_whole = msgspec.json.Decoder(Whole).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


class GeminiReader:
    """Reads one answer; implements event_stream.EventReader."""

    def __init__(self, prompt: Prompt) -> None:
        self.pieces = Pieces()
        self._counts: GeminiCounts | None = None
        self.complete = False
        self._with_reasoning = prompt.config.reasoning.include_text
        self._id = ""
        self._model = ""
        self._finish_reason = ""
        self._blocked = ""
        self._call: _Writing | None = None

    @property
    def usage(self) -> Usage | None:
        """Of the last piece that counts anything: each counts all so far."""
        return None if self._counts is None else gemini_usage(self._counts)

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
        self._end_call()
        if self._blocked and self.pieces.empty:
            raise Failure(
                FAILURE_REASON_CONTENT_REFUSED,
                "the prompt was blocked",
                code=self._blocked,
            )
        wrong = _WENT_WRONG.get(self._finish_reason)
        if wrong is not None:
            raise Failure(
                wrong, "the model's answer went wrong", code=self._finish_reason
            )
        if self._finish_reason or self._blocked or (whole and not self.pieces.empty):
            self.pieces.end()
            self.complete = True

    def completion(self) -> Completion:
        """How the answer ended."""
        reason = _FINISH_REASONS.get(self._finish_reason, FINISH_REASON_OTHER)
        if self._blocked:
            reason = FINISH_REASON_CONTENT_FILTER
        if reason == FINISH_REASON_STOP and self.pieces.tool_calls:
            reason = FINISH_REASON_TOOL_CALLS
        return Completion(
            provider_model=self._model,
            finish_reason=reason,
            provider_finish_reason=self._finish_reason or self._blocked,
            usage=self.usage,
            provider_response_id=self._id,
        )

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
            self._id = mend(str(whole.response_id))
        if not self._model and whole.model_version:
            self._model = mend(str(whole.model_version))
        counts = whole.usage_metadata
        if counts is not None and counts != _NOTHING_COUNTED:
            self._counts = counts
        feedback = whole.prompt_feedback
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._blocked = mend(str(feedback["blockReason"]))
        for candidate in whole.candidates or ():
            if not candidate.index:
                self._read_candidate(candidate)

    def _broken(self, data: bytes) -> Whole:
        try:
            whole = read_broken(data, Whole, raw="args")
        except ValueError:
            raise _unreadable(data) from None
        self.pieces.broken = True
        return whole

    def _read_candidate(self, candidate: Candidate) -> None:
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                self._read_part(part)
        reason = candidate.finish_reason
        if reason and reason != "FINISH_REASON_UNSPECIFIED":
            self._finish_reason = mend(str(reason))

    def _read_part(self, part: Part) -> None:
        signature = _text(part.thought_signature)
        if part.function_call is not None:
            self._read_call(part.function_call, signature)
            return
        if self._call is not None:
            self._end_call()
        if part.thought:
            self._read_thought(_text(part.text), signature)
        elif signature:
            # Never joined with another: what was signed is this text.
            self.pieces.empty_text()
            if text := _text(part.text):
                self.pieces.text(text)
            self._state(signature=signature)
        elif part.text:
            self.pieces.text(_text(part.text))

    def _read_call(self, call: FunctionCall, signature: str) -> None:
        if call.name:
            self._end_call()
            index = self.pieces.tool_call(_text(call.id), _text(call.name))
            id_ = _text(call.id)
            self._call = _Writing(index, {"id": id_} if id_ else {})
        elif self._call is None:
            if call == _END_OF_CALL:
                return
            raise malformed("a tool call has no name")
        writing = self._call
        if signature:
            writing.state["signature"] = signature
        writing.arguments.add(call.partial_args)
        arguments = bytes(call.args).decode(errors="replace")
        if arguments not in ("", "null", "{}"):
            self.pieces.arguments(writing.index, arguments)
        elif not call.will_continue:
            arguments = writing.arguments.json()
            if arguments != "{}":
                self.pieces.arguments(writing.index, arguments)
        if not call.will_continue:
            self._state(writing.index, **writing.state)
            self._call = None

    def _end_call(self) -> None:
        """What comes next is no piece of the call: it is whole, though not said so."""
        if self._call is not None:
            self._read_call(_END_OF_CALL, "")

    def _read_thought(self, text: str, signature: str) -> None:
        if signature:
            # Of its own, as signed text is.
            self.pieces.hidden_reasoning()
            if self._with_reasoning and text:
                self.pieces.reasoning(text)
                self._state(signature=signature)
            else:
                self._state(signature=signature, thought=text)
        elif self._with_reasoning and text:
            self.pieces.reasoning(text)

    def _state(self, index: int | None = None, **strings: str) -> None:
        if strings:
            mended = {key: mend(value) for key, value in strings.items()}
            self.pieces.state(pack(WIRE, **mended), index)


def decode_gemini(prompt: Prompt, body: bytes) -> Answer:
    """The answer in a whole body; see codec.Codec.decode()."""
    reader = GeminiReader(prompt)
    reader.read_event(b"", body.strip(WHITESPACE))
    reader.end(whole=True)
    if not reader.complete:
        raise _unreadable(body)
    return Answer(reader.completion(), message(reader.pieces.take()))


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
