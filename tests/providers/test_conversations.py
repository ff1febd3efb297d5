"""Conversations that go on at another vendor at any turn: nobody refuses them.

Answers are of each API's own bytes, the odd ones among them that servers are known to
give: doubled ids, odd names, arguments cut short, no words at all. What a vendor
refuses is in `vendor_rules`; what its types do not have, its official client says.
"""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from majordomo.chain.failure import Failure
from majordomo.codec.state import unpack
from majordomo.rpc.validation import check
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    Blob,
    FunctionTool,
    Message,
    Part,
    Tool,
)
from majordomo.v1.generation_service_pb2 import Call, Prompt
from tests.providers.prompts import result
from tests.providers.vendors import BLIND, VENDORS, Vendor, reported

Json = dict[str, Any]

PNG = b"\x89PNG\r\n\x1a\n of its own"
PICTURE = Part(blob=Blob(media_type="image/png", data=PNG))
NAMES = ["look", "ask", "3d", "functions.look", "look me up", "ü" * 70]
IDS = ["call_0", "weather:0", "toolu_1", "EscTeQY62", "x" * 70, "", "a b|c"]
ARGUMENTS = ["{}", "", '{"of":"it"}']
CUT = ['{"of":"i', '{"of":', "[1", "{"]
BLANKS = ["", " ", "\n\n"]
TOOLS = [
    Tool(function=FunctionTool(name=name, parameters_schema_json=schema))
    for name, schema in [("look", ""), ("ask", "{}"), ("3d", '{"type":"object"}')]
]


class Said:
    """What an answer holds, whatever its API."""

    def __init__(self, draw: st.DrawFn, mark: str) -> None:
        self.mark = mark
        texts = [f"text {mark}", *BLANKS]
        self.texts = draw(st.lists(st.sampled_from(texts), max_size=2))
        self.thought = draw(st.sampled_from(["", f"thought {mark}"]))
        self.cut = draw(st.booleans())
        arguments = st.sampled_from(ARGUMENTS + (CUT if self.cut else []))
        self.calls = draw(
            st.lists(
                st.tuples(st.sampled_from(IDS), st.sampled_from(NAMES), arguments),
                max_size=3,
            )
        )
        self.refused = draw(st.booleans())


def _anthropic(said: Said) -> Json:
    blocks: list[Json] = []
    if said.thought:
        signature = {"thinking": said.thought, "signature": f"sig{said.mark}"}
        blocks.append({"type": "thinking", **signature})
        blocks.append({"type": "redacted_thinking", "data": f"red{said.mark}"})
    blocks += [{"type": "text", "text": text} for text in said.texts]
    for id_, name, arguments in said.calls:
        value = {} if arguments in ("", *CUT) else json.loads(arguments)
        call = {"id": id_, "name": name, "input": value}
        blocks.append({"type": "tool_use", **call})
    stop = "refusal" if said.refused else "max_tokens" if said.cut else "end_turn"
    return {"id": "msg", "model": "m", "content": blocks, "stop_reason": stop}


def _gemini(said: Said) -> Json:
    signature = b64encode(f"sig{said.mark}".encode()).decode()
    parts: list[Json] = []
    if said.thought:
        parts.append({"text": said.thought, "thought": True})
    parts += [{"text": text} for text in said.texts]
    for number, (id_, name, arguments) in enumerate(said.calls):
        value = {} if arguments in ("", *CUT) else json.loads(arguments)
        call: Json = {"name": name, "args": value, **({"id": id_} if id_ else {})}
        signed = {} if number else {"thoughtSignature": signature}
        parts.append({"functionCall": call, **signed})
    parts.append({"text": "", "thoughtSignature": signature})
    word = "SAFETY" if said.refused else "MAX_TOKENS" if said.cut else "STOP"
    candidate = {"finishReason": word, "content": {"role": "model", "parts": parts}}
    return {"candidates": [candidate]}


