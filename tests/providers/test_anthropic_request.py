"""Messages requests: what is sent, what is changed, what is refused."""

import json
from base64 import b64encode
from itertools import pairwise
from typing import Any

import pytest
from anthropic.types import message_create_params
from hypothesis import HealthCheck, given, settings

from majordomo.chain.failure import Failure
from majordomo.codec.request_json import SCHEMA_PATH
from majordomo.codec.state import pack
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.v1.attempt_pb2 import FAILURE_REASON_UNSUPPORTED
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    Blob,
    FunctionTool,
    MediaReference,
    Part,
    Tool,
    ToolChoice,
)
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_STOP,
    CachePolicy,
    GenerationConfig,
    JsonSchemaFormat,
    Prompt,
    ReasoningConfig,
    ResponseFormat,
)
from tests.providers.prompts import (
    CLOSED,
    SCHEMA,
    call,
    prompts,
    reasoning,
    result,
    turn,
    user,
)
from tests.typed_dicts import problems

MODEL = "claude-sonnet-4-5"
ADAPTIVE = "claude-opus-4-7"
TARGET = f"anthropic/{MODEL}"
SIGNED = pack("anthropic", signature="c2ln")
HIDDEN = pack("anthropic", signature="c2ln", thinking="a secret thought")
REDACTED = pack("anthropic", redacted="cmVk")
STATES = (SIGNED, HIDDEN, REDACTED, pack("openai-responses", id="x"))
PNG = Part(blob=Blob(media_type="image/png", data=b"\x89PNG"))
PDF = Part(blob=Blob(media_type="application/pdf", data=b"%PDF"))
HI = user("hi")
F = Tool(function=FunctionTool(name="f"))
MEDIA = ("image/png", "application/pdf", "text/plain")
_OLDER = ("temperature", "top_p", "top_k")
"""What the wire's version of 2023 takes, and the client, of 2026, knows no more."""

LINKS = ("image/png", "application/pdf", "")


def encoded(
    prompt: Prompt, model: str = MODEL, *options: str, stream: bool = False
) -> tuple[dict[str, Any], dict[str, str]]:
    """The request's body, and the adaptations by their paths."""
    codec = Anthropic("anthropic", frozenset(options))
    request = codec.encode(model, prompt, stream=stream)
    assert request.path == "/messages"
    return json.loads(request.body), {
        a.field: a.description for a in request.adaptations
    }


def refused(prompt: Prompt, model: str = MODEL, *options: str) -> str:
    """The words for a prompt that cannot be sent."""
    with pytest.raises(Failure) as caught:
        encoded(prompt, model, *options)
    assert caught.value.reason == FAILURE_REASON_UNSUPPORTED
    return caught.value.message


def thinking(**amount: Any) -> GenerationConfig:
    return GenerationConfig(reasoning=ReasoningConfig(**amount))


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(prompt=prompts(MEDIA, LINKS, STATES, TARGET))
@pytest.mark.parametrize(
    "model",
    [
        "some-model",
        MODEL,
        ADAPTIVE,
        "claude-3-5-haiku",
        "claude-sonnet-4-0",
        "claude-fable-5",
    ],
)
def test_what_is_sent_has_the_official_shape(model: str, prompt: Prompt) -> None:
    """Whatever is asked for: the official client knows every key and its type."""
    codec = Anthropic("anthropic")
    before = prompt.SerializeToString(deterministic=True)
    for stream, shape in (
        (False, message_create_params.MessageCreateParamsNonStreaming),
        (True, message_create_params.MessageCreateParamsStreaming),
    ):
        try:
            body = json.loads(codec.encode(model, prompt, stream=stream).body)
        except Failure as failure:
            # A turn of the model's own at the end, where it is refused, or JSON
            # without a schema.
            words = ("does not go on", "JSON by a schema only")
            assert any(word in failure.message for word in words)  # noqa: PT017
            continue

        for key in _OLDER:
            body.pop(key, None)
        assert [] == problems(body, shape)
        assert _marks(body) <= 4
        roles = [message["role"] for message in body["messages"]]
        assert all(one != other for one, other in pairwise(roles))
    assert before == prompt.SerializeToString(deterministic=True)


