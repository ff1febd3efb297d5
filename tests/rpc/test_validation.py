"""The rules of the contract that its types cannot hold, and where each is broken."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from majordomo.errors import InvalidRequest
from majordomo.rpc.validation import check
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_BENCHED,
    FAILURE_REASON_CONTENT_REFUSED,
    FAILURE_REASON_CREDENTIALS,
    FAILURE_REASON_TIMEOUT,
)
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    Blob,
    CodeExecutionTool,
    FunctionTool,
    MediaReference,
    Message,
    OpaquePart,
    Part,
    Reasoning,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    UrlReadingTool,
    UserLocation,
    WebSearchTool,
)
from majordomo.v1.generation_service_pb2 import (
    ALL_BENCHED_POLICY_FAIL,
    INTERRUPTION_POLICY_FAIL,
    Call,
    ChainOptions,
    GenerateRequest,
    GenerationConfig,
    JsonSchemaFormat,
    Prompt,
    ReasoningConfig,
    ResponseFormat,
    StreamRequest,
)

HELLO = Message(role=ROLE_USER, parts=[Part(text="hello")])
NEVER = 99
"""A value that no enumeration of the contract has yet."""


def user(*parts: Part) -> Message:
    return Message(role=ROLE_USER, parts=parts)


def call(id_: str = "a", name: str = "f", arguments: str = "{}") -> Message:
    made = ToolCall(id=id_, name=name, arguments_json=arguments)
    return Message(role=ROLE_ASSISTANT, parts=[Part(tool_call=made)])


def result(id_: str = "a", *parts: Part) -> Message:
    made = ToolResult(tool_call_id=id_, parts=parts or [Part(text="4")])
    return Message(role=ROLE_TOOL, parts=[Part(tool_result=made)])


def limit(name: str, length: Duration) -> ChainOptions:
    options = ChainOptions()
    getattr(options, name).CopyFrom(length)
    return options


def fields(request: GenerateRequest | StreamRequest) -> list[str]:
    """The paths at which `request` breaks rules."""
    try:
        check(request.call)
    except InvalidRequest as error:
        return [violation.field for violation in error.violations]
    return []


def turns(*messages: Message) -> list[str]:
    """The paths in what is wrong with a conversation."""
    found = fields(
        GenerateRequest(call=Call(prompt=Prompt(messages=[HELLO, *messages])))
    )
    assert all(path.startswith("call.prompt.messages") for path in found)
    return [path.removeprefix("call.prompt.messages") for path in found]


def around(**rest: Any) -> list[str]:
    """The paths in what is wrong with a prompt beside its messages."""
    found = fields(GenerateRequest(call=Call(prompt=Prompt(messages=[HELLO], **rest))))
    assert all(path.startswith("call.prompt.") for path in found)
    return [path.removeprefix("call.prompt.") for path in found]


def test_all_that_the_contract_has_is_taken() -> None:
    """A request that uses every field well breaks no rule."""
    prompt = Prompt(
        system_instruction=[Part(text="Be short.")],
        messages=[
            user(
                Part(text="What is this?"),
                Part(blob=Blob(media_type="image/svg+xml", data=b"<svg/>")),
                Part(media_reference=MediaReference(uri="https://example.com/a.png")),
                Part(
                    media_reference=MediaReference(
                        uri="https://example.com/b", media_type="image/png"
                    )
                ),
            ),
            Message(
                role=ROLE_ASSISTANT,
                parts=[
                    Part(reasoning=Reasoning(), provider_state=b"signed"),
                    Part(text=""),
                    Part(
                        tool_call=ToolCall(
                            id="a", name="look_up-2", arguments_json='{"q": [1.5]}'
                        )
                    ),
                    Part(tool_call=ToolCall(id="b", name="f", arguments_json=" {} ")),
                ],
                origin="acme/echo",
            ),
            result("b", Part(blob=Blob(media_type="image/png", data=b"png"))),
            result("a"),
        ],
        tools=[
            Tool(function=FunctionTool(name="f")),
            Tool(function=FunctionTool(name="g" * 64, parameters_schema_json="{}")),
        ],
        tool_choice=ToolChoice(
            mode=ToolChoice.MODE_REQUIRED, allowed_names=["f"], parallel_calls=False
        ),
        config=GenerationConfig(
            max_output_tokens=1,
            temperature=0,
            top_p=1,
            top_k=1,
            stop_sequences=["\n"],
            seed=-1,
            reasoning=ReasoningConfig(effort=ReasoningConfig.EFFORT_MAX),
            provider_options_json={"acme": '{"service_tier": "flex"}'},
        ),
        response_format=ResponseFormat(
            json_schema=JsonSchemaFormat(schema_json='{"type": "object"}')
        ),
    )
    options = ChainOptions(
        transient_retries=5,
        advance_on_permanent=True,
        attempt_timeout=Duration(seconds=3600),
        first_content_timeout=Duration(nanos=100_000_000),
        stall_timeout=Duration(seconds=1),
        all_benched_policy=ALL_BENCHED_POLICY_FAIL,
        interruption_policy=INTERRUPTION_POLICY_FAIL,
        advance_on=[FAILURE_REASON_CREDENTIALS, FAILURE_REASON_CONTENT_REFUSED],
    )
    labels = {str(number): "x" * 256 for number in range(16)}

    for kind in (GenerateRequest, StreamRequest):
        call_ = Call(chain="c", prompt=prompt, options=options, labels=labels)
        request = kind(call=call_)
        assert [] == fields(request)


def test_a_prompt_needs_a_message() -> None:
    """One without is informed, whether the prompt is empty or not there."""
    assert ["call.prompt.messages"] == fields(GenerateRequest())
    assert ["call.prompt.messages"] == fields(StreamRequest(call=Call(prompt=Prompt())))


def test_every_violation_is_found() -> None:
    """Not only the first one: a caller fixes its request once."""
    request = GenerateRequest(
        call=Call(
            prompt=Prompt(
                messages=[Message(), user(Part())],
                config=GenerationConfig(top_k=0, temperature=3),
            ),
            options=ChainOptions(transient_retries=-1),
            labels={"": "x"},
        )
    )

    assert [
        "call.prompt.messages[0].role",
        "call.prompt.messages[0].parts",
        "call.prompt.messages[1].parts[0]",
        "call.prompt.config.top_k",
        "call.prompt.config.temperature",
        "call.options.transient_retries",
        "call.labels['']",
    ] == fields(request)


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (Message(role=NEVER, parts=[Part(text="x")]), "[1].role"),  # type: ignore[arg-type]
        (Message(role=ROLE_USER), "[1].parts"),
        (user(Part()), "[1].parts[0]"),
        (user(Part(text="x"), Part(reasoning=Reasoning())), "[1].parts[1]"),
        (
            user(Part(tool_call=ToolCall(id="a", name="f", arguments_json="{}"))),
            "[1].parts[0]",
        ),
        (Message(role=ROLE_TOOL, parts=[Part(text="4")]), "[1].parts[0]"),
        (Message(role=ROLE_TOOL, parts=[Part()]), "[1].parts[0]"),
        (
            Message(
                role=ROLE_TOOL,
                parts=[Part(tool_call=ToolCall(id="a", name="f", arguments_json="{}"))],
            ),
            "[1].parts[0]",
        ),
        (call(id_=""), "[1].parts[0].tool_call.id"),
        (call(name=""), "[1].parts[0].tool_call.name"),
        (result("a"), "[1].parts[0].tool_result.tool_call_id"),
        (user(Part(blob=Blob(data=b"x"))), "[1].parts[0].blob.media_type"),
        (
            user(Part(blob=Blob(media_type="png", data=b"x"))),
            "[1].parts[0].blob.media_type",
        ),
        (
            user(Part(blob=Blob(media_type="image/png"))),
            "[1].parts[0].blob.data",
        ),
        *(
            (
                user(Part(media_reference=MediaReference(uri=uri))),
                "[1].parts[0].media_reference.uri",
            )
            for uri in (
                "",
                "http://example.com/a.png",
                "https://",
                "https:///a.png",
                "https://[::1/a.png",
                "file:///etc/passwd",
                "data:image/png;base64,AAAA",
            )
        ),
        (
            user(
                Part(
                    media_reference=MediaReference(
                        uri="https://example.com", media_type="image"
                    )
                )
            ),
            "[1].parts[0].media_reference.media_type",
        ),
    ],
)
def test_turns(message: Message, path: str) -> None:
    """One broken rule in a turn is one violation, at the field to fix."""
    assert [path] == turns(message)


@pytest.mark.rule("2.13")
@pytest.mark.parametrize(
    "written",
    [
        Message(role=ROLE_ASSISTANT),
        Message(role=ROLE_ASSISTANT, parts=[Part(text="")]),
        call(name="f" * 65),
        call(name="functions.f"),
        call(name="f\n"),
        call(arguments=""),
        call(arguments='{"a": '),
        call(arguments='{"a": NaN}'),
        call(arguments="[1]"),
        call(arguments='{"a":' + "[" * 200_000),
        Message(role=ROLE_ASSISTANT, parts=[Part(blob=Blob(data=b"x"))]),
        Message(
            role=ROLE_ASSISTANT, parts=[Part(media_reference=MediaReference(uri="x:y"))]
        ),
        Message(role=ROLE_ASSISTANT, parts=[Part(opaque=OpaquePart(type="search"))]),
    ],
)
def test_what_a_model_wrote_is_taken_back(written: Message) -> None:
    """Whatever it was: it is the server that handed it out."""
    assert [] == turns(written)


def test_a_result_belongs_in_a_turn_of_tools() -> None:
    """Not in the user's, even where it answers a call."""
    answer = ToolResult(tool_call_id="a", parts=[Part(text="4")])

    assert ["[2].parts[0]"] == turns(call(), user(Part(tool_result=answer)))


