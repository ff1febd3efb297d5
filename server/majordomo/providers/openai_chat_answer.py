"""Answers in the Chat Completions format, whole and streamed.

The format is OpenAI's; the reading is as generous as its followers are inventive.
A whole answer is read as a stream of one chunk, so both are read alike.
"""

import json

import msgspec

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer
from majordomo.deltas import message
from majordomo.providers.classify import classify
from majordomo.providers.error_body import parse
from majordomo.providers.event_stream import malformed
from majordomo.providers.json_text import WHITESPACE, mend, read_broken
from majordomo.providers.openai_chat_reasoning import (
    WIRE,
    KeptReasoning,
    thinking_text,
)
from majordomo.providers.openai_chat_wire import (
    Choice,
    Chunk,
    ContentPart,
    Delta,
    Function,
    ToolCall,
    decode_chunk,
)
from majordomo.providers.pieces import Pieces
from majordomo.providers.state import pack
from majordomo.providers.usage import chat_usage
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_PROVIDER_ERROR,
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

_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": FINISH_REASON_STOP,
    "eos": FINISH_REASON_STOP,
    "end_turn": FINISH_REASON_STOP,
    "stop_sequence": FINISH_REASON_STOP,
    "length": FINISH_REASON_LENGTH,
    "max_tokens": FINISH_REASON_LENGTH,
    "model_length": FINISH_REASON_LENGTH,
    "tool_calls": FINISH_REASON_TOOL_CALLS,
    "tool_use": FINISH_REASON_TOOL_CALLS,
    "function_call": FINISH_REASON_TOOL_CALLS,
    "content_filter": FINISH_REASON_CONTENT_FILTER,
    "refusal": FINISH_REASON_CONTENT_FILTER,
    "sensitive": FINISH_REASON_CONTENT_FILTER,
}

_FAILED: dict[str, FailureReason] = {
    "error": FAILURE_REASON_PROVIDER_ERROR,
    "network_error": FAILURE_REASON_PROVIDER_ERROR,
    "insufficient_system_resource": FAILURE_REASON_OVERLOADED,
}
"""Finish reasons that are failures (OpenRouter, Mistral, z.ai, DeepSeek)."""


class _Call:
    """A tool call while its pieces come in."""

    def __init__(self, id: str) -> None:  # noqa: A002
        self.id = id
        self.part_index = -1
        """-1 until its name has come."""

        self.fragments: list[str] = []
        self.extra = ""
        """What the server wants back beside it: Gemini's signatures."""