def _responses(said: Said) -> Json:
    output: list[Json] = []
    if said.thought:
        summary = [{"type": "summary_text", "text": said.thought}]
        item = {"summary": summary, "encrypted_content": f"enc{said.mark}"}
        output.append({"type": "reasoning", "id": f"rs_{said.mark}", **item})
    for number, text in enumerate(said.texts):
        kind = "refusal" if said.refused else "text"
        content = [{"type": f"output_{kind}", kind: text}]
        message = {"id": f"msg_{said.mark}_{number}", "content": content}
        output.append({"type": "message", "role": "assistant", **message})
    for number, (id_, name, arguments) in enumerate(said.calls):
        call = {"call_id": id_, "name": name, "arguments": arguments}
        call["id"] = f"fc_{said.mark}_{number}"
        output.append({"type": "function_call", **call})
    status = {"status": "incomplete" if said.cut else "completed"}
    return {"id": "resp", "model": "m", **status, "output": output}


def _chat(said: Said, target: str) -> Json:
    message: Json = {"role": "assistant", "content": "".join(said.texts) or None}
    if said.thought and target.startswith("mistral"):
        inner = [{"type": "text", "text": said.thought}]
        text = [{"type": "text", "text": text} for text in said.texts]
        message["content"] = [{"type": "thinking", "thinking": inner}, *text]
    elif said.thought and target.startswith("openrouter"):
        entry = {"type": "reasoning.text", "text": said.thought, "signature": "s"}
        message["reasoning_details"] = [entry]
    elif said.thought and target.startswith(("groq", "cerebras", "vllm")):
        message["reasoning"] = said.thought
    elif said.thought:
        message["reasoning_content"] = said.thought
    message["tool_calls"] = [
        {
            "id": id_,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }
        for id_, name, arguments in said.calls
    ]
    if said.refused:
        message |= {"content": None, "refusal": "".join(said.texts)}
    word = "length" if said.cut else "stop"
    choice = {"index": 0, "finish_reason": word, "message": message}
    return {"id": "chatcmpl", "model": "m", "choices": [choice]}


def answered(vendor: Vendor, said: Said, prompt: Prompt) -> Message | None:
    """The turn that the server hands out; None where there is an error instead."""
    body = {
        "anthropic": lambda: _anthropic(said),
        "gemini": lambda: _gemini(said),
        "responses": lambda: _responses(said),
        "chat": lambda: _chat(said, vendor.target),
    }[vendor.api]()
    try:
        message = vendor.codec.decode(prompt, json.dumps(body).encode()).message
    except Failure:
        return None
    assert message is not None
    message.origin = vendor.target
    return message


@st.composite
def _answers(draw: st.DrawFn) -> tuple[Vendor, Message]:
    """An answer of a vendor's, perhaps an odd one."""
    vendor = VENDORS[draw(st.sampled_from(sorted(VENDORS)))]
    prompt = Prompt()
    prompt.config.reasoning.include_text = draw(st.booleans())
    said = Said(draw, draw(st.sampled_from(["abc", "xyz"])))
    message = answered(vendor, said, prompt)
    return vendor, message or Message(role=ROLE_ASSISTANT, origin=vendor.target)


def results(message: Message, *parts: Part, is_error: bool = False) -> Message:
    """A result for each of the calls in a turn."""
    calls = [p.tool_call for p in message.parts if p.HasField("tool_call")]
    said = [result(call.id, *parts, is_error=is_error) for call in calls]
    return Message(role=ROLE_TOOL, parts=said)


def lost(vendor: Vendor, prompt: Prompt, text: str, told: dict[str, str]) -> list[str]:
    """Parts of the conversation that are neither in the request nor reported."""
    reasons = " ".join(told.values())
    found = []
    for i, message in enumerate(prompt.messages):
        for j, part in enumerate(message.parts):
            path = f"prompt.messages[{i}].parts[{j}]"
            if any(field.startswith(path) for field in told):
                continue
            match part.WhichOneof("kind"):
                case "text":
                    kept = part.text in text or f"prompt.messages[{i}]" in told
                    kept = kept or json.dumps(part.text)[1:-1] in text
                case "tool_call":
                    kept = part.tool_call.name in text or "sent as t_" in reasons
                case "tool_result":
                    inner = part.tool_result.parts
                    kept = all(one.text in text for one in inner)
                case "blob":
                    kept = b64encode(part.blob.data).decode() in text
                case "reasoning":
                    own = message.origin == vendor.target
                    kept = bool(own and _states(part, text)) or "reasoning" in reasons
                    kept = kept or not (part.reasoning.text or part.provider_state)
                case _:
                    kept = False
            if not kept:
                found.append(path)
    return found


