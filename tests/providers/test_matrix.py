"""A conversation goes on at another provider than it began at: each wire with each.

Begun with an answer of that wire's own bytes: reasoning with its state, text, and two
calls at once; one result has a picture, the other is an error.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from anthropic.types.beta import message_create_params
from google.genai import types
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

from majordomo.codec.base import Codec
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.providers.profiles import PROFILES
from majordomo.v1.content_pb2 import ROLE_TOOL, Blob, FunctionTool, Message, Part, Tool
from majordomo.v1.generation_service_pb2 import Prompt
from tests.providers.prompts import result, turn, user
from tests.typed_dicts import problems

PNG = b"\x89PNG a picture"
PICTURE = Part(blob=Blob(media_type="image/png", data=PNG))
TOOLS = [
    Tool(
        function=FunctionTool(
            name=name, parameters_schema_json='{"type":"object","properties":{}}'
        )
    )
    for name in ("look", "ask")
]
MARK = "OfItsAuthorAlone"
"""In all that no other target may see."""


def anthropic_problems(body: dict[str, Any]) -> list[str]:
    return problems(body, message_create_params.MessageCreateParamsNonStreaming)


def responses_problems(body: dict[str, Any]) -> list[str]:
    return problems(body, response_create_params.ResponseCreateParamsNonStreaming)


_KEYS = (
    "reasoning_content",
    "reasoning_details",
    "reasoning",
    "prefix",
    "partial",
    "annotations",
)
"""Keys of messages that OpenAI's own server does not have."""


def chat_problems(body: dict[str, Any]) -> list[str]:
    """Of a body of a server that adds keys of its own to the wire."""
    for message in body["messages"]:
        for key in _KEYS:
            message.pop(key, None)
        if isinstance(message["content"], list):
            parts = [p for p in message["content"] if p["type"] != "thinking"]
            message["content"] = parts
    return problems(body, completion_create_params.CompletionCreateParamsNonStreaming)


def gemini_problems(body: dict[str, Any]) -> list[str]:
    """The client's types forbid extra keys by themselves."""
    known = {"contents", "tools", "toolConfig", "generationConfig", "systemInstruction"}
    for content in body["contents"]:
        types.Content.model_validate(content)
    for tool in body.get("tools", ()):
        types.Tool.model_validate(tool)
    return sorted(body.keys() - known)


@dataclass(frozen=True)
class Wire:
    """A wire, a model there, and an answer of it."""

    codec: Codec
    target: str
    answer: dict[str, Any]
    problems: Callable[[dict[str, Any]], list[str]]
    kept: tuple[str, ...]
    """What the author has to be given back, verbatim."""


def _chat(name: str, model: str, message: dict[str, Any], *kept: str) -> Wire:
    calls = [
        {
            "id": f"call{number:05}",
            "type": "function",
            "function": {"name": tool.function.name, "arguments": '{"of":"a|b"}'},
        }
        for number, tool in enumerate(TOOLS)
    ]
    message = {"role": "assistant", "content": "Well.", "tool_calls": calls, **message}
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    answer = {"id": "chatcmpl-1", "model": model, "choices": [choice]}
    codec = OpenAICompatible(name, profile=PROFILES[name])
    return Wire(codec, f"{name}/{model}", answer, chat_problems, kept)


WIRES = {
    "anthropic": Wire(
        Anthropic("anthropic"),
        "anthropic/claude-sonnet-4-5",
        {
            "id": "msg_1",
            "model": "claude-sonnet-4-5",
            "stop_reason": "tool_use",
            "content": [
                {
                    "type": "thinking",
                    "thinking": f"hm {MARK}",
                    "signature": f"sig-{MARK}",
                },
                {"type": "redacted_thinking", "data": f"redacted-{MARK}"},
                {"type": "text", "text": "Well."},
                *(
                    {
                        "type": "tool_use",
                        "id": f"toolu_{n}",
                        "name": t.function.name,
                        "input": {},
                    }
                    for n, t in enumerate(TOOLS)
                ),
            ],
        },
        anthropic_problems,
        (f"hm {MARK}", f"sig-{MARK}", f"redacted-{MARK}"),
    ),
    "gemini": Wire(
        Gemini("gemini"),
        "gemini/gemini-3-pro",
        {
            "candidates": [
                {
                    "finishReason": "STOP",
                    "content": {
                        "role": "model",
                        "parts": [
                            {"text": "Well.", "thoughtSignature": f"dGV4{MARK}"},
                            {
                                "functionCall": {"name": "look", "args": {}},
                                "thoughtSignature": f"Y2Fs{MARK}",
                            },
                            {"functionCall": {"name": "ask", "args": {}}},
                        ],
                    },
                }
            ]
        },
        gemini_problems,
        (f"dGV4{MARK}", f"Y2Fs{MARK}"),
    ),
    "openai-responses": Wire(
        OpenAIResponses("openai"),
        "openai/gpt-5-mini",
        {
            "id": "resp_1",
            "model": "gpt-5-mini",
            "status": "completed",
            "output": [
                {
                    "type": "reasoning",
                    "id": f"rs-{MARK}",
                    "summary": [],
                    "encrypted_content": f"gAAA-{MARK}",
                },
                {
                    "type": "message",
                    "id": f"msg-{MARK}",
                    "role": "assistant",
                    "phase": "commentary",
                    "content": [{"type": "output_text", "text": "Well."}],
                },
                *(
                    {
                        "type": "function_call",
                        "id": f"fc{number}-{MARK}",
                        "call_id": f"call_{number}",
                        "name": tool.function.name,
                        "arguments": "{}",
                    }
                    for number, tool in enumerate(TOOLS)
                ),
            ],
        },
        responses_problems,
        (f"rs-{MARK}", f"gAAA-{MARK}", f"msg-{MARK}", f"fc1-{MARK}", "commentary"),
    ),
    "deepseek": _chat(
        "deepseek",
        "deepseek-reasoner",
        {"reasoning_content": f"hm {MARK}"},
        f"hm {MARK}",
    ),
    "openrouter": _chat(
        "openrouter",
        "x/thinker",
        {
            "reasoning": f"hm {MARK}",
            "reasoning_details": [
                {"type": "reasoning.encrypted", "data": f"enc-{MARK}", "index": 0}
            ],
        },
        f"enc-{MARK}",
    ),
    "mistral": _chat(
        "mistral",
        "magistral-medium",
        {
            "content": [
                {
                    "type": "thinking",
                    "thinking": [{"type": "text", "text": f"hm {MARK}"}],
                },
                {"type": "text", "text": "Well."},
            ]
        },
        f"hm {MARK}",
    ),
    "openai-chat": _chat("openai", "gpt-4o", {}),
}