def _marks(value: object) -> int:
    """How many breakpoints of caching a body has."""
    if isinstance(value, dict):
        return ("cache_control" in value) + sum(map(_marks, value.values()))
    return sum(map(_marks, value)) if isinstance(value, list) else 0


def test_the_simplest_request() -> None:
    """The wire wants a length, and the caller receives which it was."""
    assert encoded(Prompt(messages=[HI]), stream=True) == (
        {
            "model": MODEL,
            "max_tokens": 8192,
            "messages": [{"role": "user", "content": "hi"}],
            "stream": True,
        },
        {"prompt.config.max_output_tokens": "set to 8192: the wire wants one"},
    )


def test_a_conversation_with_tools_and_media() -> None:
    """Turns of one role are one, results first; ids fit; failures are marked."""
    body, adaptations = encoded(
        Prompt(
            messages=[
                user("look", PNG),
                turn(
                    ROLE_ASSISTANT, "one moment", call("a|b", '{"x":1}'), call("c", "")
                ),
                turn(
                    ROLE_TOOL,
                    result("a|b", "seen", PDF),
                    result("c", "no", is_error=True),
                ),
                user("and?"),
            ],
            tools=[F],
        )
    )
    fitted = body["messages"][1]["content"][1]["id"]
    image = {
        "type": "base64",
        "media_type": "image/png",
        "data": b64encode(b"\x89PNG").decode(),
    }
    pdf = {
        "type": "base64",
        "media_type": "application/pdf",
        "data": b64encode(b"%PDF").decode(),
    }

    assert fitted.startswith("toolu_")
    assert [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image", "source": image},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "one moment"},
                {"type": "tool_use", "id": fitted, "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "c", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": fitted,
                    "content": [
                        {"type": "text", "text": "seen"},
                        {"type": "document", "source": pdf},
                    ],
                },
                {
                    "type": "tool_result",
                    "tool_use_id": "c",
                    "content": "no",
                    "is_error": True,
                },
                {"type": "text", "text": "and?"},
            ],
        },
    ] == body["messages"]
    assert [
        {"name": "f", "input_schema": {"type": "object", "properties": {}}}
    ] == body["tools"]
    assert {"prompt.config.max_output_tokens"} == adaptations.keys()


def test_links_are_handed_on() -> None:
    """The provider fetches images and PDFs by itself."""
    links = [
        Part(media_reference=MediaReference(uri="https://x.y/a.pdf")),
        Part(
            media_reference=MediaReference(uri="https://x.y/b", media_type="image/png")
        ),
    ]
    content = encoded(Prompt(messages=[user(*links)]))[0]["messages"][0]["content"]

    assert [
        {"type": "document", "source": {"type": "url", "url": "https://x.y/a.pdf"}},
        {"type": "image", "source": {"type": "url", "url": "https://x.y/b"}},
    ] == content


@pytest.mark.parametrize("type_", ["audio/wav", "video/mp4", "image/tiff"])
def test_other_media_are_refused(type_: str) -> None:
    """Another target may take them."""
    part = Part(blob=Blob(media_type=type_, data=b"x"))

    assert f"prompt.messages[0].parts[0]: {type_} is not" in refused(
        Prompt(messages=[user(part)])
    )


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (
            reasoning("shown", SIGNED),
            {"type": "thinking", "thinking": "shown", "signature": "c2ln"},
        ),
        (
            reasoning("", HIDDEN),
            {"type": "thinking", "thinking": "a secret thought", "signature": "c2ln"},
        ),
        (reasoning("", REDACTED), {"type": "redacted_thinking", "data": "cmVk"}),
    ],
)
def test_thinking_goes_back_to_its_author_alone(
    part: Part, sent: dict[str, str]
) -> None:
    """Verbatim to the target that it came from; any other never sees it."""

    def history(origin: str) -> Prompt:
        return Prompt(
            messages=[
                HI,
                turn(ROLE_ASSISTANT, part, "so", call("c"), origin=origin),
                turn(ROLE_TOOL, result("c", "done")),
            ]
        )

    own, _ = encoded(history(TARGET))
    other, reported = encoded(history("anthropic/claude-opus-4-5"))

    assert sent == own["messages"][1]["content"][0]
    assert ["text", "tool_use"] == [b["type"] for b in other["messages"][1]["content"]]
    assert "secret" not in json.dumps(other)
    assert "cmVk" not in json.dumps(other)
    assert "left out" in reported["prompt.messages[1].parts[0]"]


