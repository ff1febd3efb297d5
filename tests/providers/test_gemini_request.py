"""generateContent requests: what is sent, what is changed, what is refused."""

import json
from base64 import b64encode
from typing import Any

import pytest
from google.genai import types
from hypothesis import HealthCheck, given, settings

from majordomo.chain.failure import Failure
from majordomo.providers.gemini import Gemini
from majordomo.providers.gemini_request import UNSIGNED
from majordomo.providers.state import pack
from majordomo.v1.attempt_pb2 import FAILURE_REASON_UNSUPPORTED
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    Blob,
    MediaReference,
    Part,
    Tool,
    ToolChoice,
)
from majordomo.v1.generation_service_pb2 import (
    CachePolicy,
    GenerationConfig,
    Prompt,
    ReasoningConfig,
)
from tests.providers.prompts import call, prompts, reasoning, result, turn, user

MODEL = "gemini-3-flash"
OLDER = "gemini-2.5-flash"
TARGET = f"gemini/{MODEL}"
SIGNED = pack("gemini", signature="c2ln")
KNOWN = pack("gemini", signature="c2ln", id="own-1")
THOUGHT = pack("gemini", signature="dGhv", thought="a secret thought")
STATES = (SIGNED, KNOWN, THOUGHT, pack("anthropic", signature="eA=="))
PNG = Part(blob=Blob(media_type="image/png", data=b"\x89PNG"))
PNG_DATA = b64encode(b"\x89PNG").decode()
HI = user("hi")
MEDIA = ("image/png", "application/pdf", "audio/wav", "video/mp4", "text/plain")


def encoded(
    prompt: Prompt, model: str = MODEL, *options: str, stream: bool = False
) -> tuple[dict[str, Any], dict[str, str]]:
    """The request's body, and the adaptations by their paths."""
    request = Gemini("gemini", frozenset(options)).encode(model, prompt, stream=stream)
    told = {a.field: a.description for a in request.adaptations}
    return json.loads(request.body), told


def refused(prompt: Prompt, model: str = MODEL, *options: str) -> str:
    """The words for a prompt that cannot be sent."""
    with pytest.raises(Failure) as caught:
        encoded(prompt, model, *options)
    assert caught.value.reason == FAILURE_REASON_UNSUPPORTED
    return caught.value.message


def contents(*turns: Any, model: str = MODEL) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = encoded(Prompt(messages=turns), model)[0]["contents"]
    return sent


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(prompt=prompts(MEDIA, ("image/png", ""), STATES, TARGET))
@pytest.mark.parametrize("model", ["some-model", MODEL, OLDER, "gemini-2.0-flash"])
def test_what_is_sent_has_the_official_shape(model: str, prompt: Prompt) -> None:
    """The client's types, which forbid extra keys, read every part of the body."""
    before = prompt.SerializeToString(deterministic=True)
    try:
        body, _ = encoded(prompt, model)
    except Failure as failure:
        # Older models take no schema beside tools.
        assert "beside tools" in failure.message  # noqa: PT017
        return
    for content in body.pop("contents"):
        types.Content.model_validate(content)
    for tool in body.pop("tools", []):
        types.Tool.model_validate(tool)
    if "toolConfig" in body:
        types.ToolConfig.model_validate(body.pop("toolConfig"))
    if "systemInstruction" in body:
        types.Content.model_validate(body.pop("systemInstruction"))
    if "generationConfig" in body:
        types.GenerationConfig.model_validate(body.pop("generationConfig"))

    assert {} == body
    assert before == prompt.SerializeToString(deterministic=True)


def test_the_simplest_request() -> None:
    """The model is in the path, and so is the way of answering."""
    prompt = Prompt(messages=[HI], system_instruction="Be brief.")
    codec = Gemini("gemini")

    assert {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    } == encoded(prompt)[0]
    assert (
        "/models/a%2Fb:generateContent"
        == codec.encode("a/b", prompt, stream=False).path
    )
    streamed = codec.encode("models/m", prompt, stream=True)
    assert "/models/m:streamGenerateContent?alt=sse" == streamed.path


def test_signatures_go_back_to_their_author_alone() -> None:
    """Each in its own part, verbatim; another's calls get the documented stand-in."""
    parts = [
        reasoning("", THOUGHT),
        Part(text="so", provider_state=SIGNED),
        call("x", '{"a":1}', KNOWN),
        call("y"),
        Part(text="", provider_state=SIGNED),
    ]
    results = turn(ROLE_TOOL, result("y", "two"), result("x", "one"))
    own = contents(HI, turn(ROLE_ASSISTANT, *parts, origin=TARGET), results)
    other = contents(HI, turn(ROLE_ASSISTANT, *parts, origin="gemini/m"), results)
    older = contents(
        HI, turn(ROLE_ASSISTANT, *parts, origin="gemini/m"), results, model=OLDER
    )

    assert [
        {"text": "a secret thought", "thought": True, "thoughtSignature": "dGhv"},
        {"text": "so", "thoughtSignature": "c2ln"},
        {
            "functionCall": {"name": "f", "args": {"a": 1}, "id": "own-1"},
            "thoughtSignature": "c2ln",
        },
        {"functionCall": {"name": "f", "args": {}}},
        {"text": "", "thoughtSignature": "c2ln"},
    ] == own[1]["parts"]
    # In the order of the calls, which is all that tells results without ids apart.
    assert [
        {
            "functionResponse": {
                "name": "f",
                "response": {"output": "one"},
                "id": "own-1",
            }
        },
        {"functionResponse": {"name": "f", "response": {"output": "two"}}},
    ] == own[2]["parts"]
    assert [
        {"text": "so"},
        {
            "functionCall": {"name": "f", "args": {"a": 1}},
            "thoughtSignature": UNSIGNED,
        },
        {"functionCall": {"name": "f", "args": {}}},
    ] == other[1]["parts"]
    assert UNSIGNED not in json.dumps(older)