BLIND = {"deepseek"}
"""Who takes no pictures: for those there are none."""


def begun(author: Wire, *picture: Part) -> Prompt:
    """The conversation after the author's answer and the tools' results."""
    prompt = Prompt(
        system_instruction=[Part(text="Be brief.")],
        messages=[user("Look.", *picture)],
        tools=TOOLS,
    )
    answer = author.codec.decode(prompt, json.dumps(author.answer).encode())
    assert answer.message is not None
    answer.message.origin = author.target
    calls = [p.tool_call for p in answer.message.parts if p.HasField("tool_call")]
    assert ["look", "ask"] == [call.name for call in calls]
    results = [
        result(calls[0].id, "seen", *picture),
        result(calls[1].id, "nobody there", is_error=True),
    ]
    # The caller may well have other ideas of their order.
    prompt.messages.extend(
        [answer.message, turn(ROLE_TOOL, *reversed(results)), user("And now?")]
    )
    return prompt


def sent(reader: Wire, prompt: Prompt) -> tuple[dict[str, Any], str, list[str]]:
    """The body, as text too, and what was adapted."""
    model = reader.target.partition("/")[2]
    before = prompt.SerializeToString(deterministic=True)
    request = reader.codec.encode(model, prompt, stream=False)
    assert before == prompt.SerializeToString(deterministic=True)
    adapted = [f"{a.field}: {a.description}" for a in request.adaptations]
    return json.loads(request.body), request.body.decode(), adapted


@pytest.mark.rule("2.2")
@pytest.mark.parametrize("second", WIRES)
@pytest.mark.parametrize("first", WIRES)
def test_a_conversation_goes_on(first: str, second: str) -> None:
    """The request is good, has all that was reported, and nothing that is the
    author's."""
    author, reader = WIRES[first], WIRES[second]
    pictures = () if second in BLIND else (PICTURE,)
    prompt = begun(author, *pictures)
    body, text, adapted = sent(reader, prompt)

    for said in ("Look.", "Well.", "seen", "nobody there", "And now?", "look", "ask"):
        assert said in text
    assert text.count("iVBORyBhIHBpY3R1cmU") == 2 * len(pictures)
    if first == second:
        assert [kept for kept in author.kept if kept not in text] == []
    else:
        assert MARK not in text
        left_out = any(part.HasField("reasoning") for part in prompt.messages[1].parts)
        assert left_out == any("reasoning" in words for words in adapted)
    assert [] == reader.problems(body)


@pytest.mark.parametrize("name", WIRES)
def test_what_comes_back_forged_is_as_if_it_was_not_there(name: str) -> None:
    """State that is no record, or another wire's, changes nothing but its own part."""
    wire = WIRES[name]
    prompt = begun(wire)
    forged = Prompt()
    forged.CopyFrom(prompt)
    for number, part in enumerate(forged.messages[1].parts):
        part.provider_state = [b"\xff", b"{}", b'{"v":2,"wire":"x"}'][number % 3]
    body, text, _ = sent(wire, forged)

    assert f"sig-{MARK}" not in text
    assert f"enc-{MARK}" not in text
    assert f"gAAA-{MARK}" not in text
    assert [] == wire.problems(body)


def test_three_authors_in_one_conversation() -> None:
    """Each is given back its own, and nothing of the others."""
    turns: list[Message] = []
    for name in ("anthropic", "openai-responses", "gemini"):
        turns += begun(WIRES[name], PICTURE).messages
    prompt = Prompt(messages=turns, tools=TOOLS)
    for name in ("anthropic", "openai-responses", "gemini"):
        wire = WIRES[name]
        body, text, _ = sent(wire, prompt)
        others = {kept for other in WIRES.values() for kept in other.kept} - {
            *wire.kept
        }

        assert [kept for kept in wire.kept if kept not in text] == []
        assert [kept for kept in others if MARK in kept and kept in text] == []
        assert [] == wire.problems(body)
