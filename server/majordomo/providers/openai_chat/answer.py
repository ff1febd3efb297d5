"""Answers in the Chat Completions format, whole and streamed.

The format is OpenAI's; the reading is as generous as its followers are inventive.
A whole answer is read as a stream of one chunk, so both are read alike.
"""

import json

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer
from majordomo.codec.errors.body import parse
from majordomo.codec.errors.classify import classify
from majordomo.codec.event_stream import malformed
from majordomo.codec.finish import cut, failed, finish_reason
from majordomo.codec.json_text import WHITESPACE, read_broken, repair
from majordomo.codec.pieces import REASONING, TEXT, Block, Pieces
from majordomo.codec.state import pack
from majordomo.codec.usage import chat_usage, later
from majordomo.deltas import message
from majordomo.providers.openai_chat.blocks import Beside
from majordomo.providers.openai_chat.reasoning import (
    WIRE,
    KeptReasoning,
    thinking_text,
)
from majordomo.providers.openai_chat.shapes import (
    Choice,
    Chunk,
    ContentPart,
    Delta,
    Function,
    ToolCall,
    decode_chunk,
)
from majordomo.v1.attempt_pb2 import Usage
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_CONTENT_FILTER,
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    Completion,
    Prompt,
)


class _Call:
    """A tool call while its pieces come in."""

    def __init__(self, id: str) -> None:  # noqa: A002
        self.id = id
        self.name = ""
        self.block: Block | None = None
        """None until its name has come."""

        self.fragments: list[str] = []
        """Its arguments."""

        self.extra = ""
        """What the server wants back beside it: Gemini's signatures."""

    @property
    def begun(self) -> bool:
        """Some of its arguments have come."""
        return bool(self.fragments)

    @property
    def whole(self) -> bool:
        """Its arguments are whole, as far as one can tell."""
        return self.block is not None and self.block.whole_by_now

    def is_of(self, id_: str, name: str, fragment: str) -> bool:
        """Whether a piece at this call's place is of it, not the first of another."""
        if not name or not self.name or (id_ and id_ == self.id):
            return True
        if name != self.name:
            return False
        if id_:
            return self.begun and not self.whole
        return not (fragment and self.whole)