@pytest.mark.parametrize(
    ("model", "config", "expected", "changed"),
    [
        # Within a budget.
        (
            MODEL,
            thinking(budget_tokens=2000),
            {"type": "enabled", "budget_tokens": 2000},
            "",
        ),
        (
            MODEL,
            thinking(budget_tokens=5),
            {"type": "enabled", "budget_tokens": 1024},
            "raised to 1024",
        ),
        (
            MODEL,
            thinking(effort="EFFORT_LOW"),
            {"type": "enabled", "budget_tokens": 4096},
            "",
        ),
        (MODEL, thinking(effort="EFFORT_NONE"), {"type": "disabled"}, ""),
        (MODEL, thinking(budget_tokens=0), {"type": "disabled"}, ""),
        (
            MODEL,
            GenerationConfig(
                max_output_tokens=3000, reasoning=ReasoningConfig(budget_tokens=5000)
            ),
            {"type": "enabled", "budget_tokens": 2999},
            "lowered to 2999",
        ),
        (
            MODEL,
            GenerationConfig(
                max_output_tokens=500, reasoning=ReasoningConfig(budget_tokens=5000)
            ),
            None,
            "left out: no room within 500 tokens",
        ),
        # As it sees fit.
        (ADAPTIVE, thinking(effort="EFFORT_HIGH"), {"type": "adaptive"}, ""),
        (
            ADAPTIVE,
            thinking(budget_tokens=2000),
            {"type": "adaptive"},
            "left to the model",
        ),
        (
            ADAPTIVE,
            thinking(effort="EFFORT_HIGH", include_text=True),
            {"type": "adaptive", "display": "summarized"},
            "",
        ),
        # Not at all.
        (
            "claude-3-5-haiku",
            thinking(effort="EFFORT_HIGH"),
            None,
            "left out: the model does not",
        ),
        ("claude-3-5-haiku", thinking(effort="EFFORT_NONE"), None, ""),
    ],
)
def test_how_hard_to_think(
    model: str, config: GenerationConfig, expected: dict[str, Any] | None, changed: str
) -> None:
    """In the way that the model takes; what was changed is reported."""
    body, adaptations = encoded(Prompt(messages=[HI], config=config), model)

    assert expected == body.get("thinking")
    reported = [text for path, text in adaptations.items() if "reasoning" in path]
    assert bool(changed) == bool(reported)
    assert all(text.startswith(changed) for text in reported)
    if expected and "budget_tokens" in expected:
        assert body["max_tokens"] > expected["budget_tokens"]


@pytest.mark.parametrize(
    ("effort", "word"), [("MINIMAL", "low"), ("MEDIUM", "medium"), ("MAX", "max")]
)
def test_efforts_have_words(effort: str, word: str) -> None:
    """The nearest that the model knows."""
    body, _ = encoded(
        Prompt(messages=[HI], config=thinking(effort=f"EFFORT_{effort}")), ADAPTIVE
    )

    assert {"effort": word} == body["output_config"]


