"""Answers of the Responses API, whole and streamed.

An answer is a list of items: messages, function calls, reasoning, and items that
OpenAI alone can read, such as those of tools that it runs itself (`blocks`). Streamed,
each item is begun, written and done, and a last event holds the whole answer again.
What was not written in pieces is taken from an item when it is done, so whole answers
are read alike.

What the same model needs to read its own items again goes out as provider_state:
the ids of messages and calls, the phase of messages, whole reasoning items.
"""

from typing import Any, TypeVar

import msgspec

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer
from majordomo.codec.errors.body import parse
from majordomo.codec.errors.classify import classify
from majordomo.codec.event_stream import malformed
from majordomo.codec.finish import cut, failed, finish_reason
from majordomo.codec.json_text import WHITESPACE, read_broken, repair
from majordomo.codec.opaque import described, kept
from majordomo.codec.pieces import OTHER, REASONING, TEXT, Block, Pieces
from majordomo.codec.sources import annotations
from majordomo.codec.state import pack
from majordomo.codec.usage import later, responses_usage
from majordomo.deltas import message
from majordomo.providers.openai_responses import blocks
from majordomo.providers.openai_responses.blocks import WIRE
from majordomo.v1.attempt_pb2 import FAILURE_REASON_PROVIDER_ERROR, Usage
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_CONTENT_FILTER,
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    Completion,
    Prompt,
)

T = TypeVar("T")


class Content(msgspec.Struct, omit_defaults=True):
    """A piece of a message, of reasoning, or of its summary."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: Any = None


class Item(msgspec.Struct):
    """An item of output, of those types that are read."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    content: list[Content] | None = None
    summary: list[Content] | None = None
    encrypted_content: str | None = None
    phase: str | None = None
    whole: dict[str, Any] | None = None
    """The item itself, of a type that only OpenAI can read."""


class ReasoningItem(
    msgspec.Struct, tag_field="type", tag="reasoning", omit_defaults=True
):
    """A reasoning item as it is kept in provider_state and given back."""

    summary: list[Content]
    id: str | None = None
    content: list[Content] | None = None
    encrypted_content: str | None = None


class Response(msgspec.Struct):
    """A whole answer, as far as it is read."""

    id: Any = None
    model: Any = None
    status: Any = None
    error: Any = None
    incomplete_details: Any = None
    output: Any = None
    usage: Any = None


class Event(msgspec.Struct):
    """An event of a stream, as far as it is read."""

    type: str = ""
    delta: Any = None
    output_index: Any = None
    item_id: Any = None
    content_index: Any = None
    summary_index: Any = None
    item: Any = None
    response: Any = None
    annotation: Any = None


_decode_event = msgspec.json.Decoder(Event).decode
_decode_response = msgspec.json.Decoder(Response).decode


