"""Who is down is spared, and what is paid for is used."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from majordomo.chain.health import HealthSettings
from majordomo.v1.operator_service_pb2 import HealthChange
from tests.reliability.provider import WELL, Fate
from tests.reliability.world import WARM_UP, World, play

pytestmark = pytest.mark.timeout(180)

SECONDS = 30.0
RATE = 25.0
WINDOW = 1.0
PAID = 6
"""Calls that are paid for in each window."""

TIMES = (1.2, 2.0, 5.0)
"""How many times as many are made."""

_SHORTEST_COOLDOWN = HealthSettings().cooldown_base / 2

_LAST_RESORT = 20
"""Attempts against a bench that a target bears at once."""

_SLACK = 0.1
BENCHED = HealthChange.CAUSE_FAILURES


def well(since: float) -> Fate:
    return WELL


def dead(since: float) -> Fate:
    return Fate("503")


def windows() -> Callable[[float], Fate]:
    """So many calls are answered in a window; others learn when the next one begins."""
    used: dict[int, int] = {}

    def fate(since: float) -> Fate:
        window = int(since // WINDOW)
        used[window] = used.get(window, 0) + 1
        if used[window] <= PAID:
            return WELL
        return Fate("429", retry_after=(window + 1) * WINDOW - since)

    return fate


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    """All of them, played at once."""
    made = [
        World("one-dead", [dead, well], RATE, SECONDS),
        World("all-dead", [dead, dead], RATE, SECONDS),
        *(
            World(f"paid-{times}", [windows()], PAID * times, WARM_UP + SECONDS)
            for times in TIMES
        ),
    ]
    play(made, tmp_path_factory.mktemp("server"))
    return {world.name: world for world in made}


@pytest.mark.rule("4.8")
def test_a_dead_target_sees_one_attempt_a_cooldown(worlds: dict[str, World]) -> None:
    """While another target answers nobody else goes there, and nothing is lost."""
    world = worlds["one-dead"]
    benched = world.first(0, BENCHED, 0.0)
    asked = [a.at for a in world.asked[0]]
    last = max(at for at in asked if at <= benched)
    gaps = [b - a for a, b in pairwise(asked) if a >= last]

    assert 1.0 == world.answered()
    assert len(gaps) >= 2
    assert min(gaps) >= _SHORTEST_COOLDOWN - _SLACK


@pytest.mark.rule("4.10")
@pytest.mark.parametrize("target", [0, 1])
def test_dead_targets_are_not_overrun(worlds: dict[str, World], target: int) -> None:
    """A few attempts at once, and then one a second, or 5 % of the calls."""
    world = worlds["all-dead"]
    benched = world.first(target, BENCHED, 0.0)
    after = [a.at for a in world.asked[target] if a.at > benched]
    lasted = after[-1] - benched

    assert 0.0 == world.answered()
    assert len(after) <= _LAST_RESORT + lasted * max(1.0, 0.05 * RATE)


@pytest.mark.rule("4.6", "4.10")
@pytest.mark.parametrize("times", TIMES)
def test_what_is_paid_for_is_used(worlds: dict[str, World], times: float) -> None:
    """However many more are made, nine in ten of those paid for are answered."""
    world = worlds[f"paid-{times}"]
    end = world.calls[-1].at
    served = [a for a in world.asked[0] if a.well and WARM_UP <= a.at < end]

    assert len(served) >= 0.9 * PAID * (end - WARM_UP) / WINDOW
