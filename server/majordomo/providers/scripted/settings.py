"""The settings of the provider that answers by a script."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from majordomo.chain.target import Provider
from majordomo.providers.scripted.provider import Script, Scripted
from majordomo.providers.settings import ModelSettings, ProviderSettings


def _script(value: str) -> str:
    Script.parse(value)
    return value


class ScriptedModelSettings(ModelSettings):
    """A model that does what its script says."""

    script: list[Annotated[str, AfterValidator(_script)]] = []
    """One step an attempt, in order; the last one repeats."""


class ScriptedSettings(ProviderSettings):
    """Answers and failures by a script, for demos and tests."""

    kind: Literal["scripted"]
    """This kind."""

    models: dict[str, ScriptedModelSettings] = {}  # type: ignore[assignment]
    """Scripts by model id. Any other id is itself a script, such as "status:503"."""

    def connect(self, name: str) -> Provider:
        return Scripted(self._scripts())

    def fingerprint(self) -> dict[str, object]:
        return {"kind": self.kind, "scripts": self._scripts()}

    def _scripts(self) -> dict[str, list[str]]:
        return {name: model.script for name, model in self.models.items()}
