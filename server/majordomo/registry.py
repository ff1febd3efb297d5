"""From the names in a chain to the targets that answer (rules 1.1 to 1.5)."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from majordomo.chain.target import Peer, Provider, Room, Target, Timeouts
from majordomo.config import (
    Config,
    LocalConfig,
    ModelConfig,
    OpenAICompatibleConfig,
    ProviderConfig,
    ScriptedConfig,
    TimeoutsConfig,
)
from majordomo.names import (
    MalformedChain,
    UnknownProvider,
    expand,
    split_target,
)
from majordomo.providers.http import HttpProvider
from majordomo.providers.local import Local
from majordomo.providers.openai_compatible import OpenAICompatible
from majordomo.providers.scripted import Scripted

_MOST_RESOLVED = 1024
"""Chains whose targets are kept; callers may write any."""

_WELL_KNOWN_PROVIDERS = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
}
"""gen_ai.provider.name by host, from OpenTelemetry's semantic conventions."""


class Registry:
    """Every provider of the configuration, and the targets that it makes."""

    def __init__(self, config: Config, providers: Mapping[str, Provider]) -> None:
        self._config = config
        self._providers = providers
        self._rooms = {
            name: Room(provider.max_concurrency)
            for name, provider in config.providers.items()
        }
        self._model_rooms = {
            f"{name}/{model}": Room(settings.max_concurrency)
            for name, provider in config.providers.items()
            for model, settings in provider.models.items()
            if settings.max_concurrency is not None
        }
        self._resolved: dict[str, tuple[Target, ...]] = {}

    @property
    def default_chain(self) -> str:
        """What a call walks that names no chain; may be empty."""
        return self._config.server.default_chain

    @property
    def names(self) -> list[str]:
        """The targets that the configuration itself names."""
        chains = [*self._config.tiers.values()]
        if self.default_chain:
            chains.append(self.default_chain)
        named = {
            target for chain in chains for target in expand(chain, self._config.tiers)
        }
        for name, provider in self._config.providers.items():
            named.update(f"{name}/{model}" for model in provider.models)
        return sorted(named)

    def resolve(self, chain: str) -> tuple[Target, ...]:
        """The targets of `chain`, or of the default one if it is empty.

        Raises ChainError.
        """
        targets = self._resolved.get(chain)
        if targets is None:
            spec = chain or self.default_chain
            if not spec:
                raise MalformedChain(
                    "no chain is named and the server has no default; name one, or "
                    "set default_chain in the server's [server]"
                )
            names = expand(spec, self._config.tiers)
            targets = tuple(self._target(name) for name in names)
            if len(self._resolved) >= _MOST_RESOLVED:
                self._resolved.clear()
            self._resolved[chain] = targets
        return targets

    def check_benchable(self, target: str) -> None:
        """Raise ChainError unless `target` is "provider/model-id" or "provider/*"."""
        if "/" not in target:
            raise MalformedChain(
                f'{target[:80]!r} is no target; write "provider/model-id" or '
                '"provider/*", not a tier'
            )
        provider, _, model = target.partition("/")
        if model != "*":
            split_target(target)
        if provider not in self._providers:
            raise UnknownProvider(provider)

    async def aclose(self) -> None:
        """Let go of every provider's connections and processes."""
        for provider in self._providers.values():
            await provider.aclose()

    def _target(self, name: str) -> Target:
        provider_name, model = split_target(name)
        settings = self._config.providers.get(provider_name)
        if settings is None:
            raise UnknownProvider(provider_name)
        if settings.closed and model not in settings.models:
            listed = ", ".join(settings.models) or "none"
            raise MalformedChain(
                f"{provider_name} serves only the models that the server's "
                f"configuration lists: {listed}"
            )
        of_model = settings.models.get(model, ModelConfig())
        rooms = [self._rooms[provider_name]]
        if name in self._model_rooms:
            rooms.append(self._model_rooms[name])
        return Target(
            name,
            provider_name,
            model,
            self._providers[provider_name],
            _peer(provider_name, settings),
            _timeouts(of_model, settings, self._config.chain),
            of_model.reasoning,
            tuple(rooms),
        )


def build(config: Config) -> Registry:
    """The providers of `config`, ready to be called."""
    providers = {
        name: _provider(name, settings) for name, settings in config.providers.items()
    }
    return Registry(config, providers)


def _provider(name: str, settings: ProviderConfig) -> Provider:
    match settings:
        case OpenAICompatibleConfig():
            headers = {}
            if settings.api_key is not None:
                key = settings.api_key.get_secret_value()
                headers["authorization"] = f"Bearer {key}"
            codec = OpenAICompatible(name, frozenset(settings.provider_options))
            return HttpProvider(
                codec,
                settings.base_url,
                headers,
                connect_timeout=settings.connect_timeout,
            )
        case LocalConfig():
            local = Local(
                settings.model_path,
                threads=settings.threads,
                context=settings.context,
            )
            if settings.start == "at_start":
                local.start()
            return local
        case ScriptedConfig():
            return Scripted(
                {name: model.script for name, model in settings.models.items()}
            )


def _timeouts(*narrowest_first: TimeoutsConfig) -> Timeouts:
    def first(key: str) -> float | None:
        values = (getattr(settings, key) for settings in narrowest_first)
        return next((value for value in values if value is not None), None)

    stall = first("stall_timeout")
    return Timeouts(
        first_content=first("first_content_timeout"),
        stall=Timeouts().stall if stall is None else stall,
        attempt=first("attempt_timeout"),
    )


def _peer(name: str, settings: ProviderConfig) -> Peer:
    if not isinstance(settings, OpenAICompatibleConfig):
        return Peer(name)
    url = urlsplit(settings.base_url)
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    return Peer(_WELL_KNOWN_PROVIDERS.get(host, name), host, port)
