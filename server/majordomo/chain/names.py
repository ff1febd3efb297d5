"""Chains, tiers and targets by name (docs/semantics.md, section 1)."""

import re
from collections.abc import Iterator, Mapping

from majordomo.errors import CircularTiers, MalformedChain, UnknownTier

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""Names of providers and tiers."""

MODEL_ID = re.compile(r"(?!.*\.\.)[A-Za-z0-9._:/@+~#-]{1,256}")
"""Ids of models, as their providers write them."""

_RESERVED = re.compile(r"\||\*[0-9]+$")
"""Signs that chains may get: "a|b" for equals, "a*3" for a weight."""

LONGEST_CHAIN = 4096
"""Bytes of a chain as text."""

MOST_TARGETS = 32
DEEPEST_TIER = 8


def split_target(target: str) -> tuple[str, str]:
    """The provider and the model id of "provider/model-id". Raises MalformedChain."""
    provider, slash, model = target.partition("/")
    if not slash or not NAME.fullmatch(provider) or not MODEL_ID.fullmatch(model):
        raise MalformedChain(
            f'{target[:80]!r} is no target; write "provider/model-id" with a provider '
            f"of {NAME.pattern} and an id of at most 256 letters, digits and ._:/@+~#-"
        )
    return provider, model


def elements(chain: str) -> list[str]:
    """What stands between the commas of `chain`, the spaces around them left out."""
    return [element.strip(" ") for element in chain.split(",")]


def check_element(element: str) -> None:
    """Raise MalformedChain unless `element` has the form of a target or a tier."""
    if _RESERVED.search(element):
        raise MalformedChain(
            f"{element[:80]!r} has a sign that is reserved: chains have no equals "
            "(a|b) and no weights (a*3) yet; separate targets by commas"
        )
    if "/" in element:
        split_target(element)
    elif not element:
        raise MalformedChain("the chain has an empty element; see its commas")
    elif not NAME.fullmatch(element):
        raise MalformedChain(
            f"{element[:80]!r} is neither a target nor a tier; "
            f'write "provider/model-id", or a tier of {NAME.pattern}'
        )


def expand(
    chain: str, tiers: Mapping[str, str], path: tuple[str, ...] = ()
) -> list[str]:
    """The targets that `chain` stands for, each once, at its first place.

    `path`: the tiers that led to it. Raises ChainError.
    """
    targets = list(dict.fromkeys(_targets(chain, tiers, path)))
    if len(targets) > MOST_TARGETS:
        raise MalformedChain(
            f"the chain has {len(targets)} targets, at most {MOST_TARGETS} are allowed"
        )
    return targets


def _targets(
    chain: str, tiers: Mapping[str, str], path: tuple[str, ...]
) -> Iterator[str]:
    if len(chain.encode()) > LONGEST_CHAIN:
        raise MalformedChain(f"the chain is longer than {LONGEST_CHAIN} bytes")
    for name in elements(chain):
        check_element(name)
        if "/" in name:
            yield name
        elif name in path:
            raise CircularTiers((*path[path.index(name) :], name))
        elif len(path) == DEEPEST_TIER:
            raise MalformedChain(f"tiers are more than {DEEPEST_TIER} deep")
        elif name not in tiers:
            raise UnknownTier(name)
        else:
            yield from _targets(tiers[name], tiers, (*path, name))
