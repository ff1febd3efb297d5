"""The settings of Anthropic."""

from collections.abc import Mapping, Set
from typing import Any, ClassVar, Literal

from majordomo.codec.base import Codec
from majordomo.providers.anthropic.codec import VERSION, Anthropic
from majordomo.providers.anthropic.request import RESERVED
from majordomo.providers.settings import HttpSettings
from majordomo.section import BaseUrl


class AnthropicSettings(HttpSettings):
    """Anthropic's Messages API."""

    KEY_VARIABLE: ClassVar = "ANTHROPIC_API_KEY"
    KEY_HEADER: ClassVar = "x-api-key"
    TELEMETRY_NAME: ClassVar = "anthropic"

    kind: Literal["anthropic"]
    """This kind."""

    base_url: BaseUrl = "https://api.anthropic.com/v1"
    """What comes before /messages."""

    betas: list[str] = []
    """Beta features to turn on, as the header anthropic-beta names them."""

    @classmethod
    def reserved_options(cls, values: Mapping[str, Any]) -> Set[str]:  # noqa: ARG003
        return RESERVED

    def codec(self, name: str) -> Codec:
        return Anthropic(name, frozenset(self.provider_options), self.known)

    def extra_headers(self) -> dict[str, str]:
        headers = {"anthropic-version": VERSION}
        if self.betas:
            headers["anthropic-beta"] = ",".join(self.betas)
        return headers