def _states(part: Part, text: str) -> bool:
    """Whether what a part's author wants back is in its request, verbatim."""
    wires = ("anthropic", "gemini", "openai-responses", "openai-chat")
    strings = [s for w in wires for s in unpack(w, part.provider_state).values()]
    return all(
        string in text
        or string.strip("[]{}") in text
        or json.dumps(string)[1:-1] in text
        for string in strings
    )


@st.composite
def _conversations(draw: st.DrawFn) -> list[tuple[Vendor, Prompt]]:
    """Up to twelve turns, each asked of another vendor with all that came before."""
    asked: list[tuple[Vendor, Prompt]] = []
    messages = [Message(role=ROLE_USER, parts=[Part(text="Begin.")])]
    with_text = draw(st.booleans())
    offered = draw(st.booleans())
    seen = False
    for number in range(draw(st.integers(1, 12))):
        vendor = VENDORS[draw(st.sampled_from(sorted(VENDORS)))]
        if seen and vendor.target in BLIND:
            continue
        prompt = Prompt(messages=messages, tools=TOOLS if offered else [])
        prompt.config.reasoning.include_text = with_text
        asked.append((vendor, prompt))
        message = answered(vendor, Said(draw, f"n{number}"), prompt)
        if message is None:
            continue
        messages.append(message)
        media = [PICTURE] if draw(st.integers(0, 5)) == 0 else []
        seen = seen or bool(media)
        if draw(st.integers(0, 3)) and results(message).parts:
            said = [Part(text=f"result {number}"), *media]
            messages.append(results(message, *said, is_error=draw(st.booleans())))
        texts = draw(st.lists(st.sampled_from([f"user {number}", *BLANKS])))
        messages += [
            Message(role=ROLE_USER, parts=[Part(text=text), *media]) for text in texts
        ]
    return asked


SLOW = [
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.large_base_example,
]


@pytest.mark.rule("2.13", "2.14")
@settings(max_examples=30, suppress_health_check=SLOW)
@given(conversation=_conversations())
def test_vendors_change_at_every_turn(
    conversation: list[tuple[Vendor, Prompt]],
) -> None:
    """Nobody refuses, authors get back what is theirs, what is lost is reported."""
    for vendor, prompt in conversation:
        check(Call(prompt=prompt))
        try:
            request = vendor.encode(prompt)
        except Failure as failure:
            # It ends with a turn of the model's that this one cannot go on with.
            assert "go on with a turn of its own" in failure.message  # noqa: PT017
            continue
        text, told = request.body.decode(), reported(request)

        assert [] == vendor.wrong(request)
        assert [] == lost(vendor, prompt, text, told)


@pytest.mark.rule("2.13")
@settings(max_examples=25, suppress_health_check=SLOW)
@given(
    answer=_answers(),
    answered_=st.booleans(),
    picture=st.booleans(),
    is_error=st.booleans(),
)
@pytest.mark.parametrize("target", sorted(VENDORS))
def test_what_is_handed_out_is_taken_back(
    target: str,
    answer: tuple[Vendor, Message],
    answered_: bool,
    picture: bool,
    is_error: bool,
) -> None:
    """By validation, and at every API: also odd answers, no matter who gave them."""
    _, message = answer
    vendor = VENDORS[target]
    parts = [Part(text="seen"), *([PICTURE] if picture and target not in BLIND else [])]
    told = results(message, *parts, is_error=is_error)
    prompt = Prompt(
        messages=[
            Message(role=ROLE_USER, parts=[Part(text="Hi.")]),
            message,
            *([told] if answered_ and told.parts else []),
            Message(role=ROLE_USER, parts=[Part(text="And now?")]),
        ],
        tools=TOOLS,
    )
    check(Call(prompt=prompt))
    request = vendor.encode(prompt)

    assert [] == vendor.wrong(request)
    assert [] == lost(vendor, prompt, request.body.decode(), reported(request))
