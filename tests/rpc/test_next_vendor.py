"""Requests over gRPC at vendors that refuse what they document: they answer.

Each provider here refuses by `vendor_rules`, as the vendor does, and answers else.
"""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    Blob,
    FunctionTool,
    Message,
    Part,
    Tool,
    ToolCall,
)
from majordomo.v1.generation_service_pb2 import (
    Adaptation,
    Call,
    GenerateRequest,
    Prompt,
    StreamRequest,
)
from testkit.servers import Running, rest_of, running
from testkit.upstream import CHUNKED, LAST_CHUNK, Connection, Upstream, answer, chunk
from tests.providers import vendor_rules
from tests.providers.prompts import reasoning, result, turn, user

Json = dict[str, Any]
Rules = Callable[[Json], list[str]]

KINDS: dict[str, tuple[str, str, Rules]] = {
    "anthropic": ('kind = "anthropic"', "claude-opus-4-8", vendor_rules.anthropic),
    "gemini": (
        'kind = "gemini"',
        "gemini-3-pro",
        lambda body: vendor_rules.gemini(body, "gemini-3-pro"),
    ),
    "responses": ('kind = "openai"', "gpt-5", vendor_rules.responses),
    "chat": (
        'kind = "openai"\napi = "chat"',
        "gpt-5",
        lambda body: vendor_rules.chat(body, "openai"),
    ),
    **{
        name: (
            f'kind = "openai-compatible"\nprofile = "{name}"',
            "some-model",
            lambda body, name=name: vendor_rules.chat(body, name),  # type: ignore[misc]
        )
        for name in ("mistral", "moonshot", "deepseek", "groq", "cerebras", "zai")
    },
    "unknown": (
        'kind = "openai-compatible"',
        "kimi-k2.6",
        lambda body: vendor_rules.chat(body, "moonshot"),
    ),
}
"""Settings, a model, and what is refused."""


def _said(path: str, tools: list[str]) -> Json:
    """An answer that calls each of `tools`, or else says ok."""
    if path.endswith("/messages"):
        blocks: list[Json] = [
            {"type": "tool_use", "id": f"t{i}", "name": name, "input": {}}
            for i, name in enumerate(tools)
        ] or [{"type": "text", "text": "ok"}]
        whole = {"type": "message", "id": "1", "model": "m", "content": blocks}
        return {**whole, "stop_reason": "end_turn"}
    if path.endswith("/responses"):
        text = [{"type": "output_text", "text": "ok", "annotations": []}]
        items: list[Json] = [
            {"type": "function_call", "call_id": name, "name": name, "arguments": "{}"}
            for name in tools
        ] or [{"type": "message", "id": "i", "content": text}]
        return {"id": "1", "model": "m", "status": "completed", "output": items}
    if "Content" in path:
        parts: list[Json] = [
            {"functionCall": {"name": name, "args": {}}} for name in tools
        ] or [{"text": "ok"}]
        candidate = {"content": {"parts": parts}, "finishReason": "STOP"}
        return {"candidates": [candidate]}
    calls = [
        {"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}}
        for name in tools
    ]
    message = {"content": None if calls else "ok", "tool_calls": calls}
    if calls:
        message["reasoning_content"] = "I look."
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "1", "model": "m", "choices": [choice]}


def _names(body: Json) -> list[str]:
    """The tools that are offered."""
    tools = body.get("tools", [])
    declared = [one for tool in tools for one in tool.get("functionDeclarations", [])]
    functions = [tool.get("function", tool) for tool in tools if not declared]
    return [one["name"] for one in declared + functions]


@asynccontextmanager
async def strict(
    kind: str, *, calls: bool = False
) -> AsyncIterator[tuple[Running, str, list[Json]]]:
    """A server of ours, a target that refuses what it documents, what it was sent."""
    settings, model, rules = KINDS[kind]
    sent: list[Json] = []

    async def provider(connection: Connection) -> None:
        while (request := await connection.request()) is not None:
            body = json.loads(request.body)
            sent.append(body)
            wrong = rules(body)
            if wrong:
                error = {"error": {"message": "; ".join(wrong), "type": "invalid"}}
                await connection.send(answer(400, json.dumps(error).encode()))
                continue
            said = _said(request.path, _names(body) if calls else [])
            await connection.send(answer(200, json.dumps(said).encode()))

    async with Upstream(provider) as upstream:
        config = f"""
[providers.p]
{settings}
base_url = "{upstream.url}/v1"
generate_via = "unary"
"""
        async with running(config) as it:
            yield it, f"p/{model}", sent


async def asked(
    it: Running, target: str, prompt: Prompt
) -> tuple[Message, list[Adaptation]]:
    """The answer of the target, and what was changed of the request."""
    call = Call(chain=target, prompt=prompt)
    response = await it.generation.Generate(GenerateRequest(call=call))
    return response.message, list(response.completion.adaptations)


