"""Answers of the Messages API, whole and streamed.

An answer is a list of blocks: text, tool uses, thinking, and blocks of tools that the
provider runs itself, which are passed over. Streamed, each block is begun, written and
stopped, one after the other.

Thinking is signed. What the same model needs to go on from it goes out as
provider_state: the signature, with the thinking itself where it is not shown, and
thinking that was redacted.
"""

from typing import Any

import msgspec

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer
from majordomo.deltas import message
from majordomo.providers.classify import classify
from majordomo.providers.error_body import parse
from majordomo.providers.event_stream import malformed
from majordomo.providers.json_text import WHITESPACE, mend, read_broken
from majordomo.providers.pieces import Pieces
from majordomo.providers.request_json import answer_schema
from majordomo.providers.state import pack
from majordomo.providers.usage import anthropic_usage
from majordomo.v1.attempt_pb2 import Usage
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

WIRE = "anthropic"
"""The name of this wire in provider_state."""

ANSWER_TOOL = "json_answer"
"""The tool whose input is the answer, for models without answers by JSON Schema."""

_FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": FINISH_REASON_STOP,
    "stop_sequence": FINISH_REASON_STOP,
    "max_tokens": FINISH_REASON_LENGTH,
    "model_context_window_exceeded": FINISH_REASON_LENGTH,
    "tool_use": FINISH_REASON_TOOL_CALLS,
    "refusal": FINISH_REASON_CONTENT_FILTER,
}

_NOTHING = msgspec.Raw(b"")


class Block(msgspec.Struct):
    """A block of content, of those types that are read."""

    type: Any = None
    text: Any = None
    thinking: Any = None
    signature: Any = None
    data: Any = None
    id: Any = None
    name: Any = None
    input: msgspec.Raw = _NOTHING


class Delta(msgspec.Struct):
    """What is added to a block, or, at the end, to the answer."""

    type: Any = None
    text: Any = None
    partial_json: Any = None
    thinking: Any = None
    signature: Any = None
    stop_reason: Any = None


class Whole(msgspec.Struct):
    """A whole answer, as far as it is read."""

    id: Any = None
    model: Any = None
    content: list[Block] | None = None
    stop_reason: Any = None
    usage: Any = None


class Event(msgspec.Struct):
    """An event of a stream, as far as it is read."""

    type: Any = None
    index: Any = None
    content_block: Block | None = None
    delta: Delta | None = None
    message: Whole | None = None
    usage: Any = None


_decode_event = msgspec.json.Decoder(Event).decode
_decode_whole = msgspec.json.Decoder(Whole).decode


class _Writing:
    """The block that is being written."""

    def __init__(self, block: Block) -> None:
        self.type = block.type
        self.call = -1
        """The index of a tool call's part."""

        self.whole_input = block.input
        """For servers that send it at once."""

        self.thinking: list[str] = []
        self.signature: list[str] = []
        self.data = block.data


