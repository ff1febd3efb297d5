"""The settings of a parrot."""

from typing import ClassVar, Literal

from majordomo.codec.base import Codec
from majordomo.providers.settings import HttpSettings
from majordomo.section import BaseUrl, Duration
from tests.providers.parrot.codec import Parrot


class ParrotSettings(HttpSettings):
    """A service that repeats what it hears."""

    KEY_VARIABLE: ClassVar = "PARROT_KEY"
    KEY_HEADER: ClassVar = "x-seed"
    TELEMETRY_NAME: ClassVar = "acme.parrot"

    kind: Literal["parrot"]
    """This kind."""

    base_url: BaseUrl = "https://parrot.example/v1"
    """What comes before /repeat."""

    nap: Duration = 5.0
    """How long it sleeps between two answers."""

    def codec(self, name: str) -> Codec:
        return Parrot(name, frozenset(self.provider_options), self.known)

    def extra_headers(self) -> dict[str, str]:
        return {"x-nap": f"{self.nap:g}"}
