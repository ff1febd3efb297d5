"""Google's generateContent, at the Gemini API and at Vertex AI."""

from collections.abc import Mapping

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer
from majordomo.codec.base import Encoded, StreamDecoder
from majordomo.codec.capabilities import Lookup, capabilities
from majordomo.codec.errors.classify import classify
from majordomo.codec.event_stream import EventStreamDecoder
from majordomo.media.images import ImageLimits
from majordomo.providers.gemini.answer import GeminiReader, decode_gemini
from majordomo.providers.gemini.request import encode_gemini
from majordomo.v1.generation_service_pb2 import Prompt


class Gemini:
    """The codec of one configured provider; implements codec.Codec.

    `allowed_options` are the keys that callers may set by provider_options_json,
    `known` tells what models take.
    """

    bare = None
    images = ImageLimits(
        formats=frozenset(
            {"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"}
        )
    )

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
        return encode_gemini(
            model,
            prompt,
            stream=stream,
            provider_name=self._provider_name,
            allowed_options=self._allowed_options,
            known=self._known(model),
        )

    def decode(self, prompt: Prompt, body: bytes) -> Answer:
        """The whole answer in the body of a 2xx response."""
        return decode_gemini(prompt, body)

    def decoder(self, prompt: Prompt) -> StreamDecoder:
        """A decoder for one streamed 2xx response."""
        return EventStreamDecoder(GeminiReader(prompt))

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Why a response that is not 2xx failed."""
        return classify(status, headers, body)