def test_a_result_answers_one_call_once() -> None:
    """Each call waits for one result, also where a model gave two the same id."""
    of_result = "parts[0].tool_result.tool_call_id"

    assert [] == turns(call("a"), call("b"), result("b"), result("a"))
    assert [] == turns(call("a"), result("a"), call("a"), result("a"))
    assert [] == turns(call("a"), call("a"), result("a"), result("a"))
    assert [f"[3].{of_result}"] == turns(call("a"), result("a"), result("a"))
    assert [f"[1].{of_result}"] == turns(result("a"), call("a"))


def test_results_hold_text_and_media() -> None:
    """Nothing that a model writes, and no results within results."""
    inner = Part(tool_result=ToolResult(tool_call_id="a"))
    path = "[2].parts[0].tool_result.parts"

    found = turns(call(), result("a", Part(text="4"), inner, Part(), Part(blob=Blob())))

    assert [
        f"{path}[1]",
        f"{path}[2]",
        f"{path}[3].blob.media_type",
        f"{path}[3].blob.data",
    ] == found


@pytest.mark.parametrize(
    ("rest", "path"),
    [
        ({"tools": [Tool()]}, "tools[0]"),
        (
            {"tools": [Tool(function=FunctionTool(name="a b"))]},
            "tools[0].function.name",
        ),
        (
            {
                "tools": [
                    Tool(function=FunctionTool(name="f")),
                    Tool(function=FunctionTool(name="f")),
                ]
            },
            "tools[1].function.name",
        ),
        (
            {
                "tools": [
                    Tool(function=FunctionTool(name="f", parameters_schema_json="true"))
                ]
            },
            "tools[0].function.parameters_schema_json",
        ),
        (
            {"tool_choice": ToolChoice(mode=ToolChoice.MODE_REQUIRED)},
            "tool_choice.mode",
        ),
        ({"tool_choice": ToolChoice(mode=NEVER)}, "tool_choice.mode"),  # type: ignore[arg-type]
        (
            {
                "tools": [Tool(function=FunctionTool(name="f"))],
                "tool_choice": ToolChoice(
                    mode=ToolChoice.MODE_REQUIRED, allowed_names=["f", "g"]
                ),
            },
            "tool_choice.allowed_names[1]",
        ),
        (
            {
                "tools": [Tool(function=FunctionTool(name="f"))],
                "tool_choice": ToolChoice(
                    mode=ToolChoice.MODE_AUTO, allowed_names=["f"]
                ),
            },
            "tool_choice.allowed_names",
        ),
        (
            {
                "response_format": ResponseFormat(
                    json_schema=JsonSchemaFormat(schema_json='"text"')
                )
            },
            "response_format.json_schema.schema_json",
        ),
        (
            {
                "response_format": ResponseFormat(
                    json_schema=JsonSchemaFormat(schema_json="{}", name="a b")
                )
            },
            "response_format.json_schema.name",
        ),
        ({"response_format": ResponseFormat()}, "response_format"),
        ({"system_instruction": [Part()]}, "system_instruction[0]"),
        (
            {"system_instruction": [Part(reasoning=Reasoning())]},
            "system_instruction[0]",
        ),
    ],
)
def test_tools_and_schema(rest: dict[str, Any], path: str) -> None:
    """Names are unique and well-formed, choices exist, schemas are JSON objects."""
    assert [path] == around(**rest)


