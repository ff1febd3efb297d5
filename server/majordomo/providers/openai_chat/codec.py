"""Chat Completions, OpenAI's format that most other servers follow.

How they differ from it, and from each other, is in `profiles` for what they are sent;
what they answer is read the same for all.
"""

from collections.abc import Mapping
from dataclasses import replace

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer
from majordomo.codec.base import Encoded, StreamDecoder
from majordomo.codec.capabilities import Lookup, capabilities
from majordomo.codec.errors.classify import classify
from majordomo.codec.event_stream import EventStreamDecoder
from majordomo.media.images import ImageLimits
from majordomo.providers.openai_chat.answer import ChatReader, decode_chat
from majordomo.providers.openai_chat.profiles import COMMON, Profile
from majordomo.providers.openai_chat.request import encode_chat
from majordomo.v1.generation_service_pb2 import Prompt


class OpenAICompatible:
    """The codec of one configured provider; implements codec.Codec.

    `allowed_options` are the keys that callers may set by provider_options_json,
    `known` tells what models take.
    """

    images = ImageLimits()

    def __init__(
        self,
        provider_name: str,
        allowed_options: frozenset[str] = frozenset(),
        profile: Profile = COMMON,
        known: Lookup = capabilities,
    ) -> None:
        self._provider_name = provider_name
        self._allowed_options = allowed_options
        self._profile = profile
        self._known = known
        self.bare: OpenAICompatible | None = None
        if profile.stream_options:
            without = replace(profile, stream_options=False)
            self.bare = OpenAICompatible(provider_name, allowed_options, without, known)

    def encode(self, model: str, prompt: Prompt, *, stream: bool | None) -> Encoded:
        """`prompt` as a request; Failure (UNSUPPORTED) if it cannot be one."""
        return encode_chat(
            model,
            prompt,
            stream=stream,
            provider_name=self._provider_name,
            allowed_options=self._allowed_options,
            profile=self._profile,
            known=self._known(model),
        )

    def decode(self, prompt: Prompt, body: bytes) -> Answer:
        """The whole answer in the body of a 2xx response."""
        return decode_chat(prompt, body, self._profile.reasoning)

    def decoder(self, prompt: Prompt) -> StreamDecoder:
        """A decoder for one streamed 2xx response."""
        kept = self._profile.reasoning
        return EventStreamDecoder(ChatReader(prompt, whole=False, kept=kept))

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Why a response that is not 2xx failed."""
        return classify(status, headers, body)
