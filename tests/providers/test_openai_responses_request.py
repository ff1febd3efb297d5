"""Responses requests: what is sent, what is changed, what is refused."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from openai.types.responses import response_create_params

from majordomo.chain.failure import Failure
from majordomo.codec.state import pack
from majordomo.providers.openai_responses.codec import OpenAIResponses
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
from tests.providers.prompts import CLOSED, NO_JSON, SCHEMA, prompts
from tests.typed_dicts import problems

TARGET = "openai/some-model"
REASONING_ITEM = {
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "hm"}],
    "id": "rs_1",
    "encrypted_content": "gAAA==",
}
KEPT = pack("openai-responses", item=json.dumps(REASONING_ITEM))
STATES = (
    KEPT,
    pack("openai-responses", id="msg_1", phase="commentary"),
    pack("openai-responses", item='{"type":"message"}'),
    pack("anthropic", id="x"),
)
PNG = Part(blob=Blob(media_type="image/png", data=b"\x89PNG"))
PNG_URL = "data:image/png;base64," + b64encode(b"\x89PNG").decode()


def turn(role: Role, *parts: Part | str, origin: str = "") -> Message:
    """A turn of texts and other parts."""
    said = [Part(text=p) if isinstance(p, str) else p for p in parts]
    return Message(role=role, parts=said, origin=origin)


def user(*parts: Part | str) -> Message:
    return turn(ROLE_USER, *parts)


def call(id_: str, arguments: str = "{}", state: bytes = b"") -> Part:
    """A call of the tool "f"."""
    tool_call = ToolCall(id=id_, name="f", arguments_json=arguments)
    return Part(tool_call=tool_call, provider_state=state)


def result(id_: str, *parts: Part | str, is_error: bool = False) -> Part:
    """The answer to a call."""
    said = [Part(text=p) if isinstance(p, str) else p for p in parts]
    return Part(tool_result=ToolResult(tool_call_id=id_, parts=said, is_error=is_error))


def encoded(
    prompt: Prompt, model: str = "some-model", *options: str, stream: bool = False
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The request's body and the adaptations."""
    codec = OpenAIResponses("openai", frozenset(options))
    request = codec.encode(model, prompt, stream=stream)
    assert request.path == "/responses"
    adaptations = [(a.field, a.description) for a in request.adaptations]
    return json.loads(request.body), adaptations


def items(*turns: Message) -> list[dict[str, Any]]:
    """The input of a request."""
    sent: list[dict[str, Any]] = encoded(Prompt(messages=turns))[0]["input"]
    return sent


def refused(prompt: Prompt, model: str = "some-model", *options: str) -> Failure:
    """The failure of a prompt that cannot be sent."""
    with pytest.raises(Failure) as caught:
        encoded(prompt, model, *options)
    return caught.value


MEDIA = ("image/png", "application/pdf", "text/plain")


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(prompt=prompts(MEDIA, MEDIA, STATES, TARGET))
@pytest.mark.parametrize("model", ["some-model", "gpt-4o", "gpt-5.2", "gpt-5-mini"])
def test_what_is_sent_has_the_official_shape(model: str, prompt: Prompt) -> None:
    """Whatever is asked for: the official client knows every key and its type."""
    codec = OpenAIResponses("openai")
    before = prompt.SerializeToString(deterministic=True)
    for stream, shape in (
        (False, response_create_params.ResponseCreateParamsNonStreaming),
        (True, response_create_params.ResponseCreateParamsStreaming),
    ):
        body = json.loads(codec.encode(model, prompt, stream=stream).body)

        assert [] == problems(body, shape)
    assert before == prompt.SerializeToString(deterministic=True)


def test_the_simplest_request() -> None:
    """Nothing is stored at the provider, so its reasoning has to come along."""
    assert encoded(Prompt(messages=[user("hi")])) == (
        {
            "model": "some-model",
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "input": [{"role": "user", "content": "hi"}],
        },
        [],
    )


def test_a_streamed_request() -> None:
    """Usage comes without being asked for."""
    assert encoded(Prompt(messages=[user("hi")]), stream=True)[0]["stream"] is True


