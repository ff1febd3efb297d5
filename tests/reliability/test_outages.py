"""A target that goes away is left alone soon, and is back soon after it is well."""

import os
from collections.abc import Callable, Iterable
from itertools import cycle
from statistics import mean, median, stdev

import pytest

from majordomo.v1.operator_service_pb2 import HealthChange
from tests.reliability.provider import WELL, Fate, Fault
from tests.reliability.world import WARM_UP, World, play

LONG = bool(os.environ.get("MAJORDOMO_LONG"))
"""`make sim` sets it."""

pytestmark = pytest.mark.timeout(900 if LONG else 200)

TOLD: tuple[Fault, ...] = ("503", "reset")
RATES: dict[Fault, tuple[float, ...]] = {
    "503": (1.0, 2.0, 5.0, 20.0, 50.0),
    "reset": (1.0, 2.0, 5.0, 10.0, 20.0),
    "silence": (1.0, 2.0, 20.0),
}
"""Calls a second, by how the target is away."""

OUTAGE: dict[Fault, float] = {
    "503": 60.0 if LONG else 35.0,
    "reset": 60.0 if LONG else 35.0,
    "silence": 60.0,
}
"""Seconds that a target is away. From its third bench on, which begins within 20 s
where failures are reported, every cooldown is the longest: more time changes
nothing."""

BUSY = 20.0
BACK: dict[Fault, tuple[float, float]] = {
    "503": (10.0, 15.0),
    "reset": (10.0, 15.0),
    "silence": (20.0, 30.0),
}
"""Seconds until the target answers again: in the median, and at most."""

FLAP = 7.0
FLAPS = 43 if LONG else 7
FLAPPING = 20 if LONG else 12
"""Worlds, each begun at another point of the cycle."""

_SLACK = 1.0
"""Seconds that a busy machine may take longer."""

BENCHED = HealthChange.CAUSE_FAILURES


def well(since: float) -> Fate:
    return WELL


def away(fault: Fault) -> Callable[[float], Fate]:
    """Well, away, and well again."""
    end = WARM_UP + OUTAGE[fault]
    return lambda since: Fate(fault) if WARM_UP <= since < end else WELL


def flapping(phase: float) -> Callable[[float], Fate]:
    """Well for a time and away for as long."""
    return lambda since: WELL if (since + phase) // FLAP % 2 == 0 else Fate("503")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    """All of them, played at once."""
    outages = [
        World(
            f"{fault}-{rate:.0f}",
            [away(fault), well],
            rate,
            WARM_UP + OUTAGE[fault] + BACK[fault][1] + 2,
            rpc,
        )
        for fault in BACK
        for rate, rpc in zip(RATES[fault], cycle(["Generate", "Stream"]), strict=False)
    ]
    flaps = [
        World(
            f"flapping-{number}",
            [flapping(2 * FLAP * number / FLAPPING), well],
            4.0,
            2 * FLAP * FLAPS,
        )
        for number in range(FLAPPING)
    ]
    made = [*outages, *flaps]
    play(made, tmp_path_factory.mktemp("server"))
    return {world.name: world for world in made}


def back(world: World, fault: Fault) -> float:
    """Seconds from the end of the outage to the target's next answer."""
    end = WARM_UP + OUTAGE[fault]
    answers = (a.at for a in world.asked[0] if a.well and a.at >= end)
    return min(answers, default=float("inf")) - end


@pytest.mark.parametrize("fault", BACK)
def test_nothing_is_lost(worlds: dict[str, World], fault: Fault) -> None:
    """While another target answers, every call is answered."""
    for rate in RATES[fault]:
        assert 1.0 == worlds[f"{fault}-{rate:.0f}"].answered()


@pytest.mark.rule("4.1", "4.3")
@pytest.mark.parametrize("fault", BACK)
def test_an_outage_is_seen(worlds: dict[str, World], fault: Fault) -> None:
    """A failure that is reported within a second, silence within 15."""
    world = worlds[f"{fault}-{BUSY:.0f}"]
    seen = world.first(0, BENCHED, WARM_UP) - WARM_UP

    assert seen <= (15.0 if fault == "silence" else 1.0 + _SLACK)
    if fault in TOLD:
        # By its calls it is a second, however slow the machine.
        met = [call for call in world.calls if 0 <= call.at - WARM_UP < seen]
        assert len(met) <= BUSY


@pytest.mark.rule("4.4", "4.8")
@pytest.mark.parametrize("faults", [TOLD, ("silence",)], ids="/".join)
def test_it_is_back(worlds: dict[str, World], faults: Iterable[Fault]) -> None:
    """Soon in the median, and never late."""
    gone = []
    for fault in faults:
        usual, longest = BACK[fault]
        for rate in RATES[fault]:
            gone.append(back(worlds[f"{fault}-{rate:.0f}"], fault))
            assert gone[-1] <= longest + 1 / rate + _SLACK
    assert median(gone) <= usual


@pytest.mark.rule("4.4")
def test_a_flapping_target_still_serves(worlds: dict[str, World]) -> None:
    """It answers at least a quarter of the calls that come while it is well.

    By as much as the worlds differ, their mean may be less by chance.
    """
    shares = []
    for number in range(FLAPPING):
        world = worlds[f"flapping-{number}"]
        fate = world.fates[0]
        served = sum(call.target == world.targets[0] for call in world.calls)
        shares.append(served / sum(fate(call.at) == WELL for call in world.calls))
    chance = 2 * stdev(shares) / FLAPPING**0.5
    assert mean(shares) + chance >= 0.25
