"""From the names in a chain to the targets that answer (rules 1.1 to 1.5)."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from majordomo.chain.health import Moved
from majordomo.chain.names import elements, expand, split_target
from majordomo.chain.resolvers import Resolver, Resolvers, load_plugin
from majordomo.chain.target import ConcurrencyLimit, Place, Target, Timeouts
from majordomo.config import Config
from majordomo.errors import MalformedChain, UnknownProvider, UnknownTier
from majordomo.providers.settings import (
    AttemptSettings,
    ModelSettings,
    ProviderSettings,
)

T = TypeVar("T")

_STREAMS = {None: None, "auto": None, "unary": False, "stream": True}
"""Whether whole answers are asked for as streams, by `generate_via`."""

_MOST_RESOLVED = 1024
"""Chains whose targets are kept; callers may write any."""


class SharedProvider:
    """An open provider, closed when no catalog has it any more."""

    def __init__(self, name: str, settings: ProviderSettings) -> None:
        self.provider = settings.connect(name)
        self.peer = settings.peer(name)
        self.settings = settings
        self.fingerprint = settings.fingerprint()
        self.place = Place()
        self.holders = 0


class Catalog:
    """What the names in chains mean under one configuration.

    A call holds the catalog, as a context manager, while it runs: what its targets
    need stays open that long, whatever is configured meanwhile.
    """

    def __init__(
        self,
        config: Config,
        providers: Mapping[str, SharedProvider],
        concurrency_limits: Mapping[str, ConcurrencyLimit],
    ) -> None:
        self.policy = config.policy()
        self.providers = providers
        self._config = config
        self._concurrency_limits = concurrency_limits
        self._resolved: dict[str, tuple[Target, ...]] = {}
        self._resolvers = Resolvers(
            [
                Resolver(name, load_plugin(name), settings.timeout)
                for name, settings in config.resolvers.items()
            ],
            self._check,
        )
        self._calls = 0
        self._unused = asyncio.Event()
        self._unused.set()

    def __enter__(self) -> "Catalog":
        self._calls += 1
        self._unused.clear()
        return self

    def __exit__(self, *error: object) -> None:
        self._calls -= 1
        if not self._calls:
            self._unused.set()

    async def unused(self) -> None:
        """Wait until no call holds it."""
        await self._unused.wait()

    @property
    def default_chain(self) -> str:
        """What a call walks that names no chain; may be empty."""
        return self._config.server.default_chain

    @property
    def names(self) -> list[str]:
        """The targets that the configuration itself names."""
        chains = [*self._config.tiers.values(), self.default_chain]
        named = {
            element for chain in chains for element in elements(chain) if "/" in element
        }
        for name, provider in self._config.providers.items():
            named.update(f"{name}/{model}" for model in provider.models)
        return sorted(named)

    @property
    def tiers(self) -> list[str]:
        """The names of the tiers that the configuration has, sorted."""
        return sorted(self._config.tiers)

    def known_targets(self, chain: str) -> list[str]:
        """The targets of `chain`; none where only a resolver can tell.

        Raises MalformedChain.
        """
        try:
            return expand(chain, self._config.tiers)
        except UnknownTier:
            return []

    async def resolve(self, chain: str) -> tuple[Target, ...]:
        """The targets of `chain`, or of the default one if it is empty.

        Raises ChainError and ResolverFailed.
        """
        targets = self._resolved.get(chain)
        if targets is not None:
            return targets
        spec = chain or self.default_chain
        if not spec:
            raise MalformedChain(
                "no chain is named and the server has no default; name one, or "
                "set default_chain in the server's [server]"
            )
        tiers = self._config.tiers
        try:
            names = expand(spec, tiers)
        except UnknownTier:
            if not self._resolvers:
                raise
            # Not kept: what a resolver says may be different the next time.
            names = await self._resolvers.expand(spec, tiers)
            return tuple(self._target(name) for name in names)
        targets = tuple(self._target(name) for name in names)
        if len(self._resolved) >= _MOST_RESOLVED:
            self._resolved.clear()
        self._resolved[chain] = targets
        return targets

    def check_target(self, target: str) -> None:
        """Raise ChainError unless `target` is one of a configured provider."""
        provider, _ = split_target(target)
        self.check_provider(provider)

    def check_provider(self, provider: str) -> None:
        """Raise UnknownProvider unless it is configured."""
        if provider not in self._config.providers:
            raise UnknownProvider(provider)

    def _check(self, element: str) -> None:
        """Raise ChainError for a target that cannot be named."""
        if "/" in element:
            self._settings(*split_target(element))

    def _settings(self, provider: str, model: str) -> ProviderSettings:
        """The settings of a target's provider. Raises ChainError."""
        settings = self._config.providers.get(provider)
        if settings is None:
            raise UnknownProvider(provider)
        if settings.closed and model not in settings.models:
            listed = ", ".join(settings.models) or "none"
            raise MalformedChain(
                f"{provider} serves only the models that the server's "
                f"configuration lists: {listed}"
            )
        return settings

    def _target(self, name: str) -> Target:
        provider, model = split_target(name)
        settings = self._settings(provider, model)
        of_model = settings.models.get(model, ModelSettings())
        narrowest_first = (of_model, settings, self._config.chain)
        shared = self.providers[provider]
        concurrency_limits = [self._concurrency_limits[provider]]
        if name in self._concurrency_limits:
            concurrency_limits.append(self._concurrency_limits[name])
        return Target(
            name,
            provider,
            model,
            shared.provider,
            shared.peer,
            _timeouts(narrowest_first),
            settings.known(model).reasons is not False,
            tuple(concurrency_limits),
            shared.place,
            None if of_model.prices is None else of_model.prices.prices(),
            _STREAMS[_narrowest(it.generate_via for it in narrowest_first)],
        )


