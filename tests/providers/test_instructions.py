"""Instructions in parts and forms of answers, as each API is asked for them."""

import json
from typing import Any

import pytest

from majordomo.chain.failure import Failure
from majordomo.codec.base import Codec
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.v1.attempt_pb2 import FAILURE_REASON_UNSUPPORTED
from majordomo.v1.content_pb2 import ROLE_USER, Blob, Message, Part
from majordomo.v1.generation_service_pb2 import (
    CachePolicy,
    JsonFormat,
    JsonSchemaFormat,
    Prompt,
    ResponseFormat,
    TextFormat,
)

CODECS: dict[str, Codec] = {
    "anthropic": Anthropic("p"),
    "gemini": Gemini("p"),
    "chat": OpenAICompatible("p"),
    "responses": OpenAIResponses("p"),
}
PICTURE = Part(blob=Blob(media_type="image/png", data=b"x"))


def sent(name: str, **prompt: Any) -> dict[str, Any]:
    """The body of the request for a prompt that says hi."""
    hi = Message(role=ROLE_USER, parts=[Part(text="hi")])
    asked = Prompt(messages=[hi], **prompt)
    body: dict[str, Any] = json.loads(
        CODECS[name].encode("m", asked, stream=False).body
    )
    return body


def reported(name: str, body: dict[str, Any]) -> Any:
    """Where the instructions are."""
    match name:
        case "anthropic":
            return body.get("system")
        case "gemini":
            return body.get("systemInstruction", {}).get("parts")
        case "chat":
            first = body["messages"][0]
            return first["content"] if first["role"] == "system" else None
    return body.get("instructions")


def blocks(*texts: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in texts]


@pytest.mark.rule("2.10")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("anthropic", blocks("Be brief.", "Be kind.")),
        ("gemini", [{"text": "Be brief."}, {"text": "Be kind."}]),
        ("chat", "Be brief.\n\nBe kind."),
        ("responses", "Be brief.\n\nBe kind."),
    ],
)
def test_texts_are_blocks_or_joined(name: str, expected: object) -> None:
    """An empty one says nothing and is not sent."""
    texts = [Part(text="Be brief."), Part(text=""), Part(text="Be kind.")]

    assert expected == reported(name, sent(name, system_instruction=texts))
    assert reported(name, sent(name, system_instruction=[Part(text="")])) is None


def test_the_last_block_is_the_cut_of_the_cache() -> None:
    """All that stands before it is cached with it."""
    texts = [Part(text="Be brief."), Part(text="Be kind.")]
    policy = CachePolicy(cache_instructions=True)
    body = sent("anthropic", system_instruction=texts, cache_policy=policy)

    first, last = body["system"]
    assert "cache_control" not in first
    assert {"type": "ephemeral"} == last["cache_control"]


@pytest.mark.rule("2.10")
@pytest.mark.parametrize("name", CODECS)
def test_media_in_instructions_is_unsupported(name: str) -> None:
    """Its place is named; another target may be asked."""
    with pytest.raises(Failure) as raised:
        sent(name, system_instruction=[Part(text="Like this:"), PICTURE])

    assert FAILURE_REASON_UNSUPPORTED == raised.value.reason
    assert raised.value.message.startswith("prompt.system_instruction[1]: ")


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("chat", "response_format", {"type": "json_object"}),
        ("responses", "text", {"format": {"type": "json_object"}}),
        ("gemini", "generationConfig", {"responseMimeType": "application/json"}),
    ],
)
def test_any_json(name: str, key: str, expected: dict[str, Any]) -> None:
    """Asked for in the API's own mode; plain text is what none asks for."""
    as_json = sent(name, response_format=ResponseFormat(json=JsonFormat()))
    as_text = sent(name, response_format=ResponseFormat(text=TextFormat()))

    assert expected == {k: v for k, v in as_json[key].items() if k in expected}
    assert as_text == sent(name)


def test_any_json_of_claude_is_unsupported() -> None:
    """Its answers follow a schema, or are text."""
    with pytest.raises(Failure) as raised:
        sent("anthropic", response_format=ResponseFormat(json=JsonFormat()))

    assert FAILURE_REASON_UNSUPPORTED == raised.value.reason


@pytest.mark.parametrize(("given", "expected"), [("", "response"), ("form", "form")])
def test_a_schema_has_a_name(given: str, expected: str) -> None:
    """Where the API wants one: the caller's, or ours."""
    schema = JsonSchemaFormat(schema_json='{"type":"object"}', name=given)
    form = ResponseFormat(json_schema=schema)

    chat = sent("chat", response_format=form)["response_format"]["json_schema"]
    responses = sent("responses", response_format=form)["text"]["format"]
    assert (expected, expected) == (chat["name"], responses["name"])
