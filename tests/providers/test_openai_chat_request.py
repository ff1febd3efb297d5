"""Chat Completions requests: what is sent, what is changed, what is refused."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from openai.types.chat import completion_create_params

from majordomo.chain.failure import Failure
from majordomo.codec.state import pack
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.profiles import COMMON, PROFILES
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_INVALID_REQUEST,
    FAILURE_REASON_UNSUPPORTED,
)
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    Blob,
    FunctionTool,
    MediaReference,
    Message,
    Part,
    Reasoning,
    Role,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from majordomo.v1.generation_service_pb2 import (
    CachePolicy,
    GenerationConfig,
    JsonSchemaFormat,
    Prompt,
    ReasoningConfig,
    ResponseFormat,
)
from tests.providers.prompts import NO_JSON, prompts
from tests.typed_dicts import problems

PNG = Part(blob=Blob(media_type="image/png", data=b"\x89PNG"))
PNG_URL = "data:image/png;base64," + b64encode(b"\x89PNG").decode()


def user(*parts: Part | str) -> Message:
    """A user's turn."""
    return turn(ROLE_USER, *parts)


def turn(role: Role, *parts: Part | str) -> Message:
    """A turn of texts and other parts."""
    return Message(
        role=role, parts=[Part(text=p) if isinstance(p, str) else p for p in parts]
    )


def call(id_: str, arguments: str = "{}") -> Part:
    """A call of the tool "f"."""
    return Part(tool_call=ToolCall(id=id_, name="f", arguments_json=arguments))


def result(id_: str, *parts: Part | str, is_error: bool = False) -> Part:
    """The answer to a call."""
    said = [Part(text=p) if isinstance(p, str) else p for p in parts]
    return Part(tool_result=ToolResult(tool_call_id=id_, parts=said, is_error=is_error))


def encoded(
    prompt: Prompt, provider: str = "server", *options: str, stream: bool = False
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The request's body and the adaptations."""
    profile = PROFILES.get(provider, COMMON)
    codec = OpenAICompatible(provider, frozenset(options), profile)
    request = codec.encode("some/model", prompt, stream=stream)
    assert request.path == "/chat/completions"
    adaptations = [(a.field, a.description) for a in request.adaptations]
    return json.loads(request.body), adaptations


def refused(prompt: Prompt, provider: str = "server", *options: str) -> Failure:
    """The failure of a prompt that cannot be sent."""
    with pytest.raises(Failure) as caught:
        encoded(prompt, provider, *options)
    return caught.value


def messages(*turns: Message, provider: str = "server") -> list[dict[str, Any]]:
    """The messages of a request."""
    sent: list[dict[str, Any]] = encoded(Prompt(messages=turns), provider)[0][
        "messages"
    ]
    return sent


def test_the_simplest_request() -> None:
    """Nothing is sent that was not asked for."""
    assert encoded(Prompt(messages=[user("hi")])) == (
        {"model": "some/model", "messages": [{"role": "user", "content": "hi"}]},
        [],
    )


def test_a_streamed_request() -> None:
    """Usage has to be asked for; Mistral refuses to be asked."""
    prompt = Prompt(messages=[user("hi")])
    body = encoded(prompt, stream=True)[0]

    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert "stream_options" not in encoded(prompt, "mistral", stream=True)[0]


def test_conversation() -> None:
    """System instruction, texts, images, tool calls, results, reasoning left out."""
    prompt = Prompt(
        system_instruction=[Part(text="Be brief.")],
        messages=[
            user("What is", PNG, Part(media_reference=MediaReference(uri="https://x"))),
            turn(
                ROLE_ASSISTANT,
                Part(reasoning=Reasoning(text="hm")),
                "Let me ",
                "see.",
                call("c1", '{"b": 1, "a": 2}'),
                call("c2", ""),
            ),
            turn(ROLE_TOOL, result("c1", "one", "two"), result("c2")),
            turn(ROLE_ASSISTANT, "Done."),
            user("Thanks."),
        ],
    )

    def tool_call(id_: str, arguments: str) -> dict[str, Any]:
        function = {"name": "f", "arguments": arguments}
        return {"id": id_, "type": "function", "function": function}

    expected = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is"},
                {"type": "image_url", "image_url": {"url": PNG_URL}},
                {"type": "image_url", "image_url": {"url": "https://x"}},
            ],
        },
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [tool_call("c1", '{"b": 1, "a": 2}'), tool_call("c2", "{}")],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "one\ntwo"},
        {"role": "tool", "tool_call_id": "c2", "content": "(no output)"},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "Thanks."},
    ]
    body, adaptations = encoded(prompt)

    assert expected == body["messages"]
    path = "prompt.messages[1].parts[0]"
    empty = "prompt.messages[2].parts[1].tool_result"
    assert [
        (path, "left out: reasoning that this target cannot use"),
        (empty, "sent as (no output): it holds nothing"),
    ] == adaptations