def test_conversation() -> None:
    """Instructions, texts, images, tool calls and results, in the wire's items."""
    prompt = Prompt(
        system_instruction=[Part(text="Be brief.")],
        messages=[
            user("What is", PNG, Part(media_reference=MediaReference(uri="https://x"))),
            turn(
                ROLE_ASSISTANT,
                "Let me ",
                "see.",
                call("c1", '{"b": 1}'),
                call("c2", ""),
            ),
            turn(ROLE_TOOL, result("c1", "one", "two"), result("c2")),
            turn(ROLE_ASSISTANT, "Done."),
        ],
    )

    def image(url: str) -> dict[str, str]:
        return {"type": "input_image", "detail": "auto", "image_url": url}

    def function_call(id_: str, arguments: str) -> dict[str, str]:
        said = {"type": "function_call", "call_id": id_, "name": "f"}
        return {**said, "arguments": arguments}

    def output(id_: str, text: str) -> dict[str, str]:
        return {"type": "function_call_output", "call_id": id_, "output": text}

    body, adaptations = encoded(prompt)
    assert body["instructions"] == "Be brief."
    assert body["input"] == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is"},
                image(PNG_URL),
                image("https://x"),
            ],
        },
        {"type": "message", "role": "assistant", "content": "Let me see."},
        function_call("c1", '{"b": 1}'),
        function_call("c2", "{}"),
        output("c1", "one\ntwo"),
        output("c2", ""),
        {"type": "message", "role": "assistant", "content": "Done."},
    ]
    assert adaptations == []


def own_turn(origin: str) -> Message:
    """A turn of reasoning, a comment, a call and an answer, with all their state."""
    comment = Part(text="I look.", provider_state=STATES[1])
    answer = Part(text="It is.", provider_state=pack("openai-responses", id="msg_2"))
    state = pack("openai-responses", id="fc_1")
    reasoning = Part(reasoning=Reasoning(text="hm"), provider_state=KEPT)
    return turn(
        ROLE_ASSISTANT,
        reasoning,
        comment,
        call("c", state=state),
        answer,
        origin=origin,
    )


def test_its_own_turn_goes_back_verbatim() -> None:
    """Reasoning with its encrypted content, ids and phases, to the same target."""
    prompt = Prompt(messages=[own_turn(TARGET), turn(ROLE_TOOL, result("c", "1"))])
    body, adaptations = encoded(prompt)

    def message(id_: str, text: str) -> dict[str, Any]:
        return {
            "type": "message",
            "role": "assistant",
            "id": id_,
            "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }

    assert body["input"] == [
        REASONING_ITEM,
        {**message("msg_1", "I look."), "phase": "commentary"},
        {
            "type": "function_call",
            "call_id": "c",
            "name": "f",
            "arguments": "{}",
            "id": "fc_1",
        },
        message("msg_2", "It is."),
        {"type": "function_call_output", "call_id": "c", "output": "1"},
    ]
    assert adaptations == []


@pytest.mark.parametrize("origin", ["", "other/some-model", "openai/some-model-2"])
def test_nothing_of_another_target_goes_out(origin: str) -> None:
    """Its reasoning is left out, and declared to be so once."""
    request = OpenAIResponses("openai").encode(
        "some-model",
        Prompt(messages=[own_turn(origin), turn(ROLE_TOOL, result("c", "1"))] * 2),
        stream=False,
    )

    for kept in (b"rs_1", b"gAAA", b"msg_1", b"msg_2", b"fc_1", b"phase", b"hm"):
        assert kept not in request.body
    adaptations = [(a.field, a.description) for a in request.adaptations]
    assert adaptations == [
        (
            "prompt.messages[0].parts[0]",
            "left out: reasoning that this target cannot use",
        )
    ]


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"{",
        b"\xff\x00",
        pack("anthropic", item=json.dumps(REASONING_ITEM)),
        pack("openai-responses", item="nonsense"),
        pack("openai-responses", item="[" * 10_000),
        pack("openai-responses", item='{"type":"item_reference","id":"x"}'),
        pack("openai-responses", item='{"type":"reasoning","summary":3}'),
    ],
)
def test_state_that_is_none(state: bytes) -> None:
    """It is read as untrusted data: as if it were not there."""
    reasoning = Part(reasoning=Reasoning(), provider_state=state)
    sent = items(
        turn(ROLE_ASSISTANT, reasoning, "a", origin=TARGET), turn(ROLE_USER, "b")
    )

    assert {"type": "message", "role": "assistant", "content": "a"} == sent[0]
    assert 2 == len(sent)


