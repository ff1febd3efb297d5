"""Tools that providers run: how each is asked, and who cannot be."""

import json
from typing import Any

import pytest
from anthropic.types import message_create_params
from google.genai import types
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

from majordomo.chain.failure import Failure
from majordomo.codec.base import Codec
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.providers.profiles import COMMON, PROFILES
from majordomo.v1.attempt_pb2 import FAILURE_REASON_UNSUPPORTED
from majordomo.v1.content_pb2 import (
    CodeExecutionTool,
    FunctionTool,
    Tool,
    ToolChoice,
    UrlReadingTool,
    UserLocation,
    WebSearchTool,
)
from majordomo.v1.generation_service_pb2 import GenerationConfig, Prompt
from tests.providers.prompts import user
from tests.typed_dicts import problems

pytestmark = pytest.mark.rule("2.23")

ZURICH = UserLocation(city="Zurich", country="CH", time_zone="Europe/Zurich")
PLACE = {"city": "Zurich", "country": "CH", "timezone": "Europe/Zurich"}
SEARCH = Tool(web_search=WebSearchTool())
ALLOWED = Tool(web_search=WebSearchTool(allowed_domains=["a.example"]))
BLOCKED = Tool(web_search=WebSearchTool(blocked_domains=["b.example"]))
FULL = Tool(web_search=WebSearchTool(max_uses=3, user_location=ZURICH))
CODE = Tool(code_execution=CodeExecutionTool())
READING = Tool(url_reading=UrlReadingTool(max_uses=2, blocked_domains=["b.example"]))
PLAIN_READING = Tool(url_reading=UrlReadingTool())
FUNCTION = Tool(function=FunctionTool(name="look"))

ANTHROPIC = Anthropic("p", frozenset({"tools"}))
RESPONSES = OpenAIResponses("p", frozenset({"tools"}))
GEMINI = Gemini("p", frozenset({"tools"}))
CHAT = {
    name: OpenAICompatible("p", frozenset({"tools"}), PROFILES[name])
    for name in ("openai", "openrouter", "perplexity", "xai", "mistral")
}


def prompt(*tools: Tool, **choice: Any) -> Prompt:
    asked = Prompt(messages=[user("hi")], tools=tools)
    if choice:
        asked.tool_choice.CopyFrom(ToolChoice(**choice))
    return asked


def encoded(
    codec: Codec, model: str, asked: Prompt
) -> tuple[dict[str, Any], dict[str, str]]:
    """The body, and what is reported of each field that was changed."""
    made = codec.encode(model, asked, stream=False)
    reported = {it.field: it.description for it in made.adaptations}
    reported.pop("prompt.config.max_output_tokens", None)
    body: dict[str, Any] = json.loads(made.body)
    return body, reported


def refused(codec: Codec, model: str, asked: Prompt) -> str:
    with pytest.raises(Failure) as caught:
        codec.encode(model, asked, stream=False)
    assert FAILURE_REASON_UNSUPPORTED == caught.value.reason
    return caught.value.message


@pytest.mark.parametrize(
    ("model", "tool", "said"),
    [
        (
            "claude-sonnet-4-5",
            FULL,
            {
                "type": "web_search_20250305",
                "name": "web_search",
                "max_uses": 3,
                "user_location": {"type": "approximate", **PLACE},
            },
        ),
        (
            "claude-opus-5-5",
            ALLOWED,
            {
                "type": "web_search_20260209",
                "name": "web_search",
                "allowed_domains": ["a.example"],
            },
        ),
        (
            "claude-sonnet-4-6",
            READING,
            {
                "type": "web_fetch_20260209",
                "name": "web_fetch",
                "max_uses": 2,
                "blocked_domains": ["b.example"],
            },
        ),
        (
            "claude-haiku-4-5",
            PLAIN_READING,
            {"type": "web_fetch_20250910", "name": "web_fetch"},
        ),
        (
            "claude-opus-5",
            CODE,
            {"type": "code_execution_20250825", "name": "code_execution"},
        ),
    ],
)
def test_anthropic(model: str, tool: Tool, said: dict[str, Any]) -> None:
    """In the version that the model takes, beside functions, by the official types."""
    body, reported = encoded(ANTHROPIC, model, prompt(FUNCTION, tool))

    assert ["look", said["name"]] == [it["name"] for it in body["tools"]]
    assert said == body["tools"][1]
    assert {} == reported
    shape = message_create_params.MessageCreateParamsNonStreaming
    assert [] == problems(body, shape)


