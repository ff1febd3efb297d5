"""What one key cannot show by itself: names, tiers, chains, plugins.

Reads values that are not validated yet, so that all errors can be reported at once;
what has the wrong type is somebody else's to tell.
"""

from collections.abc import Iterator, Mapping, Set
from typing import Any

from majordomo.chain.names import MODEL_ID, NAME, check_element, elements, expand
from majordomo.chain.resolvers import PluginError, load_plugin
from majordomo.config.problems import Problem
from majordomo.config.sections import KeyPath
from majordomo.errors import ChainError, CircularTiers, UnknownTier
from majordomo.providers.kinds import KINDS

_PLACEHOLDER = "any/model"


def cross_check(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Every name that is malformed or leads nowhere."""
    providers = _table(values, "providers")
    tiers = _table(values, "tiers")
    resolvers = _table(values, "resolvers")
    for name, provider in providers.items():
        if not NAME.fullmatch(name):
            yield Problem(("providers", name), f"names are {NAME.pattern}")
        for i, key in enumerate(_list(provider, "provider_options")):
            if key in _reserved(provider):
                path = ("providers", name, "provider_options", str(i))
                yield Problem(path, f"{key!r} is set by the server; no caller can")
        for model in _table(provider, "models"):
            if not MODEL_ID.fullmatch(model):
                yield Problem(("providers", name, "models", model), "is no model id")
    for name in tiers:
        if not NAME.fullmatch(name):
            yield Problem(("tiers", name), f"names are {NAME.pattern}")
    for name in resolvers:
        try:
            load_plugin(name)
        except PluginError as error:
            yield Problem(("resolvers", name), str(error))
    for name, token in _table(values, "tokens").items():
        for key in ("chains", "targets"):
            for listed in _list(token, key):
                if ("/" in listed) != (key == "targets"):
                    continue  # which is determined by its form
                problem = _listed(listed, providers, tiers, ask=bool(resolvers))
                if problem:
                    yield Problem(("tokens", name, key), problem)
    yield from _chains(values, providers, tiers, ask=bool(resolvers))


def _reserved(provider: object) -> Set[str]:
    """The keys of a request that no caller may set at a provider, listed or not."""
    kind = next((k for k in KINDS if k.kind_name() == _of(provider, "kind")), None)
    if kind is None or not isinstance(provider, Mapping):
        return frozenset()
    return kind.reserved_options(provider)


def _chains(
    values: Mapping[str, Any],
    providers: Mapping[str, Any],
    tiers: Mapping[str, Any],
    *,
    ask: bool,
) -> Iterator[Problem]:
    """`ask`: resolvers may know the tiers that `tiers` does not hold."""
    chains: dict[KeyPath, str] = {
        ("tiers", name): chain
        for name, chain in tiers.items()
        if isinstance(chain, str)
    }
    default = _table(values, "server").get("default_chain")
    if isinstance(default, str) and default:
        chains["server", "default_chain"] = default
    sound: dict[KeyPath, str] = {}
    for path, chain in chains.items():
        good = []
        for element in elements(chain):
            problem = _element(element, providers, tiers, ask=ask)
            if problem:
                yield Problem(path, problem)
            else:
                good.append(element)
        # A placeholder stands for the rest, to see where the good ones lead.
        sound[path] = ",".join(good) or _PLACEHOLDER
    yield from _walks(sound)


def _element(
    element: str,
    providers: Mapping[str, Any],
    tiers: Mapping[str, Any],
    *,
    ask: bool,
) -> str:
    """What is wrong with one element of a chain; "" if nothing is."""
    try:
        check_element(element)
    except ChainError as error:
        return str(error)
    provider, slash, model = element.partition("/")
    if not slash:
        if element in tiers or ask:
            return ""
        known = ", ".join(tiers) or "none"
        return f"{UnknownTier(element)}; configured: {known}"
    if provider not in providers:
        known = ", ".join(providers) or "none"
        return f"no provider {provider}; configured: {known}"
    settings = providers[provider]
    if _of(settings, "closed") is True and model not in _table(settings, "models"):
        return f"{provider} is closed and does not list {model}"
    return ""


def _listed(
    name: str,
    providers: Mapping[str, Any],
    tiers: Mapping[str, Any],
    *,
    ask: bool,
) -> str:
    """What is wrong with what a token may name; "" if nothing is."""
    provider, _, model = name.partition("/")
    if model == "*":
        return "" if provider in providers else f"no provider {provider}"
    return _element(name, providers, tiers, ask=ask)


def _walks(chains: Mapping[KeyPath, str]) -> Iterator[Problem]:
    """Circles, too many targets, tiers too deep."""
    tiers = {path[1]: chain for path, chain in chains.items() if path[0] == "tiers"}
    circles = set()
    for path, chain in chains.items():
        start = path[1:] if path[0] == "tiers" else ()
        try:
            expand(chain, tiers, start)
        except CircularTiers as error:
            if frozenset(error.circle) not in circles:
                circles.add(frozenset(error.circle))
                yield Problem(path, str(error))
        except UnknownTier:
            pass  # a resolver's
        except ChainError as error:
            yield Problem(path, str(error))


def _table(values: object, name: str) -> Mapping[str, Any]:
    found = _of(values, name)
    return found if isinstance(found, Mapping) else {}


def _list(values: object, name: str) -> list[str]:
    found = _of(values, name)
    texts = found if isinstance(found, list) else []
    return [text for text in texts if isinstance(text, str)]


def _of(values: object, name: str) -> object:
    return values.get(name) if isinstance(values, Mapping) else None