def test_reasoning_goes_with_what_it_led_to() -> None:
    """The wire refuses it alone, at the end of a turn or before other reasoning."""
    reasoning = Part(reasoning=Reasoning(), provider_state=KEPT)
    body, adaptations = encoded(
        Prompt(
            messages=[
                turn(
                    ROLE_ASSISTANT, reasoning, reasoning, "a", reasoning, origin=TARGET
                ),
                turn(ROLE_ASSISTANT, reasoning, origin=TARGET),
            ]
        )
    )

    kinds = [item["type"] for item in body["input"]]
    assert ["reasoning", "message"] == kinds
    assert ["prompt.messages[0]", "prompt.messages[1]"] == [
        path for path, _ in adaptations
    ]


def test_media_in_a_result() -> None:
    """It stays there: the wire takes it."""
    pdf = Part(blob=Blob(media_type="application/pdf", data=b"%PDF"))
    link = MediaReference(media_type="application/pdf", uri="https://x/y")
    sent = items(
        turn(ROLE_TOOL, result("c", "see", PNG, pdf, Part(media_reference=link)))
    )

    data = "data:application/pdf;base64," + b64encode(b"%PDF").decode()
    assert sent[0]["output"] == [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "detail": "auto", "image_url": PNG_URL},
        {"type": "input_file", "filename": "file.pdf", "file_data": data},
        {"type": "input_file", "file_url": "https://x/y"},
    ]


@pytest.mark.parametrize("parts", [("no file",), ("no file", PNG)])
def test_a_failed_tool_is_told_in_the_text(parts: tuple[Part | str, ...]) -> None:
    """The wire has no other place for it."""
    prompt = Prompt(messages=[turn(ROLE_TOOL, result("c", *parts, is_error=True))])
    body, adaptations = encoded(prompt)

    output = body["input"][0]["output"]
    if isinstance(output, list):
        output = "\n".join(part["text"] for part in output[:2])
    assert "The tool failed:\nno file" == output
    path = "prompt.messages[0].parts[0].tool_result.is_error"
    assert [(path, "said in the text")] == adaptations


@pytest.mark.parametrize(
    ("id_", "kept"),
    [("toolu_01RZ", True), ("x" * 64, True), ("x" * 65, False), ("a b", False)],
)
def test_tool_call_ids_of_other_providers(id_: str, kept: bool) -> None:
    """An id that the wire refuses is replaced, the same in call and result."""
    sent = items(turn(ROLE_ASSISTANT, call(id_)), turn(ROLE_TOOL, result(id_, "1")))

    assert sent[0]["call_id"] == sent[1]["call_id"]
    assert kept == (sent[0]["call_id"] == id_)
    assert len(sent[0]["call_id"]) <= 64


@pytest.mark.rule("2.2")
@pytest.mark.parametrize(
    ("part", "role", "model"),
    [
        (Part(blob=Blob(media_type="audio/wav", data=b"1")), ROLE_USER, "some-model"),
        (
            Part(
                media_reference=MediaReference(media_type="video/mp4", uri="https://x")
            ),
            ROLE_USER,
            "some-model",
        ),
        (Part(), ROLE_USER, "some-model"),
        (result("c", Part(blob=Blob(media_type="audio/wav"))), ROLE_TOOL, "gpt-5"),
        (PNG, ROLE_USER, "o3-mini"),
        (
            Part(media_reference=MediaReference(uri="https://x/y.PDF")),
            ROLE_USER,
            "gpt-3.5-turbo",
        ),
    ],
)
def test_media_that_it_does_not_take(part: Part, role: Role, model: str) -> None:
    """The target is passed over, and the failure says where."""
    failure = refused(Prompt(messages=[user("a"), turn(role, part)]), model)

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
]


def test_tools() -> None:
    """Schemas are sent as they were written; unsaid, they would be rewritten."""
    request = OpenAIResponses("openai").encode(
        "m", Prompt(messages=[user("a")], tools=TOOLS), stream=False
    )

    empty = {"type": "object", "properties": {}}
    assert json.loads(request.body)["tools"] == [
        {
            "type": "function",
            "name": "f",
            "description": "Does f.",
            "parameters": json.loads(PARAMETERS),
            "strict": False,
        },
        {"type": "function", "name": "g", "parameters": empty, "strict": False},
    ]
    assert f'"parameters":{PARAMETERS}'.encode() in request.body


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice(), None),
        (ToolChoice(mode=ToolChoice.MODE_AUTO), "auto"),
        (ToolChoice(mode=ToolChoice.MODE_NONE), "none"),
        (ToolChoice(mode=ToolChoice.MODE_REQUIRED), "required"),
        (
            ToolChoice(mode=ToolChoice.MODE_REQUIRED, allowed_names=["g"]),
            {"type": "function", "name": "g"},
        ),
        (
            ToolChoice(mode=ToolChoice.MODE_REQUIRED, allowed_names=["f", "g"]),
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [
                    {"type": "function", "name": "f"},
                    {"type": "function", "name": "g"},
                ],
            },
        ),
    ],
)
def test_tool_choice(choice: ToolChoice, sent: object) -> None:
    """Each choice has its form, several allowed tools among them."""
    body, adaptations = encoded(Prompt(tools=TOOLS, tool_choice=choice))

    assert sent == body.get("tool_choice")
    assert adaptations == []
    assert "tool_choice" not in encoded(Prompt(tool_choice=choice))[0]