@pytest.mark.parametrize(
    ("model", "config", "sent", "left_out"),
    [
        (
            MODEL,
            {"temperature": 0.5, "top_k": 3},
            {"temperature": 0.5, "top_k": 3},
            set(),
        ),
        (MODEL, {"temperature": 1.5}, {"temperature": 1.0}, {"temperature"}),
        (MODEL, {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5}, {"top_p"}),
        (ADAPTIVE, {"temperature": 0.5, "top_p": 0.9}, {}, {"temperature", "top_p"}),
        (
            MODEL,
            {"temperature": 0.5, "reasoning": ReasoningConfig(budget_tokens=2000)},
            {},
            {"temperature"},
        ),
        (
            MODEL,
            {"seed": 7, "stop_sequences": ["."]},
            {"stop_sequences": ["."]},
            {"seed"},
        ),
    ],
)
def test_sampling(
    model: str, config: dict[str, Any], sent: dict[str, Any], left_out: set[str]
) -> None:
    """What the model, or the wire, refuses is left out and reported, never a
    failover."""
    prompt = Prompt(
        messages=[HI], config=GenerationConfig(max_output_tokens=4000, **config)
    )
    body, adaptations = encoded(prompt, model)

    keys = ("temperature", "top_p", "top_k", "stop_sequences", "seed")
    assert sent == {key: body[key] for key in keys if key in body}
    assert {f"prompt.config.{field}" for field in left_out} == adaptations.keys()


@pytest.mark.parametrize(
    ("choice", "config", "model", "sent"),
    [
        (ToolChoice(mode=ToolChoice.MODE_AUTO), None, MODEL, {"type": "auto"}),
        (ToolChoice(mode=ToolChoice.MODE_NONE), None, MODEL, {"type": "none"}),
        (ToolChoice(mode=ToolChoice.MODE_REQUIRED), None, MODEL, {"type": "any"}),
        (
            ToolChoice(
                mode=ToolChoice.MODE_REQUIRED, allowed_names=["f"], parallel_calls=False
            ),
            None,
            MODEL,
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        ),
        (
            ToolChoice(mode=ToolChoice.MODE_REQUIRED),
            thinking(budget_tokens=2000),
            MODEL,
            {"type": "auto"},
        ),
        (
            ToolChoice(mode=ToolChoice.MODE_REQUIRED),
            None,
            "claude-fable-5",
            {"type": "auto"},
        ),
        (
            ToolChoice(parallel_calls=True),
            None,
            MODEL,
            {"type": "auto", "disable_parallel_tool_use": False},
        ),
    ],
)
def test_tool_choices(
    choice: ToolChoice,
    config: GenerationConfig | None,
    model: str,
    sent: dict[str, Any],
) -> None:
    """A model that thinks cannot be forced."""
    prompt = Prompt(
        messages=[HI],
        tools=[F, Tool(function=FunctionTool(name="g"))],
        tool_choice=choice,
        config=config,
    )
    body, adaptations = encoded(prompt, model)

    assert sent == body["tool_choice"]
    changed = choice.mode == ToolChoice.MODE_REQUIRED and sent["type"] == "auto"
    assert changed == ("prompt.tool_choice" in adaptations)


def test_only_what_is_allowed_is_offered() -> None:
    """Of several names any may be called, and no other."""
    choice = ToolChoice(mode=ToolChoice.MODE_REQUIRED, allowed_names=["f", "h"])
    tools = [
        F,
        Tool(function=FunctionTool(name="g")),
        Tool(function=FunctionTool(name="h")),
    ]
    body, _ = encoded(Prompt(messages=[HI], tools=tools, tool_choice=choice))

    assert ["f", "h"] == [tool["name"] for tool in body["tools"]]
    assert {"type": "any"} == body["tool_choice"]


def test_a_schema_where_the_model_knows_them() -> None:
    """Its objects are closed; what the wire does not know is left out, and reported."""
    schema = '{"type":"object","properties":{"n":{"type":"integer","minimum":3}}}'
    prompt = Prompt(
        messages=[HI],
        response_format=ResponseFormat(
            json_schema=JsonSchemaFormat(schema_json=schema)
        ),
    )
    body, adaptations = encoded(prompt)

    assert {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {"n": {"type": "integer", "description": "(minimum: 3)"}},
            "additionalProperties": False,
        },
    } == body["output_config"]["format"]
    reported = "not enforced: minimum; objects take no keys but those listed"
    assert reported == adaptations[SCHEMA_PATH]
    prompt.response_format.json_schema.schema_json = CLOSED
    assert SCHEMA_PATH not in encoded(prompt)[1]


