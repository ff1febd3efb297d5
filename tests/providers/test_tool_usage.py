"""What providers' own tools did is counted beside tokens, where the provider says."""

import json

import pytest

from majordomo.codec.usage import anthropic_usage, chat_usage, later, responses_usage
from majordomo.providers.gemini.codec import Gemini
from majordomo.v1.attempt_pb2 import Usage
from majordomo.v1.generation_service_pb2 import Prompt

pytestmark = pytest.mark.rule("2.21")

ANTHROPIC = {
    "input_tokens": 5,
    "output_tokens": 7,
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
}


def test_anthropic() -> None:
    """Searches and pages; zero is known as well."""
    expected = Usage(input_tokens=5, output_tokens=7, web_searches=2, url_reads=0)

    assert expected == anthropic_usage(ANTHROPIC)
    assert later(Usage(input_tokens=5), anthropic_usage(ANTHROPIC)) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        # OpenRouter
        ({"server_tool_use": {"web_search_requests": 3}}, Usage(web_searches=3)),
        # Perplexity
        ({"num_search_queries": 4}, Usage(web_searches=4)),
        ({"server_tool_use": {"web_search_requests": "many"}}, None),
        ({"server_tool_use": [1]}, None),
        ({"num_search_queries": -1}, None),
    ],
)
def test_chat(said: dict[str, object], expected: Usage | None) -> None:
    """By what each server calls it; what is no count is none."""
    assert expected == chat_usage(said)


def test_responses() -> None:
    """By the items of the answer, whatever else is among them."""
    items = [
        {"type": "web_search_call"},
        {"type": "message"},
        {"type": "web_search_call"},
        {"type": "code_interpreter_call"},
        "garbage",
    ]

    expected = Usage(output_tokens=1, web_searches=2, code_executions=1)
    assert expected == responses_usage({"output_tokens": 1}, items)
    assert Usage(output_tokens=1) == responses_usage({"output_tokens": 1}, "garbage")


def test_responses_of_xai() -> None:
    """The others' answers do not count them."""
    details = {"web_search_calls": 2, "code_interpreter_calls": 1, "x_search_calls": 0}
    said = {"output_tokens": 1, "server_side_tool_usage_details": details}

    expected = Usage(output_tokens=1, web_searches=2, code_executions=1)
    assert expected == responses_usage(said)


def test_gemini() -> None:
    """By the queries that the answer is grounded in, the last ones in a stream."""
    first = {"webSearchQueries": ["a"]}
    last = {"webSearchQueries": ["a", "", "b", 1]}
    ends = {"content": {"parts": [{"text": "Hi."}]}, "finishReason": "STOP"}
    counts = {"usageMetadata": {"candidatesTokenCount": 1}}
    body = [
        {"candidates": [{"groundingMetadata": first}]},
        {"candidates": [{**ends, "groundingMetadata": last}], **counts},
    ]

    answer = Gemini("p").decode(Prompt(), json.dumps(body).encode())

    assert Usage(output_tokens=1, web_searches=2) == answer.completion.usage