@pytest.mark.parametrize(
    ("config", "path"),
    [
        (GenerationConfig(max_output_tokens=0), "max_output_tokens"),
        (GenerationConfig(temperature=-0.1), "temperature"),
        (GenerationConfig(temperature=2.1), "temperature"),
        (GenerationConfig(temperature=float("nan")), "temperature"),
        (GenerationConfig(top_p=0), "top_p"),
        (GenerationConfig(top_p=1.1), "top_p"),
        (GenerationConfig(top_p=float("nan")), "top_p"),
        (GenerationConfig(top_k=0), "top_k"),
        (GenerationConfig(stop_sequences=["a", ""]), "stop_sequences[1]"),
        (
            GenerationConfig(reasoning=ReasoningConfig(budget_tokens=-1)),
            "reasoning.budget_tokens",
        ),
        (
            GenerationConfig(reasoning=ReasoningConfig(effort=NEVER)),  # type: ignore[arg-type]
            "reasoning.effort",
        ),
        (
            GenerationConfig(provider_options_json={"acme": "1"}),
            "provider_options_json['acme']",
        ),
    ],
)
def test_sampling_and_length(config: GenerationConfig, path: str) -> None:
    """Numbers are finite and within what any provider takes."""
    assert [f"config.{path}"] == around(config=config)


