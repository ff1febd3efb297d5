"""Schemas in requests: what each kind of provider is sent, and what is reported."""

import json
from typing import Any

import pytest

from majordomo.chain.failure import Failure
from majordomo.codec.base import Codec
from majordomo.codec.request_json import SCHEMA_PATH
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.providers.profiles import PROFILES
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_INVALID_REQUEST,
    FAILURE_REASON_UNSUPPORTED,
)
from majordomo.v1.content_pb2 import (
    ROLE_USER,
    FunctionTool,
    Message,
    Part,
    Tool,
    ToolChoice,
)
from majordomo.v1.generation_service_pb2 import (
    JsonSchemaFormat,
    Prompt,
    ResponseFormat,
)
from tests.schemas.collected import ODD, corpus
from tests.schemas.vendors import CHECKERS, Checker

MODELS = {
    "openai": "gpt-5",
    "chat": "gpt-5",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-3-pro",
}
CODECS: dict[str, Codec] = {
    "openai": OpenAIResponses("p"),
    "chat": OpenAICompatible("p", profile=PROFILES["openai"]),
    "anthropic": Anthropic("p"),
    "gemini": Gemini("p"),
}
TOOLS: dict[str, Checker] = {
    "openai": CHECKERS["OpenAI's tools, and answers that are not enforced"],
    "chat": CHECKERS["OpenAI's tools, and answers that are not enforced"],
    "anthropic": CHECKERS["Claude's tools"],
    "gemini": CHECKERS["Gemini's tools"],
}
PARAMETERS = "prompt.tools[0].function.parameters_schema_json"


def prompt(*, tool: object = None, answer: object = None) -> Prompt:
    asked = Prompt(messages=[Message(role=ROLE_USER, parts=[Part(text="hi")])])
    if tool is not None:
        function = FunctionTool(name="f", parameters_schema_json=json.dumps(tool))
        asked.tools.append(Tool(function=function))
    if answer is not None:
        form = JsonSchemaFormat(schema_json=json.dumps(answer))
        asked.response_format.CopyFrom(ResponseFormat(json_schema=form))
    return asked


def sent(kind: str, asked: Prompt) -> tuple[dict[str, Any], dict[str, str]]:
    """The body, and what is determined by field."""
    made = CODECS[kind].encode(MODELS[kind], asked, stream=False)
    reported: dict[str, str] = {}
    for each in made.adaptations:
        reported[each.field] = (
            f"{reported.get(each.field, '')}; {each.description}".strip("; ")
        )
    return json.loads(made.body), reported


def tool_of(kind: str, body: dict[str, Any]) -> Any:
    tool = body["tools"][0]
    match kind:
        case "openai":
            return tool["parameters"]
        case "chat":
            return tool["function"]["parameters"]
        case "anthropic":
            return tool["input_schema"]
    return tool["functionDeclarations"][0]["parametersJsonSchema"]


@pytest.mark.rule("8.8")
@pytest.mark.parametrize("kind", CODECS)
def test_tools_of_the_corpus(kind: str) -> None:
    """Every one of them is taken."""
    for name, schema in corpus().items():
        body, _ = sent(kind, prompt(tool=schema))
        assert [] == [*TOOLS[kind](tool_of(kind, body))], name


@pytest.mark.rule("8.8")
@pytest.mark.parametrize("kind", CODECS)
def test_odd_tools_and_answers(kind: str) -> None:
    """They are sent, or the target is passed over with the field and what is wrong."""
    for schema in ODD.values():
        for asked, path in (
            (prompt(tool=schema), PARAMETERS),
            (prompt(answer=schema), SCHEMA_PATH),
        ):
            try:
                sent(kind, asked)
            except Failure as failure:
                problem = failure
            else:
                continue
            assert FAILURE_REASON_UNSUPPORTED == problem.reason
            assert problem.message.startswith(f"{path}: the schema ")


@pytest.mark.rule("8.8")
@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.parametrize(
    "schema", [{"type": 5}, {"required": 3}, {"anyOf": {}}, {"minimum": "1"}]
)
def test_what_is_no_schema(kind: str, schema: object) -> None:
    """It is wrong for every target."""
    for asked, path in (
        (prompt(tool=schema), PARAMETERS),
        (prompt(answer=schema), SCHEMA_PATH),
    ):
        with pytest.raises(Failure, match="is no JSON Schema") as refused:
            sent(kind, asked)
        assert FAILURE_REASON_INVALID_REQUEST == refused.value.reason
        assert refused.value.message.startswith(path)


@pytest.mark.rule("8.9")
@pytest.mark.parametrize("kind", ["openai", "chat"])
def test_strict_where_it_can_be(kind: str) -> None:
    """Else the schema goes without it, and why is reported."""
    strict = 0
    for name, schema in {**ODD, **corpus()}.items():
        try:
            body, reported = sent(kind, prompt(answer=schema))
        except Failure:
            continue
        form = body["text"]["format"] if kind == "openai" else None
        form = form or body["response_format"]["json_schema"]
        if form["strict"]:
            strict += 1
            assert [] == [*CHECKERS["OpenAI's strict mode"](form["schema"])], name
        else:
            assert reported[SCHEMA_PATH].startswith("not enforced: the schema "), name

    assert strict > 400


@pytest.mark.rule("8.8")
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("recursive", "is recursive"),
        ("open objects", "has objects with keys that it does not list"),
        ("no items", "has lists of any values"),
    ],
)
def test_claude_answers_by_a_tool_where_it_has_no_form(name: str, problem: str) -> None:
    """Its input is not enforced, and takes the whole of JSON Schema."""
    body, reported = sent("anthropic", prompt(answer=ODD[name]))

    assert "output_config" not in body
    assert [] == [*TOOLS["anthropic"](body["tools"][0]["input_schema"])]
    words = f"not enforced: the schema {problem}; asked for as the input of a tool"
    assert words == reported[SCHEMA_PATH]


def test_keys_that_a_vendor_does_not_spell() -> None:
    """The target is passed over: another name would come back in the arguments."""
    asked = prompt(tool=ODD["keys of other letters"])
    asked.tool_choice.mode = ToolChoice.MODE_AUTO

    with pytest.raises(Failure, match=r"has a key that is not taken: '\$filter'"):
        sent("anthropic", asked)
    assert "$filter" in json.dumps(sent("openai", asked)[0])


@pytest.mark.parametrize("kind", ["openai", "chat"])
def test_an_answer_that_is_no_object(kind: str) -> None:
    """OpenAI takes objects only; others take a list as it is."""
    asked = prompt(answer={"type": "array", "items": {"type": "string"}})

    with pytest.raises(Failure, match="the schema is no object at its root"):
        sent(kind, asked)
    assert "responseJsonSchema" in sent("gemini", asked)[0]["generationConfig"]
