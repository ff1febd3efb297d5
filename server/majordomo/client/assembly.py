"""A streamed answer, put together from its events."""

from grpc import StatusCode

from majordomo.client.errors import StreamInterrupted
from majordomo.deltas import message
from majordomo.v1.content_pb2 import Message
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
        built = message(self._deltas)
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
