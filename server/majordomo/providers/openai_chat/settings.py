"""The settings of servers that speak Chat Completions."""

from collections.abc import Iterator, Mapping, Set
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, WithJsonSchema

from majordomo.codec.base import Codec
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_chat.request import RESERVED
from majordomo.providers.profiles import PROFILES, Profile, guess
from majordomo.providers.settings import HttpSettings, Preset
from majordomo.section import BaseUrl


def _profile(value: str) -> str:
    if value not in PROFILES:
        raise ValueError(f"{value!r} is none of {', '.join(sorted(PROFILES))}")
    return value


ProfileName = Annotated[
    str, AfterValidator(_profile), WithJsonSchema({"enum": sorted(PROFILES)})
]


class OpenAICompatibleSettings(HttpSettings):
    """Any server that speaks OpenAI's Chat Completions; `profile` says how it differs,
    or the base URL does."""

    kind: Literal["openai-compatible"]
    """This kind."""

    base_url: BaseUrl
    """What comes before /chat/completions."""

    profile: ProfileName | None = None
    """How the server differs from OpenAI's. Without it by the base URL."""

    @classmethod
    def presets(cls) -> Iterator[Preset]:
        for name, profile in PROFILES.items():
            if profile.key_variable:
                settings = {"kind": cls.kind_name(), "base_url": profile.base_url}
                yield Preset(profile.key_variable, name, settings)

    @property
    def key_header(self) -> str:
        return self._profile.key_header

    @property
    def telemetry_name(self) -> str:
        return self._profile.telemetry_name

    @classmethod
    def reserved_options(cls, values: Mapping[str, Any]) -> Set[str]:  # noqa: ARG003
        return RESERVED

    def codec(self, name: str) -> Codec:
        options = frozenset(self.provider_options)
        return OpenAICompatible(name, options, self._profile, self.known)

    @property
    def _profile(self) -> Profile:
        return PROFILES[self.profile] if self.profile else guess(self.base_url)
