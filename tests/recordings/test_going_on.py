"""Conversations go on after every recorded answer, at its author and at all others.

The author is given back what it alone can read, verbatim and in its place, in requests
of the official types' shape; nobody else is.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from anthropic.types.beta import message_create_params
from google.genai import types
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

from majordomo.chain.failure import Failure
from majordomo.codec.base import Codec
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.v1.content_pb2 import ROLE_TOOL, ROLE_USER, Message, Part, ToolResult
from majordomo.v1.generation_service_pb2 import Prompt
from tests.recordings.corpus import Recording, recordings
from tests.recordings.reading import TARGET, blocks, codec, read, states, wire
from tests.typed_dicts import problems

RECORDINGS = [one for one in recordings("") if one.kind != "error"]

OTHERS: Mapping[str, Codec] = {
    "anthropic": Anthropic("other"),
    "gemini": Gemini("other"),
    "responses": OpenAIResponses("other"),
    "chat": OpenAICompatible("other"),
}
SHAPES = {
    "anthropic": message_create_params.MessageCreateParamsNonStreaming,
    "responses": response_create_params.ResponseCreateParamsNonStreaming,
    "chat": completion_create_params.CompletionCreateParamsNonStreaming,
}
EXTRA = {
    "reasoning_details",
    "reasoning_content",
    ".reasoning:",
    "extra_content",
    "annotations",
}
"""Keys of servers that speak Chat Completions and are not OpenAI's."""


def answered(recording: Recording) -> Message | None:
    try:
        message, _ = read(recording, Prompt())
    except Failure:
        return None  # no answer: that these fail is another test's
    message.origin = TARGET
    return message


def going_on(message: Message) -> Prompt:
    """The next call: the results of what was called, and another question."""
    results = [
        Part(tool_result=ToolResult(tool_call_id=part.tool_call.id))
        for part in message.parts
        if part.HasField("tool_call")
    ]
    asked = Message(role=ROLE_USER, parts=[Part(text="Go on.")])
    turns = [asked, message, Message(role=ROLE_TOOL, parts=results), asked]
    return Prompt(messages=[turn for turn in turns if turn.parts])


def asked_of(
    reading: Codec, model: str, message: Message
) -> tuple[dict[str, Any], list[str]]:
    """The request, and what was changed of it."""
    encoded = reading.encode(model, going_on(message), stream=False)
    reported = [adaptation.description for adaptation in encoded.adaptations]
    body: dict[str, Any] = json.loads(encoded.body)
    return body, reported


def faults(name: str, body: dict[str, Any]) -> list[str]:
    """What is wrong with a request, by the official types."""
    if name == "gemini":
        for content in body["contents"]:
            types.Content.model_validate(content)
        return []
    found = problems(body, SHAPES[name])
    return [one for one in found if not any(key in one for key in EXTRA)]


def content(body: dict[str, Any]) -> list[Any]:
    """The blocks, parts or items of the conversation, in their order."""
    turns = body.get("contents") or body.get("messages") or body["input"]
    found = []
    for turn in turns:
        inner = turn.get("parts") or turn.get("content")
        found += inner if isinstance(inner, list) else [turn]
        found += turn.get("annotations", [])
    return found


UNTYPED = "openai-compatible:mistral"
"""Its parts of the content are not among OpenAI's."""

API_SOURCE = "openai-responses-stream-c68abee3f4"
"""It names a source of a type that OpenAI's own package does not know."""

CASES = [
    pytest.param(recording, message, id=recording.id)
    for recording in RECORDINGS
    if (message := answered(recording)) is not None and message.parts
]


@pytest.mark.rule("2.19")
@pytest.mark.parametrize(("recording", "message"), CASES)
def test_the_author_is_given_its_own_back(
    recording: Recording, message: Message
) -> None:
    body, _ = asked_of(codec(recording), "some-model", message)
    sent = content(body)

    if UNTYPED != recording.provider and API_SOURCE != recording.id:
        assert [] == faults(wire(recording), body)
    kept = blocks(message)
    assert kept == [one for one in sent if one in kept]
    cited = [text for part in message.parts if (text := states(part).get("citations"))]
    sources = [one["citations"] for one in sent if "citations" in one]
    assert [json.loads(text) for text in cited] == sources


@pytest.mark.rule("2.19")
@pytest.mark.parametrize(("recording", "message"), CASES)
@pytest.mark.parametrize("name", OTHERS)
def test_others_are_given_none_of_it(
    recording: Recording, message: Message, name: str
) -> None:
    body, reported = asked_of(OTHERS[name], "some-model", message)

    assert [] == faults(name, body)
    kept = blocks(message)
    assert [] == [one for one in content(body) if one in kept]
    opaque = any(part.HasField("opaque") for part in message.parts)
    assert opaque == ("left out: content that this target cannot read" in reported)
