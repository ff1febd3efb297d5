"""Answers of the Messages API, whole and streamed.

An answer is a list of blocks: text, tool uses, thinking, and blocks that only Claude
can read, such as those of tools that the provider runs itself (`blocks`). Streamed,
each block is begun, written and stopped; mostly one after the other.

Thinking is signed. What the same model needs to go on from it goes out as
provider_state: the signature, with the thinking itself where it is not shown, and
thinking that was redacted.
"""

from typing import Any

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer
from majordomo.codec.errors.body import parse
from majordomo.codec.errors.classify import classify
from majordomo.codec.event_stream import malformed
from majordomo.codec.finish import cut, failed, finish_reason, own_words
from majordomo.codec.json_text import WHITESPACE, read_broken, repair
from majordomo.codec.opaque import again, described, kept
from majordomo.codec.pieces import OTHER, REASONING, TEXT, TOOL_CALL, Block, Pieces
from majordomo.codec.request_json import answer_schema
from majordomo.codec.state import pack
from majordomo.codec.usage import anthropic_usage
from majordomo.deltas import message
from majordomo.providers.anthropic import blocks
from majordomo.providers.anthropic.blocks import WIRE
from majordomo.providers.anthropic.shapes import (
    NOTHING,
    Delta,
    Event,
    Whole,
    Written,
    decode_event,
    decode_whole,
)
from majordomo.v1.attempt_pb2 import Usage
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    Completion,
    Prompt,
)

ANSWER_TOOL = "json_answer"
"""The tool whose input is the answer, for models without answers by JSON Schema."""

_PIECES = {
    "text_delta": "text",
    "input_json_delta": "tool_use",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
}
"""The type of the blocks that a delta belongs to, by its own."""

_READ = frozenset({*_PIECES.values(), "redacted_thinking"})


class _Writing:
    """A block while it is written."""

    citations: tuple[Any, ...] = ()
    """Of a text."""

    other: blocks.Writing | None = None
    """Of a block that only Claude can read."""

    def __init__(self, said: Written) -> None:
        self.type = said.type if isinstance(said.type, str) else ""
        self.done = False
        self.block: Block | None = None
        """What it becomes; of a tool that is the form of the answer a text."""

        self.whole_input = said.input
        """For servers that send it at once."""

        self.thinking: list[str] = []
        self.signature: list[str] = []
        self.data = said.data