class Registry:
    """The catalog in force, and what outlives it: open providers, places in use."""

    def __init__(self, config: Config) -> None:
        self._shared: set[SharedProvider] = set()
        self._concurrency_limits: dict[str, ConcurrencyLimit] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self.catalog = self._make(config, {})

    def replace(self, config: Config) -> list[Moved]:
        """Put `config` into force for the calls that come; who is reached otherwise.

        A provider that is made of the same as before stays as it is. What is not
        used any more is closed when the last call that may need it has ended.
        """
        old = self.catalog
        self.catalog = self._make(config, old.providers)
        retiring = asyncio.create_task(self._retire(old))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
        return list(_moved(old.providers, config))

    async def aclose(self) -> None:
        """Let go of every provider's connections and processes."""
        for retiring in self._retiring:
            retiring.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        for shared in self._shared:
            await shared.provider.aclose()

    async def _retire(self, catalog: Catalog) -> None:
        await catalog.unused()
        for shared in catalog.providers.values():
            shared.holders -= 1
            if not shared.holders:
                await shared.provider.aclose()
                self._shared.discard(shared)

    def _make(self, config: Config, before: Mapping[str, SharedProvider]) -> Catalog:
        providers = {}
        for name, settings in config.providers.items():
            shared = before.get(name)
            if shared is None or shared.fingerprint != settings.fingerprint():
                shared = SharedProvider(name, settings)
            providers[name] = shared
        catalog = Catalog(config, providers, self._concurrency_limits)
        for name, limit in _limits(config):
            self._concurrency_limits.setdefault(name, ConcurrencyLimit()).limit = limit
        for shared in providers.values():
            shared.holders += 1
            self._shared.add(shared)
        return catalog


def _moved(before: Mapping[str, SharedProvider], config: Config) -> Iterator[Moved]:
    """The providers that have gone, or are reached otherwise; they are marked so."""
    for name, shared in before.items():
        settings = config.providers.get(name)
        elsewhere = settings is None or settings.place() != shared.settings.place()
        if settings is None or elsewhere or settings.key() != shared.settings.key():
            shared.place.left = True
            yield Moved(name, elsewhere)


def _limits(config: Config) -> Iterator[tuple[str, int | None]]:
    """The concurrency limits of every provider, and of models that have one."""
    for name, provider in config.providers.items():
        yield name, provider.max_concurrency
        for model, settings in provider.models.items():
            yield f"{name}/{model}", settings.max_concurrency


def _timeouts(settings: Sequence[AttemptSettings]) -> Timeouts:
    stall = _narrowest(it.stall_timeout for it in settings)
    return Timeouts(
        first_content=_narrowest(it.first_content_timeout for it in settings),
        stall=Timeouts().stall if stall is None else stall,
        attempt=_narrowest(it.attempt_timeout for it in settings),
    )


def _narrowest(values: Iterable[T | None]) -> T | None:
    """The first of `values` that is set."""
    return next((value for value in values if value is not None), None)