def tool_call(id_: str, name: str = "look", arguments: str = "{}") -> Part:
    return Part(tool_call=ToolCall(id=id_, name=name, arguments_json=arguments))


def tool(name: str, schema: str = "") -> Tool:
    return Tool(function=FunctionTool(name=name, parameters_schema_json=schema))


def picture(form: str = "JPEG", named: str = "image/png") -> Part:
    """An image, called what it is not."""
    out = BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(out, form)
    return Part(blob=Blob(media_type=named, data=out.getvalue()))


OTHER = "other/model"
CONVERSATIONS: dict[str, list[Message]] = {
    "white space alone": [
        user("\n"),
        turn(ROLE_ASSISTANT, "Yes?", origin=OTHER),
        user("Hi."),
        turn(ROLE_ASSISTANT, "\n\n", origin=OTHER),
        user("Are you there?", " "),
    ],
    "the user's turn is empty": [user("")],
    "turns without a part": [user("Hi."), turn(ROLE_ASSISTANT), user("Hi?")],
    "only the model has spoken": [
        turn(ROLE_ASSISTANT, "Welcome.", origin=OTHER),
        user("Hi."),
    ],
    "the same twice in a row": [
        user("Hi."),
        user("Hello?"),
        turn(ROLE_ASSISTANT, "Yes?"),
        turn(ROLE_ASSISTANT, "What is it?"),
        user("Look."),
    ],
    "cut within thinking": [
        user("Hi."),
        turn(ROLE_ASSISTANT, reasoning("I should"), origin=OTHER),
        user("Go on."),
    ],
    "the user after a tool": [
        user("Weather?"),
        turn(ROLE_ASSISTANT, tool_call("EscTeQY62")),
        turn(ROLE_TOOL, result("EscTeQY62", "rain")),
        user("Never mind."),
    ],
    "the user before a tool": [
        user("Weather?"),
        turn(ROLE_ASSISTANT, tool_call("c1"), tool_call("c2")),
        user("Hurry."),
        turn(ROLE_TOOL, result("c2", "rain"), result("c1", "sun")),
    ],
    "a call without a result": [
        user("Weather?"),
        turn(ROLE_ASSISTANT, "I look.", tool_call("c1", arguments='{"of":"Os')),
        user("Go on."),
    ],
    "ids used again": [
        user("Look."),
        turn(ROLE_ASSISTANT, tool_call("call_0"), tool_call("call_0")),
        turn(ROLE_TOOL, result("call_0", "one"), result("call_0", "two")),
        turn(ROLE_ASSISTANT, tool_call("call_0")),
        turn(ROLE_TOOL, result("call_0", "three")),
    ],
    "odd names and ids": [
        user("Look."),
        turn(ROLE_ASSISTANT, tool_call("a b|ü", "functions.look")),
        turn(ROLE_TOOL, result("a b|ü", "")),
    ],
    "a tool that failed with a picture": [
        user("Look."),
        turn(ROLE_ASSISTANT, tool_call("c1")),
        turn(ROLE_TOOL, result("c1", "no", picture(named="image/jpeg"), is_error=True)),
    ],
    "a picture of the model's own": [
        user("Draw."),
        turn(ROLE_ASSISTANT, "Here.", picture(named="image/jpeg"), origin=OTHER),
        user("Bluer."),
    ],
}


@pytest.mark.rule("2.13", "2.14")
@pytest.mark.parametrize("kind", KINDS)
async def test_conversations_from_elsewhere(kind: str) -> None:
    """No vendor refuses one, whatever another's turns look like."""
    async with strict(kind) as (it, target, _):
        for messages in CONVERSATIONS.values():
            seen = any(p.HasField("blob") for m in messages for p in m.parts) or any(
                p.tool_result.parts[-1].HasField("blob")
                for m in messages
                for p in m.parts
                if p.tool_result.parts
            )
            if kind == "deepseek" and seen:
                continue
            for tools in ([tool("look")], []):
                prompt = Prompt(messages=messages, tools=tools)
                message, _ = await asked(it, target, prompt)

                assert "ok" == message.parts[0].text


@pytest.mark.rule("2.14")
@pytest.mark.parametrize("kind", ["anthropic", "gemini", "responses", "moonshot"])
async def test_instructions_of_white_space(kind: str) -> None:
    """Alone, or beside others."""
    async with strict(kind) as (it, target, _):
        system = [Part(text="  \n"), Part(text="Be brief.")]
        for instruction in (system, system[:1]):
            prompt = Prompt(system_instruction=instruction, messages=[user("Hi.")])
            message, _ = await asked(it, target, prompt)

            assert "ok" == message.parts[0].text


