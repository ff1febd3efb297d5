"""The check of shapes finds what is wrong with one."""

from typing import Any

import pytest
from openai.types.responses import response_create_params

from tests.typed_dicts import problems

SHAPE = response_create_params.ResponseCreateParamsNonStreaming
TOOL = {"type": "function", "name": "f", "parameters": None, "strict": False}


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, None),
        ({"model": "m", "input": "hi", "tools": [TOOL], "temperature": 1}, None),
        ({"modal": "m"}, "body.modal: not in"),
        ({"input": [{"role": "user"}]}, "body.input[0].content: missing in"),
        ({"input": [{"role": "tool", "content": ""}]}, "body.input[0]"),
        ({"tools": [{**TOOL, "x": 1}]}, "body.tools[0].x: not in"),
        ({"temperature": "1"}, "body.temperature: str"),
        ({"max_output_tokens": 1.5}, "body.max_output_tokens: a number"),
        ({"store": 1}, "body.store: a number"),
        ({"tools": {}}, "body.tools: no list"),
        ({"include": ["everything"]}, "body.include[0]: 'everything'"),
    ],
)
def test_problems(body: dict[str, Any], wrong: str | None) -> None:
    """Keys that are missing, unknown, or of another type, at any depth."""
    found = problems(body, SHAPE)

    assert (wrong is None) == (found == [])
    assert wrong is None or any(problem.startswith(wrong) for problem in found)
