"""A codec put together from what an API format's folder brings.

A format is a function that writes a request, one that reads a whole answer, and a
reader of the events of a streamed one. The rest is the same for all of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer
from majordomo.codec.base import Codec, Encoded, StreamDecoder
from majordomo.codec.capabilities import Capabilities, Lookup, capabilities
from majordomo.codec.errors.classify import classify
from majordomo.codec.event_stream import EventReader, EventStreamDecoder
from majordomo.media.images import ImageLimits
from majordomo.v1.generation_service_pb2 import Prompt


class Encoder(Protocol):
    """Writes requests of one API format."""

    def __call__(
        self,
        model: str,
        prompt: Prompt,
        *,
        stream: bool | None,
        provider_name: str,
        allowed_options: frozenset[str],
        known: Capabilities,
    ) -> Encoded:
        """The request for `prompt`; see codec.Codec.encode()."""


class WireCodec(ABC):
    """The codec of one configured provider; implements codec.Codec.

    `allowed_options` are the keys that callers may set by provider_options_json,
    `known` gives what models take. A subclass names the parts of its format.
    """

    images: ImageLimits = ImageLimits()
    encoder: Encoder
    bare: Codec | None = None

    def __init__(
        self,
        provider_name: str,
        allowed_options: frozenset[str] = frozenset(),
        known: Lookup = capabilities,
    ) -> None:
        self._provider_name = provider_name
        self._allowed_options = allowed_options
        self._known = known

    def encode(self, model: str, prompt: Prompt, *, stream: bool | None) -> Encoded:
        """`prompt` as a request; Failure (UNSUPPORTED) if it cannot be one."""
        return self.encoder(
            model,
            prompt,
            stream=stream,
            provider_name=self._provider_name,
            allowed_options=self._allowed_options,
            known=self._known(model),
        )

    @abstractmethod
    def decode(self, prompt: Prompt, body: bytes) -> Answer:
        """The whole answer in the body of a 2xx response."""

    @abstractmethod
    def reader(self, prompt: Prompt) -> EventReader:
        """What reads the events of one streamed 2xx response."""

    def decoder(self, prompt: Prompt) -> StreamDecoder:
        """A decoder for one streamed 2xx response."""
        return EventStreamDecoder(self.reader(prompt))

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Why a response that is not 2xx failed."""
        return classify(status, headers, body)
