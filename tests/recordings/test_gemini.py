"""Recorded generateContent traffic reads as the official client reads it.

The client, google-genai, is handed the recorded bytes; its pieces are put together.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import types

from majordomo.chain.failure import Failure
from majordomo.codec.state import unpack
from majordomo.deltas import message as message_of
from majordomo.providers.gemini.codec import Gemini
from majordomo.v1.attempt_pb2 import FAILURE_REASON_MALFORMED_RESPONSE, FailureReason
from majordomo.v1.content_pb2 import Message
from majordomo.v1.generation_service_pb2 import Completion, FinishReason, Prompt
from tests.recordings.corpus import Recording, recordings

RECORDINGS = recordings("gemini")

REASONS = {
    "gemini-error-15be251239": "CREDENTIALS",
    "gemini-error-32d2251b15": "CONTEXT_TOO_LONG",
    "gemini-error-4f91fe6291": "MODEL_NOT_FOUND",
    "gemini-error-5a8835be6b": "RATE_LIMITED",
    "gemini-error-7cb58a8d12": "MODEL_NOT_FOUND",
    "gemini-error-88933d0e61": "RATE_LIMITED",
    "gemini-error-8d1e8a7f74": "CREDENTIALS",
    "gemini-error-aded13256c": "QUOTA_EXHAUSTED",
    "gemini-error-b760333e1c": "OVERLOADED",
    "gemini-error-e3ecb6f88d": "PROVIDER_ERROR",
    "gemini-stream-8ae94a9c7f": "OVERLOADED",
    "gemini-stream-df45677fd0": "MALFORMED_RESPONSE",
    "gemini-stream-ea417a56d3": "CONTENT_REFUSED",
    "gemini-unary-1451c2ad00": "CONTENT_REFUSED",
    "gemini-unary-1f59992d65": "MALFORMED_RESPONSE",
    "gemini-unary-39ef18e507": "MALFORMED_RESPONSE",
    "gemini-unary-3b5724ad02": "MALFORMED_RESPONSE",
}
"""The reason of every recorded error, and of answers that are none: blocked prompts,
calls that went wrong, a stream that was cut."""

COUNTED_EARLY = "gemini-stream-52e1f4582a"
"""Its last piece does not count the answer, which the one before it did."""

IN_PIECES = "gemini-stream-c8cdef9980"
"""Its call's arguments come by their paths, which the client hands on as they are."""

ITEMS = [
    {
        "action": "add",
        "description": "Fresh red apple",
        "itemid": "apple_001",
        "price": 0.5,
    },
    {
        "action": "add",
        "description": "Ripe yellow banana",
        "itemid": "banana_001",
        "price": 0.3,
    },
]

CODEC = Gemini("gemini")


@dataclass(slots=True)
class Read:
    """An answer, in the terms that both readings share."""

    parts: list[tuple[str, ...]] = field(default_factory=list)
    """("text", text[, signature]), ("call", id, name, arguments, signature) and
    ("reasoning", text, signature); adjacent unsigned texts are one."""

    finish: str = ""
    word: str = ""
    usage: dict[str, int] = field(default_factory=dict)
    model: str = ""
    id: str = ""

    def text(self, text: str) -> None:
        if self.parts and self.parts[-1][0] == "text" and len(self.parts[-1]) == 2:
            text = self.parts.pop()[1] + text
        self.parts.append(("text", text))

    def reasoning(self, text: str, signature: str) -> None:
        if self.parts and self.parts[-1][0] == "reasoning" and not self.parts[-1][2]:
            text = self.parts.pop()[1] + text
        self.parts.append(("reasoning", text, signature))


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
        state = unpack("gemini", part.provider_state)
        match part.WhichOneof("kind"):
            case "text" if "signature" in state:
                read.parts.append(("text", part.text, state["signature"]))
            case "text":
                read.text(part.text)
            case "tool_call":
                call = part.tool_call
                arguments = _normal(json.loads(call.arguments_json))
                signature = state.get("signature", "")
                id_ = state.get("id", "")
                assert call.id
                assert id_ in ("", call.id)
                read.parts.append(("call", id_, call.name, arguments, signature))
            case "reasoning":
                read.reasoning(part.reasoning.text, state.get("signature", ""))
    return read


