"""Recorded Responses traffic reads as the official client reads it.

The client, openai, is handed the recorded bytes. Of a stream it is asked for the last
event, which holds the whole answer again: majordomo, which puts the answer together
from the pieces, must come to the same.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai
import pytest

from majordomo.chain.failure import Failure
from majordomo.codec.state import unpack
from majordomo.deltas import message as message_of
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.v1.attempt_pb2 import FAILURE_REASON_MALFORMED_RESPONSE, FailureReason
from majordomo.v1.content_pb2 import Message
from majordomo.v1.generation_service_pb2 import Completion, FinishReason, Prompt
from tests.recordings.corpus import Recording, recordings

RECORDINGS = recordings("openai-responses")

REASONS = {
    "openai-responses-error-05ca16677c": "UNSUPPORTED",
    "openai-responses-error-3bd2f63252": "UNSUPPORTED",
    "openai-responses-error-7d159c6f7a": "MODEL_NOT_FOUND",
    "openai-responses-error-9c56d6ebe1": "PROVIDER_ERROR",
    "openai-responses-error-e4d57d5baf": "CREDENTIALS",
    "openai-responses-error-f8e91ab5bb": "UNSUPPORTED",
    "openai-responses-stream-4ebdf31cae": "PROVIDER_ERROR",
}
"""The reason of every recorded error, those within streams among them."""

SEVERAL = "openai-responses-stream-c3bc7b65e1"
"""Four answers in one fixture, whose last events were edited by its keepers: the
first of them is the answer, as its items say that are done."""

CODEC = OpenAIResponses("openai")


@dataclass(slots=True)
class Read:
    """An answer, in the terms that both readings share."""

    parts: list[tuple[str, ...]] = field(default_factory=list)
    """("text", text), ("call", id, name, arguments) and ("reasoning", text)."""

    kept: list[dict[str, Any]] = field(default_factory=list)
    """Items of reasoning, as far as they are given back."""

    ids: list[tuple[str, str]] = field(default_factory=list)
    """Ids and phases of messages and calls."""

    finish: str = ""
    usage: dict[str, int] = field(default_factory=dict)
    model: str = ""
    id: str = ""


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
        usage={descriptor.name: value for descriptor, value in usage},
        model=completion.provider_model,
        id=completion.provider_response_id,
    )
    for part in message.parts:
        state = unpack("openai-responses", part.provider_state)
        if "item" in state:
            read.kept.append(json.loads(state["item"]))
        elif not part.HasField("opaque"):
            read.ids.append((state.get("id", ""), state.get("phase", "")))
        if part.HasField("text"):
            read.parts.append(("text", part.text))
        elif part.HasField("tool_call"):
            call = part.tool_call
            read.parts.append(("call", call.id, call.name, call.arguments_json))
        elif part.reasoning.text:
            read.parts.append(("reasoning", part.reasoning.text))
    return read


def by_openai(recording: Recording) -> Read:
    """What the official client reads."""
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(
            recording.status,
            headers={"content-type": _CONTENT_TYPES[recording.kind]},
            content=recording.body,
        )
    )
    client = openai.OpenAI(
        api_key="none",
        base_url="http://recorded",
        http_client=httpx2.Client(transport=transport),
        max_retries=0,
    )
    with client:
        if recording.kind == "unary":
            whole: Any = client.responses.create(model="recorded", input="")
            return _whole(whole.model_dump(warnings=False))
        done: dict[str, Any] = {}
        with client.responses.create(model="recorded", input="", stream=True) as events:
            for event in events:
                if event.type == "response.output_item.done":
                    done[str(event.item.id)] = event.item.model_dump(warnings=False)
                if event.type in ("response.completed", "response.incomplete"):
                    last: dict[str, Any] = event.model_dump(warnings=False)["response"]
                    output = last["output"]
                    if recording.id == SEVERAL:
                        output = list(done.values())
                    # OpenAI encrypts reasoning again for the last event, and asks to
                    # be given back what the item had when it was done.
                    output = [done.get(item["id"], item) for item in output]
                    return _whole({**last, "output": output})
    raise AssertionError("no last event")


_CONTENT_TYPES = {"unary": "application/json", "stream": "text/event-stream"}


def _whole(answer: dict[str, Any]) -> Read:
    said = answer["usage"]
    types = [item["type"] for item in answer["output"]]
    usage = {
        "input_tokens": said["input_tokens"],
        "output_tokens": said["output_tokens"],
        "cache_read_tokens": said["input_tokens_details"].get("cached_tokens"),
        "cache_write_tokens": said["input_tokens_details"].get("cache_write_tokens"),
        "reasoning_tokens": said["output_tokens_details"].get("reasoning_tokens"),
        "web_searches": types.count("web_search_call") or None,
        "code_executions": types.count("code_interpreter_call") or None,
    }
    read = Read(
        usage={name: count for name, count in usage.items() if count is not None},
        model=answer["model"],
        id=answer["id"],
    )
    for item in answer["output"]:
        if item["type"] == "message":
            text = "".join(part["text"] for part in item["content"])
            read.parts.append(("text", text))
            read.ids.append((item["id"], item.get("phase") or ""))
        elif item["type"] == "function_call":
            arguments = item["arguments"] or "{}"
            read.parts.append(("call", item["call_id"], item["name"], arguments))
            read.ids.append((item["id"], ""))
        elif item["type"] == "reasoning":
            _add_reasoning(read, item)
    called = any(part[0] == "call" for part in read.parts)
    finish = "TOOL_CALLS" if called else "STOP"
    if answer["incomplete_details"]:
        finish = {"max_output_tokens": "LENGTH"}[answer["incomplete_details"]["reason"]]
    read.finish = f"FINISH_REASON_{finish}"
    return read


def _add_reasoning(read: Read, item: dict[str, Any]) -> None:
    summary = "\n\n".join(part["text"] for part in item["summary"])
    content = "".join(part["text"] for part in item.get("content") or [])
    if summary or content:
        read.parts.append(("reasoning", summary or content))
    if item.get("encrypted_content") or content:
        keys = ("type", "summary", "id", "content", "encrypted_content")
        kept = {key: item[key] for key in keys if item.get(key)}
        for key in ("summary", "content"):
            if key in kept:
                kept[key] = [
                    {"type": part["type"], "text": part["text"]} for part in kept[key]
                ]
        read.kept.append({"summary": [], **kept})


def parameters(*kinds: str, errors: bool = False) -> list[Any]:
    return [
        pytest.param(recording, id=recording.id)
        for recording in RECORDINGS
        if (recording.kind == "error" or recording.id in REASONS) is errors
        and (not kinds or recording.kind in kinds)
    ]


def _without_order(read: Read) -> Read:
    """For OpenRouter: a message is done before the reasoning that came before it,
    and ids of reasoning are made up again for each event."""
    read.parts.sort(key=lambda part: part[0])
    for item in read.kept:
        del item["id"]
    return read


@pytest.mark.rule("3.4")
@pytest.mark.parametrize("recording", parameters())
def test_answers_read_alike(recording: Recording) -> None:
    """Content, calls, reasoning, what is kept of it, finish, usage, model and id."""
    reads = [
        by_openai(recording),
        by_majordomo(recording, piece=len(recording.body)),
        by_majordomo(recording, piece=61),
    ]
    if recording.provider.endswith(":openrouter"):
        reads = [_without_order(read) for read in reads]
    expected, *actual = reads

    assert [expected, expected] == actual


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
    last = re.search(rb'[^\n]*"type": ?"response\.(completed|incomplete)"', body)
    assert last
    events = [match.end() for match in re.finditer(rb"\n\n", body[: last.start()])]
    yield b""
    yield body[: last.start() + 40]
    for end in events[:: max(1, len(events) // 10)]:
        yield body[:end]


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
    assert failure.retry_delay is None  # none of them says when


def test_every_error_is_listed() -> None:
    """No recorded error goes without an expectation."""
    assert {r.id for r in RECORDINGS if r.kind == "error"} <= set(REASONS)
    assert set(REASONS) <= {r.id for r in RECORDINGS}
