"""Schemas that take a while: the others' calls go on meanwhile, and there is an end."""

import asyncio
import json

import pytest

from majordomo.schemas import fitted
from majordomo.schemas.dialects import OPENAI
from majordomo.v1.content_pb2 import FunctionTool, Tool
from testkit.servers import failed, generate, running
from testkit.upstream import Upstream, completion, serve

CONFIG = """
[chain]
generate_via = "unary"
[providers.busy]
kind = "openai-compatible"
base_url = "{url}/v1"
[providers.other]
kind = "scripted"
"""


def schema(number: int, keys: int) -> str:
    """One of many keys, unlike that of any other number."""
    properties = {f"k{number}_{key}": {"type": "string"} for key in range(keys)}
    return json.dumps({"$schema": "x", "type": "object", "properties": properties})


def tools(number: int, keys: int) -> list[Tool]:
    return [
        Tool(
            function=FunctionTool(name=f"f{i}", parameters_schema_json=schema(i, keys))
        )
        for i in range(number)
    ]


@pytest.mark.rule("8.10")
async def test_other_calls_go_on_meanwhile() -> None:
    """Many calls of somebody else are answered before a large one is sent."""
    large = generate("busy/m")
    large.call.prompt.tools.extend(tools(20, 2000))
    async with (
        Upstream(serve(completion("done"))) as upstream,
        running(CONFIG.format(url=upstream.url)) as it,
    ):
        slow = asyncio.ensure_future(it.generation.Generate(large))
        answered = 0
        while not upstream.requests and not slow.done():
            await it.generation.Generate(generate("other/echo"))
            answered += 1
        response = await slow

    assert "done" == response.message.parts[0].text
    assert answered > 3
    sent = json.loads(upstream.requests[0].body)["tools"]
    assert 2000 == len(sent[19]["function"]["parameters"]["properties"])


@pytest.mark.rule("8.10")
async def test_too_much_of_them() -> None:
    """The target is passed over."""
    request = generate("busy/m")
    request.call.prompt.tools.extend(tools(60, 3000))
    async with (
        Upstream(serve(completion("done"))) as upstream,
        running(CONFIG.format(url=upstream.url)) as it,
    ):
        reported = await failed(it.generation.Generate(request))

    assert "its schemas are over 4 MiB in all" in str(reported.details)
    assert [] == upstream.requests


@pytest.mark.rule("8.8")
def test_forms_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those used last; each is made once as long as it is kept."""
    kept = fitted._Kept()
    monkeypatch.setattr(fitted, "MOST_KEPT", 20_000)
    texts = [schema(number, 5) for number in range(100)]

    made = [kept.get(text, OPENAI) for text in texts]

    assert kept.size <= 20_000
    assert kept.get(texts[-1], OPENAI) is made[-1]
    assert kept.get(texts[0], OPENAI) is not made[0]