@pytest.mark.parametrize(
    ("tool", "said", "rest"),
    [
        (SEARCH, {"type": "web_search"}, {}),
        (
            FULL,
            {
                "type": "web_search",
                "user_location": {"type": "approximate", **PLACE},
            },
            {"max_tool_calls": 3},
        ),
        (
            ALLOWED,
            {"type": "web_search", "filters": {"allowed_domains": ["a.example"]}},
            {},
        ),
        (CODE, {"type": "code_interpreter", "container": {"type": "auto"}}, {}),
    ],
)
def test_responses(tool: Tool, said: dict[str, Any], rest: dict[str, Any]) -> None:
    """Beside functions, by the official types; the most uses are of all tools."""
    body, reported = encoded(RESPONSES, "gpt-5", prompt(FUNCTION, tool))

    assert said == body["tools"][1]
    assert rest.items() <= body.items()
    assert {} == reported
    shape = response_create_params.ResponseCreateParamsNonStreaming
    assert [] == problems(body, shape)


def test_responses_with_blocked_domains() -> None:
    """The official types do not have them yet; the API does."""
    body, _ = encoded(RESPONSES, "gpt-5", prompt(BLOCKED))

    filters = {"blocked_domains": ["b.example"]}
    assert [{"type": "web_search", "filters": filters}] == body["tools"]


def test_one_limit_is_not_for_two_tools() -> None:
    """What is sent is for all calls of tools together: it would cut the other's."""
    body, reported = encoded(RESPONSES, "gpt-5", prompt(FULL, CODE))

    assert "max_tool_calls" not in body
    assert {"prompt.tools[0].web_search.max_uses"} == reported.keys()


def test_xai_in_the_responses_api() -> None:
    """By its own names, and without what it has not."""
    body, reported = encoded(RESPONSES, "grok-4.5", prompt(BLOCKED, CODE))
    _, of_full = encoded(RESPONSES, "grok-4.5", prompt(FULL))

    filters = {"excluded_domains": ["b.example"]}
    assert [
        {"type": "web_search", "filters": filters},
        {"type": "code_interpreter"},
    ] == body["tools"]
    assert {} == reported
    path = "prompt.tools[0].web_search"
    assert {f"{path}.max_uses", f"{path}.user_location"} == of_full.keys()


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        (SEARCH, {"googleSearch": {}}),
        (CODE, {"codeExecution": {}}),
        (PLAIN_READING, {"urlContext": {}}),
    ],
)
def test_gemini(tool: Tool, said: dict[str, Any]) -> None:
    """Alone with every model, beside functions with newer ones."""
    alone, _ = encoded(GEMINI, "gemini-2.5-flash", prompt(tool))
    beside, _ = encoded(GEMINI, "gemini-3-pro", prompt(FUNCTION, tool))
    problem = refused(GEMINI, "gemini-2.5-flash", prompt(FUNCTION, tool))

    assert [said] == alone["tools"]
    assert "toolConfig" not in alone
    assert said == beside["tools"][1]
    assert {"includeServerSideToolInvocations": True} == beside["toolConfig"]
    assert "beside functions" in problem
    for it in beside["tools"]:
        types.Tool.model_validate(it)
    types.ToolConfig.model_validate(beside["toolConfig"])


def test_gemini_cannot_be_made_to_search() -> None:
    """Its tool choice speaks of functions alone; that is reported."""
    mode = ToolChoice.MODE_REQUIRED
    body, reported = encoded(GEMINI, "gemini-2.5-flash", prompt(FULL, mode=mode))

    assert "toolConfig" not in body
    path = "prompt.tools[0].web_search"
    limits = {f"{path}.max_uses", f"{path}.user_location"}
    assert {"prompt.tool_choice.mode", *limits} == reported.keys()


def test_openai_s_search_models() -> None:
    """In Chat Completions search is an option of models that can."""
    model = "gpt-5-search-api"
    body, reported = encoded(CHAT["openai"], model, prompt(FULL, FUNCTION))

    location = {"type": "approximate", "approximate": PLACE}
    assert {"user_location": location} == body["web_search_options"]
    assert ["function"] == [it["type"] for it in body["tools"]]
    assert {"prompt.tools[0].web_search.max_uses"} == reported.keys()
    shape = completion_create_params.CompletionCreateParamsNonStreaming
    assert [] == problems(body, shape)


def test_perplexity_is_told_where_to_search() -> None:
    """It searches anyway: the tool sets the limits."""
    allowed, _ = encoded(CHAT["perplexity"], "sonar", prompt(ALLOWED))
    blocked, _ = encoded(CHAT["perplexity"], "sonar", prompt(BLOCKED))
    full, reported = encoded(CHAT["perplexity"], "sonar", prompt(FULL))
    many = [f"a{n}.example" for n in range(21)]
    too_many = Tool(web_search=WebSearchTool(allowed_domains=many))

    assert ["a.example"] == allowed["search_domain_filter"]
    assert ["-b.example"] == blocked["search_domain_filter"]
    known = {"city": "Zurich", "country": "CH"}
    assert {"user_location": known} == full["web_search_options"]
    path = "prompt.tools[0].web_search"
    assert {f"{path}.max_uses", f"{path}.user_location.time_zone"} == reported.keys()
    assert "20 domains" in refused(CHAT["perplexity"], "sonar", prompt(too_many))