@pytest.mark.rule("6.3")
@pytest.mark.parametrize(
    ("options", "path"),
    [
        (ChainOptions(transient_retries=-1), "transient_retries"),
        (ChainOptions(transient_retries=6), "transient_retries"),
        *(
            (limit(name, length), name)
            for name in ("attempt_timeout", "first_content_timeout", "stall_timeout")
            for length in (
                Duration(),
                Duration(seconds=-1),
                Duration(nanos=99_999_999),
                Duration(seconds=3600, nanos=1),
            )
        ),
        (ChainOptions(advance_on=[FAILURE_REASON_TIMEOUT]), "advance_on[0]"),
        (
            ChainOptions(
                advance_on=[FAILURE_REASON_CREDENTIALS, FAILURE_REASON_BENCHED]
            ),
            "advance_on[1]",
        ),
        (ChainOptions(all_benched_policy=NEVER), "all_benched_policy"),  # type: ignore[arg-type]
        (ChainOptions(interruption_policy=NEVER), "interruption_policy"),  # type: ignore[arg-type]
    ],
)
def test_options(options: ChainOptions, path: str) -> None:
    """Out of bounds, transient where only permanent ones fit, or unknown."""
    request = StreamRequest(call=Call(prompt=Prompt(messages=[HELLO]), options=options))

    assert [f"call.options.{path}"] == fields(request)