def test_a_turn_of_tool_calls_alone_has_no_content() -> None:
    """As OpenAI writes it; a turn of nothing is none."""
    called = turn(ROLE_ASSISTANT, call("c1"))
    sent = messages(
        user("hi"),
        called,
        turn(ROLE_TOOL, result("c1", "1")),
        turn(ROLE_ASSISTANT),
        user("so?"),
    )

    assert ["hi", None, "1", "so?"] == [message["content"] for message in sent]


@pytest.mark.rule("2.2")
def test_media_in_tool_results_follow_all_results_of_the_turn() -> None:
    """The wire has no media there, and nothing may come between the results."""
    prompt = Prompt(
        messages=[
            user("hi"),
            turn(ROLE_ASSISTANT, call("c1"), call("c2")),
            turn(ROLE_TOOL, result("c1", "see", PNG)),
            turn(ROLE_TOOL, result("c2", "two")),
            turn(ROLE_ASSISTANT, call("c3")),
            turn(ROLE_TOOL, result("c3", PNG)),
        ]
    )
    body, adaptations = encoded(prompt)

    assert [message["role"] for message in body["messages"]] == [
        *("user", "assistant", "tool", "tool", "user", "assistant", "tool", "user")
    ]
    assert body["messages"][2]["content"] == "see\n(Attached to the next message.)"
    assert body["messages"][4]["content"] == [
        {"type": "text", "text": "Attachments of the tool result c1:"},
        {"type": "image_url", "image_url": {"url": PNG_URL}},
    ]
    assert adaptations == [
        (
            "prompt.messages[2].parts[0].tool_result.parts[1]",
            "moved to a message of the user",
        ),
        (
            "prompt.messages[5].parts[0].tool_result.parts[0]",
            "moved to a message of the user",
        ),
    ]


def test_a_failed_tool_is_told_in_the_text() -> None:
    """The wire has no other place for it."""
    prompt = Prompt(messages=[turn(ROLE_TOOL, result("c", "no file", is_error=True))])
    body, adaptations = encoded(prompt)

    assert body["messages"][0]["content"] == "The tool failed:\nno file"
    path = "prompt.messages[0].parts[0].tool_result.is_error"
    assert adaptations == [(path, "said in the text")]


@pytest.mark.parametrize(
    ("provider", "id_", "kept"),
    [
        ("server", "toolu_bdrk_01RZjXFQrWsHfYXHPYqX6mA7", True),
        ("server", "x" * 41, False),
        ("server", "with space", False),
        ("mistral", "EscTeQY62", True),
        ("mistral", "call_1", False),
    ],
)
def test_tool_call_ids_of_other_providers(provider: str, id_: str, kept: bool) -> None:
    """An id that a server would refuse is replaced, the same in call and result."""
    sent = messages(
        user("hi"),
        turn(ROLE_ASSISTANT, call(id_)),
        turn(ROLE_TOOL, result(id_, "1")),
        provider=provider,
    )
    call_id = sent[1]["tool_calls"][0]["id"]

    assert call_id == sent[2]["tool_call_id"]
    assert kept == (call_id == id_)
    assert len(call_id) == 9 or kept


@pytest.mark.rule("2.2")
@pytest.mark.parametrize(
    ("part", "role"),
    [
        (Part(blob=Blob(media_type="audio/wav", data=b"1")), ROLE_USER),
        (
            Part(
                media_reference=MediaReference(media_type="video/mp4", uri="https://x")
            ),
            ROLE_USER,
        ),
        (Part(), ROLE_USER),
        (result("c", Part(blob=Blob(media_type="application/pdf"))), ROLE_TOOL),
    ],
)
def test_media_that_the_wire_does_not_have(part: Part, role: Role) -> None:
    """The target is passed over, and the failure says where."""
    failure = refused(Prompt(messages=[user("a"), turn(role, part)]))

    assert failure.reason == FAILURE_REASON_UNSUPPORTED
    assert failure.message.startswith("prompt.messages[1].parts[0]")


