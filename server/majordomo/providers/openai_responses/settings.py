"""The settings of OpenAI."""

from collections.abc import Mapping, Set
from typing import Any, ClassVar, Literal

from majordomo.codec.base import Codec
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_chat.request import RESERVED as CHAT
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.providers.openai_responses.request import RESERVED as RESPONSES
from majordomo.providers.profiles import PROFILES, guess
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

    @classmethod
    def reserved_options(cls, values: Mapping[str, Any]) -> Set[str]:
        return CHAT if values.get("api") == "chat" else RESPONSES

    def codec(self, name: str) -> Codec:
        options = frozenset(self.provider_options)
        if self.api == "responses":
            return OpenAIResponses(name, options, self.known)
        profile = guess(self.base_url, PROFILES["openai"])
        return OpenAICompatible(name, options, profile, self.known)
