"""Plugins that know what tiers stand for, asked when a call comes.

A resolver is an entry point of the group `majordomo.resolvers`: an async callable that
is given a tier's name and returns a chain, or None where it does not know the tier.

    [project.entry-points."majordomo.resolvers"]
    corporate = "acme_tiers:resolve"

    async def resolve(tier: str) -> str | None: ...

It runs on the server's event loop: what it does must not block. Whatever it does wrong
is asked to the caller as UNAVAILABLE with its name, and never holds the call longer
than its timeout.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from majordomo.chain.names import check_element, elements, expand
from majordomo.errors import ChainError, ResolverFailed, UnknownTier

GROUP = "majordomo.resolvers"
_MOST_QUESTIONS = 32
"""For one call: a resolver that names ever new tiers must come to an end."""

_log = logging.getLogger("majordomo")


class PluginError(Exception):
    """No resolver of this name can be had; the text says why."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """One plugin with its time limit in seconds."""

    name: str
    resolve: Callable[[str], Awaitable[object]]
    timeout: float


def load_plugin(name: str) -> Callable[[str], Awaitable[object]]:
    """The resolver that an installed package has under `name`. Raises PluginError."""
    installed = {point.name: point for point in entry_points(group=GROUP)}
    if name not in installed:
        known = ", ".join(sorted(installed)) or "none"
        raise PluginError(
            f"no installed package has the entry point {name} in the group {GROUP}; "
            f"there are: {known}"
        )
    try:
        plugin: Any = installed[name].load()
    except Exception as error:
        raise PluginError(f"cannot be loaded: {type(error).__name__}") from error
    if not (
        inspect.iscoroutinefunction(plugin)
        or inspect.iscoroutinefunction(getattr(plugin, "__call__", None))  # noqa: B004
    ):
        raise PluginError(f"{installed[name].value} is no async callable")
    resolve: Callable[[str], Awaitable[object]] = plugin
    return resolve


class Resolvers:
    """Asks the configured plugins in their order.

    `check` raises ChainError for a target that cannot be named.
    """

    def __init__(
        self, resolvers: list[Resolver], check: Callable[[str], object]
    ) -> None:
        self._resolvers = resolvers
        self._check = check
        self._abandoned: set[asyncio.Task[object]] = set()

    def __bool__(self) -> bool:
        return bool(self._resolvers)

    async def expand(self, chain: str, tiers: Mapping[str, str]) -> list[str]:
        """The targets that `chain` stands for; tiers not in `tiers` are asked for.

        Raises ChainError for what the caller wrote, and ResolverFailed.
        """
        known = dict(tiers)
        source: dict[str, tuple[str, str]] = {}  # element -> resolver and tier
        asked = ("", "")
        for _ in range(_MOST_QUESTIONS):
            try:
                return expand(chain, known)
            except UnknownTier as error:
                asked = await self._ask(error.name, known, source)
            except ChainError as error:
                if not source:
                    raise
                raise ResolverFailed(*asked, f"led to an error ({error})") from None
        raise ResolverFailed(*asked, "is followed by ever new tiers")

    async def _ask(
        self, tier: str, known: dict[str, str], source: dict[str, tuple[str, str]]
    ) -> tuple[str, str]:
        """Add the answer for `tier` to `known`; returns who gave it and for what."""
        for resolver in self._resolvers:
            answer = await self._answer(resolver, tier)
            if answer is None:
                continue
            reported = (resolver.name, tier)
            if not isinstance(answer, str):
                kind = type(answer).__name__
                raise ResolverFailed(
                    *reported, f"answered with {kind}, not with a chain"
                )
            try:
                for element in elements(answer):
                    check_element(element)
                    self._check(element)
                    source.setdefault(element, reported)
            except ChainError as error:
                why = f"answered with a chain that cannot be walked ({error})"
                raise ResolverFailed(*reported, why) from None
            known[tier] = answer
            return reported
        if tier in source:
            raise ResolverFailed(*source[tier], f"named {tier!r}, which nobody knows")
        raise UnknownTier(tier)

    async def _answer(self, resolver: Resolver, tier: str) -> object:
        async def ask() -> object:
            return await resolver.resolve(tier)

        task = asyncio.create_task(ask())
        try:
            done, _ = await asyncio.wait({task}, timeout=resolver.timeout)
        finally:
            # Not awaited: a plugin that will not be cancelled must not hold the call.
            if not task.done():
                task.cancel()
                self._abandoned.add(task)
                task.add_done_callback(self._forget)
        if not done:
            why = f"did not answer within {resolver.timeout:g} s"
            raise ResolverFailed(resolver.name, tier, why)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            # Its text is the plugin's own and may hold what callers must not see.
            _log.error(
                "the resolver %s failed for the tier %s: %s",
                resolver.name,
                tier,
                type(error).__name__,
            )
            why = f"failed with {type(error).__name__}"
            raise ResolverFailed(resolver.name, tier, why)
        return task.result()

    def _forget(self, task: asyncio.Task[object]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # nobody else asks for it
