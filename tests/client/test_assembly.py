"""Streamed answers put together: as the unary answer of the same pieces."""

import pytest

from majordomo.client.assembly import Assembly
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    Blob,
    Citation,
    MediaReference,
    Message,
    OpaquePart,
    Part,
    Reasoning,
    RequestSource,
    TextRange,
    ToolCall,
)
from majordomo.v1.generation_service_pb2 import (
    Completion,
    PartDelta,
    Restart,
    StreamResponse,
    ToolCallDelta,
)


def assembled(*events: PartDelta | Restart | Completion) -> Assembly:
    assembly = Assembly()
    for event in events:
        match event:
            case PartDelta():
                assembly._add(StreamResponse(part_delta=event))
            case Restart():
                assembly._add(StreamResponse(restart=event))
            case Completion():
                assembly._add(StreamResponse(completion=event))
    return assembly


def test_every_kind_of_part_is_joined_by_its_index() -> None:
    """In the order of the indexes, with the state that its writer needs again."""
    blob = Blob(media_type="image/png", data=b"png")
    completion = Completion(target="acme/m", generation_id="g-1")

    assembly = assembled(
        PartDelta(part_index=0, reasoning="let me "),
        PartDelta(part_index=0, reasoning="see", provider_state=b"signed"),
        PartDelta(part_index=1, text="It "),
        PartDelta(
            part_index=3,
            tool_call=ToolCallDelta(
                id="b", name="look_up", arguments_json_fragment='{"x"'
            ),
        ),
        PartDelta(part_index=2, tool_call=ToolCallDelta(id="a", name="ask")),
        PartDelta(
            part_index=3, tool_call=ToolCallDelta(arguments_json_fragment=": 1}")
        ),
        PartDelta(part_index=1, text="is."),
        PartDelta(part_index=2, tool_call=ToolCallDelta(arguments_json_fragment="{}")),
        PartDelta(part_index=4, blob=blob),
        completion,
    )

    assert completion == assembly.completion
    assert (
        Message(
            role=ROLE_ASSISTANT,
            origin="acme/m",
            parts=[
                Part(reasoning=Reasoning(text="let me see"), provider_state=b"signed"),
                Part(text="It is."),
                Part(tool_call=ToolCall(id="a", name="ask", arguments_json="{}")),
                Part(
                    tool_call=ToolCall(
                        id="b", name="look_up", arguments_json='{"x": 1}'
                    )
                ),
                Part(blob=blob),
            ],
        )
        == assembly.message
    )


def test_hidden_reasoning_keeps_its_state() -> None:
    """Though it has no text; the target that wrote it needs it back."""
    assembly = assembled(PartDelta(reasoning="", provider_state=b"sealed"))

    expected = Part(reasoning=Reasoning(), provider_state=b"sealed")
    assert [expected] == list(assembly.message.parts)


def test_kinds_of_the_future_are_left_out() -> None:
    """A part without a kind could not be sent back."""
    assembly = assembled(
        PartDelta(part_index=0, provider_state=b"?"), PartDelta(part_index=1, text="hi")
    )

    assert [Part(text="hi")] == list(assembly.message.parts)


def test_a_restart_voids_what_came_before() -> None:
    """The next target begins at part 0 again."""
    assembly = assembled(
        PartDelta(part_index=0, text="one "),
        PartDelta(part_index=1, text="two"),
        Restart(target="acme/b"),
        PartDelta(part_index=0, text="eins"),
    )

    assert [Part(text="eins")] == list(assembly.message.parts)


@pytest.mark.parametrize("events", [(), (PartDelta(text="on"), PartDelta(text="e"))])
def test_what_has_come_can_be_read_at_any_time(events: tuple[PartDelta, ...]) -> None:
    """Without an end there is no completion, and nobody who wrote it."""
    assembly = assembled(*events)

    text = "".join(delta.text for delta in events)
    assert text == "".join(part.text for part in assembly.message.parts)
    assert ("", None) == (assembly.message.origin, assembly.completion)


def test_media_in_pieces_and_what_goes_with_parts() -> None:
    """Bytes are joined under the first piece's type; citations are kept in order."""
    web = Citation(uri="https://a.example", range=TextRange(start=0, end=3))
    page = Citation(request=RequestSource(part_index=1, first_page=2, last_page=2))
    reference = MediaReference(uri="https://b.example/cat.png")
    search = OpaquePart(type="web_search_call", description="searched for cats")

    assembly = assembled(
        PartDelta(part_index=0, opaque=search, provider_state=b"state"),
        PartDelta(part_index=1, text="One", citations=[web]),
        PartDelta(part_index=1, text=" two.", citations=[page]),
        PartDelta(part_index=2, blob=Blob(media_type="image/png", data=b"pn")),
        PartDelta(part_index=2, blob=Blob(data=b"g")),
        PartDelta(part_index=3, media_reference=reference),
    )

    assert [
        Part(opaque=search, provider_state=b"state"),
        Part(text="One two.", citations=[web, page]),
        Part(blob=Blob(media_type="image/png", data=b"png")),
        Part(media_reference=reference),
    ] == list(assembly.message.parts)