class ChatReader:
    """Reads the chunks of one answer; the only chunk of it, if it is `whole`.

    The wire names no blocks but calls: content is one text, reasoning is one, in
    whatever turn their pieces come.

    Reasoning in one of the forms `kept` goes out as provider_state.
    """

    thinking = False

    def __init__(
        self, prompt: Prompt, *, whole: bool, kept: tuple[str, ...] = ()
    ) -> None:
        self.usage: Usage | None = None
        self.pieces = Pieces()
        self.answered = False
        """A choice was seen."""

        self.finished = False
        """A finish reason was seen."""

        self.counted = False
        """A last chunk, without choices, brought the count."""

        self.complete = False
        """The end mark was read, or the body's end after a finish reason."""

        self._whole = whole
        self._with_reasoning = prompt.config.reasoning.include_text
        self._id = ""
        self._model = ""
        self._said_model: object = None
        self._finish_word = ""
        self._refused = False
        self._kept = KeptReasoning(kept) if kept else None
        self._has_kept = False
        self._beside: Beside | None = None
        self._text: Block | None = None
        self._reasoning: Block | None = None
        self._calls: list[_Call] = []
        self._call_at: dict[object, _Call] = {}
        self._call_named: dict[str, _Call] = {}

    def read(self, data: bytes) -> None:
        """Read one chunk. Raises Failure for an error and for what is no chunk."""
        try:
            chunk = decode_chunk(data)
        except (ValueError, RecursionError):
            chunk = self._read_broken(data)
        if chunk.model and chunk.model != self._said_model:
            self._read_model(chunk)
        failure = None
        for choice in chunk.choices or ():
            # With n > 1 the first choice is the answer.
            if not choice.index:
                self._read_choice(choice, chunk)
                if choice.finish_reason:
                    failure = self._read_finish(choice.finish_reason)
            else:
                self.pieces.omit("choices", "answers beside the first")
        if chunk.error or chunk.object == "error":
            raise classify(200, {}, data)
        if failure:
            raise failure
        if chunk.citations or chunk.search_results:
            self._with_beside().sources(chunk)
        said = chunk.usage
        if not said and isinstance(chunk.x_groq, dict):
            said = chunk.x_groq.get("usage")
        if said:
            self.usage = later(self.usage, chat_usage(said, self._model))
            self.counted = not chunk.choices

    def read_event(self, name: bytes, data: bytes) -> None:
        """Read one event of a stream; see event_stream.EventReader."""
        if data.startswith(b"[DONE]"):
            # Snowflake never says why it stopped; but it counts, and then it is done.
            # [DONE] alone is not enough: gateways append it to what broke behind them.
            if not (self.finished or self.counted):
                raise malformed("the stream has an end mark but no finish reason")
            self.finish()
        elif name == b"error":
            raise classify(200, {}, data)
        elif data:
            self.read(data)

    def end(self) -> None:
        """The body has ended.

        A finish reason and a clean end are enough: not every server says [DONE].
        """
        if self.finished:
            self.finish()

    def completion(self) -> Completion:
        """How the answer ended."""
        reason = finish_reason(self._finish_word)
        if self._refused:
            reason = FINISH_REASON_CONTENT_FILTER
        elif self.pieces.tool_calls and (
            reason == FINISH_REASON_STOP or not self._finish_word
        ):
            # Some servers say "stop", or nothing, when the model wants tools run.
            reason = FINISH_REASON_TOOL_CALLS
        completion = Completion(
            provider_model=self._model,
            finish_reason=reason,
            provider_finish_reason=repair(self._finish_word),
            usage=self.usage,
            provider_response_id=self._id,
        )
        return self.pieces.account(completion)

    def finish(self) -> None:
        """The answer is complete: so must be its parts."""
        for call in self._calls:
            if call.block is None and call.fragments:
                raise malformed("a tool call has no name")
            if call.block and call.extra:
                self.pieces.state(call.block, pack(WIRE, extra=call.extra))
        if self._kept and self._reasoning and self._has_kept:
            self.pieces.state(self._reasoning, self._kept.state())
        if self._beside:
            self._beside.finish()
        self.pieces.end(cut=cut(self._finish_word))
        self.complete = True

    def _read_model(self, chunk: Chunk) -> None:
        """The last model named with content wrote it: gateways fail over too."""
        if not self._model:
            self._id = repair(str(chunk.id or ""))
        elif not chunk.choices:
            return
        self._said_model = chunk.model
        self._model = repair(str(chunk.model))

    def _read_broken(self, data: bytes) -> Chunk:
        try:
            chunk = read_broken(data, Chunk)
        except ValueError:
            raise unreadable(data) from None
        self.pieces.broken = True
        return chunk

    def _read_finish(self, word: str) -> Failure | None:
        self.finished = True
        self._finish_word = word
        return failed(word)

    def _read_choice(self, choice: Choice, chunk: Chunk) -> None:
        if self._whole:
            delta = choice.message or choice.delta
        elif choice.delta is None and self.pieces.empty:
            # Streaming was asked for, and the whole answer came at once.
            delta = choice.message
        elif chunk.object == "chat.completion.done":
            # Perplexity's last chunk says it all again.
            return
        else:
            delta = choice.delta
        if delta is not None:
            self.answered = True
            self._read_delta(delta)
        if choice.error:
            raise classify(200, {}, json.dumps({"error": choice.error}).encode())

    def _read_delta(self, delta: Delta) -> None:
        reasoning = (
            delta.reasoning_content or delta.reasoning or delta.reasoning_details
        )
        content = delta.content
        in_parts = isinstance(content, list)
        if (reasoning or in_parts) and self._kept and self._kept.add(delta):
            if self._reasoning is None:
                self._reasoning = Block(REASONING)
            self.pieces.begin(self._reasoning)
            self._has_kept = True
        if reasoning:
            self._read_reasoning(reasoning)
        if content:
            if isinstance(content, str):
                self.pieces.add(self._text or self._begin_text(), content)
            else:
                self._read_parts(content)
        if delta.refusal and isinstance(delta.refusal, str):
            self._refused = True
            self.pieces.add(self._text or self._begin_text(), delta.refusal)
        if delta.tool_calls:
            for call in delta.tool_calls:
                self._read_call(call)
        if delta.annotations or delta.audio or delta.images or delta.executed_tools:
            self._with_beside().read(delta)
        if delta.function_call:
            # The form before tool_calls: one call, without an id.
            self._read_call(ToolCall("function_call", None, delta.function_call))

    def _begin_text(self) -> Block:
        self._text = self._text or Block(TEXT)
        return self._text

    def _with_beside(self) -> Beside:
        self._beside = self._beside or Beside(self.pieces, self._begin_text)
        return self._beside

    def _read_reasoning(self, reasoning: object) -> None:
        if not self._with_reasoning:
            self.pieces.alive = True
            return
        text = _details_text(reasoning)
        if text:
            if self._reasoning is None:
                self._reasoning = Block(REASONING)
            self.pieces.add(self._reasoning, text)

    def _read_parts(self, parts: list[ContentPart]) -> None:
        """Mistral's content in parts, reasoning and references among them."""
        for part in parts:
            if thinking := thinking_text(part):
                self._read_reasoning(thinking)
            if part.text:
                self.pieces.add(self._text or self._begin_text(), part.text)
            elif part.type not in _TEXTS:
                self._with_beside().part(part)

    def _read_call(self, piece: ToolCall) -> None:
        self.pieces.alive = True
        function = piece.function or Function()
        if piece.custom and piece.custom.name and not function.name:
            function = Function(piece.custom.name, {"input": piece.custom.input})
        name = function.name or ""
        fragment = _argument_text(function.arguments)
        call = self._call_of(piece, name, fragment)
        if isinstance(piece.extra_content, dict):
            call.extra = json.dumps(piece.extra_content)
        if fragment:
            call.fragments.append(fragment)
        if call.block is not None:
            if fragment:
                self.pieces.arguments(call.block, fragment)
        elif name:
            call.name = name
            call.block = self.pieces.tool_call(call.id, name)
            if call.fragments:
                self.pieces.arguments(call.block, "".join(call.fragments))

    def _call_of(self, piece: ToolCall, name: str, fragment: str) -> _Call:
        """The call that `piece` goes on with, or a new one.

        Index, id and name tell together: some servers number all calls 0, or go on
        counting; some change ids, or give all calls the same one; some send neither.
        """
        id_ = str(piece.id or "")
        index = piece.index
        if self._whole:
            return self._new_call(id_, None)
        placed = None if index is None else self._call_at.get(index)
        named = self._call_named.get(id_) if id_ else None
        if placed and not (named and placed.id != id_):
            if placed.is_of(id_, name, fragment):
                return placed
            return self._new_call(id_, index)
        if named and (placed or index is None or named.is_of("", name, fragment)):
            return named
        last = self._calls[-1] if self._calls else None
        if last and not (id_ or name) and index is None:
            return last
        if last and not last.whole and (not name or (name == last.name and last.begun)):
            return last
        return self._new_call(id_, index)

    def _new_call(self, id_: str, index: object) -> _Call:
        call = _Call(id_)
        self._calls.append(call)
        if index is not None:
            self._call_at[index] = call
        if id_:
            self._call_named[id_] = call
        return call


_TEXTS = ("text", "thinking", None)
"""Types of parts of the content that hold text, or that are not reported."""


def decode_chat(prompt: Prompt, body: bytes, kept: tuple[str, ...] = ()) -> Answer:
    """The answer in a whole body; see codec.Codec.decode()."""
    data = body.strip(WHITESPACE)
    reader = ChatReader(prompt, whole=True, kept=kept)
    reader.read(data)
    if not reader.answered:
        raise unreadable(data)
    reader.finish()
    return Answer(reader.completion(), message(reader.pieces.rest()))


def unreadable(data: bytes) -> Failure:
    """The failure that `data`, which is no answer, is: an error, or malformed."""
    if parse(data) is not None:
        return classify(200, {}, data)
    return malformed("the provider's answer cannot be read")


def _details_text(reasoning: object) -> str:
    """The text of reasoning, also where it is only in OpenRouter's details."""
    if isinstance(reasoning, str):
        return reasoning
    if not isinstance(reasoning, list):
        return ""
    texts = (entry.get("text") for entry in reasoning if isinstance(entry, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _argument_text(arguments: object) -> str:
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else json.dumps(arguments)