class MessagesReader:
    """Reads one answer; implements event_stream.EventReader."""

    def __init__(self, prompt: Prompt) -> None:
        self.pieces = Pieces()
        self.usage: Usage | None = None
        self.complete = False
        self._with_reasoning = prompt.config.reasoning.include_text
        self._by_tool = bool(answer_schema(prompt))
        self._block: _Writing | None = None
        self._counts: dict[str, object] = {}
        self._id = ""
        self._model = ""
        self._stop_reason = ""

    def read_event(self, name: bytes, data: bytes) -> None:
        """Read one event; its `name` is its type again."""
        if not data:
            return
        try:
            event = _decode_event(data)
        except (ValueError, RecursionError):
            event = self._broken(data, Event)
        match event.type:
            case "content_block_delta":
                if event.delta is not None:
                    self._add(event.delta)
            case "content_block_start":
                self._stop()
                if event.content_block is not None:
                    self._start(event.content_block)
            case "content_block_stop":
                self._stop()
            case "message_start":
                if event.message is not None:
                    self._note(event.message)
            case "message_delta":
                if event.delta is not None and event.delta.stop_reason:
                    self._stop_reason = mend(str(event.delta.stop_reason))
                self._count(event.usage, final=True)
            case "message_stop":
                self._end()
            case "message":
                self.read_whole(data)
            case "error" | None:
                raise _unreadable(data)  # without a type: as gateways tell errors
            case _:
                if name == b"error":
                    raise _unreadable(data)
                # A ping, or what is new.

    def end(self) -> None:
        """The body has ended; without a message_stop the answer has not."""

    def read_whole(self, data: bytes) -> None:
        """Read a body that is one whole answer, or an error."""
        try:
            whole = _decode_whole(data)
        except (ValueError, RecursionError):
            whole = self._broken(data, Whole)
        if whole.content is None:
            raise _unreadable(data)
        self._note(whole)
        self._count(whole.usage, final=True)
        for block in whole.content:
            self._start(block)
            self._stop()
        self._stop_reason = mend(str(whole.stop_reason or ""))
        self._end()

    def completion(self) -> Completion:
        """How the answer ended."""
        reason = _FINISH_REASONS.get(self._stop_reason, FINISH_REASON_OTHER)
        if reason == FINISH_REASON_TOOL_CALLS and not self.pieces.tool_calls:
            reason = FINISH_REASON_STOP  # the tool was the form of the answer
        return Completion(
            provider_model=self._model,
            finish_reason=reason,
            provider_finish_reason=self._stop_reason,
            usage=self.usage,
            provider_response_id=self._id,
        )

    def _broken(self, data: bytes, shape: type[Any]) -> Any:
        try:
            value = read_broken(data, shape, raw="input")
        except ValueError:
            raise _unreadable(data) from None
        self.pieces.broken = True
        return value

    def _note(self, whole: Whole) -> None:
        self._id = mend(str(whole.id or ""))
        self._model = mend(str(whole.model or ""))
        self._count(whole.usage, final=False)

    def _count(self, said: object, *, final: bool) -> None:
        """Take token counts in: later ones, as far as they go, replace earlier."""
        if not isinstance(said, dict):
            return
        known = {key: value for key, value in said.items() if value is not None}
        if not final:
            # Not yet what was written, only what stands in for it.
            known.pop("output_tokens", None)
        self._counts |= known
        self.usage = anthropic_usage(self._counts)

    def _start(self, block: Block) -> None:
        self._block = writing = _Writing(block)
        match block.type:
            case "text":
                if block.text:
                    self.pieces.text(_text(block.text))
            case "tool_use":
                if self._by_tool and block.name == ANSWER_TOOL:
                    writing.type = ANSWER_TOOL
                    return
                if not block.name:
                    raise malformed("a tool call has no name")
                writing.call = self.pieces.tool_call(
                    str(block.id or ""), str(block.name)
                )
            case "thinking":
                self._think(writing, block.thinking, block.signature)
            case _:
                pass

    def _add(self, delta: Delta) -> None:
        writing = self._block
        if writing is None:
            raise malformed("a piece belongs to no block")
        match delta.type:
            case "text_delta":
                if delta.text:
                    self.pieces.text(_text(delta.text))
            case "input_json_delta":
                if delta.partial_json:
                    writing.whole_input = _NOTHING
                    self._input(writing, _text(delta.partial_json))
            case "thinking_delta" | "signature_delta":
                self._think(writing, delta.thinking, delta.signature)
            case _:
                pass

    def _input(self, writing: _Writing, text: str) -> None:
        if writing.type == ANSWER_TOOL:
            self.pieces.text(text)
        elif writing.call >= 0:
            self.pieces.arguments(writing.call, text)

    def _think(self, writing: _Writing, thinking: object, signature: object) -> None:
        if signature:
            writing.signature.append(_text(signature))
        if not thinking:
            return
        if self._with_reasoning:
            self.pieces.reasoning(_text(thinking))
        writing.thinking.append(_text(thinking))

    def _stop(self) -> None:
        """The block is written: what comes at its end."""
        writing, self._block = self._block, None
        if writing is None:
            return
        whole = bytes(writing.whole_input)
        if whole not in (b"", b"{}", b"null"):
            self._input(writing, whole.decode(errors="replace"))
        state = {}
        if writing.type == "thinking" and writing.signature:
            state["signature"] = "".join(writing.signature)
            if not self._with_reasoning:
                state["thinking"] = "".join(writing.thinking)
        elif writing.type == "redacted_thinking" and writing.data:
            state["redacted"] = _text(writing.data)
        if state:
            if not (self._with_reasoning and writing.thinking):
                self.pieces.hidden_reasoning()
            mended = {key: mend(value) for key, value in state.items()}
            self.pieces.state(pack(WIRE, **mended))

    def _end(self) -> None:
        self._stop()
        self.pieces.end()
        self.complete = True


def decode_message(prompt: Prompt, body: bytes) -> Answer:
    """The answer in a whole body; see codec.Codec.decode()."""
    reader = MessagesReader(prompt)
    reader.read_whole(body.strip(WHITESPACE))
    return Answer(reader.completion(), message(reader.pieces.take()))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise malformed("a part of the answer cannot be read")
    return value


def _unreadable(data: bytes) -> Failure:
    if parse(data) is not None:
        return classify(200, {}, data)
    return malformed("the provider's answer cannot be read")
