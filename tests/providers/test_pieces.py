"""Answers put together from pieces: parts, their state, and what is held back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo.codec.pieces import REASONING, TEXT, Block, Pieces
from majordomo.codec.state import pack, unpack
from majordomo.deltas import message
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    Message,
    Part,
    Reasoning,
    ToolCall,
)


@pytest.mark.rule("3.1")
def test_state_alone_is_no_content() -> None:
    """It waits for the content that follows it, and goes out before it."""
    pieces = Pieces()
    pieces.state(Block(REASONING), b"signature")

    assert [] == pieces.take()
    pieces.text("hello")
    reasoning, text = pieces.take()
    assert (0, b"signature", "reasoning") == (
        reasoning.part_index,
        reasoning.provider_state,
        reasoning.WhichOneof("delta"),
    )
    assert (1, "hello") == (text.part_index, text.text)


def test_an_answer_without_content_still_has_its_state() -> None:
    """At its end, what was held back comes out."""
    pieces = Pieces()
    pieces.state(Block(TEXT), b"signature")
    pieces.end()

    assert Message(
        role=ROLE_ASSISTANT, parts=[Part(text="", provider_state=b"signature")]
    ) == message(pieces.rest())


def test_state_comes_with_the_last_piece_of_its_part() -> None:
    """Also when the part before it was taken already, and for calls."""
    pieces = Pieces()
    reasoning = Block(REASONING)
    pieces.add(reasoning, "so ")
    taken = pieces.take()
    pieces.add(reasoning, "it is")
    pieces.state(reasoning, b"one")
    call = pieces.tool_call("id", "now")
    pieces.state(call, b"two")
    pieces.text("done")
    pieces.end()

    assert Message(
        role=ROLE_ASSISTANT,
        parts=[
            Part(reasoning=Reasoning(text="so it is"), provider_state=b"one"),
            Part(
                tool_call=ToolCall(id="id", name="now", arguments_json="{}"),
                provider_state=b"two",
            ),
            Part(text="done"),
        ],
    ) == message([*taken, *pieces.take()])


def test_text_after_a_signed_part_is_a_part_of_its_own() -> None:
    """A signature belongs to the text that it came with."""
    pieces = Pieces()
    signed = Block(TEXT)
    pieces.add(signed, "signed")
    pieces.state(signed, b"s")
    pieces.text("not signed")
    pieces.end()

    parts = message(pieces.take()).parts
    assert [("signed", b"s"), ("not signed", b"")] == [
        (part.text, part.provider_state) for part in parts
    ]


def test_a_state_is_read_by_its_own_wire_alone() -> None:
    """Verbatim; for others, and in other versions, it is as if it were not there."""
    state = pack("anthropic", signature="Eq/=\n", id="ü")

    assert {"signature": "Eq/=\n", "id": "ü"} == unpack("anthropic", state)
    assert {} == unpack("gemini", state)
    assert {} == unpack("anthropic", state.replace(b'"v":1', b'"v":2'))
    assert {} == unpack("anthropic", b"")


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_any_bytes_may_come_back(state: bytes) -> None:
    """What is no record says nothing, and never raises."""
    assert {} == unpack("anthropic", state)