PARAMETERS = '{"properties": {"z": {}, "a": {}}, "type": "object"}'
TOOLS = [
    Tool(
        function=FunctionTool(
            name="f", description="Does f.", parameters_schema_json=PARAMETERS
        )
    ),
    Tool(function=FunctionTool(name="g")),
    Tool(function=FunctionTool(name="h")),
]


def test_tools() -> None:
    """Schemas are sent as they were written, their keys in their order."""
    request = OpenAICompatible("server").encode(
        "m", Prompt(messages=[user("a")], tools=TOOLS[:2]), stream=False
    )

    assert json.loads(request.body)["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "Does f.",
                "parameters": json.loads(PARAMETERS),
            },
        },
        {
            "type": "function",
            "function": {
                "name": "g",
                "parameters": {"type": "object", "properties": {}},
            },
        },
    ]
    assert f'"parameters":{PARAMETERS}'.encode() in request.body
    assert b"tool_choice" not in request.body


@pytest.mark.parametrize(
    ("provider", "choice", "sent"),
    [
        ("server", ToolChoice(mode=ToolChoice.MODE_AUTO), "auto"),
        ("server", ToolChoice(mode=ToolChoice.MODE_NONE), "none"),
        ("server", ToolChoice(mode=ToolChoice.MODE_REQUIRED), "required"),
        ("mistral", ToolChoice(mode=ToolChoice.MODE_REQUIRED), "any"),
        (
            "server",
            ToolChoice(mode=ToolChoice.MODE_REQUIRED, allowed_names=["g"]),
            {"type": "function", "function": {"name": "g"}},
        ),
    ],
)
def test_tool_choice(provider: str, choice: ToolChoice, sent: object) -> None:
    """Each choice has its word."""
    body, adaptations = encoded(Prompt(tools=TOOLS, tool_choice=choice), provider)

    assert sent == body["tool_choice"]
    assert [] == adaptations


def test_several_allowed_tools() -> None:
    """The wire names one or all; the others are left out."""
    choice = ToolChoice(mode=ToolChoice.MODE_REQUIRED, allowed_names=["f", "h"])
    body, adaptations = encoded(Prompt(tools=TOOLS, tool_choice=choice))

    assert [tool["function"]["name"] for tool in body["tools"]] == ["f", "h"]
    assert body["tool_choice"] == "required"
    assert adaptations == [("prompt.tools", "only those that the tool choice allows")]