@pytest.mark.parametrize(
    ("model", "parts", "moved"),
    [
        (
            MODEL,
            [
                {
                    "functionResponse": {
                        "name": "f",
                        "response": {"error": "no"},
                        "parts": [
                            {"inlineData": {"mimeType": "image/png", "data": PNG_DATA}}
                        ],
                    }
                }
            ],
            False,
        ),
        (
            OLDER,
            [
                {"functionResponse": {"name": "f", "response": {"error": "no"}}},
                {"inlineData": {"mimeType": "image/png", "data": PNG_DATA}},
            ],
            True,
        ),
    ],
)
def test_media_in_results(model: str, parts: list[Any], moved: bool) -> None:
    """Within the result where the model takes them there; beside it where not."""
    prompt = Prompt(
        messages=[
            HI,
            turn(ROLE_ASSISTANT, call("c")),
            turn(ROLE_TOOL, result("c", "no", PNG, is_error=True)),
        ]
    )
    body, adaptations = encoded(prompt, model)

    assert parts == body["contents"][2]["parts"]
    path = "prompt.messages[2].parts[0].tool_result"
    assert moved == (path in adaptations)


def test_links() -> None:
    """The type is the caller's, else told by the end of the path, else left out."""
    links = [
        MediaReference(uri="https://x.y/a.pdf"),
        MediaReference(uri="gs://b/c", media_type="audio/wav"),
        MediaReference(uri="https://youtu.be/z"),
    ]
    parts = [Part(media_reference=link) for link in links]

    assert [
        {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x.y/a.pdf"}},
        {"fileData": {"mimeType": "audio/wav", "fileUri": "gs://b/c"}},
        {"fileData": {"fileUri": "https://youtu.be/z"}},
    ] == contents(user(*parts))[0]["parts"]


def thinking(**reasoning_config: Any) -> Prompt:
    config = GenerationConfig(reasoning=ReasoningConfig(**reasoning_config))
    return Prompt(messages=[HI], config=config)


@pytest.mark.parametrize(
    ("model", "prompt", "expected", "changed"),
    [
        (MODEL, thinking(effort="EFFORT_LOW"), {"thinkingLevel": "low"}, ""),
        (
            MODEL,
            thinking(effort="EFFORT_MAX"),
            {"thinkingLevel": "high"},
            "sent as high",
        ),
        (
            "gemini-3-pro",
            thinking(effort="EFFORT_NONE"),
            {"thinkingLevel": "low"},
            "sent as low",
        ),
        (MODEL, thinking(budget_tokens=2000), None, "left to the model"),
        (OLDER, thinking(budget_tokens=2000), {"thinkingBudget": 2000}, ""),
        (OLDER, thinking(effort="EFFORT_NONE"), {"thinkingBudget": 0}, ""),
        (OLDER, thinking(effort="EFFORT_MEDIUM"), {"thinkingBudget": 8192}, ""),
        (
            "gemini-2.5-pro",
            thinking(budget_tokens=0),
            {"thinkingBudget": 128},
            "raised to 128",
        ),
        (MODEL, thinking(include_text=True), {"includeThoughts": True}, ""),
        (
            "gemini-2.0-flash",
            thinking(effort="EFFORT_HIGH", include_text=True),
            None,
            "left out: the model does not reason",
        ),
    ],
)
def test_how_hard_to_think(
    model: str, prompt: Prompt, expected: dict[str, Any] | None, changed: str
) -> None:
    """In the way that the model takes; what was changed is told."""
    body, adaptations = encoded(prompt, model)

    assert expected == body.get("generationConfig", {}).get("thinkingConfig")
    assert bool(changed) == bool(adaptations)
    assert all(text.startswith(changed) for text in adaptations.values())


def test_config_schema_and_tools() -> None:
    """Each by the wire's own name; caching needs nothing."""
    prompt = Prompt(
        messages=[HI],
        config=GenerationConfig(
            max_output_tokens=9, temperature=0.5, top_p=0.9, top_k=3, seed=7
        ),
        response_schema_json='{"type":"object"}',
        tools=[Tool(name="f", description="d", parameters_schema_json="{}")],
        tool_choice=ToolChoice(mode=ToolChoice.MODE_REQUIRED, allowed_names=["f"]),
        cache_policy=CachePolicy(cache_instructions=True),
    )
    prompt.config.stop_sequences.append(".")
    body, adaptations = encoded(prompt)
    del body["contents"]

    assert {
        "generationConfig": {
            "maxOutputTokens": 9,
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 3,
            "seed": 7,
            "stopSequences": ["."],
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
        },
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "f", "description": "d", "parametersJsonSchema": {}}
                ]
            }
        ],
        "toolConfig": {
            "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}
        },
    } == body
    assert {} == adaptations
    assert "prompt.response_schema_json: the model takes no schema beside" in refused(
        prompt, OLDER
    )


def test_options_of_the_provider() -> None:
    """Those that are listed, never one that the server writes itself."""
    config = GenerationConfig()
    config.provider_options_json["gemini"] = '{"safetySettings":[]}'
    prompt = Prompt(messages=[HI], config=config)

    assert [] == encoded(prompt, MODEL, "safetySettings")[0]["safetySettings"]
    assert "may not set 'safetySettings'" in refused(prompt)
    config.provider_options_json["gemini"] = '{"system_instruction":{}}'
    prompt = Prompt(messages=[HI], config=config)
    assert "may not set" in refused(prompt, MODEL, "system_instruction")
