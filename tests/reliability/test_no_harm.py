"""Memory never costs an answer: random faults at every target of a chain.

Beside what the server answers stands what the same walk without any memory would: it
asks each target once, and again after a failure that is retried, and goes on.
"""

import random
from collections.abc import Callable

import pytest

from tests.reliability.provider import WELL, Fate
from tests.reliability.world import WARM_UP, World, play

pytestmark = pytest.mark.timeout(240)

FAULTS = [
    Fate("503"),
    Fate("500"),
    Fate("malformed"),
    Fate("cut"),
    Fate("429"),
    Fate("429", retry_after=1.0),
]
CALLS, RATE = 2_000, 40.0
SHARES = (0.2, 0.5)
RPCS = ("Generate", "Stream")
TARGETS = 4

_ALLOWED = 0.03
"""Of the calls: what may be missing of the walk without memory."""


def by_chance(seed: str, share: float) -> Callable[[float], Fate]:
    """A provider that fails at random."""
    dice = random.Random(seed)
    return lambda since: dice.choice(FAULTS) if dice.random() < share else WELL


def without_memory(rpc: str, share: float) -> float:
    """The share of calls that the walk without memory answers, exactly.

    Not retried at the same target: a rate limit with a delay, and a stream that broke
    after content.
    """
    final = sum(
        fate.retry_after is not None or (rpc == "Stream" and fate.fault == "cut")
        for fate in FAULTS
    )
    once = share * final / len(FAULTS)
    lost = once + (share - once) * share
    return 1 - lost**TARGETS


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, float], World]:
    """All combinations, played at once."""
    made = {
        (rpc, share): World(
            f"{rpc.lower()}{share:.0%}".rstrip("%"),
            [by_chance(f"{rpc} {share} {place}", share) for place in range(TARGETS)],
            RATE,
            WARM_UP + CALLS / RATE,
            rpc,
        )
        for rpc in RPCS
        for share in SHARES
    }
    play(list(made.values()), tmp_path_factory.mktemp("server"))
    return made


@pytest.mark.rule("4.1", "4.10", "4.12")
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("rpc", RPCS)
def test_no_worse_than_no_memory(
    worlds: dict[tuple[str, float], World], rpc: str, share: float
) -> None:
    """What is answered is what a plain loop over the same targets would answer."""
    world = worlds[rpc, share]
    judged = world.calls[-CALLS:]
    answered = sum(call.target is not None for call in judged) / len(judged)

    assert CALLS == len(judged)
    assert answered >= without_memory(rpc, share) - _ALLOWED
