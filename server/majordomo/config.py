"""The configuration: a TOML file, validated as a whole.

    [server]
    listen = "127.0.0.1:50051"
    default_chain = "fast"

    [providers.openai]
    kind = "openai-compatible"
    base_url = "https://api.openai.com/v1"
    api_key = "env:OPENAI_API_KEY"

    [tiers]
    fast = "openai/gpt-5-mini,local/smollm2"

Durations are texts such as "500ms", "5s", "2m" and "1h". Secrets are named and never
written: "env:NAME" or "file:/path". `load` reports every error at once, each with its
key and what to do about it, and nothing starts half-configured.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
)

from majordomo.chain.call import Policy
from majordomo.chain.failure import PERMANENT
from majordomo.chain.health import HealthSettings
from majordomo.names import MODEL_ID, NAME, ChainError, expand
from majordomo.providers.scripted import Script
from majordomo.v1.attempt_pb2 import FailureReason

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PERMANENT = {
    FailureReason.Name(reason).removeprefix("FAILURE_REASON_").lower(): reason
    for reason in sorted(PERMANENT)
}


class ConfigError(Exception):
    """The configuration cannot be used; `problems` has one line for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(["the configuration has errors:", *problems]))
        self.problems = problems


def _duration(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError('write a duration as text, such as "5s"')
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", value)
    if match is None:
        raise ValueError(f'{value!r} is no duration; write "500ms", "5s", "2m" or "1h"')
    return float(match[1]) * _UNITS[match[2]]


def _timeout(seconds: float) -> float:
    if not 0.1 <= seconds <= 3600:
        raise ValueError("must be from 100ms to 1h")
    return seconds


def _secret(value: object, info: ValidationInfo) -> object:
    """The secret that a reference names, without the line end that files have."""
    kind, _, name = str(value).partition(":")
    environ: Mapping[str, str] = (info.context or {}).get("environ", {})
    if kind == "env" and name:
        if not environ.get(name):
            raise ValueError(f"the environment has no {name}; set it")
        return SecretStr(environ[name])
    if kind == "file" and name:
        try:
            secret = Path(name).read_text().strip()
        except OSError as error:
            raise ValueError(f"cannot read {name}: {error.strerror}") from None
        if not secret:
            raise ValueError(f"{name} is empty")
        return SecretStr(secret)
    raise ValueError(
        'name the secret as "env:NAME" or "file:/path"; never write it here'
    )


def _base_url(value: str) -> str:
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("must be an http or https URL, such as https://host/v1")
    if url.userinfo or url.query or url.fragment:
        raise ValueError("must hold no credentials, query or fragment; use api_key")
    return value.rstrip("/")


def _script(value: str) -> str:
    Script.parse(value)
    return value


def _reason(value: object) -> object:
    if value not in _PERMANENT:
        raise ValueError(f"{value!r} is none of {', '.join(_PERMANENT)}")
    return _PERMANENT[str(value)]


Duration = Annotated[float, BeforeValidator(_duration), Field(gt=0)]
"""Seconds, from a text with a unit."""

Timeout = Annotated[float, BeforeValidator(_duration), AfterValidator(_timeout)]
"""Seconds, from 0.1 to 3600."""

Secret = Annotated[SecretStr, BeforeValidator(_secret)]
PermanentReason = Annotated[int, BeforeValidator(_reason)]
Concurrency = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        protected_namespaces=(),
        hide_input_in_errors=True,
    )


class ServerConfig(_Section):
    """Where the server listens, and what it answers with by default."""

    listen: str = Field(default="127.0.0.1:50051", pattern=r"^(unix:.+|.+:\d{1,5})$")
    """host:port, or unix:/path. Port 0 takes a free one."""

    default_chain: str = ""
    """For calls that name no chain."""

    drain_delay: Duration = 0.001
    """After SIGTERM, how long new calls are still taken while health says no."""

    drain_grace: Duration = 30.0
    """After SIGTERM, how long running calls may take to end."""


class TimeoutsConfig(_Section):
    """Limits of one attempt; the narrower setting wins: model, provider, chain."""

    attempt_timeout: Timeout | None = None
    first_content_timeout: Timeout | None = None
    stall_timeout: Timeout | None = None


class ChainConfig(TimeoutsConfig):
    """How chains are walked."""

    transient_retries: int = Field(default=1, ge=0, le=5)
    advance_on_permanent: bool = False
    advance_on: list[PermanentReason] = []


class HealthConfig(_Section):
    """When a target is benched, and for how long."""

    failure_threshold: int = Field(default=2, ge=1)
    cooldown_base: Duration = 5.0
    cooldown_cap: Duration = 60.0


class ModelConfig(TimeoutsConfig):
    """What is known of one model."""

    reasoning: bool = False
    """It reasons before it answers: its first content may take longer."""

    max_concurrency: Concurrency | None = None


class _ProviderConfig(TimeoutsConfig):
    max_concurrency: Concurrency | None = None
    """How many attempts may run there at once."""

    closed: bool = False
    """Only the models listed here may be named."""

    models: dict[str, ModelConfig] = {}


class OpenAICompatibleConfig(_ProviderConfig):
    """A server that speaks OpenAI's Chat Completions."""

    kind: Literal["openai-compatible"]
    base_url: Annotated[str, AfterValidator(_base_url)]
    """What comes before /chat/completions."""

    api_key: Secret | None = None
    connect_timeout: Timeout = 5.0
    provider_options: list[str] = []
    """The keys of the request body that callers may set."""


