"""Chat Completions, OpenAI's format that most other servers follow.

How they differ from it, and from each other, is in `profiles` for what they are sent;
what they answer is read the same for all.
"""

from dataclasses import replace
from functools import partial

from majordomo.chain.target import Answer
from majordomo.codec.capabilities import Lookup, capabilities
from majordomo.codec.event_stream import EventReader
from majordomo.codec.wire import WireCodec
from majordomo.providers.openai_chat.answer import ChatReader, decode_chat
from majordomo.providers.openai_chat.request import encode_chat
from majordomo.providers.profiles import COMMON, Profile
from majordomo.v1.generation_service_pb2 import Prompt


class OpenAICompatible(WireCodec):
    """Chat Completions as the server of one `profile` takes them."""

    def __init__(
        self,
        provider_name: str,
        allowed_options: frozenset[str] = frozenset(),
        profile: Profile = COMMON,
        known: Lookup = capabilities,
    ) -> None:
        super().__init__(provider_name, allowed_options, known)
        self.encoder = partial(encode_chat, profile=profile)
        self._reasoning = profile.reasoning
        if profile.stream_options:
            without = replace(profile, stream_options=False)
            self.bare = OpenAICompatible(provider_name, allowed_options, without, known)

    def decode(self, prompt: Prompt, body: bytes) -> Answer:
        """The whole answer in the body of a 2xx response."""
        return decode_chat(prompt, body, self._reasoning)

    def reader(self, prompt: Prompt) -> EventReader:
        """What reads the events of one streamed 2xx response."""
        return ChatReader(prompt, whole=False, kept=self._reasoning)
