"""Blocks of one answer whose pieces come in turn, on each of the four wires."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majordomo.codec.base import Codec
from majordomo.deltas import message
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.v1.content_pb2 import Message
from majordomo.v1.generation_service_pb2 import (
    GenerationConfig,
    Prompt,
    ReasoningConfig,
)

PROMPT = Prompt(config=GenerationConfig(reasoning=ReasoningConfig(include_text=True)))
Json = dict[str, Any]


@dataclass(frozen=True)
class Block:
    """What a model writes, and in which pieces."""

    kind: str
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class Written:
    """An answer's blocks, and whose turn it is to be gone on with."""

    blocks: tuple[Block, ...]
    turns: tuple[int, ...]

    @property
    def steps(self) -> Iterator[tuple[int, int]]:
        """(block, step): 0 opens a block, the last one closes it."""
        done = [0] * len(self.blocks)
        for turn in self.turns:
            yield turn, done[turn]
            done[turn] += 1

    @property
    def opened(self) -> list[int]:
        return [block for block, step in self.steps if step == 0]


def cut(text: str, places: list[int]) -> tuple[str, ...]:
    ends = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return tuple(text[a:b] for a, b in pairwise(ends))


@st.composite
def answers(draw: st.DrawFn, kinds: tuple[str, ...], once: tuple[str, ...]) -> Written:
    """Up to six blocks of `kinds`, those of `once` at most one time."""
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=6))
    blocks = []
    for number, kind in enumerate(chosen):
        if kind in once and kind in chosen[:number]:
            continue
        text = draw(st.text('ab {}[]"\\\n\té😀', min_size=1, max_size=12)) + "."
        if kind == "call":
            text = json.dumps({"block": number, "text": text})
        places = draw(st.lists(st.integers(0, 40), max_size=4))
        blocks.append(Block(kind, cut(text, places)))
    turns = [n for n, block in enumerate(blocks) for _ in range(len(block.pieces) + 2)]
    return Written(tuple(blocks), tuple(draw(st.permutations(turns))))


def sse(event: Json) -> bytes:
    return f"event: {event.get('type', '')}\ndata: {json.dumps(event)}\n\n".encode()


def read(codec: Codec, events: list[Json], size: int) -> Message:
    """What is read of the events, in pieces of `size` bytes."""
    body = b"".join(map(sse, events))
    decoder = codec.decoder(PROMPT)
    deltas = []
    for at in range(0, len(body), size):
        deltas += decoder.feed(body[at : at + size])
    if not decoder.complete:
        deltas += decoder.close()
    answer = decoder.finish()
    return message([*deltas, *answer.rest])


def shown(read: Message) -> list[tuple[str, str]]:
    parts = []
    for part in read.parts:
        match part.WhichOneof("kind"):
            case "text":
                parts.append(("text", part.text))
            case "reasoning":
                parts.append(("reasoning", part.reasoning.text))
            case "opaque":
                parts.append(("opaque", part.opaque.description))
            case _:
                call = part.tool_call
                parts.append((f"call {call.name}", call.arguments_json))
    return parts


def written(answer: Written, order: list[int]) -> list[tuple[str, str]]:
    parts = []
    for number in order:
        block = answer.blocks[number]
        kind = f"call t{number}" if block.kind == "call" else block.kind
        parts.append((kind, "".join(block.pieces)))
    return parts


def anthropic_events(answer: Written) -> Iterator[Json]:
    yield {"type": "message_start", "message": {"id": "m", "model": "m"}}
    starts: dict[str, Callable[[int], Json]] = {
        "text": lambda _: {"type": "text", "text": ""},
        "reasoning": lambda _: {"type": "thinking", "thinking": ""},
        "call": lambda n: {
            "type": "tool_use",
            "id": f"c{n}",
            "name": f"t{n}",
            "input": {},
        },
    }
    keys = {
        "text": ("text_delta", "text"),
        "reasoning": ("thinking_delta", "thinking"),
        "call": ("input_json_delta", "partial_json"),
    }
    for number, step in answer.steps:
        block = answer.blocks[number]
        if step == 0:
            start = starts[block.kind](number)
            yield {
                "type": "content_block_start",
                "index": number,
                "content_block": start,
            }
        elif step <= len(block.pieces):
            type_, key = keys[block.kind]
            delta = {"type": type_, key: block.pieces[step - 1]}
            yield {"type": "content_block_delta", "index": number, "delta": delta}
        else:
            if block.kind == "reasoning":
                delta = {"type": "signature_delta", "signature": f"s{number}"}
                yield {"type": "content_block_delta", "index": number, "delta": delta}
            yield {"type": "content_block_stop", "index": number}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    yield {"type": "message_stop"}