def test_openrouter_runs_tools_for_every_model() -> None:
    """With an engine that keeps to domains, where there are some."""
    model = "meta-llama/llama-4"
    body, _ = encoded(CHAT["openrouter"], model, prompt(FUNCTION, BLOCKED, READING))
    plain, _ = encoded(CHAT["openrouter"], model, prompt(SEARCH))

    kept = {"excluded_domains": ["b.example"], "engine": "exa"}
    read = {"blocked_domains": ["b.example"], "max_uses": 2}
    assert [
        {"type": "openrouter:web_search", "parameters": kept},
        {"type": "openrouter:web_fetch", "parameters": read},
    ] == body["tools"][1:]
    assert [{"type": "openrouter:web_search"}] == plain["tools"]


@pytest.mark.parametrize(
    ("codec", "model", "tool"),
    [
        (RESPONSES, "gpt-5", PLAIN_READING),
        (GEMINI, "gemini-3-pro", ALLOWED),
        (GEMINI, "gemini-3-pro", BLOCKED),
        (GEMINI, "gemini-3-pro", READING),
        (CHAT["openai"], "gpt-5", SEARCH),
        (CHAT["openai"], "gpt-5-search-api", ALLOWED),
        (CHAT["openai"], "gpt-5-search-api", CODE),
        (CHAT["perplexity"], "sonar", CODE),
        (CHAT["openrouter"], "x/y", CODE),
        (CHAT["xai"], "grok-4", SEARCH),
        (CHAT["mistral"], "mistral-large", SEARCH),
        (OpenAICompatible("p", profile=COMMON), "m", SEARCH),
        (OpenAICompatible("p", profile=PROFILES["llama.cpp"]), "m", CODE),
    ],
)
def test_who_cannot(codec: Codec, model: str, tool: Tool) -> None:
    """Is passed over, and what is missing is named."""
    assert refused(codec, model, prompt(tool)).startswith("prompt.tools[0].")


@pytest.mark.parametrize(
    ("codec", "model", "tool"),
    [
        (GEMINI, "gemini-3-pro", SEARCH),
        (CHAT["openrouter"], "x/y", ALLOWED),
        (CHAT["perplexity"], "sonar", ALLOWED),
    ],
)
def test_no_tool_may_be_used(codec: Codec, model: str, tool: Tool) -> None:
    """Where the format's choice does not speak of them they are not sent."""
    none, _ = encoded(codec, model, prompt(FUNCTION, tool, mode=ToolChoice.MODE_NONE))

    assert 1 == len(none["tools"])
    assert "search_domain_filter" not in none


@pytest.mark.parametrize(
    ("codec", "model"), [(ANTHROPIC, "claude-sonnet-4-5"), (RESPONSES, "gpt-5")]
)
def test_only_some_functions_may_be_called(codec: Codec, model: str) -> None:
    """And so none of the provider's tools; without names their choice holds for all."""
    required = ToolChoice.MODE_REQUIRED
    some, _ = encoded(
        codec, model, prompt(FUNCTION, SEARCH, mode=required, allowed_names=["look"])
    )
    none, _ = encoded(codec, model, prompt(SEARCH, mode=ToolChoice.MODE_NONE))

    assert ["look"] == [it["name"] for it in some["tools"]]
    assert 1 == len(none["tools"])
    assert none["tool_choice"] in ("none", {"type": "none"})


@pytest.mark.parametrize(
    ("codec", "model", "own"),
    [
        (ANTHROPIC, "claude-opus-5", {"type": "memory_20250818", "name": "memory"}),
        (RESPONSES, "gpt-5", {"type": "image_generation"}),
        (GEMINI, "gemini-3-pro", {"googleMaps": {}}),
        (CHAT["openrouter"], "x/y", {"type": "openrouter:datetime"}),
    ],
)
def test_a_vendor_s_other_tools(codec: Codec, model: str, own: dict[str, Any]) -> None:
    """Are added to those of the request, or stand alone."""
    options = {"p": json.dumps({"tools": [own]})}
    asked = prompt(FUNCTION, SEARCH)
    asked.config.CopyFrom(GenerationConfig(provider_options_json=options))
    alone = prompt()
    alone.config.CopyFrom(asked.config)

    assert own == encoded(codec, model, asked)[0]["tools"][-1]
    assert 3 == len(encoded(codec, model, asked)[0]["tools"])
    assert [own] == encoded(codec, model, alone)[0]["tools"]


def test_a_vendor_s_tools_are_the_operator_s_to_allow() -> None:
    """Who may be asked for them is configured; what is no list is nobody's tools."""
    asked = prompt(SEARCH)
    asked.config.provider_options_json["p"] = '{"tools": [{"type": "mcp"}]}'

    assert "may not set 'tools'" in refused(OpenAIResponses("p"), "gpt-5", asked)
    asked.config.provider_options_json["p"] = '{"tools": {}}'
    assert "but a list" in refused(RESPONSES, "gpt-5", asked)
