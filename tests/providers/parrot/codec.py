"""The API format of a service that repeats what it hears."""

import json
from urllib.parse import quote

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer
from majordomo.codec.base import Encoded
from majordomo.codec.capabilities import Capabilities
from majordomo.codec.pieces import Pieces
from majordomo.codec.wire import WireCodec
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_UNSUPPORTED,
    Usage,
)
from majordomo.v1.content_pb2 import ROLE_ASSISTANT, Message, Part
from majordomo.v1.generation_service_pb2 import FINISH_REASON_STOP, Completion, Prompt


def encode_line(
    model: str,
    prompt: Prompt,
    *,
    stream: bool | None,
    provider_name: str,
    allowed_options: frozenset[str],
    known: Capabilities,
) -> Encoded:
    """The request for `prompt`, which has to be text."""
    parts = [part for message in prompt.messages for part in message.parts]
    if prompt.tools or not all(part.HasField("text") for part in parts):
        raise Failure(FAILURE_REASON_UNSUPPORTED, "prompt: parrots take text")
    body = {"line": " ".join(part.text for part in parts), "bit_by_bit": bool(stream)}
    return Encoded(f"/repeat/{quote(model)}", json.dumps(body).encode(), bool(stream))


def decode_line(prompt: Prompt, body: bytes) -> Answer:
    """The whole answer."""
    try:
        text = json.loads(body)["said"]
    except (ValueError, LookupError, TypeError):
        raise Failure(FAILURE_REASON_MALFORMED_RESPONSE, "nothing was said") from None
    return Answer(_completion(), Message(role=ROLE_ASSISTANT, parts=[Part(text=text)]))


class BitReader:
    """Reads an answer that comes bit by bit."""

    thinking = False

    def __init__(self, prompt: Prompt) -> None:
        self.pieces = Pieces()
        self.complete = self.finished = False
        self.usage: Usage | None = None

    def read_event(self, name: bytes, data: bytes) -> None:
        if name == b"end":
            self.finish()
        else:
            self.pieces.text(json.loads(data)["bit"])

    def end(self) -> None:
        """Nothing: an answer without its last event is not complete."""

    def finish(self) -> None:
        self.complete = self.finished = True
        self.pieces.end()

    def completion(self) -> Completion:
        return _completion()


def _completion() -> Completion:
    return Completion(provider_model="parrot", finish_reason=FINISH_REASON_STOP)


class Parrot(WireCodec):
    """What a parrot hears and says."""

    encoder = staticmethod(encode_line)
    decode = staticmethod(decode_line)
    reader = BitReader