class LocalConfig(_ProviderConfig):
    """A model on this machine, in llama.cpp's server."""

    kind: Literal["local"]
    model_path: Path | None = Field(default=None, strict=False)
    """A GGUF file; without it the embedded model."""

    threads: int | None = Field(default=None, ge=1)
    context: int | None = Field(default=None, ge=256)
    """Tokens of context."""

    start: Literal["on_demand", "at_start"] = "on_demand"


class ScriptedModelConfig(ModelConfig):
    """A model that does as it is told."""

    script: list[Annotated[str, AfterValidator(_script)]] = []
    """One step an attempt, in order; the last one repeats."""


class ScriptedConfig(_ProviderConfig):
    """A provider that answers and fails as told: for demos and tests."""

    kind: Literal["scripted"]
    models: dict[str, ScriptedModelConfig] = {}  # type: ignore[assignment]


ProviderConfig = OpenAICompatibleConfig | LocalConfig | ScriptedConfig


class Config(_Section):
    """The whole of it."""

    server: ServerConfig = ServerConfig()
    chain: ChainConfig = ChainConfig()
    health: HealthConfig = HealthConfig()
    providers: dict[str, Annotated[ProviderConfig, Field(discriminator="kind")]] = {}
    tiers: dict[str, str] = {}

    def policy(self) -> Policy:
        """How to walk a chain where the call does not say."""
        return Policy(
            transient_retries=self.chain.transient_retries,
            advance_on_permanent=self.chain.advance_on_permanent,
            advance_on=frozenset(self.chain.advance_on),  # type: ignore[arg-type]
        )

    def health_settings(self) -> HealthSettings:
        return HealthSettings(
            self.health.failure_threshold,
            self.health.cooldown_base,
            self.health.cooldown_cap,
        )


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in the file at `path`; without one, what needs none.

    Without a file the embedded model is served, where its extra is installed.
    Raises ConfigError.
    """
    if path is None:
        return parse(_EMBEDDED if find_spec("xllamacpp") else "", environ)
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError([f"cannot read {path}: {reason}"]) from None
    return parse(text, environ)


_EMBEDDED = """
[server]
default_chain = "local/smollm2"
[providers.local]
kind = "local"
"""


def parse(text: str, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration that the TOML `text` holds. Raises ConfigError."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"not TOML: {error}"]) from None
    try:
        config = Config.model_validate(data, context={"environ": environ})
    except ValidationError as error:
        problems = [_problem(dict(detail)) for detail in error.errors()]
        raise ConfigError(problems) from None
    problems = list(_cross_check(config))
    if problems:
        raise ConfigError(problems)
    return config


def _problem(detail: dict[str, Any]) -> str:
    """One validation error as a line: the key, what is wrong, the mend."""
    kinds = ("openai-compatible", "local", "scripted")
    steps = [str(step) for step in detail["loc"]]
    if len(steps) > 2 and steps[0] == "providers" and steps[2] in kinds:
        del steps[2]  # pydantic's name for the variant
    key = ".".join(step if NAME.fullmatch(step) else f'"{step}"' for step in steps)
    match detail["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key{_did_you_mean(steps)}"
        case "missing":
            return f"{key}: is required"
        case "union_tag_not_found":
            return f"{key}.kind: is required; one of {', '.join(kinds)}"
        case "union_tag_invalid":
            return f"{key}.kind: must be one of {', '.join(kinds)}"
        case "string_pattern_mismatch":
            return f"{key}: must be host:port or unix:/path"
        case _:
            return f"{key}: {detail['msg'].removeprefix('Value error, ')}"


def _did_you_mean(steps: list[str]) -> str:
    known = {
        name
        for section in (
            Config,
            ServerConfig,
            ChainConfig,
            HealthConfig,
            OpenAICompatibleConfig,
            LocalConfig,
            ScriptedModelConfig,
        )
        for name in section.model_fields
    }
    close = difflib.get_close_matches(steps[-1], known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _cross_check(config: Config) -> Iterator[str]:
    """What one key cannot show by itself: names, tiers, chains."""
    for name, provider in config.providers.items():
        if not NAME.fullmatch(name):
            yield f'providers."{name}": names are {NAME.pattern}'
        for model in provider.models:
            if not MODEL_ID.fullmatch(model):
                yield f'providers.{name}.models."{model}": is no model id'
    for name, chain in config.tiers.items():
        if not NAME.fullmatch(name):
            yield f'tiers."{name}": names are {NAME.pattern}'
        yield from _check_chain(config, f"tiers.{name}", chain)
    if config.server.default_chain:
        yield from _check_chain(
            config, "server.default_chain", config.server.default_chain
        )


def _check_chain(config: Config, key: str, chain: str) -> Iterator[str]:
    try:
        targets = expand(chain, config.tiers)
    except ChainError as error:
        yield f"{key}: {error}"
        return
    for target in targets:
        provider, _, model = target.partition("/")
        if provider not in config.providers:
            known = ", ".join(config.providers) or "none"
            yield f"{key}: no provider {provider}; configured: {known}"
        elif (
            config.providers[provider].closed
            and model not in config.providers[provider].models
        ):
            yield f"{key}: {provider} is closed and does not list {model}"
