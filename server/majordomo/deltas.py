"""A turn, put together from the pieces that it was streamed in."""

from collections.abc import Iterable

from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    Blob,
    Message,
    Reasoning,
    ToolCall,
)
from majordomo.v1.generation_service_pb2 import PartDelta


def message(deltas: Iterable[PartDelta]) -> Message:
    """The assistant's turn that `deltas` make, as a unary call would have given it."""
    parts: dict[int, list[PartDelta]] = {}
    for delta in deltas:
        parts.setdefault(delta.part_index, []).append(delta)
    turn = Message(role=ROLE_ASSISTANT)
    for _, pieces in sorted(parts.items()):
        _add_part(turn, pieces)
    return turn


def _add_part(turn: Message, deltas: list[PartDelta]) -> None:
    """One part for its pieces; of a kind that we do not know none."""
    kinds = [kind for delta in deltas if (kind := delta.WhichOneof("delta"))]
    match kinds and kinds[0]:
        case "text":
            part = turn.parts.add(text="".join([delta.text for delta in deltas]))
        case "reasoning":
            text = "".join([delta.reasoning for delta in deltas])
            part = turn.parts.add(reasoning=Reasoning(text=text))
        case "tool_call":
            part = turn.parts.add(tool_call=_tool_call(deltas))
        case "blob":
            part = turn.parts.add(blob=_blob(deltas))
        case "media_reference":
            part = turn.parts.add(media_reference=deltas[0].media_reference)
        case "opaque":
            part = turn.parts.add(opaque=deltas[0].opaque)
        case _:
            return
    for delta in deltas:
        part.citations.extend(delta.citations)
    if state := b"".join([delta.provider_state for delta in deltas]):
        part.provider_state = state


def _blob(deltas: list[PartDelta]) -> Blob:
    pieces = [delta.blob for delta in deltas]
    data = b"".join([piece.data for piece in pieces])
    return Blob(media_type=pieces[0].media_type, data=data)


def _tool_call(deltas: list[PartDelta]) -> ToolCall:
    pieces = [delta.tool_call for delta in deltas]
    return ToolCall(
        id=pieces[0].id,
        name=pieces[0].name,
        arguments_json="".join(piece.arguments_json_fragment for piece in pieces),
    )