class MessagesReader:
    """Reads one answer; implements event_stream.EventReader."""

    _stop_details: object = None
    _again: tuple[bytes, Any] = (b"", None)
    """What was read once more, and what it holds."""

    def __init__(self, prompt: Prompt) -> None:
        self.pieces = Pieces()
        self.usage: Usage | None = None
        self.complete = False
        self.finished = False
        self.thinking = False
        self._prompt = prompt
        self._with_reasoning = prompt.config.reasoning.include_text
        self._by_tool = bool(answer_schema(prompt))
        self._blocks: list[_Writing] = []
        self._placed: dict[object, _Writing] = {}
        self._counts: dict[str, object] = {}
        self._id = ""
        self._model = ""
        self._stop_reason = ""

    def read_event(self, name: bytes, data: bytes) -> None:
        """Read one event; its `name` is its type again."""
        if not data:
            return
        try:
            event = decode_event(data)
        except (ValueError, RecursionError):
            event = self._broken(data, Event)
        match event.type:
            case "content_block_delta":
                if event.delta is not None:
                    self._add(event.index, event.delta, data)
            case "content_block_start":
                if event.content_block is not None:
                    self._start(event.index, event.content_block, data)
            case "content_block_stop":
                self._stop(self._placed.get(_place(event.index)))
            case "message_start":
                if event.message is not None:
                    self._note(event.message)
            case "message_delta":
                self._count(event.usage, final=True)
                if event.delta is not None and event.delta.stop_reason:
                    self._stop_details = event.delta.stop_details
                    self._finish(event.delta.stop_reason)
            case "message_stop":
                self.finish()
            case "message":
                self.read_whole(data)
            case "error" | None:
                raise _unreadable(data)  # without a type: as gateways tell errors
            case _:
                if name == b"error":
                    raise _unreadable(data)
                if event.type != "ping":
                    self.pieces.omit(str(event.type), "an event that is not known")

    def end(self) -> None:
        """The body has ended; without a message_stop the answer has not."""

    def read_whole(self, data: bytes) -> None:
        """Read a body that is one whole answer, or an error."""
        try:
            whole = decode_whole(data)
        except (ValueError, RecursionError):
            whole = self._broken(data, Whole)
        if whole.content is None:
            raise _unreadable(data)
        self._note(whole)
        self._count(whole.usage, final=True)
        for index, block in enumerate(whole.content):
            self._stop(self._start(index, block, data))
        self._stop_details = whole.stop_details
        self._finish(whole.stop_reason)
        self.finish()

    def finish(self) -> None:
        """The answer is complete: so must be its blocks."""
        for writing in self._blocks:
            self._stop(writing)
        self.pieces.end(cut=cut(self._stop_reason))
        self.complete = True

    def completion(self) -> Completion:
        """How the answer ended."""
        reason = finish_reason(self._stop_reason)
        if reason == FINISH_REASON_TOOL_CALLS and not self.pieces.tool_calls:
            reason = FINISH_REASON_STOP  # the tool was the form of the answer
        completion = Completion(
            provider_model=self._model,
            finish_reason=reason,
            provider_finish_reason=self._stop_reason,
            usage=self.usage,
            provider_response_id=self._id,
        )
        if isinstance(details := self._stop_details, dict):
            words = (details.get("category"), details.get("explanation"))
            completion.provider_finish_message = own_words(*words)
        return self.pieces.account(completion)

    def _broken(self, data: bytes, shape: type[Any]) -> Any:
        try:
            value = read_broken(data, shape, raw="input")
        except ValueError:
            raise _unreadable(data) from None
        self.pieces.broken = True
        return value

    def _note(self, whole: Whole) -> None:
        self._id = repair(str(whole.id or ""))
        self._model = repair(str(whole.model or ""))
        self._count(whole.usage, final=False)

    def _count(self, said: object, *, final: bool) -> None:
        """Take token counts in: later ones, as far as they go, replace earlier.

        Zeros take nothing away. A turn that another model finished says so here.
        """
        if not isinstance(said, dict):
            return
        known = {
            key: value
            for key, value in said.items()
            if value or (value is not None and key not in self._counts)
        }
        if not final:
            # Not yet what was written, only what stands in for it.
            known.pop("output_tokens", None)
        self._counts |= known
        self._read_fallback(known.get("iterations"))
        self.usage = anthropic_usage(self._counts)

    def _read_fallback(self, iterations: object) -> None:
        last = iterations[-1] if isinstance(iterations, list) and iterations else None
        if isinstance(last, dict) and last.get("type") == "fallback_message":
            self._model = repair(str(last.get("model") or "")) or self._model

    def _finish(self, word: object) -> None:
        self._stop_reason = repair(str(word or ""))
        self.finished = True
        if failure := failed(self._stop_reason):
            raise failure

    def _start(self, index: object, said: Written, data: bytes) -> _Writing:
        """Begin a block, which is stated in `data`: an event, or the whole answer."""
        place = _place(index)
        before = self._placed.get(place)
        if before is not None:
            self._stop(before)  # all are numbered alike: one after the other
        writing = self._placed[place] = _Writing(said)
        self._blocks.append(writing)
        self.pieces.alive = True
        match said.type:
            case "text":
                writing.block = self._place_of(TEXT)
                if said.text:
                    self.pieces.add(writing.block, _text(said.text))
                if said.citations:
                    self._cite(writing, said.citations)
            case "tool_use":
                self._start_call(writing, said)
            case "thinking" | "redacted_thinking":
                writing.block = self._place_of(REASONING)
                self.thinking = True
                self._think(writing, said.thinking, said.signature)
            case _:
                self._start_other(writing, index, said, data)
        return writing

    def _start_other(
        self, writing: _Writing, index: object, said: Written, data: bytes
    ) -> None:
        """Begin a block that only Claude can read; it goes back to it whole."""
        if said.type == "fallback" and isinstance(said.to, dict):
            self._model = repair(str(said.to.get("model") or "")) or self._model
        if self._again[0] is not data:
            self._again = data, again(data)
        whole = self._again[1]
        block = whole.get("content_block")
        if block is None and isinstance(index, int):
            block = whole["content"][index]
        writing.block = self._place_of(OTHER)
        writing.other = blocks.Writing(block)

    def _place_of(self, kind: int) -> Block:
        block = Block(kind)
        self.pieces.keep_place(block)
        return block

    def _start_call(self, writing: _Writing, said: Written) -> None:
        if self._by_tool and said.name == ANSWER_TOOL:
            writing.block = self._place_of(TEXT)
            return
        if not said.name:
            raise malformed("a tool call has no name")
        writing.block = self.pieces.tool_call(str(said.id or ""), str(said.name))

    def _add(self, index: object, delta: Delta, data: bytes) -> None:
        kind = _PIECES.get(delta.type) if isinstance(delta.type, str) else None
        place = index if type(index) is int else _place(index)
        writing = self._placed.get(place)
        if kind is None or (writing is not None and writing.type not in _READ):
            self._add_other(writing, delta, data)
            return
        if writing is None or writing.type != kind:
            writing = self._meant(kind)
        if writing.done:
            return
        match delta.type:
            case "text_delta":
                if delta.text and writing.block:
                    self.pieces.add(writing.block, _text(delta.text))
            case "input_json_delta":
                if delta.partial_json:
                    writing.whole_input = NOTHING
                    self._input(writing, _text(delta.partial_json))
            case _:
                self._think(writing, delta.thinking, delta.signature)

    def _add_other(self, writing: _Writing | None, delta: Delta, data: bytes) -> None:
        """Of a block that only Claude can read, of its sources, or what is new."""
        self.pieces.alive = True
        if writing is None:  # it does not say of which: of the one that is open
            open_ = (one for one in reversed(self._blocks) if not one.done)
            writing = next(open_, None)
        if writing is None or writing.done:
            self.pieces.omit(str(delta.type), "a piece of no block")
        elif writing.other is not None:
            writing.other.add(again(data)["delta"])
        elif delta.type == "citations_delta" and writing.type == "text":
            self._cite(writing, [delta.citation])
        else:
            self.pieces.omit(str(delta.type), f"a piece of {writing.type}")

    def _cite(self, writing: _Writing, said: object) -> None:
        entries = said if isinstance(said, list) else []
        known = [entry for entry in entries if isinstance(entry, dict)]
        if writing.block and known:
            writing.citations = (*writing.citations, *known)
            self.pieces.cite(writing.block, blocks.sources(known, self._prompt))

    def _meant(self, kind: str) -> _Writing:
        """The last block that takes a piece which names none that does."""
        for writing in reversed(self._blocks):
            if writing.type == kind and not writing.done:
                return writing
        if kind == "tool_use":
            raise malformed("a piece belongs to no block")
        return self._start(_NOWHERE, Written(type=kind), b"")

    def _input(self, writing: _Writing, text: str) -> None:
        block = writing.block
        if block is None:
            return
        if block.kind == TEXT:
            self.pieces.add(block, text)
        else:
            self.pieces.arguments(block, text)

    def _think(self, writing: _Writing, thinking: object, signature: object) -> None:
        if signature:
            writing.signature.append(_text(signature))
        if not thinking:
            return
        if self._with_reasoning and writing.block:
            self.pieces.add(writing.block, _text(thinking))
        self.pieces.alive = True
        writing.thinking.append(_text(thinking))

    def _stop(self, writing: _Writing | None) -> None:
        """The block is written: what comes at its end."""
        if writing is None or writing.done:
            return
        writing.done = True
        whole = bytes(writing.whole_input)
        if writing.type == "tool_use" and whole not in (b"", b"{}", b"null"):
            self._input(writing, whole.decode(errors="replace"))
        block = writing.block
        if block and block.kind == REASONING:
            self._stop_thinking(writing, block)
        elif block and writing.citations:
            said = blocks.citations_state(writing.citations)
            self.pieces.state(block, pack(WIRE, citations=said))
        elif block and writing.other is not None:
            other = writing.other.done()
            part = described(writing.type, other)
            self.pieces.opaque(block, part, kept(WIRE, other))
        if block and block.kind != TOOL_CALL:
            self.pieces.leave_place(block)

    def _stop_thinking(self, writing: _Writing, block: Block) -> None:
        self.thinking = any(
            other.block and other.block.kind == REASONING and not other.done
            for other in self._blocks
        )
        state = {}
        if writing.type == "thinking" and writing.signature:
            state["signature"] = "".join(writing.signature)
            if not self._with_reasoning:
                state["thinking"] = "".join(writing.thinking)
        elif writing.type == "redacted_thinking" and writing.data:
            state["redacted"] = _text(writing.data)
        if state:
            repaired = {key: repair(value) for key, value in state.items()}
            self.pieces.state(block, pack(WIRE, **repaired))


_NOWHERE = -1
"""The place of blocks that were never begun."""


def _place(index: object) -> object:
    """What a block is known by; those without an index are one after the other."""
    return index if isinstance(index, int | str) else None


def decode_message(prompt: Prompt, body: bytes) -> Answer:
    """The answer in a whole body; see codec.Codec.decode()."""
    reader = MessagesReader(prompt)
    reader.read_whole(body.strip(WHITESPACE))
    return Answer(reader.completion(), message(reader.pieces.rest()))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise malformed("a part of the answer cannot be read")
    return value


def _unreadable(data: bytes) -> Failure:
    if parse(data) is not None:
        return classify(200, {}, data)
    return malformed("the provider's answer cannot be read")
