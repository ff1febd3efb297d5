"""What memory costs and spares, beside the same walk without any, in virtual time.

`MAJORDOMO_SEEDS` says how many kinds of weather are tried (`make sim`); without it
1 000 in CI, else 60. No single one is judged but for the bounds that hold always.
"""

import os
import random
import statistics
from collections import defaultdict
from collections.abc import Callable

import pytest

from majordomo.chain.call import Policy
from tests.chain import coins
from tests.chain.coins import WARM_UP, Forgetful, Request, Weather, mean

SEEDS = int(os.environ.get("MAJORDOMO_SEEDS", "1000" if os.environ.get("CI") else "60"))

_START = 30.0
"""When outages begin."""


def _weather(seed: int) -> Weather:
    """One combination of chain, faults, answers and load."""
    dice = random.Random(f"weather {seed}")
    rate = 10 ** dice.uniform(-1, 2)
    return Weather(
        targets=dice.choice([1, 2, 4]),
        chance=dice.choice([0.01, 0.02, 0.05, 0.1, 0.2, 0.5]),
        kinds=(dice.choice(list(coins.FAULTS)),),
        answer=10 ** dice.uniform(-1, 0.7),
        rate=rate,
        seconds=max(2.0, min(60.0, 300 / rate)),
        together=dice.random() < 0.5,
    )


def _lost(weather: Weather, seed: int, caller: str = "us") -> float:
    """Points of the answers that memory costs."""
    without = coins.run(weather, seed, Forgetful).share(caller)
    return 100 * (without - coins.run(weather, seed).share(caller))


@pytest.mark.rule("4.1", "4.10")
@pytest.mark.timeout(3600)
def test_memory_costs_no_answers() -> None:
    """In the mean half a point at most, one and a half where rates are limited."""
    lost: dict[str, list[float]] = defaultdict(list)
    for seed in range(SEEDS):
        weather = _weather(seed)
        (kind,) = weather.kinds
        limited = "429s" if "429" in kind else "others"
        points = _lost(weather, seed)
        for key in (limited, kind, f"{weather.chance} of {limited}"):
            lost[key].append(points)

    most = {key: 1.5 if "429" in key else 0.5 for key in lost}
    assert {} == {
        key: mean(points) for key, points in lost.items() if mean(points) > most[key]
    }


def _outage(end: float = 10_000.0) -> Callable[[str, float], bool]:
    return lambda name, now: name == "p0/m" and _START <= now < end


@pytest.mark.rule("4.4", "4.8", "4.10")
@pytest.mark.parametrize("rate", [1.0, 10.0, 50.0])
def test_a_dead_target_is_spared_while_another_answers(rate: float) -> None:
    """One attempt a cooldown; every call is answered."""
    weather = Weather(targets=2, rate=rate, seconds=100, down=_outage())
    outcome = coins.run(weather, 1)
    benched = outcome.benched["p0/m"][0]
    at_dead = [moment for moment in outcome.providers["p0/m"].calls if moment > benched]

    assert 1.0 == outcome.share()
    assert len(at_dead) <= 3 + (WARM_UP + 100 - benched) / 7.5


@pytest.mark.rule("4.10")
@pytest.mark.parametrize("rate", [1.0, 10.0, 50.0])
def test_when_all_are_dead_each_is_spared(rate: float) -> None:
    """Twenty attempts, and then one a second, or for each twenty calls."""
    weather = Weather(
        targets=2,
        rate=rate,
        answer=0.5,
        seconds=60,
        down=lambda name, now: now >= _START,
    )
    outcome = coins.run(weather, 1)
    asked = sum(map(len, outcome.answered.values()))
    for name, provider in outcome.providers.items():
        benched = outcome.benched[name][0]
        lasted = WARM_UP + 60 - benched
        at_dead = [moment for moment in provider.calls if moment > benched]

        # Calls at the head of the chain are asked for as often as they come.
        assert len(at_dead) <= 20 + max(lasted, 0.05 * asked) + 1


@pytest.mark.rule("4.1")
@pytest.mark.parametrize("kind", ["503", "500", "malformed", "cut", "429"])
@pytest.mark.parametrize("rate", [20.0, 100.0])
def test_an_outage_that_is_told_is_seen_within_a_second(kind: str, rate: float) -> None:
    """At twenty calls a second and more."""
    for seed in range(5):
        weather = Weather(
            targets=2, rate=rate, seconds=20, kinds=(kind,), answer=0.3, down=_outage()
        )
        benched = coins.run(weather, seed).benched["p0/m"]

        assert benched[0] - _START <= 1.0