class _Writing:
    """An item while it is written."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        """The type of the item."""

        self.announced = False
        """It was begun by an event of its own."""

        self.written = False
        """Pieces of its content have come."""

        self.done = False
        self.block: Block | None = None
        """Of a call, once its name is known; of a message the first."""

        self.texts: dict[object, Block] = {}
        """Of a message, by the index of the content."""

        self.summary: tuple[str, object] = ("", None)
        """Of reasoning: what is read of it, and its paragraph."""

        self.annotations: dict[int, list[Any]] | None = None
        """Of a message, by the index of the content: those that came in pieces."""


class ResponsesReader:
    """Reads one answer; implements event_stream.EventReader."""

    finished = False

    def __init__(self, prompt: Prompt) -> None:
        self.pieces = Pieces()
        self.usage: Usage | None = None
        self.complete = False
        self.thinking = False
        self._with_reasoning = prompt.config.reasoning.include_text
        self._id = ""
        self._model = ""
        self._finish_word = ""
        self._refused = False
        self._items: list[_Writing] = []
        self._placed: dict[object, _Writing] = {}
        self._named: dict[object, _Writing] = {}

    def read_event(self, name: bytes, data: bytes) -> None:
        """Read one event; its `name` is its type again."""
        if not data or data.startswith(b"[DONE]"):
            return
        try:
            event = _decode_event(data)
        except (ValueError, RecursionError):
            event = self._broken(data, Event)
        kind = event.type
        if kind in _TEXT:
            self._read_text(event)
        elif kind == "response.function_call_arguments.delta":
            self._read_arguments(event)
        elif kind in _REASONING:
            self._read_reasoning(event)
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self.pieces.alive = True
            self._read_item(event)
        elif kind in _WHOLE and isinstance(event.response, dict):
            response = _converted(event.response, Response)
            self._note(response)
            if kind in _TERMINAL:
                self._read_response(response, data)
        elif kind in ("error", "response.failed") or name == b"error":
            raise classify(200, {}, data)
        elif kind == "response.output_text.annotation.added":
            self._read_annotation(event)
        elif kind.startswith("response."):
            self.pieces.alive = True  # what an item that is done says again
        elif not kind and (parse(data) is not None or b'"output"' in data):
            # An error without an envelope, or a whole answer though pieces of it
            # were asked for.
            self.read_whole(data)

    def end(self) -> None:
        """The body has ended; without a terminal event the answer has not."""

    def finish(self) -> None:
        """The terminal event does it."""

    def read_whole(self, data: bytes) -> None:
        """Read a body that is one whole answer, or an error."""
        try:
            response = _decode_response(data)
        except (ValueError, RecursionError):
            response = self._broken(data, Response)
        if not isinstance(response.output, list):
            raise unreadable(data)
        self._note(response)
        self._read_response(response, data)

    def completion(self) -> Completion:
        """How the answer ended."""
        reason = finish_reason(self._finish_word)
        if self._refused:
            reason = FINISH_REASON_CONTENT_FILTER
        elif reason == FINISH_REASON_STOP and self.pieces.tool_calls:
            reason = FINISH_REASON_TOOL_CALLS
        completion = Completion(
            provider_model=self._model,
            finish_reason=reason,
            provider_finish_reason=self._finish_word,
            usage=self.usage,
            provider_response_id=self._id,
        )
        return self.pieces.account(completion)

    def _broken(self, data: bytes, shape: type[Any]) -> Any:
        try:
            value = read_broken(data, shape)
        except ValueError:
            raise unreadable(data) from None
        self.pieces.broken = True
        return value

    def _note(self, response: Response) -> None:
        self._id = self._id or repair(str(response.id or ""))
        self._model = repair(str(response.model or "")) or self._model
        self.usage = later(self.usage, responses_usage(response.usage, response.output))

    def _read_text(self, event: Event) -> None:
        if not event.delta or not isinstance(event.delta, str):
            return
        item = self._writing(event.output_index, event.item_id, "message")
        if item.done:
            return
        self._refused |= event.type == "response.refusal.delta"
        index = event.content_index
        self._text(item, index if isinstance(index, int) else 0, event.delta)

    def _read_annotation(self, event: Event) -> None:
        """Keep it for the end of its item: some servers do not say it again there."""
        self.pieces.alive = True
        item = self._writing(event.output_index, event.item_id, "message")
        index = event.content_index if isinstance(event.content_index, int) else 0
        if item.annotations is None:
            item.annotations = {}
        item.annotations.setdefault(index, []).append(event.annotation)

    def _read_arguments(self, event: Event) -> None:
        self.pieces.alive = True
        item = self._writing(event.output_index, event.item_id, "function_call")
        # Before its name is known they wait for the item that is done.
        if event.delta and isinstance(event.delta, str) and item.block:
            item.written = True
            self.pieces.arguments(item.block, event.delta)

    def _read_reasoning(self, event: Event) -> None:
        self.pieces.alive = True
        if not event.delta or not isinstance(event.delta, str):
            return
        item = self._writing(event.output_index, event.item_id, "reasoning")
        if item.done or not self._with_reasoning:
            return
        kind, paragraph = item.summary
        if item.written and kind != event.type:
            # The reasoning itself and its summary: one of them is enough.
            return
        item.summary = (event.type, event.summary_index)
        if item.written and paragraph != event.summary_index:
            self._reasoning(item, _PARAGRAPH)
        self._reasoning(item, event.delta)

    def _read_item(self, event: Event) -> None:
        item = _item(event.item)
        if item is None:
            return
        if event.type == "response.output_item.done":
            self._done(self._writing(event.output_index, item.id, item.type), item)
            return
        writing = self._announced(event.output_index, item)
        if item.type == "function_call" and item.name and not writing.block:
            self._call(writing, item)

    def _read_response(self, response: Response, data: bytes) -> None:
        """Read the whole answer, of which some may have been read in pieces."""
        status = response.status or ("failed" if response.error else "completed")
        if status not in ("completed", "incomplete"):
            raise _failed(status, data)
        details = response.incomplete_details
        said = details.get("reason") if isinstance(details, dict) else None
        self._finish_word = repair(str(said or status))
        if failure := failed(self._finish_word):
            raise failure
        output = response.output if isinstance(response.output, list) else []
        anew = not self._items
        for index, value in enumerate(output):
            item = _item(value)
            if item is not None:
                known = self._known(index, item.id, item.type)
                if known or anew or self._is_news(item):
                    self._done(known or self._begin(index, item.id, item.type), item)
        self.pieces.end(cut=status == "incomplete" or cut(self._finish_word))
        self.complete = True

    def _is_news(self, item: Item) -> bool:
        """Whether the end alone tells of an item: no event informed of any such."""
        seen = any(item.type == other.kind for other in self._items)
        return item.whole is not None and not seen

    def _writing(self, index: object, item_id: object, kind: str) -> _Writing:
        """The item of `kind` that is meant, begun if it is new.

        Id and index tell together: not every server numbers its items, some number
        all alike, and gateways change ids on the way. Where neither is known, it is
        the last one begun and not done.
        """
        named = self._named.get(item_id) if isinstance(item_id, str) else None
        if named and named.kind == kind:
            return named
        placed = self._known(index, None, kind)
        if placed and not (placed.done and named is None and item_id is not None):
            return placed
        for item in reversed(self._items):
            if item.kind == kind and not item.done:
                if item.announced or (index is None and item_id is None):
                    return item
                break
        if index is None and item_id is None:
            raise malformed("an item has neither index nor id")
        return self._begin(index, item_id, kind)

    def _known(self, index: object, item_id: object, kind: str) -> _Writing | None:
        named = self._named.get(item_id) if isinstance(item_id, str) else None
        if named and named.kind == kind:
            return named
        placed = self._placed.get(index) if isinstance(index, int) else None
        return placed if placed and placed.kind == kind else None

    def _announced(self, index: object, item: Item) -> _Writing:
        """The item that an event of its own begins, unless pieces of it came before."""
        known = self._known(index, item.id, item.type)
        if known is None or (
            (known.announced or known.done) and self._named.get(item.id) is not known
        ):
            known = self._begin(index, item.id, item.type)
        known.announced = True
        return known

    def _begin(self, index: object, item_id: object, kind: str) -> _Writing:
        item = _Writing(kind)
        self._items.append(item)
        if isinstance(index, int):
            self._placed[index] = item
        if isinstance(item_id, str):
            self._named[item_id] = item
        if kind != "function_call":
            item.block = Block(_KINDS.get(kind, OTHER))
            self.pieces.keep_place(item.block)
        self.thinking = self.thinking or kind == "reasoning"
        return item

    def _done(self, writing: _Writing, item: Item) -> None:
        """Read what of a complete item has not come in pieces, and its state."""
        if writing.done:
            return
        writing.done = True
        if item.type == "message":
            self._message_done(writing, item)
        elif item.type == "function_call":
            self._call_done(writing, item)
        elif item.whole is None:
            self._reasoning_done(writing, item)
        else:
            self._other_done(writing, item.whole)

    def _message_done(self, writing: _Writing, item: Item) -> None:
        came = bool(writing.texts)
        for index, part in enumerate(item.content or ()):
            self._refused |= bool(part.refusal)
            text = part.text or part.refusal
            if text and not came:
                self._text(writing, index, text)
            elif not text and part.type not in ("output_text", "refusal"):
                self.pieces.omit(part.type, "a part of a message")
            if part.annotations or writing.annotations:
                self._cite(writing, index, part.annotations)
        state = {"id": item.id, "phase": item.phase}
        known = {key: value for key, value in state.items() if value}
        for block in writing.texts.values():
            self._state(block, known)
        if writing.block:
            self.pieces.leave_place(writing.block)

    def _cite(self, writing: _Writing, index: int, said: object) -> None:
        said = said or (writing.annotations or {}).get(index)
        if not isinstance(said, list) or not said:
            return
        block = writing.texts.get(index) or writing.block
        if block is None:
            return
        self.pieces.begin(block)
        self.pieces.flush()
        citations, others = annotations(block, said)
        if citations:
            self.pieces.cite(block, citations)
        for kind in others:
            self.pieces.omit(kind, "an annotation of a type that is not known")

    def _other_done(self, writing: _Writing, item: dict[str, Any]) -> None:
        """An image, or what only OpenAI can read, which goes back to it whole."""
        block = writing.block
        assert block is not None  # noqa: S101
        if writing.kind == blocks.IMAGE:
            try:
                media = blocks.image(item)
            except ValueError as error:
                self.pieces.omit(writing.kind, f"no image that can be read: {error}")
                self.pieces.leave_place(block)
                return
            self.pieces.media(block, *media)
            self._state(block, blocks.image_state(item))
        else:
            self.pieces.opaque(block, described(writing.kind, item), kept(WIRE, item))
        self.pieces.leave_place(block)

    def _call_done(self, writing: _Writing, item: Item) -> None:
        block = writing.block or self._call(writing, item)
        if item.arguments and not writing.written:
            self.pieces.arguments(block, item.arguments)
        self._state(block, {"id": item.id} if item.id else {})

    def _reasoning_done(self, writing: _Writing, item: Item) -> None:
        assert writing.block is not None  # noqa: S101
        self.thinking = any(
            item.kind == "reasoning" and not item.done for item in self._items
        )
        summary = _PARAGRAPH.join(part.text or "" for part in item.summary or ())
        content = "".join(part.text or "" for part in item.content or ())
        text = summary or content
        if self._with_reasoning and text and not writing.written:
            self._reasoning(writing, text)
        if item.encrypted_content or content:
            # Without either an id alone would be looked for in vain: nothing is
            # stored at the provider.
            self._state(writing.block, {"item": _kept(item)})
        self.pieces.leave_place(writing.block)

    def _call(self, writing: _Writing, item: Item) -> Block:
        if not item.name:
            raise malformed("a tool call has no name")
        call_id = item.call_id or item.id or ""
        writing.block = self.pieces.tool_call(call_id, item.name)
        return writing.block

    def _text(self, writing: _Writing, index: int, text: str) -> None:
        block = writing.texts.get(index)
        if block is None:
            block = Block(TEXT) if writing.texts else writing.block or Block(TEXT)
            writing.texts[index] = block
        self.pieces.add(block, text)

    def _reasoning(self, writing: _Writing, text: str) -> None:
        assert writing.block is not None  # noqa: S101
        writing.written = True
        self.pieces.add(writing.block, text)

    def _state(self, block: Block, strings: dict[str, str]) -> None:
        if strings:
            repaired = {key: repair(value) for key, value in strings.items()}
            self.pieces.state(block, pack(WIRE, **repaired))


_PARAGRAPH = "\n\n"
"""Between the parts of a summary."""

_TEXT = frozenset({"response.output_text.delta", "response.refusal.delta"})
_REASONING = frozenset(
    {"response.reasoning_summary_text.delta", "response.reasoning_text.delta"}
)
_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})
_WHOLE = _TERMINAL | {"response.created", "response.in_progress", "response.queued"}
_KINDS = {"message": TEXT, "reasoning": REASONING}
_ITEMS = frozenset({*_KINDS, "function_call"})


def decode_responses(prompt: Prompt, body: bytes) -> Answer:
    """The answer in a whole body; see codec.Codec.decode()."""
    reader = ResponsesReader(prompt)
    reader.read_whole(body.strip(WHITESPACE))
    return Answer(reader.completion(), message(reader.pieces.rest()))


def unreadable(data: bytes) -> Failure:
    """The failure that `data`, which is no answer, is: an error, or malformed."""
    if parse(data) is not None:
        return classify(200, {}, data)
    return malformed("the provider's answer cannot be read")


def _item(value: Any) -> Item | None:
    """An item; None for what is none."""
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        return None
    if kind in _ITEMS:
        return _converted(value, Item)
    id_ = value.get("id")
    return Item(type=kind, id=id_ if isinstance(id_, str) else None, whole=value)


def _converted(value: dict[str, Any], shape: type[T]) -> T:
    try:
        return msgspec.convert(value, shape)
    except (msgspec.ValidationError, UnicodeEncodeError):
        raise malformed("a part of the answer cannot be read") from None


def _kept(item: Item) -> str:
    """A reasoning item as it is kept, verbatim."""
    for part in (*(item.summary or ()), *(item.content or ())):
        part.type = repair(part.type)
        part.text = repair(part.text or "")
    kept = ReasoningItem(
        summary=item.summary or [],
        id=item.id and repair(item.id),
        content=item.content or None,
        encrypted_content=item.encrypted_content and repair(item.encrypted_content),
    )
    return msgspec.json.encode(kept).decode()


def _failed(status: object, data: bytes) -> Failure:
    if status in ("in_progress", "queued"):
        return malformed("the provider's answer is not complete")
    if status == "cancelled":
        return Failure(
            FAILURE_REASON_PROVIDER_ERROR,
            "the provider cancelled the answer",
            code="cancelled",
        )
    return classify(200, {}, data)
