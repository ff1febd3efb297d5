"""Reasoning goes back to the server that wrote it, in the server's own form."""

import json
from typing import Any

import pytest

from majordomo.codec.state import pack
from majordomo.deltas import message as message_of
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.profiles import PROFILES
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_USER,
    Message,
    Part,
    Reasoning,
)
from majordomo.v1.generation_service_pb2 import PartDelta, Prompt

Json = dict[str, Any]

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SIGNED = {"google": {"thought_signature": "CsQB"}}
DETAILS = [
    {"type": "reasoning.summary", "summary": "so", "format": "x", "index": 0},
    {"type": "reasoning.text", "text": "It is.", "signature": "Et0B", "index": 1},
    {"type": "reasoning.encrypted", "data": "gAAA", "id": "rs_1", "index": 1},
]
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "It is."}]}
TEXT = {"type": "text", "text": "Yes."}

ANSWERS: list[tuple[str, Json, Json]] = [
    (
        "deepseek",
        {"content": None, "reasoning_content": "It is.", "tool_calls": [CALL]},
        {"content": None, "reasoning_content": "It is.", "tool_calls": [CALL]},
    ),
    (
        "deepseek",
        {"content": "Yes.", "reasoning_content": "It is."},
        {"content": "Yes."},
    ),
    (
        "openrouter",
        {"content": "Yes.", "reasoning": "It is.", "reasoning_details": DETAILS},
        {"content": "Yes.", "reasoning_details": DETAILS},
    ),
    (
        "mistral",
        {"content": [{**THINKING, "closed": True}, TEXT]},
        {"content": [THINKING, TEXT]},
    ),
    (
        "gemini",
        {"content": None, "tool_calls": [{**CALL, "extra_content": SIGNED}]},
        {"content": None, "tool_calls": [{**CALL, "extra_content": SIGNED}]},
    ),
    ("openai", {"content": "Yes.", "reasoning": "It is."}, {"content": "Yes."}),
]


def codec_of(name: str) -> OpenAICompatible:
    return OpenAICompatible(name, profile=PROFILES[name])


def asking(*, include_text: bool) -> Prompt:
    prompt = Prompt()
    prompt.config.reasoning.include_text = include_text
    return prompt


def whole(name: str, said: Json, *, include_text: bool) -> Message:
    choice = {"message": {"role": "assistant", **said}, "finish_reason": "stop"}
    body = json.dumps({"id": "1", "model": "m", "choices": [choice]}).encode()
    message = codec_of(name).decode(asking(include_text=include_text), body).message
    assert message is not None
    return message


def streamed(
    name: str, *deltas: Json, include_text: bool
) -> tuple[Message, list[PartDelta]]:
    decoder = codec_of(name).decoder(asking(include_text=include_text))
    pieces = []
    for delta in deltas:
        chunk = {"model": "m", "choices": [{"index": 0, "delta": delta}]}
        pieces += decoder.feed(f"data: {json.dumps(chunk)}\n\n".encode())
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    pieces += decoder.feed(f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n".encode())
    decoder.finish()
    return message_of(pieces), pieces


def sent_back(name: str, message: Message, model: str = "m") -> Json:
    """What of the turn the provider `name` is sent."""
    asked = Message(role=ROLE_USER, parts=[Part(text="Is it?")])
    prompt = Prompt(messages=[asked, message])
    request = codec_of(name).encode(model, prompt, stream=False)
    turn: Json = json.loads(request.body)["messages"][1]
    turn.pop("prefix", None)  # Mistral's mark of a last turn
    assert turn.pop("role") == "assistant"
    return turn


@pytest.mark.parametrize("include_text", [True, False])
@pytest.mark.parametrize(("name", "said", "expected"), ANSWERS)
def test_it_goes_back_as_it_came(
    name: str, said: Json, expected: Json, include_text: bool
) -> None:
    """Whole or streamed, shown or hidden: verbatim, to the same target."""
    message = whole(name, said, include_text=include_text)
    again, _ = streamed(name, said, include_text=include_text)
    shown = [part.reasoning.text for part in message.parts if part.reasoning.text]

    for turn in (message, again):
        turn.origin = f"{name}/m"
        assert expected == sent_back(name, turn)
    assert (["It is."] if include_text and name != "gemini" else []) == shown


@pytest.mark.parametrize("origin", ["", "deepseek/other", "openrouter/m"])
@pytest.mark.parametrize(("name", "said", "_"), ANSWERS)
def test_nothing_of_it_goes_to_another(
    name: str, said: Json, _: Json, origin: str
) -> None:
    """Neither another provider nor another model."""
    message = whole(name, said, include_text=True)
    message.origin = origin
    for other in ("deepseek", "openrouter", "mistral", "gemini"):
        if origin == f"{other}/m":
            continue
        body = (
            codec_of(other).encode("m", Prompt(messages=[message]), stream=False).body
        )

        for kept in (b"It is.", b"Et0B", b"gAAA", b"CsQB", b"thinking"):
            assert kept not in body


def test_details_in_pieces() -> None:
    """Pieces of a text are joined; what is encrypted is an entry of its own."""
    pieces = [
        {"type": "reasoning.summary", "summary": "s", "format": "x", "index": 0},
        {"type": "reasoning.summary", "summary": "o", "format": "x", "index": 0},
        {"type": "reasoning.text", "text": "It", "signature": "", "index": 1},
        {"type": "reasoning.text", "text": " is.", "index": 1},
        {"type": "reasoning.text", "signature": "Et0B", "index": 1},
        {"type": "reasoning.encrypted", "data": "gAAA", "id": "rs_1", "index": 1},
    ]
    deltas = [{"content": "", "reasoning_details": [piece]} for piece in pieces]
    message, _ = streamed(
        "openrouter", *deltas, {"content": "Yes."}, include_text=False
    )
    message.origin = "openrouter/m"

    assert DETAILS == sent_back("openrouter", message)["reasoning_details"]


@pytest.mark.rule("3.1")
def test_hidden_reasoning_is_no_content() -> None:
    """Its state comes at the end, as a part before the text."""
    message, pieces = streamed(
        "deepseek",
        {"reasoning_content": "It is."},
        {"content": "Yes."},
        include_text=False,
    )

    assert "Yes." == pieces[0].text
    assert ["reasoning", "text"] == [p.WhichOneof("kind") for p in message.parts]
    assert pack("openai-chat", reasoning_content="It is.") == (
        message.parts[0].provider_state
    )


@pytest.mark.parametrize(
    "state",
    [b"", b"{", pack("anthropic", reasoning_details="[{}]"), pack("openai-chat", x="y")]
    + [
        pack("openai-chat", reasoning_details=text)
        for text in ("", "3", "[3]", "[" * 9999)
    ],
)
def test_state_that_is_none(state: bytes) -> None:
    """It is read as untrusted data: as if it were not there."""
    reasoning = Part(reasoning=Reasoning(text="hm"), provider_state=state)
    message = Message(role=ROLE_ASSISTANT, parts=[reasoning, Part(text="a")])
    message.origin = "openrouter/m"

    assert {"content": "a"} == sent_back("openrouter", message)
