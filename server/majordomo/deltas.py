"""A turn, put together from the pieces that it was streamed in."""

from collections.abc import Iterable, Iterator

from majordomo.v1.content_pb2 import ROLE_ASSISTANT, Message, Part, Reasoning, ToolCall
from majordomo.v1.generation_service_pb2 import PartDelta


def message(deltas: Iterable[PartDelta]) -> Message:
    """The assistant's turn that `deltas` make, as a unary call would have given it."""
    parts: dict[int, list[PartDelta]] = {}
    for delta in deltas:
        parts.setdefault(delta.part_index, []).append(delta)
    turn = Message(role=ROLE_ASSISTANT)
    turn.parts.extend(_parts(pieces for _, pieces in sorted(parts.items())))
    return turn


def _parts(groups: Iterable[list[PartDelta]]) -> Iterator[Part]:
    """One part for the pieces of each; kinds that we do not know are left out."""
    for deltas in groups:
        part = Part(provider_state=b"".join(delta.provider_state for delta in deltas))
        kinds = (delta.WhichOneof("delta") for delta in deltas)
        match next(filter(None, kinds), None):
            case "text":
                part.text = "".join(delta.text for delta in deltas)
            case "reasoning":
                text = "".join(delta.reasoning for delta in deltas)
                part.reasoning.CopyFrom(Reasoning(text=text))
            case "tool_call":
                part.tool_call.CopyFrom(_tool_call(deltas))
            case "blob":
                part.blob.CopyFrom(deltas[0].blob)
            case _:
                continue
        yield part


def _tool_call(deltas: list[PartDelta]) -> ToolCall:
    pieces = [delta.tool_call for delta in deltas]
    return ToolCall(
        id=pieces[0].id,
        name=pieces[0].name,
        arguments_json="".join(piece.arguments_json_fragment for piece in pieces),
    )