def by_google(recording: Recording) -> Read:
    """What the official client reads."""

    def respond(_: object) -> httpx.Response:
        json_body = recording.kind == "unary" or recording.body.startswith(b"[")
        kind = "application/json" if json_body else "text/event-stream"
        return httpx.Response(
            recording.status, headers={"content-type": kind}, content=recording.body
        )

    client = genai.Client(
        api_key="none",
        http_options=types.HttpOptions(
            httpx_client=httpx.Client(transport=httpx.MockTransport(respond))
        ),
    )
    if recording.kind == "unary":
        answers = [client.models.generate_content(model="recorded", contents="")]
    elif recording.body.startswith(b"["):
        answers = [
            types.GenerateContentResponse._from_response(response=piece, kwargs={})
            for piece in json.loads(recording.body)
        ]
    else:
        stream = client.models.generate_content_stream(model="recorded", contents="")
        answers = list(stream)
    return _joined(answers)


def _joined(answers: list[types.GenerateContentResponse]) -> Read:
    read = Read()
    searches = 0
    for answer in answers:
        read.model = read.model or answer.model_version or ""
        read.id = read.id or answer.response_id or ""
        if answer.usage_metadata is not None:
            read.usage = _usage(answer.usage_metadata) or read.usage
        for candidate in answer.candidates or ():
            if candidate.index:
                continue
            for part in (candidate.content and candidate.content.parts) or ():
                _add(read, part)
            if candidate.finish_reason:
                read.word = candidate.finish_reason.value
            grounding = candidate.grounding_metadata
            if grounding is not None and grounding.web_search_queries:
                # Some are empty: those were no searches.
                searches = len([*filter(None, grounding.web_search_queries)])
    if searches:
        read.usage["web_searches"] = searches
    called = any(part[0] == "call" for part in read.parts)
    finish = _FINISHES[read.word]
    read.finish = "TOOL_CALLS" if called and finish == "STOP" else finish
    read.finish = f"FINISH_REASON_{read.finish}"
    return read


def _add(read: Read, part: types.Part) -> None:
    signature = b64encode(part.thought_signature or b"").decode()
    if part.function_call is not None:
        arguments = _normal(part.function_call.args or {})
        name = part.function_call.name or ""
        read.parts.append(
            ("call", part.function_call.id or "", name, arguments, signature)
        )
    elif part.thought:
        if part.text:
            read.reasoning(part.text, signature)
    elif signature and part.text is not None:
        read.parts.append(("text", part.text, signature))
    elif part.text:
        read.text(part.text)


def _usage(said: types.GenerateContentResponseUsageMetadata) -> dict[str, int]:
    prompt = [said.prompt_token_count, said.tool_use_prompt_token_count]
    written = [said.candidates_token_count, said.thoughts_token_count]
    counts = {
        "input_tokens": sum(n or 0 for n in prompt) if any(prompt) else None,
        "output_tokens": sum(n or 0 for n in written) if any(written) else None,
        "cache_read_tokens": said.cached_content_token_count,
        "reasoning_tokens": said.thoughts_token_count,
    }
    return {name: count for name, count in counts.items() if count is not None}


_FINISHES = {
    "STOP": "STOP",
    "MAX_TOKENS": "LENGTH",
    "SAFETY": "CONTENT_FILTER",
    "RECITATION": "CONTENT_FILTER",
}


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
    expected = by_google(recording)
    if recording.id == IN_PIECES:
        (call, *_) = expected.parts
        arguments = _normal({"operations": ITEMS})
        expected.parts = [(*call[:3], arguments, call[4])]
    if recording.id == COUNTED_EARLY:
        expected.usage["output_tokens"] = 21 + 78

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
    """The stream as it would be had it ended before the model stopped."""
    first = body.index(b'"finishReason"')
    events = [match.end() for match in re.finditer(rb"\n\n", body[:first])]
    yield b""
    yield body[: first + 5]
    for end in events[:: max(1, len(events) // 10)]:
        yield body[:end]


@pytest.mark.rule("3.4")
@pytest.mark.parametrize("recording", parameters("stream"))
def test_a_stream_that_is_cut_is_no_answer(recording: Recording) -> None:
    """Before the model has reported why it stopped; after it, it is the answer."""
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