@pytest.mark.parametrize(
    ("tools", "config", "choice"),
    [
        ([], None, {"type": "tool", "name": "json_answer"}),
        ([F], None, {"type": "any"}),
        ([], thinking(budget_tokens=2000), {"type": "auto"}),
    ],
)
def test_a_schema_by_a_tool_where_it_does_not(
    tools: list[Tool], config: GenerationConfig | None, choice: dict[str, str]
) -> None:
    """The answer is asked for as the tool's input, and read back as the text."""
    prompt = Prompt(
        messages=[HI],
        response_format=ResponseFormat(
            json_schema=JsonSchemaFormat(schema_json=SCHEMA)
        ),
        tools=tools,
        config=config,
    )
    body, adaptations = encoded(prompt, "claude-sonnet-4-0")
    answer = {
        "id": "msg_1",
        "model": "claude-sonnet-4-0",
        "content": [
            {"type": "tool_use", "id": "t", "name": "json_answer", "input": {"b": 1}}
        ],
        "stop_reason": "tool_use",
    }
    read = Anthropic("anthropic").decode(prompt, json.dumps(answer).encode())

    assert json.loads(SCHEMA) == body["tools"][-1]["input_schema"]
    assert choice == body["tool_choice"]
    assert "output_config" not in body
    assert "asked for as the input of a tool" == adaptations[SCHEMA_PATH]
    assert read.message is not None
    assert {"b": 1} == json.loads(read.message.parts[0].text)
    assert FINISH_REASON_STOP == read.completion.finish_reason
    assert "tool_use" == read.completion.provider_finish_reason


def test_what_is_cached() -> None:
    """The instructions, and the user's last two turns: at most four breakpoints."""
    policy = CachePolicy(cache_instructions=True, cache_conversation=True)
    turns = [
        user("a"),
        turn(ROLE_ASSISTANT, "b"),
        user("c"),
        turn(ROLE_ASSISTANT, "d"),
        user("e"),
    ]
    prompt = Prompt(
        messages=turns,
        system_instruction=[Part(text="Be brief.")],
        tools=[F],
        cache_policy=policy,
    )
    body, _ = encoded(prompt)
    marked = [
        message["content"][0]["text"] for message in body["messages"] if _marks(message)
    ]

    assert ["c", "e"] == marked
    assert 1 == _marks(body["system"])
    assert 0 == _marks(body["tools"])
    del prompt.system_instruction[:]
    assert 1 == _marks(encoded(prompt)[0]["tools"])


def test_an_answer_begun_by_the_caller() -> None:
    """Where the model goes on with it; without white space at its end, or thinking."""
    prompt = Prompt(messages=[HI, turn(ROLE_ASSISTANT, "I say ")])
    prompt.config.CopyFrom(thinking(budget_tokens=2000))
    body, adaptations = encoded(prompt)

    assert {"role": "assistant", "content": "I say"} == body["messages"][-1]
    assert "thinking" not in body
    assert "without the white space at its end" == adaptations["prompt.messages[1]"]
    assert "prompt.messages[1]: the model does not go on" in refused(prompt, ADAPTIVE)


def test_limits_of_the_model() -> None:
    """A length beyond what the model can write is lowered, and reported."""
    config = GenerationConfig(max_output_tokens=100_000)
    body, adaptations = encoded(
        Prompt(messages=[HI], config=config), "claude-3-5-haiku"
    )

    assert 8192 == body["max_tokens"]
    assert "lowered to 8192" in adaptations["prompt.config.max_output_tokens"]


def test_options_of_the_provider() -> None:
    """Those that are listed, never one that the server writes itself."""
    config = GenerationConfig()
    config.provider_options_json["anthropic"] = '{"service_tier":"auto"}'
    prompt = Prompt(messages=[HI], config=config)

    assert "auto" == encoded(prompt, MODEL, "service_tier")[0]["service_tier"]
    assert "may not set 'service_tier'" in refused(prompt)
    config.provider_options_json["anthropic"] = '{"max_tokens":1}'
    prompt = Prompt(messages=[HI], config=config)
    assert "may not set 'max_tokens'" in refused(prompt, MODEL, "max_tokens")