def test_parallel_calls() -> None:
    """Sent where there are tools."""
    choice = ToolChoice(parallel_calls=False)

    body = encoded(Prompt(tools=TOOLS, tool_choice=choice))[0]
    assert body["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in encoded(Prompt(tool_choice=choice))[0]


def asked(
    effort: ReasoningConfig.Effort = ReasoningConfig.EFFORT_UNSPECIFIED,
    *,
    include_text: bool = False,
) -> Prompt:
    """A prompt with sampling parameters and an effort."""
    reasoning = ReasoningConfig(effort=effort, include_text=include_text)
    config = GenerationConfig(temperature=0.0, top_p=0.5, reasoning=reasoning)
    return Prompt(config=config)


REFUSED = "left out: the model refuses it"


@pytest.mark.parametrize(
    ("model", "effort", "sent"),
    [
        ("some-model", ReasoningConfig.EFFORT_UNSPECIFIED, True),
        ("gpt-4o", ReasoningConfig.EFFORT_UNSPECIFIED, True),
        ("gpt-5", ReasoningConfig.EFFORT_UNSPECIFIED, False),
        ("o3", ReasoningConfig.EFFORT_NONE, False),
        ("gpt-5.2", ReasoningConfig.EFFORT_UNSPECIFIED, True),
        ("gpt-5.2", ReasoningConfig.EFFORT_LOW, False),
        ("gpt-5.6-terra", ReasoningConfig.EFFORT_UNSPECIFIED, False),
        ("gpt-5.6-terra", ReasoningConfig.EFFORT_NONE, True),
        ("gpt-6-astra", ReasoningConfig.EFFORT_NONE, False),
    ],
)
def test_sampling(model: str, effort: ReasoningConfig.Effort, sent: bool) -> None:
    """Models that reason refuse it while they do: then it is left out."""
    body, adaptations = encoded(asked(effort), model)
    changed = {description for _, description in adaptations}

    assert sent == ("temperature" in body and "top_p" in body)
    assert sent == (REFUSED not in changed)


@pytest.mark.parametrize(
    ("model", "effort", "sent", "adapted"),
    [
        ("some-model", ReasoningConfig.EFFORT_UNSPECIFIED, None, None),
        ("some-model", ReasoningConfig.EFFORT_NONE, "none", None),
        ("some-model", ReasoningConfig.EFFORT_MINIMAL, "low", "sent as low"),
        ("some-model", ReasoningConfig.EFFORT_MAX, "high", "sent as high"),
        ("gpt-5", ReasoningConfig.EFFORT_MINIMAL, "minimal", None),
        ("gpt-5", ReasoningConfig.EFFORT_NONE, "minimal", "sent as minimal"),
        ("gpt-5.1", ReasoningConfig.EFFORT_MAX, "high", "sent as high"),
        ("gpt-5.4", ReasoningConfig.EFFORT_MAX, "xhigh", None),
        ("gpt-5.6", ReasoningConfig.EFFORT_MAX, "max", None),
        ("gpt-5-pro", ReasoningConfig.EFFORT_LOW, "high", "sent as high"),
        ("gpt-5-chat-latest", ReasoningConfig.EFFORT_NONE, None, None),
        (
            "ft:gpt-4o-mini:acme",
            ReasoningConfig.EFFORT_LOW,
            None,
            "left out: the model does not reason",
        ),
    ],
)
def test_effort(
    model: str, effort: ReasoningConfig.Effort, sent: str | None, adapted: str | None
) -> None:
    """The nearest that the model knows, in its provider's word."""
    prompt = Prompt(config=GenerationConfig(reasoning=ReasoningConfig(effort=effort)))
    body, adaptations = encoded(prompt, model)

    assert sent == body.get("reasoning", {}).get("effort")
    path = "prompt.config.reasoning.effort"
    assert ([(path, adapted)] if adapted else []) == adaptations


@pytest.mark.parametrize(
    ("model", "included"),
    [("some-model", True), ("gpt-5.2", True), ("gpt-4.1-nano", False)],
)
def test_encrypted_reasoning(model: str, included: bool) -> None:
    """Models that never reason refuse to be asked for it, and for summaries."""
    body = encoded(asked(include_text=True), model)[0]

    assert included == ("include" in body)
    assert ({"summary": "auto"} if included else None) == body.get("reasoning")


def test_what_the_wire_does_not_have() -> None:
    """It is left out and reported; so few tokens are not to be had."""
    config = GenerationConfig(
        max_output_tokens=5, top_k=7, stop_sequences=["a"], seed=42
    )
    config.reasoning.budget_tokens = 2000
    body, adaptations = encoded(Prompt(config=config))

    assert body.keys() == {"model", "store", "include", "input", "max_output_tokens"}
    assert adaptations == [
        ("prompt.config.max_output_tokens", "raised to 16, the fewest in this wire"),
        ("prompt.config.reasoning.budget_tokens", "left out: not in this wire"),
        ("prompt.config.top_k", "left out: not in this wire"),
        ("prompt.config.seed", "left out: not in this wire"),
        ("prompt.config.stop_sequences", "left out: not in this wire"),
    ]


@pytest.mark.parametrize(("schema", "strict"), [(CLOSED, True), (SCHEMA, False)])
def test_response_schema(schema: str, strict: bool) -> None:
    """Enforced where strict mode takes it, sent as it was written."""
    request = OpenAIResponses("openai").encode(
        "m",
        Prompt(
            response_format=ResponseFormat(
                json_schema=JsonSchemaFormat(schema_json=schema)
            )
        ),
        stream=False,
    )

    form = {"type": "json_schema", "name": "response", "schema": json.loads(schema)}
    assert {"format": {**form, "strict": strict}} == json.loads(request.body)["text"]
    assert schema.encode() in request.body
    assert strict == (request.adaptations == [])


def test_a_model_without_schemas() -> None:
    """It is asked for JSON, and reported the schema with the instructions."""
    body, adaptations = encoded(
        Prompt(
            response_format=ResponseFormat(
                json_schema=JsonSchemaFormat(schema_json=CLOSED)
            )
        ),
        "gpt-3.5-turbo",
    )

    assert {"format": {"type": "json_object"}} == body["text"]
    assert body["instructions"].startswith("Answer in JSON")
    assert body["instructions"].endswith(CLOSED)
    path = "prompt.response_format.json_schema.schema_json"
    assert [(path, "not enforced: asked for in the instructions")] == adaptations


def test_cache_key() -> None:
    """Prompts that begin alike go to the same cache, others need not."""
    policy = CachePolicy(cache_instructions=True)

    def key(instruction: str, text: str) -> Any:
        prompt = Prompt(
            system_instruction=[Part(text=instruction)],
            messages=[user(text)],
            tools=TOOLS,
            cache_policy=policy,
        )
        return encoded(prompt)[0]["prompt_cache_key"]

    assert key("a", "x") == key("a", "y")
    assert key("a", "x") != key("b", "x")
    assert (
        "prompt_cache_key"
        not in encoded(Prompt(system_instruction=[Part(text="a")]))[0]
    )


@pytest.mark.parametrize(
    "key", ["unlisted", "temperature", "model", "input", "store", "conversation"]
)
def test_provider_options(key: str) -> None:
    """Keys that are listed, but none that the server writes itself."""
    config = GenerationConfig(temperature=1.0)
    options = config.provider_options_json
    listed = ("service_tier", "temperature", "model", "input", "store", "conversation")
    options["openai"] = '{"service_tier": "flex"}'
    assert encoded(Prompt(config=config), "m", *listed)[0]["service_tier"] == "flex"

    options["openai"] = json.dumps({key: 1})
    failure = refused(Prompt(config=config), "m", *listed)
    assert failure.reason == FAILURE_REASON_UNSUPPORTED
    assert repr(key) in failure.message


@pytest.mark.parametrize("prompt", NO_JSON)
def test_texts_that_are_no_json(prompt: Prompt) -> None:
    """They are not spliced into a request."""
    assert refused(prompt).reason == FAILURE_REASON_INVALID_REQUEST
