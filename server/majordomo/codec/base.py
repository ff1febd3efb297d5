"""What a wire format is to majordomo: functions from messages to bytes and back.

A codec does no I/O, so that every recorded exchange is a test that needs no
network. `http.py` moves the bytes.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer, Life
from majordomo.media.images import ImageLimits
from majordomo.schemas.absence import Place
from majordomo.v1.attempt_pb2 import Usage
from majordomo.v1.generation_service_pb2 import Adaptation, PartDelta, Prompt


class Encoded(msgspec.Struct, frozen=True):
    """A request ready to be posted."""

    path: str
    """What follows the provider's base URL, percent-encoded, with its slash."""

    body: bytes
    streamed: bool = False
    """It asks for a stream."""

    long: bool = False
    """Its answer may be long."""

    headers: tuple[tuple[str, str], ...] = ()
    """Beside authorization and content type, which are the provider's."""

    adaptations: list[Adaptation] = msgspec.field(default_factory=list)
    renamed: dict[str, str] = msgspec.field(default_factory=dict)
    """The names of tools as the caller knows them, by those that were sent instead."""

    absent: Place | None = None
    """Where null stands for an absent key in the JSON that is the answer."""


class StreamDecoder(Protocol):
    """Reads one streamed answer, fed with bytes as they arrive."""

    @property
    def complete(self) -> bool:
        """The terminal marker or an error was seen: nothing more needs to be read."""

    @property
    def heard(self) -> bool:
        """What was fed last held an event, not only what keeps a connection up."""

    @property
    def life(self) -> Life | None:
        """What was fed last tells, beside its content, that the model is at work."""

    @property
    def finished(self) -> bool:
        """The provider has reported why the model stopped; its end should follow."""

    @property
    def usage(self) -> Usage | None:
        """As far as the provider has reported."""

    def feed(self, data: bytes) -> list[PartDelta]:
        """The content that `data` completes, adjacent text of one part joined.

        Raises Failure for an error within the stream, and for bytes that cannot
        be read. Content before the error in the same `data` is not lost: it is
        returned, `complete` is set, and finish() raises the failure.
        """

    def close(self) -> list[PartDelta]:
        """The content that the end of the body completes; see feed().

        Called once, when the body has ended before `complete`.
        """

    def settle(self) -> list[PartDelta]:
        """The content that is complete where nothing follows `finished`; see feed().

        The answer is complete by that.
        """

    def finish(self) -> Answer:
        """The end, once `complete` or after close() or settle().

        Raises Failure (MALFORMED_RESPONSE) without the wire's terminal marker
        (rule 3.4).
        """


class Codec(Protocol):
    """One wire format."""

    images: ImageLimits
    """What images it takes; others are made to fit before they are encoded."""

    @property
    def bare(self) -> "Codec | None":
        """The same wire without what goes beside `stream`; None: nothing does."""

    def encode(self, model: str, prompt: Prompt, *, stream: bool | None) -> Encoded:
        """`prompt` in this wire's form; Failure (UNSUPPORTED) if it has none.

        `stream` asks for a stream; None: where the answer may be long (rule 5.7).
        """

    def decode(self, prompt: Prompt, body: bytes) -> Answer:
        """The whole answer in the body of a 2xx response.

        `prompt` shows what the caller asked to see. Raises Failure for an error
        in a 200, and MALFORMED_RESPONSE for a body that is no answer.
        """

    def decoder(self, prompt: Prompt) -> StreamDecoder:
        """A decoder for one streamed 2xx response."""

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Why a response that is not 2xx failed. Total: never raises.

        `headers` has lower-case names.
        """
