"""The settings of Gemini, at Google's two addresses."""

from collections.abc import Mapping, Set
from typing import Any, ClassVar, Literal

from pydantic import Field

from majordomo.codec.base import Codec
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.gemini.google_token import GoogleToken
from majordomo.providers.gemini.request import RESERVED
from majordomo.providers.settings import HttpSettings, Token
from majordomo.section import BaseUrl


class GeminiSettings(HttpSettings):
    """Google's Gemini API by a key, or Vertex AI (`project`, `location`) by the account
    of the machine."""

    KEY_VARIABLE: ClassVar = "GEMINI_API_KEY"
    KEY_HEADER: ClassVar = "x-goog-api-key"

    kind: Literal["gemini"]
    """This kind."""

    base_url: BaseUrl = "https://generativelanguage.googleapis.com/v1beta"
    """What comes before /models. Where a project is set and this is not, the address
    of Vertex AI."""

    project: str | None = Field(default=None, pattern=r"^[a-z0-9:.-]+$")
    """Vertex AI: the Google Cloud project. It needs the extra majordomo-grpc[vertex]
    and Google's application default credentials."""

    location: str = Field(default="global", pattern=r"^[a-z0-9-]+$")
    """Vertex AI: the region."""

    @property
    def url(self) -> str:
        if self.project is None or "base_url" in self.model_fields_set:
            return self.base_url
        host = "" if self.location == "global" else f"{self.location}-"
        return (
            f"https://{host}aiplatform.googleapis.com/v1/projects/{self.project}"
            f"/locations/{self.location}/publishers/google"
        )

    @property
    def telemetry_name(self) -> str:
        return "gcp.vertex_ai" if self.project else "gcp.gemini"

    @classmethod
    def reserved_options(cls, values: Mapping[str, Any]) -> Set[str]:  # noqa: ARG003
        return RESERVED

    def codec(self, name: str) -> Codec:
        return Gemini(name, frozenset(self.provider_options), self.known)

    def token(self) -> Token | None:
        return GoogleToken(egress=self.egress) if self.project else None