@pytest.mark.rule("2.14")
@pytest.mark.parametrize("kind", ["anthropic", "gemini", "responses", "chat"])
async def test_tools_without_arguments(kind: str) -> None:
    """However their schema says that they take none."""
    schemas = [
        "",
        "{}",
        '{"type":"object"}',
        '{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}',
        '{"properties":{}}',
        '{"type":"object","additionalProperties":false}',
    ]
    async with strict(kind) as (it, target, _):
        for schema in schemas:
            prompt = Prompt(messages=[user("Hi.")], tools=[tool("look", schema)])
            message, _ = await asked(it, target, prompt)

            assert "ok" == message.parts[0].text


@pytest.mark.rule("2.16")
@pytest.mark.parametrize(
    ("form", "named", "sent_as"),
    [
        ("JPEG", "image/png", "image/jpeg"),
        ("PNG", "image/jpeg", "image/png"),
        ("GIF", "image/webp", "image/gif"),
        ("WEBP", "application/octet-stream", "image/webp"),
        ("JPEG", "image/jpg", "image/jpeg"),
        ("PNG", "IMAGE/PNG", "image/png"),
        ("JPEG", "application/pdf", "image/jpeg"),
    ],
)
async def test_images_are_named_as_what_they_are(
    form: str, named: str, sent_as: str
) -> None:
    """In a turn of the user's and in a result; it is reported."""
    part = picture(form, named)
    messages = [
        user("Look.", part),
        turn(ROLE_ASSISTANT, tool_call("c1")),
        turn(ROLE_TOOL, result("c1", part)),
    ]
    async with strict("anthropic") as (it, target, sent):
        _, adaptations = await asked(it, target, Prompt(messages=messages))

    first, _, second = sent[0]["messages"]
    sources = [
        first["content"][1]["source"],
        second["content"][0]["content"][0]["source"],
    ]
    for source in sources:
        assert sent_as == source["media_type"]
        assert base64.b64encode(part.blob.data).decode() == source["data"]
    reported = [a.field for a in adaptations if "bytes are" in a.description]
    paths = [
        "prompt.messages[0].parts[1]",
        "prompt.messages[2].parts[0].tool_result.parts[0]",
    ]
    assert paths == reported


@pytest.mark.rule("2.14")
@pytest.mark.parametrize("kind", ["anthropic", "gemini", "responses", "moonshot"])
async def test_names_come_back_as_they_were(kind: str) -> None:
    """A tool that a vendor knows by another name is called by its own, in both RPCs."""
    tools = [tool("look"), tool("3d"), tool("-")]
    prompt = Prompt(messages=[user("Look.")], tools=tools)
    async with strict(kind, calls=True) as (it, target, _):
        message, _ = await asked(it, target, prompt)
        call = Call(chain=target, prompt=prompt)
        events = await rest_of(it.generation.Stream(StreamRequest(call=call)))

    calls = [p.tool_call.name for p in message.parts if p.HasField("tool_call")]
    deltas = [event.part_delta.tool_call.name for event in events]
    assert ["look", "3d", "-"] == calls == list(filter(None, deltas))


@pytest.mark.rule("2.15")
@pytest.mark.parametrize("include_text", [True, False])
@pytest.mark.parametrize("kind", ["moonshot", "deepseek", "zai", "unknown"])
async def test_reasoning_goes_back_between_calls(kind: str, include_text: bool) -> None:
    """In the field that it came in, to the same target."""
    prompt = Prompt(messages=[user("Look.")], tools=[tool("look")])
    prompt.config.reasoning.include_text = include_text
    async with strict(kind, calls=True) as (it, target, sent):
        message, _ = await asked(it, target, prompt)
        prompt.messages.append(message)
        prompt.messages.append(turn(ROLE_TOOL, result("look", "seen")))
        await asked(it, target, prompt)

    assert "I look." == sent[1]["messages"][1]["reasoning_content"]


async def test_a_server_streams_its_reasoning() -> None:
    """And has it back in the field that it came in."""
    deltas = [
        {"reasoning": "I "},
        {"reasoning": "look."},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "look"}}]},
    ]
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    lines = [f"data: {json.dumps(one)}\n\n" for one in (*chunks, last)]
    body = "".join([*lines, "data: [DONE]\n\n"]).encode()

    async def provider(connection: Connection) -> None:
        while await connection.request() is not None:
            await connection.send(CHUNKED + chunk(body) + LAST_CHUNK)

    async with Upstream(provider) as upstream:
        config = f"""
[providers.p]
kind = "openai-compatible"
base_url = "{upstream.url}/v1"
"""
        async with running(config) as it:
            prompt = Prompt(messages=[user("Look.")], tools=[tool("look")])
            message, _ = await asked(it, "p/m", prompt)
            prompt.messages.append(message)
            prompt.messages.append(turn(ROLE_TOOL, result("c", "seen")))
            await asked(it, "p/m", prompt)

    sent = json.loads(upstream.requests[1].body)["messages"][1]
    assert "I look." == sent["reasoning"]
    assert "reasoning_content" not in sent