@pytest.mark.parametrize(
    ("labels", "path"),
    [
        ({str(number): "" for number in range(17)}, "labels"),
        ({"": "x"}, "labels['']"),
        ({"x" * 257: ""}, f"labels['{'x' * 40}']"),
        ({"team": "x" * 257}, "labels['team']"),
    ],
)
def test_labels(labels: dict[str, str], path: str) -> None:
    """At most 16, each with a key, neither side longer than 256 characters."""
    request = GenerateRequest(call=Call(prompt=Prompt(messages=[HELLO]), labels=labels))

    assert [f"call.{path}"] == fields(request)


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (Prompt(messages=[Message()] * 10_001), "prompt.messages"),
        (Prompt(messages=[user(*[Part()] * 6_000)] * 2), "prompt.messages"),
        (Prompt(messages=[result("a", *[Part()] * 10_000)]), "prompt.messages"),
        (Prompt(tools=[Tool()] * 10_001), "prompt.tools"),
        (
            Prompt(tool_choice=ToolChoice(allowed_names=[""] * 10_001)),
            "prompt.tool_choice.allowed_names",
        ),
        (
            Prompt(config=GenerationConfig(stop_sequences=[""] * 10_001)),
            "prompt.config.stop_sequences",
        ),
        (
            Prompt(
                config=GenerationConfig(
                    provider_options_json=dict.fromkeys(map(str, range(10_001)), "")
                )
            ),
            "prompt.config.provider_options_json",
        ),
        (ChainOptions(advance_on=[1] * 10_001), "options.advance_on"),  # type: ignore[list-item]
    ],
)
def test_endless_lists_are_not_looked_into(
    request_: Prompt | ChainOptions, path: str
) -> None:
    """One violation for the list, not one for each entry."""
    if isinstance(request_, Prompt):
        request = GenerateRequest(call=Call(prompt=request_))
    else:
        request = GenerateRequest(call=Call(options=request_))

    assert [f"call.{path}"] == fields(request)


GOOD_SEARCH = WebSearchTool(
    allowed_domains=["example.org", "a-b.example"],
    max_uses=1,
    user_location=UserLocation(country="CH", city="Zürich"),
)


@pytest.mark.rule("2.23", "6.4")
@pytest.mark.parametrize(
    ("tool", "wrong"),
    [
        (Tool(web_search=GOOD_SEARCH), ""),
        (Tool(code_execution=CodeExecutionTool()), ""),
        (Tool(url_reading=UrlReadingTool(blocked_domains=["xn--zrich-kva.ch"])), ""),
        (
            Tool(web_search=WebSearchTool(allowed_domains=["https://a.example/x"])),
            ".web_search.allowed_domains[0]",
        ),
        (
            Tool(url_reading=UrlReadingTool(blocked_domains=["a.example", "a b"])),
            ".url_reading.blocked_domains[1]",
        ),
        (
            Tool(
                web_search=WebSearchTool(allowed_domains=["a"], blocked_domains=["b"])
            ),
            ".web_search.blocked_domains",
        ),
        (Tool(web_search=WebSearchTool(max_uses=0)), ".web_search.max_uses"),
        (
            Tool(web_search=WebSearchTool(user_location=UserLocation(country="che"))),
            ".web_search.user_location.country",
        ),
        (Tool(), ""),
    ],
)
def test_tools_that_providers_run(tool: Tool, wrong: str) -> None:
    """Domains are names of hosts, and each limit holds."""
    expected = [f"tools[0]{wrong}"] if wrong or not tool.ByteSize() else []

    assert expected == around(tools=[tool])


@pytest.mark.rule("2.23")
def test_a_tool_of_the_provider_may_be_required() -> None:
    """It is a tool as functions are; but it has no name to be allowed by."""
    choice = ToolChoice(mode=ToolChoice.MODE_REQUIRED)
    named = ToolChoice(mode=ToolChoice.MODE_REQUIRED, allowed_names=["web_search"])
    tools = [Tool(web_search=WebSearchTool())]

    assert [] == around(tools=tools, tool_choice=choice)
    assert ["tool_choice.allowed_names[0]"] == around(tools=tools, tool_choice=named)
