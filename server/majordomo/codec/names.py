"""Names of tools in an answer, as the caller knows them.

Some APIs refuse names that the contract takes; there a tool goes by another.
"""

from collections.abc import Mapping

from majordomo.chain.target import Answer, Piece
from majordomo.v1.content_pb2 import ToolCall
from majordomo.v1.generation_service_pb2 import ToolCallDelta


def name_tools(piece: Piece, renamed: Mapping[str, str]) -> None:
    """Give the tools that `piece` calls the names that they had, by those sent."""
    calls: list[ToolCall | ToolCallDelta] = []
    if isinstance(piece, Answer):
        parts = piece.message.parts if piece.message is not None else ()
        calls += [part.tool_call for part in parts if part.HasField("tool_call")]
    elif isinstance(piece, list):
        calls += [delta.tool_call for delta in piece if delta.HasField("tool_call")]
    for call in calls:
        if call.name in renamed:
            call.name = renamed[call.name]