def test_parallel_calls() -> None:
    """Sent where there are tools, for a server refuses it without."""
    choice = ToolChoice(parallel_calls=False)

    body = encoded(Prompt(tools=TOOLS, tool_choice=choice))[0]
    assert body["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in encoded(Prompt(tool_choice=choice))[0]


CONFIG = GenerationConfig(
    max_output_tokens=100,
    temperature=0.0,
    top_p=0.5,
    top_k=7,
    stop_sequences=["a", "b"],
    seed=42,
)
EVERYWHERE = {"temperature": 0.0, "top_p": 0.5, "stop": ["a", "b"]}
TOP_K = [("prompt.config.top_k", "left out: not in this wire")]


@pytest.mark.parametrize(
    ("provider", "sent", "adaptations"),
    [
        ("server", {"max_tokens": 100, "seed": 42}, TOP_K),
        ("openai", {"max_completion_tokens": 100, "seed": 42}, TOP_K),
        ("mistral", {"max_tokens": 100, "random_seed": 42}, TOP_K),
        ("vllm", {"max_tokens": 100, "seed": 42, "top_k": 7}, []),
    ],
)
def test_config(
    provider: str, sent: dict[str, Any], adaptations: list[tuple[str, str]]
) -> None:
    """Every setting under the name that the server knows, zero included."""
    body, changed = encoded(Prompt(config=CONFIG), provider)
    del body["model"], body["messages"]

    assert {**EVERYWHERE, **sent} == body
    assert adaptations == changed


@pytest.mark.parametrize(
    ("reasoning", "sent", "adaptations"),
    [
        (ReasoningConfig(), None, []),
        (ReasoningConfig(effort=ReasoningConfig.EFFORT_UNSPECIFIED), None, []),
        (ReasoningConfig(effort=ReasoningConfig.EFFORT_NONE), "none", []),
        (ReasoningConfig(effort=ReasoningConfig.EFFORT_MEDIUM), "medium", []),
        (
            ReasoningConfig(effort=ReasoningConfig.EFFORT_MINIMAL),
            "low",
            [("prompt.config.reasoning.effort", "sent as low")],
        ),
        (
            ReasoningConfig(effort=ReasoningConfig.EFFORT_MAX),
            "high",
            [("prompt.config.reasoning.effort", "sent as high")],
        ),
        (
            ReasoningConfig(budget_tokens=2000),
            None,
            [("prompt.config.reasoning.budget_tokens", "left out: not in this wire")],
        ),
    ],
)
def test_reasoning(
    reasoning: ReasoningConfig, sent: str | None, adaptations: list[tuple[str, str]]
) -> None:
    """The nearest effort that most models know is sent."""
    prompt = Prompt(config=GenerationConfig(reasoning=reasoning))
    body, changed = encoded(prompt)

    assert sent == body.get("reasoning_effort")
    assert adaptations == changed


def test_reasoning_is_turned_off() -> None:
    """Some servers have a switch for it."""
    effort = ReasoningConfig(effort=ReasoningConfig.EFFORT_NONE)
    prompt = Prompt(config=GenerationConfig(reasoning=effort))

    assert {"type": "disabled"} == encoded(prompt, "deepseek")[0]["thinking"]
    assert "reasoning_effort" not in encoded(prompt, "deepseek")[0]


@pytest.mark.parametrize(
    ("model", "effort", "kept"),
    [
        ("gpt-4o", ReasoningConfig.EFFORT_UNSPECIFIED, True),
        ("openai/gpt-5-mini", ReasoningConfig.EFFORT_UNSPECIFIED, False),
        ("gpt-5.1", ReasoningConfig.EFFORT_LOW, False),
    ],
)
def test_sampling_of_models_that_reason(
    model: str, effort: ReasoningConfig.Effort, kept: bool
) -> None:
    """They refuse it, and stop sequences too: left out, and declared to be so."""
    config = GenerationConfig(max_output_tokens=9, temperature=0.5, stop_sequences="a")
    config.reasoning.effort = effort
    request = OpenAICompatible("openai", profile=PROFILES["openai"]).encode(
        model, Prompt(messages=[user("a")], config=config), stream=False
    )
    body = json.loads(request.body)
    changed = [a.field for a in request.adaptations]

    assert 9 == body["max_completion_tokens"]
    assert kept == ("temperature" in body) == ("stop" in body)
    fields = ["prompt.config.temperature", "prompt.config.stop_sequences"]
    assert ([] if kept else fields) == changed


def test_tools_that_cannot_be_forced() -> None:
    """DeepSeek's models choose for themselves while they think."""
    choice = ToolChoice(mode=ToolChoice.MODE_REQUIRED, allowed_names=["f"])
    prompt = Prompt(tools=TOOLS, tool_choice=choice)
    request = OpenAICompatible("deepseek").encode("deepseek-v4", prompt, stream=False)

    assert "auto" == json.loads(request.body)["tool_choice"]
    assert ["prompt.tool_choice"] == [a.field for a in request.adaptations]


def test_cache_key() -> None:
    """Where it exists, and caching is asked for."""
    prompt = Prompt(cache_policy=CachePolicy(cache_conversation=True))

    assert encoded(prompt, "openai")[0]["prompt_cache_key"]
    assert "prompt_cache_key" not in encoded(prompt)[0]
    assert "prompt_cache_key" not in encoded(Prompt(), "openai")[0]


def test_documents_and_audio() -> None:
    """By their bytes, where the server's form has them."""
    wav = Part(blob=Blob(media_type="audio/wav", data=b"1"))
    pdf = Part(blob=Blob(media_type="application/pdf", data=b"2"))
    data = {"filename": "file.pdf", "file_data": "data:application/pdf;base64,Mg=="}

    assert messages(user(wav, pdf), provider="openai")[0]["content"] == [
        {"type": "input_audio", "input_audio": {"data": "MQ==", "format": "wav"}},
        {"type": "file", "file": data},
    ]


MEDIA = ("image/png", "application/pdf", "audio/mpeg")
STATES = (pack("openai-chat", thinking="hm"), pack("openai-chat", extra="{"))


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(prompt=prompts(MEDIA, MEDIA[:1], STATES, "openai/model"))
def test_what_is_sent_has_the_official_shape(prompt: Prompt) -> None:
    """Whatever is asked for: the official client knows every key and its type."""
    codec = OpenAICompatible("openai", profile=PROFILES["openai"])
    before = prompt.SerializeToString(deterministic=True)
    for stream, shape in (
        (False, completion_create_params.CompletionCreateParamsNonStreaming),
        (True, completion_create_params.CompletionCreateParamsStreaming),
    ):
        body = json.loads(codec.encode("model", prompt, stream=stream).body)

        assert [] == problems(body, shape)
    assert before == prompt.SerializeToString(deterministic=True)


STRINGS = '{"b":{"type":"string"},"a":{"type":"string"}}'
OPEN = f'{{"type":"object","required":["b","a"],"properties":{STRINGS}}}'
CLOSED = OPEN.replace("{", '{"additionalProperties":false,', 1)


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        (CLOSED.replace('["b","a"]', '["a"]'), False),
        (OPEN, False),
        ('{"type":"array","items":{"type":"object"}}', False),
        ('{"type":"string"}', False),
    ],
)
def test_response_schema(schema: str, strict: bool) -> None:
    """Enforced where the schema allows it, sent as it was written."""
    request = OpenAICompatible("server").encode(
        "m",
        Prompt(
            response_format=ResponseFormat(
                json_schema=JsonSchemaFormat(schema_json=schema)
            )
        ),
        stream=False,
    )
    sent = json.loads(request.body)["response_format"]["json_schema"]

    assert {"name": "response", "schema": json.loads(schema), "strict": strict} == sent
    assert schema.encode() in request.body
    assert strict == (request.adaptations == [])