class ChatReader:
    """Reads the chunks of one answer; the only chunk of it, if it is `whole`.

    Reasoning in the form `kept` goes out as provider_state.
    """

    def __init__(self, prompt: Prompt, *, whole: bool, kept: str = "") -> None:
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
        self._finish_word = ""
        self._refused = False
        self._kept = KeptReasoning(kept) if kept else None
        self._reasoning_index = -1
        self._calls: list[_Call] = []
        self._call_at: dict[object, _Call] = {}

    def read(self, data: bytes) -> None:
        """Read one chunk. Raises Failure for an error and for what is no chunk."""
        try:
            chunk = decode_chunk(data)
        except (ValueError, RecursionError):
            chunk = self._read_broken(data)
        if not self._model and chunk.model:
            self._id = mend(str(chunk.id or ""))
            self._model = mend(str(chunk.model))
        failed = None
        for choice in chunk.choices or ():
            # With n > 1 the first choice is the answer.
            if not choice.index:
                self._read_choice(choice, chunk)
                if choice.finish_reason:
                    failed = self._read_finish(choice.finish_reason)
        if chunk.error or chunk.object == "error":
            raise classify(200, {}, data)
        if failed:
            raise failed
        said = chunk.usage
        if not said and isinstance(chunk.x_groq, dict):
            said = chunk.x_groq.get("usage")
        if said:
            self.usage = chat_usage(said, self._model) or self.usage
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
        reason = _FINISH_REASONS.get(self._finish_word.lower(), FINISH_REASON_OTHER)
        if self._refused:
            reason = FINISH_REASON_CONTENT_FILTER
        elif self.pieces.tool_calls and (
            reason == FINISH_REASON_STOP or not self._finish_word
        ):
            # Some servers say "stop", or nothing, when the model wants tools run.
            reason = FINISH_REASON_TOOL_CALLS
        return Completion(
            provider_model=self._model,
            finish_reason=reason,
            provider_finish_reason=mend(self._finish_word),
            usage=self.usage,
            provider_response_id=self._id,
        )

    def finish(self) -> None:
        """The answer is complete: so must be its parts."""
        for call in self._calls:
            if call.part_index < 0 and call.fragments:
                raise malformed("a tool call has no name")
            if call.part_index >= 0 and call.extra:
                self.pieces.state(pack(WIRE, extra=call.extra), call.part_index)
        if self._kept and self._reasoning_index >= 0:
            self.pieces.state(self._kept.state(), self._reasoning_index)
        self.pieces.end()
        self.complete = True

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
        reason = _FAILED.get(word)
        if reason is None:
            return None
        return Failure(reason, f"the provider ended the answer with {word}", code=word)

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
        if self._kept and self._kept.add(delta) and self._reasoning_index < 0:
            self._reasoning_index = self.pieces.hidden_reasoning()
        reasoning = (
            delta.reasoning_content
            or delta.reasoning
            or (delta.reasoning_details and _details_text(delta.reasoning_details))
        )
        if reasoning and isinstance(reasoning, str):
            self._reasoned(reasoning)
        content = delta.content
        if content:
            if isinstance(content, str):
                self.pieces.text(content)
            else:
                self._read_parts(content)
        if delta.refusal and isinstance(delta.refusal, str):
            self._refused = True
            self.pieces.text(delta.refusal)
        if delta.tool_calls:
            for call in delta.tool_calls:
                self._read_call(call)
        if delta.function_call:
            # The form before tool_calls: one call, without an id.
            self._read_call(ToolCall("function_call", None, delta.function_call))

    def _reasoned(self, text: str) -> None:
        if self._with_reasoning:
            self.pieces.reasoning(text)
        else:
            self.pieces.reasons = True

    def _read_parts(self, parts: list[ContentPart]) -> None:
        """Mistral's content in parts, reasoning among them."""
        for part in parts:
            if part.thinking and (thinking := thinking_text(part)):
                self._reasoned(thinking)
            if part.text:
                self.pieces.text(part.text)

    def _read_call(self, piece: ToolCall) -> None:
        function = piece.function or Function()
        if piece.custom and piece.custom.name and not function.name:
            function = Function(piece.custom.name, {"input": piece.custom.input})
        name = function.name or ""
        fragment = _argument_text(function.arguments)
        call = self._call_of(piece, name, fragment)
        if isinstance(piece.extra_content, dict):
            call.extra = json.dumps(piece.extra_content)
        if name and call.part_index < 0:
            call.part_index = self.pieces.tool_call(call.id, name)
            if call.fragments:
                self.pieces.arguments(call.part_index, "".join(call.fragments))
        if fragment:
            call.fragments.append(fragment)
            if call.part_index >= 0:
                self.pieces.arguments(call.part_index, fragment)

    def _call_of(self, piece: ToolCall, name: str, fragment: str) -> _Call:
        """The call that `piece` goes on with, or a new one.

        The index tells, where there is one; but some servers number all calls 0,
        and some send neither index nor id.
        """
        id_ = str(piece.id or "")
        if self._whole:
            return self._new_call(id_, None)
        if piece.index is None:
            if id_:
                return self._call_at.get(id_) or self._new_call(id_, id_)
            if name or not self._calls:
                return self._new_call(id_, None)
            return self._calls[-1]
        known = self._call_at.get(piece.index)
        if known is None:
            return self._new_call(id_, piece.index)
        if not name or known.part_index < 0:
            return known
        if id_:
            another = id_ != known.id
        else:
            another = bool(fragment) and _is_json("".join(known.fragments))
        return self._new_call(id_, piece.index) if another else known

    def _new_call(self, id_: str, key: object) -> _Call:
        call = _Call(id_)
        self._calls.append(call)
        if key is not None:
            self._call_at[key] = call
        return call


def decode_chat(prompt: Prompt, body: bytes, kept: str = "") -> Answer:
    """The answer in a whole body; see codec.Codec.decode()."""
    data = body.strip(WHITESPACE)
    reader = ChatReader(prompt, whole=True, kept=kept)
    reader.read(data)
    if not reader.answered:
        raise unreadable(data)
    reader.finish()
    return Answer(reader.completion(), message(reader.pieces.take()))


def unreadable(data: bytes) -> Failure:
    """The failure that `data`, which is no answer, is: an error, or malformed."""
    if parse(data) is not None:
        return classify(200, {}, data)
    return malformed("the provider's answer cannot be read")


def _details_text(details: object) -> str:
    """The text of OpenRouter's reasoning_details, where it is only there."""
    if not isinstance(details, list):
        return ""
    texts = (entry.get("text") for entry in details if isinstance(entry, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _argument_text(arguments: object) -> str:
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return False
    return True
