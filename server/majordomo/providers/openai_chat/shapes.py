"""The shapes of Chat Completions answers, as far as they are read.

One shape serves whole answers and chunks of a stream. Everything is optional, and
what servers were seen to send in more than one type is left open.
"""

from typing import Any

import msgspec


class Function(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class Custom(msgspec.Struct):
    name: str | None = None
    input: str | None = None


class ToolCall(msgspec.Struct):
    index: int | str | None = None
    id: Any = None
    function: Function | None = None
    custom: Custom | None = None
    extra_content: Any = None


class ContentPart(msgspec.Struct):
    type: Any = None
    text: str | None = None
    thinking: "str | list[ContentPart] | None" = None
    reference_ids: Any = None
    image_url: Any = None
    url: Any = None
    title: Any = None


class Delta(msgspec.Struct):
    content: str | list[ContentPart] | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    refusal: Any = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    annotations: Any = None
    audio: Any = None
    images: Any = None
    executed_tools: Any = None


class Choice(msgspec.Struct):
    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    error: Any = None


class Chunk(msgspec.Struct):
    id: Any = None
    object: Any = None
    model: Any = None
    choices: list[Choice] | None = None
    usage: Any = None
    x_groq: Any = None
    error: Any = None
    citations: Any = None
    search_results: Any = None
    related_questions: Any = None
    images: Any = None
    videos: Any = None


decode_chunk = msgspec.json.Decoder(Chunk).decode
"""Read one chunk; raises ValueError and RecursionError."""
