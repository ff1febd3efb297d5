"""A streamed answer, put together from its events."""

from collections.abc import Iterable

from grpc import StatusCode

from majordomo.client.errors import StreamInterrupted
from majordomo.v1.content_pb2 import ROLE_ASSISTANT, Message, Part, Reasoning, ToolCall
from majordomo.v1.generation_service_pb2 import (
    Completion,
    PartDelta,
    Restart,
    StreamResponse,
)


class Assembly:
    """What has been read of an answer so far."""

    def __init__(self) -> None:
        self.completion: Completion | None = None
        """How the call ended; None until it has been read to a good end."""

        self._deltas: list[PartDelta] = []

    @property
    def message(self) -> Message:
        """The model's turn as far as it has been read.

        At the end it is as Generate's, ready to append to Prompt.messages.
        """
        parts: dict[int, list[PartDelta]] = {}
        for delta in self._deltas:
            parts.setdefault(delta.part_index, []).append(delta)
        built = Message(role=ROLE_ASSISTANT)
        built.parts.extend(_parts(deltas for _, deltas in sorted(parts.items())))
        if self.completion is not None:
            built.origin = self.completion.target
        return built

    def _add(self, event: StreamResponse) -> StreamResponse:
        """Take `event` in, and give it back."""
        match event.WhichOneof("event"):
            case "part_delta":
                self._deltas.append(event.part_delta)
            case "completion":
                self.completion = event.completion
            case "restart":
                self._deltas.clear()
        return event


def text_in(event: StreamResponse) -> str:
    """The text that `event` brings, for a reader of nothing else.

    Raises StreamInterrupted where the answer starts again: such a reader cannot take
    back what it has read.
    """
    if event.HasField("restart"):
        raise _interrupted(event.restart)
    return event.part_delta.text


def _interrupted(restart: Restart) -> StreamInterrupted:
    return StreamInterrupted(
        f"the answer broke off; {restart.target} starts it again, which only a "
        "reader of the stream's events can follow",
        code=StatusCode.ABORTED,
        reason="STREAM_INTERRUPTED",
        attempts=[restart.interrupted],
    )


def _parts(groups: Iterable[list[PartDelta]]) -> Iterable[Part]:
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
