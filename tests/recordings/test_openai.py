"""Recorded Chat Completions traffic reads as the official client reads it.

The client, openai, is handed the recorded bytes and asked for the answer; majordomo
must find the same content, tool calls, finish reason and usage. Where the client
passes on what a server invented, the comparison says what it means.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai
import pytest

from majordomo.chain.failure import Failure
from majordomo.deltas import message as message_of
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.profiles import COMMON, PROFILES
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_MALFORMED_RESPONSE,
    FailureReason,
    Usage,
)
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    FunctionTool,
    Message,
    ToolCall,
    ToolChoice,
)
from majordomo.v1.generation_service_pb2 import Completion, Prompt
from tests.recordings.corpus import Recording, recordings

RECORDINGS = recordings("openai-chat", "openai-compatible:")

EXCEPTIONS: dict[str, str] = {}
"""Recordings that do not read alike, by id, with the cause."""

REASONS = {
    "openai-chat-error-0992b22a8f": "UNSUPPORTED",
    "openai-chat-error-09e50cfe50": "UNSUPPORTED",
    "openai-chat-error-46837ab099": "CREDENTIALS",
    "openai-chat-error-5a8b9993a3": "UNSUPPORTED",
    "openai-chat-error-5eb7204db9": "CREDENTIALS",
    "openai-chat-error-640b1388a7": "UNSUPPORTED",
    "openai-chat-error-801c898d12": "CONTEXT_TOO_LONG",
    "openai-chat-error-8105d93cff": "MODEL_NOT_FOUND",
    "openai-chat-error-9fea478d8f": "RATE_LIMITED",
    "openai-compatible_azure-error-e74c831e05": "MODEL_NOT_FOUND",
    "openai-compatible_deepseek-error-caa3ffd056": "CONTEXT_TOO_LONG",
    "openai-compatible_gemini-error-c8c37aa644": "UNSUPPORTED",
    "openai-compatible_groq-error-2a25ed1d4f": "MODEL_NOT_FOUND",
    "openai-compatible_groq-error-6983189bd8": "MALFORMED_RESPONSE",
    "openai-compatible_groq-error-75c7b3b1d7": "CONTEXT_TOO_LONG",
    "openai-compatible_groq-stream-291e09f6c0": "MALFORMED_RESPONSE",
    "openai-compatible_llamacpp-error-1d1425de7c": "CONTEXT_TOO_LONG",
    "openai-compatible_mistral-error-d2c8186ff8": "OVERLOADED",
    "openai-compatible_ollama-error-59283d5660": "MODEL_NOT_FOUND",
    "openai-compatible_ollama-error-a382e88802": "CREDENTIALS",
    "openai-compatible_openrouter-error-95e3c812cf": "CREDENTIALS",
    "openai-compatible_openrouter-error-e65c9f9824": "UNSUPPORTED",
    "openai-compatible_openrouter-stream-22fc78b182": "QUOTA_EXHAUSTED",
    "openai-compatible_perplexity-error-6632884079": "CREDENTIALS",
    "openai-compatible_vllm-error-f5ff59d729": "MODEL_NOT_FOUND",
}
"""The reason of every recorded error, those within streams among them."""

DELAYS = {"openai-chat-error-9fea478d8f": 26.604}
"""Seconds, of those that say when."""


@dataclass(slots=True)
class Read:
    """An answer, in the terms that both readings share."""

    text: str = ""
    reasoning: str = ""
    tool_calls: list[tuple[str, str]] = field(default_factory=list)
    finish: str = ""
    usage: dict[str, int] = field(default_factory=dict)
    model: str = ""
    id: str = ""


def _codec(name: str) -> OpenAICompatible:
    return OpenAICompatible(name, profile=PROFILES.get(name, COMMON))


def by_majordomo(recording: Recording, piece: int, body: bytes | None = None) -> Read:
    """What majordomo reads; a stream comes in pieces of `piece` bytes."""
    body = recording.body if body is None else body
    prompt = Prompt()
    prompt.config.reasoning.include_text = True
    codec = _codec(recording.provider.rpartition(":")[2])
    if recording.kind == "unary":
        answer = codec.decode(prompt, body)
        assert answer.message is not None
        return _read(answer.message, answer.completion)
    decoder = codec.decoder(prompt)
    deltas = []
    for at in range(0, len(body), piece):
        deltas += decoder.feed(body[at : at + piece])
    if not decoder.complete:
        deltas += decoder.close()
    return _read(message_of(deltas), decoder.finish().completion)


def _read(message: Message, completion: Completion) -> Read:
    read = Read(
        finish=completion.provider_finish_reason,
        usage=_fields(completion.usage),
        model=completion.provider_model,
        id=completion.provider_response_id,
    )
    for part in message.parts:
        read.text += part.text
        read.reasoning += part.reasoning.text
        if part.HasField("tool_call"):
            assert part.tool_call.id
            read.tool_calls.append((part.tool_call.name, part.tool_call.arguments_json))
    return read


def _fields(usage: Usage) -> dict[str, int]:
    return {descriptor.name: value for descriptor, value in usage.ListFields()}


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
        if recording.kind == "stream":
            with client.chat.completions.create(
                model="recorded", messages=[], stream=True
            ) as stream:
                return streamed([chunk.model_dump(warnings=False) for chunk in stream])
        return whole(
            client.chat.completions.create(model="recorded", messages=[]).model_dump(
                warnings=False
            )
        )


_CONTENT_TYPES = {"unary": "application/json", "stream": "text/event-stream"}


def whole(answer: dict[str, Any]) -> Read:
    choice = answer["choices"][0]
    read = Read(
        finish=choice["finish_reason"] or "",
        usage=normal_usage(answer["usage"]),
        model=answer["model"],
        id=answer["id"],
    )
    _add_text(read, choice["message"])
    for call in choice["message"].get("tool_calls") or []:
        if call["type"] == "custom":
            # The model wrote a text, not an object.
            arguments = json.dumps({"input": call["custom"]["input"]})
            read.tool_calls.append((call["custom"]["name"], arguments))
        else:
            function = call["function"]
            read.tool_calls.append((function["name"], function["arguments"] or "{}"))
    return read


def streamed(chunks: list[dict[str, Any]]) -> Read:
    read = Read()
    calls: dict[object, list[str]] = {}
    for chunk in chunks:
        read.model = read.model or chunk.get("model") or ""
        read.id = read.id or chunk.get("id") or ""
        groq = chunk.get("x_groq") or {}
        read.usage = normal_usage(chunk.get("usage") or groq.get("usage")) or read.usage
        for choice in chunk["choices"]:
            if choice["index"]:
                continue
            read.finish = choice["finish_reason"] or read.finish
            delta = choice["delta"] or {}
            _add_text(read, delta)
            for call in delta.get("tool_calls") or []:
                name, arguments = (
                    call["function"]["name"],
                    call["function"]["arguments"],
                )
                known = calls.setdefault(call["index"], ["", ""])
                known[0] = known[0] or name
                known[1] += arguments or ""
    read.tool_calls = [(name, arguments or "{}") for name, arguments in calls.values()]
    return read


def _add_text(read: Read, said: dict[str, Any]) -> None:
    content = said.get("content") or ""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for part in content:
        read.text += part.get("text") or ""
        thinking = part.get("thinking") or []
        read.reasoning += "".join(inner["text"] for inner in thinking)
    read.text += said.get("refusal") or ""
    details = said.get("reasoning_details") or []
    read.reasoning += (
        said.get("reasoning_content")
        or said.get("reasoning")
        or "".join(detail.get("text") or "" for detail in details)
    )


def normal_usage(said: dict[str, Any] | None) -> dict[str, int]:
    """The client's usage in the normal form: parts are within their wholes."""
    if not said:
        return {}
    read = said.get("prompt_tokens_details") or {}
    written = said.get("completion_tokens_details") or {}
    output = said["completion_tokens"]
    reasoning = written.get("reasoning_tokens")
    beside = said["total_tokens"] - said["prompt_tokens"] - output
    if reasoning and beside == reasoning:
        output += reasoning
    cached = [
        read.get("cached_tokens"),
        said.get("prompt_cache_hit_tokens"),
        said.get("cached_tokens"),
        said.get("num_cached_tokens"),
    ]
    tools = said.get("server_tool_use") or {}
    known = [count for count in cached if count is not None]
    usage = {
        "input_tokens": said["prompt_tokens"],
        "output_tokens": output,
        "cache_read_tokens": min(known[0], said["prompt_tokens"]) if known else None,
        "cache_write_tokens": read.get("cache_write_tokens"),
        "reasoning_tokens": reasoning,
        "web_searches": tools.get("web_search_requests"),
        "url_reads": tools.get("web_fetch_requests"),
    }
    return {name: count for name, count in usage.items() if count is not None}


