"""The settings of OpenAI."""

from typing import ClassVar, Literal

from majordomo.codec.base import Codec
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.providers.profiles import guess
from majordomo.providers.settings import HttpSettings
from majordomo.section import BaseUrl


class OpenAISettings(HttpSettings):
    """OpenAI's Responses API, or with `api = "chat"` Chat Completions."""

    KEY_VARIABLE: ClassVar = "OPENAI_API_KEY"

    kind: Literal["openai"]
    """This kind."""

    base_url: BaseUrl = "https://api.openai.com/v1"
    """What comes before /responses and /chat/completions."""

    api: Literal["responses", "chat"] = "responses"
    """Which of its APIs: Responses, or Chat Completions."""

    @property
    def key_header(self) -> str:
        return guess(self.base_url).key_header

    @property
    def telemetry_name(self) -> str:
        return guess(self.base_url).telemetry_name

    def codec(self, name: str) -> Codec:
        options = frozenset(self.provider_options)
        if self.api == "responses":
            return OpenAIResponses(name, options, self.known)
        return OpenAICompatible(name, options, guess(self.base_url), self.known)