@pytest.mark.rule("4.3")
@pytest.mark.parametrize("targets", [1, 2])
def test_silence_is_seen_within_fifteen_seconds(targets: int) -> None:
    """Whether or not anybody else is there to answer."""
    weather = Weather(
        targets=targets,
        rate=20,
        seconds=32,
        kinds=("silent",),
        answer=1.0,
        down=_outage(),
        requests=lambda dice: Request(remaining=20, stream=True),
    )
    for seed in range(3):
        assert coins.run(weather, seed).benched["p0/m"][0] - _START <= 15.0


@pytest.mark.rule("4.4", "4.8")
@pytest.mark.parametrize(
    ("kind", "usual", "always"), [("503", 10, 15), ("silent", 20, 30)]
)
@pytest.mark.parametrize("rate", [1.0, 10.0, 40.0])
def test_how_soon_a_target_is_back(
    kind: str, usual: float, always: float, rate: float
) -> None:
    """After an outage of a minute, and the gap to the next call."""
    weather = Weather(
        targets=2,
        rate=rate,
        seconds=115,
        kinds=(kind,),
        down=_outage(_START + 60),
        requests=lambda dice: Request(remaining=20, stream=True),
    )
    back = []
    for seed in range(7):
        served = coins.run(weather, seed).providers["p0/m"].served
        end = _START + 60
        back.append(next(moment for moment in served if moment >= end) - end)

    assert statistics.median(back) <= usual
    assert max(back) <= always + 5 / rate


@pytest.mark.rule("4.4")
def test_a_flapping_target_serves_while_it_can() -> None:
    """Seven seconds up, seven down: a quarter of all calls."""
    weather = Weather(
        targets=2,
        rate=10,
        seconds=300,
        down=lambda name, now: name == "p0/m" and int(now / 7) % 2 == 1,
    )
    shares = []
    for seed in range(6):
        outcome = coins.run(weather, seed)
        served = [m for m in outcome.providers["p0/m"].served if m > WARM_UP]
        shares.append(len(served) / sum(map(len, outcome.answered.values())))

    assert mean(shares) >= 0.25


@pytest.mark.rule("4.6", "4.10")
@pytest.mark.parametrize(
    ("window", "paid", "least"),
    [(0.1, 100.0, 0.7), (1.0, 20.0, 0.9), (10.0, 5.0, 0.9), (60.0, 2.0, 0.9)],
)
@pytest.mark.parametrize("over", [1.2, 2.0, 5.0])
def test_a_rate_that_is_paid_for_is_used(
    window: float, paid: float, least: float, over: float
) -> None:
    """Though more is asked for, at a chain of one, whatever the window."""
    seconds = max(10.0, 5 * window)
    weather = Weather(
        rate=over * paid, seconds=seconds, window=window, paid=paid, answer=0.05
    )
    provider = coins.run(weather, 1).providers["p0/m"]
    # Whole windows only.
    first = int(WARM_UP / window) + 1
    last = int((WARM_UP + seconds) / window)
    served = sum(provider.spent.get(number, 0) for number in range(first, last))

    assert served >= least * paid * window * (last - first)


def _poisoner(others: float) -> Callable[[random.Random], Request]:
    """Somebody who chooses prompts, options and deadlines to harm `others`."""

    def request(dice: random.Random) -> Request:
        if dice.random() < others:
            return Request("us", stream=dice.random() < 0.5)
        short = dice.choice([None, None, 0.1, 1.0])
        return Request(
            "adversary",
            Policy(
                transient_retries=dice.randint(0, 5),
                attempt_timeout=short,
                first_content_timeout=short,
                stall_timeout=dice.choice([None, 0.1]),
            ),
            remaining=dice.choice([None, 0.3, 3.0, 20.0]),
            poison=dice.choice(["503", "500", "malformed", "cut", "silent", ""]),
            stream=dice.random() < 0.5,
        )

    return request


@pytest.mark.rule("4.2", "4.3", "4.10")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("others", [0.5, 1 / 11])
def test_an_adversary_costs_others_no_answers(others: float) -> None:
    """With as many calls as theirs, and with ten times as many."""
    lost = []
    for seed in range(max(10, SEEDS // 50)):
        dice = random.Random(f"poison {seed}")
        rate = 10 ** dice.uniform(0, 1.7)
        weather = Weather(
            targets=dice.choice([1, 2, 4]),
            chance=dice.choice([0.0, 0.05]),
            answer=10 ** dice.uniform(-1, 0.3),
            rate=rate,
            seconds=max(10.0, min(60.0, 1000 / rate)),
            requests=_poisoner(others),
        )
        lost.append(_lost(weather, seed))

    assert mean(lost) <= 0.5