def parameters(*, errors: bool) -> list[Any]:
    """The recordings, those listed as exceptions expected to fail."""
    marks = {
        id_: [pytest.mark.xfail(reason=cause, strict=True)]
        for id_, cause in EXCEPTIONS.items()
    }
    return [
        pytest.param(recording, id=recording.id, marks=marks.get(recording.id, []))
        for recording in RECORDINGS
        if (recording.kind == "error" or recording.id in REASONS) is errors
    ]


@pytest.mark.rule("3.4")
@pytest.mark.parametrize("recording", parameters(errors=False))
def test_answers_read_alike(recording: Recording) -> None:
    """Content, tool calls, finish reason, usage, model and id, in any pieces."""
    expected = by_openai(recording)

    assert expected == by_majordomo(recording, piece=len(recording.body))
    assert expected == by_majordomo(recording, piece=61)


STREAMS = [
    recording
    for recording in RECORDINGS
    if recording.kind == "stream" and recording.id not in REASONS
]


@pytest.mark.parametrize("recording", STREAMS, ids=lambda recording: recording.id)
def test_streams_in_other_forms(recording: Recording) -> None:
    """Byte by byte, with each kind of line end, and with comments between events."""
    expected = by_majordomo(recording, piece=len(recording.body))
    body = recording.body.replace(b"\r\n", b"\n")

    for form in (
        body,
        body.replace(b"\n", b"\r\n"),
        body.replace(b"\n\n", b"\n\n: keep-alive\n\n"),
    ):
        assert expected == by_majordomo(recording, len(form), form)
    assert expected == by_majordomo(recording, piece=1)


