"""Messages answers: what is read beyond what the recordings show."""

import json
from typing import Any

import pytest

from majordomo.chain.failure import Failure
from majordomo.codec.state import unpack
from majordomo.deltas import message
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.v1.attempt_pb2 import FAILURE_REASON_OVERLOADED
from majordomo.v1.content_pb2 import Message
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_CONTENT_FILTER,
    FINISH_REASON_OTHER,
    FINISH_REASON_TOOL_CALLS,
    Completion,
    Prompt,
)

CODEC = Anthropic("anthropic")
OVERLOADED = {
    "type": "error",
    "error": {"type": "overloaded_error", "message": "Overloaded"},
}


def events(*values: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(v).encode() + b"\r\n\r\n" for v in values)


def read(data: bytes, *, shown: bool = False) -> tuple[Message, Completion]:
    """A streamed answer; `shown`: the caller asked to see reasoning."""
    prompt = Prompt()
    prompt.config.reasoning.include_text = shown
    decoder = CODEC.decoder(prompt)
    deltas = decoder.feed(data)
    if not decoder.complete:
        deltas += decoder.close()
    return message(deltas), decoder.finish().completion


def blocks(*written: dict[str, Any], stop: str = "end_turn") -> bytes:
    """A Messages stream of blocks, each with its deltas."""
    said: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {}}}
    ]
    for index, whole in enumerate(written):
        block = dict(whole)
        deltas = block.pop("deltas", [])
        said.append(
            {"type": "content_block_start", "index": index, "content_block": block}
        )
        said += [{"type": "content_block_delta", "delta": delta} for delta in deltas]
        said.append({"type": "ping"})
        said.append({"type": "content_block_stop", "index": index})
    said.append({"type": "message_delta", "delta": {"stop_reason": stop}})
    return events(*said, {"type": "message_stop"})


THINKING = {
    "type": "thinking",
    "thinking": "",
    "deltas": [
        {"type": "thinking_delta", "thinking": "h"},
        {"type": "thinking_delta", "thinking": "m"},
        {"type": "signature_delta", "signature": "c2ln"},
    ],
}
TEXT = {
    "type": "text",
    "text": "",
    "deltas": [{"type": "text_delta", "text": "hi"}, {"type": "citations_delta"}],
}


@pytest.mark.parametrize("shown", [False, True])
def test_thinking_is_shown_or_kept(shown: bool) -> None:
    """Unseen it is in the state, with its signature; seen the signature alone is."""
    redacted = {"type": "redacted_thinking", "data": "cmVk"}
    turn, _ = read(blocks(THINKING, redacted, TEXT), shown=shown)
    states = [unpack("anthropic", part.provider_state) for part in turn.parts]
    kept = {"signature": "c2ln"} if shown else {"signature": "c2ln", "thinking": "hm"}

    assert [kept, {"redacted": "cmVk"}, {}] == states
    assert ["hm" if shown else "", ""] == [p.reasoning.text for p in turn.parts[:2]]
    assert "hi" == turn.parts[2].text


def test_unseen_thinking_is_no_content() -> None:
    """Nothing is handed on before text comes (rule 3.1)."""
    decoder = CODEC.decoder(Prompt())
    whole = blocks(THINKING, TEXT)
    before = whole.index(b'"text_delta"') - 60

    assert [] == decoder.feed(whole[:before])
    assert [] != decoder.feed(whole[before:])


@pytest.mark.parametrize(
    "use",
    [
        {"input": {}, "deltas": []},
        {"input": {}, "deltas": [{"type": "input_json_delta", "partial_json": ""}]},
        {"input": {"a": 1}, "deltas": []},
        {
            "input": {},
            "deltas": [
                {"type": "input_json_delta", "partial_json": '{"a"'},
                {"type": "input_json_delta", "partial_json": ":1}"},
            ],
        },
    ],
)
def test_tool_inputs(use: dict[str, Any]) -> None:
    """None, whole at once, or in pieces; the provider's own tools are opaque."""
    server = {"type": "server_tool_use", "id": "s", "name": "search", "input": {"q": 1}}
    tool = {"type": "tool_use", "id": "t", "name": "f", **use}
    turn, completion = read(blocks(server, tool, stop="tool_use"))
    [own, part] = turn.parts

    assert "server_tool_use" == own.opaque.type
    expected = {} if use["input"] == {} and len(use["deltas"]) < 2 else {"a": 1}
    assert expected == json.loads(part.tool_call.arguments_json)
    assert ("t", "f") == (part.tool_call.id, part.tool_call.name)
    assert FINISH_REASON_TOOL_CALLS == completion.finish_reason


def test_what_is_new_is_opaque() -> None:
    """Blocks, deltas, events and reasons that nobody knew."""
    new = {"type": "hologram", "deltas": [{"type": "light_delta", "light": 3}]}
    body = events({"type": "weather"}) + blocks(new, TEXT, stop="paused_for_tea")
    turn, completion = read(body)

    [hologram, text] = turn.parts
    kept = {"type": "hologram", "light": 3}
    assert kept == json.loads(unpack("anthropic", hologram.provider_state)["block"])
    assert ("hologram", "hi") == (hologram.opaque.type, text.text)
    assert ["weather"] == [omission.type for omission in completion.omissions]
    assert FINISH_REASON_OTHER == completion.finish_reason
    assert "paused_for_tea" == completion.provider_finish_reason


def test_an_error_after_content_does_not_swallow_it() -> None:
    """What came in the same bytes is handed on; then the failure is raised."""
    decoder = CODEC.decoder(Prompt())
    body = blocks(TEXT).partition(b'data: {"type": "message_delta"')[0]
    deltas = decoder.feed(body + events(OVERLOADED))

    assert ["hi"] == [delta.text for delta in deltas]
    with pytest.raises(Failure) as caught:
        decoder.close()
    assert FAILURE_REASON_OVERLOADED == caught.value.reason


def test_a_refusal_is_an_answer() -> None:
    """With what it holds, and the reason."""
    refusal, ended = read(blocks(TEXT, stop="refusal"))

    assert ["hi"] == [part.text for part in refusal.parts]
    assert FINISH_REASON_CONTENT_FILTER == ended.finish_reason