def with_options(text: str) -> Prompt:
    """A prompt with provider options for "server" and for another."""
    config = GenerationConfig(temperature=1.0)
    config.provider_options_json.update({"server": text, "other": '{"no": 1}'})
    return Prompt(messages=[user("a")], config=config)


def test_provider_options() -> None:
    """Allowed keys of this provider are merged as they were written."""
    text = '{"service_tier": "flex", "safe": {"z": 1, "a": 2}}'
    codec = OpenAICompatible("server", frozenset({"service_tier", "safe"}))
    request = codec.encode("m", with_options(text), stream=False)

    assert json.loads(request.body)["service_tier"] == "flex"
    assert b'{"z": 1, "a": 2}' in request.body
    assert b'"no"' not in request.body


@pytest.mark.parametrize("key", ["unlisted", "temperature", "model", "stream", "n"])
def test_provider_options_that_are_refused(key: str) -> None:
    """A key that is not listed, and any that the server writes itself."""
    listed = ("temperature", "model", "stream", "n")
    failure = refused(with_options(json.dumps({key: 1})), "server", *listed)

    assert failure.reason == FAILURE_REASON_UNSUPPORTED
    assert repr(key) in failure.message


def test_a_server_without_schemas() -> None:
    """It is asked for JSON, and reported the schema with the instructions."""
    prompt = Prompt(
        system_instruction=[Part(text="Be brief.")],
        response_format=ResponseFormat(
            json_schema=JsonSchemaFormat(schema_json=CLOSED)
        ),
    )
    body, adaptations = encoded(prompt, "deepseek")

    assert {"type": "json_object"} == body["response_format"]
    assert body["messages"][0]["content"].startswith("Be brief.\n\nAnswer in JSON")
    assert CLOSED in body["messages"][0]["content"]
    path = "prompt.response_format.json_schema.schema_json"
    assert [(path, "not enforced: asked for in the instructions")] == adaptations


@pytest.mark.parametrize(
    "prompt",
    [
        *NO_JSON,
        with_options("[1]"),
        with_options("{"),
        Prompt(
            response_format=ResponseFormat(
                json_schema=JsonSchemaFormat(
                    schema_json=CLOSED.replace('["b","a"]', "3")
                )
            )
        ),
    ],
)
def test_texts_that_are_no_json(prompt: Prompt) -> None:
    """They are not spliced into a request."""
    assert refused(prompt).reason == FAILURE_REASON_INVALID_REQUEST


@pytest.mark.rule("2.2")
def test_the_prompt_is_not_changed() -> None:
    """The next target gets the same one."""
    prompt = Prompt(
        messages=[turn(ROLE_TOOL, result("x" * 99, PNG, is_error=True))],
        tools=TOOLS,
        config=CONFIG,
    )
    before = prompt.SerializeToString(deterministic=True)
    encoded(prompt, "mistral", stream=True)

    assert before == prompt.SerializeToString(deterministic=True)
