"""A short answer in the words of each of the four APIs, whole and as a stream."""

import json
from dataclasses import dataclass
from typing import Any

MODEL = "m-1"

Body = dict[str, Any]


@dataclass(frozen=True)
class Wire:
    """An API, and the settings of a provider that speaks it."""

    settings: str
    """TOML, without the base URL."""

    whole: Body
    begin: bytes
    """The events of a stream up to its first content."""

    rest: bytes
    """The other events of a stream, its end included."""


def _sse(*events: Body) -> bytes:
    return b"".join(
        b"data: " + json.dumps(event).encode() + b"\n\n" for event in events
    )


def _responses(first: str, second: str) -> Wire:
    content = [{"type": "output_text", "text": first + second}]
    response: Body = {
        "id": "1",
        "model": MODEL,
        "status": "completed",
        "output": [{"type": "message", "id": "i", "content": content}],
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }

    def delta(said: str) -> Body:
        where = {"item_id": "i", "output_index": 0, "content_index": 0}
        return {"type": "response.output_text.delta", "delta": said, **where}

    completed = {"type": "response.completed", "response": response}
    return Wire(
        'kind = "openai"', response, _sse(delta(first)), _sse(delta(second), completed)
    )


def _chat(first: str, second: str) -> Wire:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    message = {"content": first + second}

    def piece(said: str, finish: str | None = None) -> Body:
        choice = {"index": 0, "delta": {"content": said}, "finish_reason": finish}
        return {"id": "1", "model": MODEL, "choices": [choice]}

    last = {"id": "1", "model": MODEL, "choices": [], "usage": usage}
    return Wire(
        'kind = "openai-compatible"',
        {
            "id": "1",
            "model": MODEL,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage,
        },
        _sse(piece(first)),
        _sse(piece(second, "stop"), last) + b"data: [DONE]\n\n",
    )


def _messages(first: str, second: str) -> Wire:
    usage = {"input_tokens": 3, "output_tokens": 2}
    message: Body = {"id": "1", "model": MODEL, "usage": usage}

    def delta(said: str) -> Body:
        piece = {"type": "text_delta", "text": said}
        return {"type": "content_block_delta", "index": 0, "delta": piece}

    block = {"type": "text", "text": ""}
    end = {"stop_reason": "end_turn"}
    return Wire(
        'kind = "anthropic"',
        {**message, "content": [{"type": "text", "text": first + second}], **end},
        _sse(
            {"type": "message_start", "message": {**message, "content": []}},
            {"type": "content_block_start", "index": 0, "content_block": block},
            delta(first),
        ),
        _sse(
            delta(second),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": end, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        ),
    )


def _gemini(first: str, second: str) -> Wire:
    def piece(said: str, **more: str) -> Body:
        candidate = {"content": {"parts": [{"text": said}]}, **more}
        return {"candidates": [candidate], "modelVersion": MODEL, "responseId": "1"}

    usage = {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2}}
    return Wire(
        'kind = "gemini"',
        {**piece(first + second, finishReason="STOP"), **usage},
        _sse(piece(first)),
        _sse({**piece(second, finishReason="STOP"), **usage}),
    )


def wires(first: str, second: str) -> list[Wire]:
    """The same answer by openai-responses, Chat Completions, Anthropic and Gemini."""
    return [make(first, second) for make in (_responses, _chat, _messages, _gemini)]
