"""Recorded Messages traffic reads as the official client reads it.

The client, anthropic, is handed the recorded bytes; a stream it puts together itself.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx2
import pytest

from majordomo.chain.failure import Failure
from majordomo.codec.state import unpack
from majordomo.deltas import message as message_of
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.v1.attempt_pb2 import FAILURE_REASON_MALFORMED_RESPONSE, FailureReason
from majordomo.v1.content_pb2 import Message
from majordomo.v1.generation_service_pb2 import Completion, FinishReason, Prompt
from tests.recordings.corpus import Recording, recordings

RECORDINGS = recordings("anthropic")

REASONS = {
    "anthropic-error-5938ccafc7": "RATE_LIMITED",
    "anthropic-error-9ebfc57567": "CONTEXT_TOO_LONG",
    "anthropic-error-a7a99cbc8b": "RATE_LIMITED",
    "anthropic-error-accc845da9": "UNSUPPORTED",
    "anthropic-error-d70339eef3": "RATE_LIMITED",
    "anthropic-error-e555f88b60": "OVERLOADED",
    "anthropic-stream-c0fd367c05": "OVERLOADED",
}
"""The reason of every recorded error, those within streams among them."""

COMPACTED = "anthropic-unary-7584fafd30"
"""Its usage leaves the compaction to the iterations, which the client only hands on."""

CODEC = Anthropic("anthropic")


@dataclass(slots=True)
class Read:
    """An answer, in the terms that both readings share."""

    parts: list[tuple[str, ...]] = field(default_factory=list)
    """("text", text), ("call", id, name, arguments), ("reasoning", text, signature)
    and ("redacted", data); adjacent texts are one."""

    finish: str = ""
    word: str = ""
    usage: dict[str, int] = field(default_factory=dict)
    model: str = ""
    id: str = ""

    def text(self, text: str) -> None:
        if self.parts and self.parts[-1][0] == "text":
            text = self.parts.pop()[1] + text
        if text:
            self.parts.append(("text", text))


def by_majordomo(recording: Recording, piece: int, body: bytes | None = None) -> Read:
    """What majordomo reads; a stream comes in pieces of `piece` bytes."""
    prompt = Prompt()
    prompt.config.reasoning.include_text = True
    body = recording.body if body is None else body
    if recording.kind == "unary":
        answer = CODEC.decode(prompt, body)
        assert answer.message is not None
        return _read(answer.message, answer.completion)
    decoder = CODEC.decoder(prompt)
    deltas = []
    for at in range(0, len(body), piece):
        deltas += decoder.feed(body[at : at + piece])
    if not decoder.complete:
        deltas += decoder.close()
    return _read(message_of(deltas), decoder.finish().completion)


def _read(message: Message, completion: Completion) -> Read:
    usage = completion.usage.ListFields()
    read = Read(
        finish=FinishReason.Name(completion.finish_reason),
        word=completion.provider_finish_reason,
        usage={descriptor.name: value for descriptor, value in usage},
        model=completion.provider_model,
        id=completion.provider_response_id,
    )
    for part in message.parts:
        state = unpack("anthropic", part.provider_state)
        match part.WhichOneof("kind"):
            case "text":
                read.text(part.text)
            case "tool_call":
                call = part.tool_call
                arguments = _normal(json.loads(call.arguments_json))
                read.parts.append(("call", call.id, call.name, arguments))
            case "reasoning" if "redacted" in state:
                read.parts.append(("redacted", state["redacted"]))
            case "reasoning":
                signature = state.get("signature", "")
                read.parts.append(("reasoning", part.reasoning.text, signature))
    return read


def by_anthropic(recording: Recording) -> Read:
    """What the official client reads."""
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(
            recording.status,
            headers={"content-type": _CONTENT_TYPES[recording.kind]},
            content=recording.body,
        )
    )
    client = anthropic.Anthropic(
        api_key="none",
        base_url="http://recorded",
        http_client=httpx2.Client(transport=transport),
        max_retries=0,
    )
    asked: Any = {"model": "recorded", "max_tokens": 1, "messages": []}
    with client:
        if recording.kind == "unary":
            return _whole(client.messages.create(**asked))
        with client.messages.stream(**asked) as stream:
            return _whole(stream.get_final_message())


_CONTENT_TYPES = {"unary": "application/json", "stream": "text/event-stream"}

_FINISHES = {
    "end_turn": "STOP",
    "stop_sequence": "STOP",
    "max_tokens": "LENGTH",
    "tool_use": "TOOL_CALLS",
    "refusal": "CONTENT_FILTER",
    "pause_turn": "OTHER",
}


def _whole(answer: anthropic.types.Message) -> Read:
    said = answer.usage
    written, cached = said.cache_creation_input_tokens, said.cache_read_input_tokens
    details = getattr(said, "output_tokens_details", None)
    tools = said.server_tool_use
    usage = {
        "input_tokens": said.input_tokens + (written or 0) + (cached or 0),
        "output_tokens": said.output_tokens,
        "cache_read_tokens": cached,
        "cache_write_tokens": written,
        "reasoning_tokens": details.thinking_tokens if details else None,
        "web_searches": tools.web_search_requests if tools else None,
        "url_reads": tools.web_fetch_requests if tools else None,
    }
    word = answer.stop_reason or ""
    read = Read(
        finish=f"FINISH_REASON_{_FINISHES[word]}",
        word=word,
        usage={name: count for name, count in usage.items() if count is not None},
        model=answer.model,
        id=answer.id,
    )
    for block in answer.content:
        match block.type:
            case "text":
                read.text(block.text)
            case "tool_use":
                arguments = _normal(block.input)
                read.parts.append(("call", block.id, block.name, arguments))
            case "thinking":
                read.parts.append(("reasoning", block.thinking, block.signature))
            case "redacted_thinking":
                read.parts.append(("redacted", block.data))
    return read


def _normal(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def parameters(*kinds: str, errors: bool = False) -> list[Any]:
    return [
        pytest.param(recording, id=recording.id)
        for recording in RECORDINGS
        if (recording.kind == "error" or recording.id in REASONS) is errors
        and (not kinds or recording.kind in kinds)
    ]


@pytest.mark.rule("3.4")
@pytest.mark.parametrize("recording", parameters())
def test_answers_read_alike(recording: Recording) -> None:
    """Content, calls, thinking and its signatures, finish, usage, model and id."""
    expected = by_anthropic(recording)
    if recording.id == COMPACTED:
        expected.usage |= {"input_tokens": 99_195 + 162, "output_tokens": 81 + 11}

    assert expected == by_majordomo(recording, piece=len(recording.body))
    assert expected == by_majordomo(recording, piece=61)


@pytest.mark.parametrize("recording", parameters("stream"))
def test_streams_in_other_forms(recording: Recording) -> None:
    """Byte by byte, with each kind of line end, and with comments between events."""
    expected = by_majordomo(recording, len(recording.body))
    lines = re.sub(rb"\r\n?", b"\n", recording.body)

    for body in (
        lines,
        lines.replace(b"\n", b"\r\n"),
        lines.replace(b"\n\n", b"\n\n: keep-alive\n\n"),
    ):
        assert expected == by_majordomo(recording, len(body), body)
    assert expected == by_majordomo(recording, 1)


def _cuts(body: bytes) -> Iterator[bytes]:
    """The stream as it would be had it ended before its last event, at some places."""
    last = re.search(rb'[^\n]*"type": ?"message_stop"', body)
    assert last
    events = [match.end() for match in re.finditer(rb"\n\n", body[: last.start()])]
    yield b""
    yield body[: last.start() + 12]
    for end in events[:: max(1, len(events) // 10)]:
        yield body[:end]
    yield body[: events[-1]]


@pytest.mark.rule("3.4")
@pytest.mark.parametrize("recording", parameters("stream"))
def test_a_stream_that_is_cut_is_no_answer(recording: Recording) -> None:
    """Before the terminal event, wherever; after it, it is the answer."""
    body = re.sub(rb"\r\n?", b"\n", recording.body)
    for cut in _cuts(body):
        with pytest.raises(Failure) as caught:
            by_majordomo(recording, 997, cut)
        assert caught.value.reason == FAILURE_REASON_MALFORMED_RESPONSE

    whole = by_majordomo(recording, len(body), body.rstrip())
    assert by_majordomo(recording, len(body)) == whole


@pytest.mark.rule("8.1", "8.2")
@pytest.mark.parametrize("recording", parameters(errors=True))
def test_errors_have_their_reason(recording: Recording) -> None:
    """Every recorded error has its reason, within a stream too."""
    if recording.kind == "error":
        failure = CODEC.failure(recording.status, recording.headers, recording.body)
    else:
        with pytest.raises(Failure) as caught:
            by_majordomo(recording, piece=len(recording.body))
        failure = caught.value
    reason = FailureReason.Name(failure.reason).removeprefix("FAILURE_REASON_")

    assert REASONS[recording.id] == reason


def test_every_error_is_listed() -> None:
    """No recorded error goes without an expectation."""
    assert {r.id for r in RECORDINGS if r.kind == "error"} <= set(REASONS)
    assert set(REASONS) <= {r.id for r in RECORDINGS}
