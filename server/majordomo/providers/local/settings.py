"""The settings of a model on this machine."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from majordomo.chain.target import Provider
from majordomo.providers.settings import ProviderSettings


class LocalSettings(ProviderSettings):
    """A model on this machine, in a supervised llama.cpp server."""

    kind: Literal["local"]
    """This kind."""

    model_path: Path | None = Field(default=None, strict=False)
    """A GGUF file; without it the embedded model."""

    threads: int | None = Field(default=None, ge=1)
    """Threads that compute. Without it one fewer than there are processors."""

    context: int | None = Field(default=None, ge=256)
    """Tokens of prompt and answer. Without it 2048."""

    start: Literal["on_demand", "at_start"] = "on_demand"
    """When llama.cpp is started: with the first call, or with the server."""

    def connect(self, name: str) -> Provider:
        # What is only checked needs nothing to connect with.
        from majordomo.providers.local.provider import Local  # noqa: PLC0415

        local = Local(self.model_path, threads=self.threads, context=self.context)
        if self.start == "at_start":
            local.start()
        return local