def responses_events(answer: Written, *, indexed: bool, named: bool) -> Iterator[Json]:
    types = {"text": "message", "reasoning": "reasoning", "call": "function_call"}
    deltas = {
        "text": "response.output_text.delta",
        "reasoning": "response.reasoning_summary_text.delta",
        "call": "response.function_call_arguments.delta",
    }

    def where(number: int, id_key: str) -> Json:
        place: Json = {"output_index": number} if indexed else {}
        return place | ({id_key: f"i{number}"} if named else {})

    for number, step in answer.steps:
        block = answer.blocks[number]
        item: Json = (
            {"type": types[block.kind], "id": f"i{number}"}
            if named
            else {"type": types[block.kind]}
        )
        if block.kind == "call":
            item |= {"call_id": f"c{number}", "name": f"t{number}"}
        place = {"output_index": number} if indexed else {}
        if step == 0:
            yield {"type": "response.output_item.added", **place, "item": item}
        elif step <= len(block.pieces):
            said = {"delta": block.pieces[step - 1], **where(number, "item_id")}
            yield {"type": deltas[block.kind], **said}
        else:
            text = "".join(block.pieces)
            if block.kind == "text":
                item["content"] = [{"type": "output_text", "text": text}]
            elif block.kind == "reasoning":
                item["encrypted_content"] = "e"
            else:
                item["arguments"] = text
            yield {"type": "response.output_item.done", **place, "item": item}
    yield {"type": "response.completed", "response": {"status": "completed"}}


def chat_events(answer: Written) -> Iterator[Json]:
    for number, step in answer.steps:
        block = answer.blocks[number]
        delta: Json = {}
        if block.kind == "call":
            function = {"name": f"t{number}", "arguments": ""} if step == 0 else {}
            if 0 < step <= len(block.pieces):
                function = {"arguments": block.pieces[step - 1]}
            call = {"index": number, "function": function}
            delta["tool_calls"] = [call | ({"id": f"c{number}"} if step == 0 else {})]
        elif 0 < step <= len(block.pieces):
            key = "content" if block.kind == "text" else "reasoning_content"
            delta[key] = block.pieces[step - 1]
        yield {"choices": [{"index": 0, "delta": delta}]}
    yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def gemini_events(answer: Written) -> Iterator[Json]:
    for number, step in answer.steps:
        block = answer.blocks[number]
        within = 0 < step <= len(block.pieces)
        if block.kind == "call":
            call: Json = {"id": f"c{number}"}
            if step == 0:
                call |= {"name": f"t{number}", "willContinue": True}
            elif within:
                argument = {"jsonPath": "$.x", "stringValue": block.pieces[step - 1]}
                call |= {"partialArgs": [argument], "willContinue": True}
            part: Json = {"functionCall": call}
        elif within:
            part = {"text": block.pieces[step - 1]}
        else:
            continue
        yield {"candidates": [{"content": {"parts": [part]}}]}
    yield {"candidates": [{"finishReason": "STOP"}]}


ALL = ("text", "reasoning", "call")
SIZES = st.integers(1, 400)


@pytest.mark.rule("3.7", "3.8")
@settings(deadline=None)
@given(answers(ALL, ()), SIZES)
def test_anthropic(answer: Written, size: int) -> None:
    """Every block is a part, in the order in which they began."""
    events = list(anthropic_events(answer))

    assert written(answer, answer.opened) == shown(read(Anthropic("p"), events, size))


@pytest.mark.rule("3.7", "3.8")
@settings(deadline=None)
@given(
    answers(ALL, ()),
    SIZES,
    st.sampled_from([(True, True), (True, False), (False, True)]),
)
def test_responses(answer: Written, size: int, reported: tuple[bool, bool]) -> None:
    """By index and id, or by either alone."""
    indexed, named = reported
    events = list(responses_events(answer, indexed=indexed, named=named))

    turn = read(OpenAIResponses("p"), events, size)
    assert written(answer, answer.opened) == shown(turn)


@pytest.mark.rule("3.7", "3.8")
@settings(deadline=None)
@given(answers(ALL, ("text", "reasoning")), SIZES)
def test_chat(answer: Written, size: int) -> None:
    """One text, one reasoning, and every call."""
    events = list(chat_events(answer))

    turn = read(OpenAICompatible("p"), events, size)
    everything = written(answer, list(range(len(answer.blocks))))
    assert sorted(everything) == sorted(shown(turn))


@pytest.mark.rule("3.7")
@settings(deadline=None)
@given(answers(("text", "call"), ("text",)), SIZES)
def test_gemini(answer: Written, size: int) -> None:
    """Calls by their ids, whatever is between their pieces; text in its order."""
    turn = read(Gemini("p"), list(gemini_events(answer)), size)

    parts = shown(turn)
    everything = written(answer, list(range(len(answer.blocks))))
    text = "".join(text for kind, text in everything if kind == "text")
    calls = [(kind, {"x": text}) for kind, text in everything if kind != "text"]
    assert text == "".join(text for kind, text in parts if kind == "text")
    assert sorted(calls, key=str) == sorted(
        ((kind, json.loads(text)) for kind, text in parts if kind != "text"), key=str
    )