def _events(body: bytes) -> list[bytes]:
    return re.split(rb"(?<=\n\n)", body.replace(b"\r\n", b"\n"))


_FINISHED = rb'"finish_reason": ?"[a-z]'


def _terminal(events: list[bytes]) -> int:
    """Which event is the first that may be an answer's last: it says why it stopped.

    Snowflake's never say it; the count is their last, and then [DONE] is needed.
    """
    for words in (_FINISHED, rb'"usage": ?\{'):
        for index, event in enumerate(events):
            if re.search(words, event):
                return index
    raise AssertionError("no terminal event")


@pytest.mark.rule("3.4")
@pytest.mark.parametrize("recording", STREAMS, ids=lambda recording: recording.id)
def test_a_stream_that_is_cut(recording: Recording) -> None:
    """Before the reason why it stopped it is no answer; without [DONE] it is."""
    events = _events(recording.body)
    terminal = _terminal(events)
    for count in range(0, terminal + 1, max(1, terminal // 10)):
        for cut in (events[:count], [*events[:count], events[count][:-9]]):
            with pytest.raises(Failure) as caught:
                by_majordomo(recording, 997, b"".join(cut))
            assert FAILURE_REASON_MALFORMED_RESPONSE == caught.value.reason

    said_why = re.search(_FINISHED, events[terminal])
    whole = [event for event in events if b"[DONE]" not in event or not said_why]
    assert by_majordomo(recording, len(recording.body)) == by_majordomo(
        recording, 997, b"".join(whole)
    )


@pytest.mark.rule("8.1", "8.2")
@pytest.mark.parametrize("recording", parameters(errors=True))
def test_errors_have_their_reason(recording: Recording) -> None:
    """Every recorded error has its reason, within a stream too."""
    codec = _codec(recording.provider.rpartition(":")[2])
    if recording.kind == "error":
        failure = codec.failure(recording.status, recording.headers, recording.body)
    else:
        with pytest.raises(Failure) as caught:
            by_majordomo(recording, piece=len(recording.body))
        failure = caught.value

    assert REASONS[recording.id] == _name(failure)
    assert DELAYS.get(recording.id) == failure.retry_delay


def _name(failure: Failure) -> str:
    return FailureReason.Name(failure.reason).removeprefix("FAILURE_REASON_")


def test_every_error_is_listed() -> None:
    """No recorded error goes without an expectation, and none is expected twice."""
    errors = {r.id for r in RECORDINGS if r.kind == "error"}

    assert errors <= set(REASONS)
    assert set(REASONS) | set(EXCEPTIONS) <= {r.id for r in RECORDINGS}


def test_exceptions_are_few() -> None:
    """At least 95 % of each provider's recordings of each kind read alike."""
    total = Counter((r.provider, r.kind) for r in RECORDINGS)
    failing = Counter((r.provider, r.kind) for r in RECORDINGS if r.id in EXCEPTIONS)

    assert not {group for group in failing if failing[group] > total[group] * 0.05}


def prompt_of(request: dict[str, Any]) -> Prompt | None:
    """The prompt that a recorded request could have come from, None if none could."""
    prompt = Prompt()
    for said in request["messages"]:
        parts = said.get("content") or []
        if isinstance(parts, str):
            parts = [{"type": "text", "text": parts}]
        if said["role"] in ("system", "developer"):
            if prompt.system_instruction or prompt.messages:
                return None
            text = "".join(part["text"] for part in parts)
            prompt.system_instruction.add(text=text)
            continue
        if said["role"] == "tool":
            result = prompt.messages.add(role=ROLE_TOOL).parts.add().tool_result
            result.tool_call_id = said["tool_call_id"]
            target = result.parts
        else:
            turn = prompt.messages.add(role=ROLES[said["role"]])
            target = turn.parts
        for part in parts:
            match part:
                case {"type": "text", "text": text}:
                    target.add(text=text)
                case {"type": "image_url", "image_url": {"url": url}}:
                    if not url.startswith("https:"):
                        return None
                    target.add().media_reference.uri = url
                case _:
                    return None
        for call in said.get("tool_calls") or []:
            target.add(
                tool_call=ToolCall(
                    id=call["id"],
                    name=call["function"]["name"],
                    arguments_json=call["function"]["arguments"],
                )
            )
    for tool in request.get("tools") or []:
        if "function" not in tool:
            return None
        function = tool["function"]
        prompt.tools.add().function.MergeFrom(
            FunctionTool(
                name=function["name"],
                description=function.get("description") or "",
                parameters_schema_json=json.dumps(function["parameters"]),
            )
        )
    for key in ("temperature", "top_p", "seed"):
        if request.get(key) is not None:
            setattr(prompt.config, key, request[key])
    if request.get("max_tokens"):
        prompt.config.max_output_tokens = request["max_tokens"]
    if request.get("tool_choice") in MODES:
        prompt.tool_choice.mode = MODES[request["tool_choice"]]
    return prompt


ROLES = {"user": ROLE_USER, "assistant": ROLE_ASSISTANT}
MODES = {"auto": ToolChoice.MODE_AUTO, "required": ToolChoice.MODE_REQUIRED}
COMPARED = ("model", "messages", "tools", "temperature", "top_p", "seed")


def essentials(request: dict[str, Any]) -> dict[str, Any]:
    """What of a request must be the same, in one spelling."""
    request = json.loads(json.dumps(request))
    for said in request["messages"]:
        if said["role"] == "developer":
            said["role"] = "system"
        content = said.get("content")
        if isinstance(content, list) and [p["type"] for p in content] == ["text"]:
            content = content[0]["text"]
        if isinstance(content, list):
            for part in content:
                part.pop("prompt_cache_breakpoint", None)
        said["content"] = content or ""
        for key in set(said) - {"role", "content", "tool_calls", "tool_call_id"}:
            del said[key]
        for call in said.get("tool_calls") or []:
            call.pop("index", None)
            call["type"] = "function"
        if not said.get("tool_calls"):
            said.pop("tool_calls", None)
    for tool in request.get("tools") or []:
        tool["type"] = "function"
        tool["function"].pop("strict", None)
        if not tool["function"].get("description"):
            tool["function"].pop("description", None)
    same = {key: request[key] for key in COMPARED if request.get(key) not in (None, [])}
    if request.get("tool_choice") in MODES and request.get("tools"):
        same["tool_choice"] = request["tool_choice"]
    return same


def test_requests_are_written_alike() -> None:
    """Prompts read out of recorded requests are written as their clients wrote them."""
    compared = 0
    for recording in RECORDINGS:
        prompt = prompt_of(recording.request) if recording.request else None
        if prompt is None:
            continue
        name = recording.provider.rpartition(":")[2]
        model = recording.request["model"]
        encoded = _codec(name).encode(model, prompt, stream=False)

        assert essentials(recording.request) == essentials(json.loads(encoded.body))
        compared += 1

    assert compared >= 0.75 * sum(
        recording.request is not None for recording in RECORDINGS
    )
