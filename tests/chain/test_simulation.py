"""The engine and the tracker through many random days, and through some bad ones.

`MAJORDOMO_SEEDS` says how many days (`make sim`); without it 1 000 in CI, else 100. A
seed that fails is written to `failed_seeds.txt` beside this file, and is tried from
then on.
"""

import asyncio
import functools
import os
from collections.abc import Callable, Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.chain import simulation
from tests.chain.fakes import VirtualLoop
from tests.chain.simulation import Behaviour, World

SEEDS = int(
    os.environ.get("MAJORDOMO_SEEDS", "1000" if os.environ.get("CI") else "100")
)
CALLS = 200
FAILED = Path(__file__).with_name("failed_seeds.txt")
_DAYS = 50
"""In one test."""


def _failed_before() -> list[int]:
    return [int(line) for line in FAILED.read_text().split()]


@pytest.mark.parametrize("first", range(0, SEEDS, _DAYS))
@pytest.mark.timeout(600)
def test_random_days(first: int) -> None:
    """Whatever happens, what must hold holds after every event, and all calls end."""
    for seed in range(first, min(first + _DAYS, SEEDS)):
        _try(seed)


@pytest.mark.parametrize("seed", _failed_before())
def test_days_that_failed_once(seed: int) -> None:
    """They are kept."""
    simulation.run(seed, CALLS)


def _try(seed: int) -> None:
    try:
        simulation.run(seed, CALLS)
    except Exception as error:
        if seed not in _failed_before():
            with FAILED.open("a") as kept:
                kept.write(f"{seed}\n")
        raise AssertionError(f"seed {seed}") from error


def _day(life: Callable[[], Coroutine[Any, Any, None]]) -> None:
    loop_factory = functools.partial(VirtualLoop, noop_cycles=1)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(life())


async def _load(world: World, chain: list[str], pace: float, seconds: float) -> int:
    """`pace` calls a second for so long; how many came."""
    running = []
    end = world.loop.time() + seconds
    while world.loop.time() < end:
        await asyncio.sleep(world.dice.expovariate(pace))
        running.append(asyncio.create_task(world.one_call(chain)))
    for task in running:
        await task
    world.over()
    return len(running)


@pytest.mark.rule("4.1")
@pytest.mark.parametrize("seed", range(3))
def test_random_errors_bench_nobody(seed: int) -> None:
    """2 % errors at 50 calls a second: out of rotation less than 1 % of the time.

    Answers take a second, so that 50 attempts run at once.
    """

    async def life() -> None:
        flaky = Behaviour(latency=1.0, error_rate=0.02)
        world = World(seed, {"a/1": flaky, "b/1": Behaviour()})
        seconds = 200.0
        await _load(world, ["a/1", "b/1"], 50, seconds)

        assert world.benched_seconds["a/1"] < 0.01 * seconds
        assert world.answered == world.ended

    _day(life)


@pytest.mark.rule("4.6")
@pytest.mark.parametrize(("rate", "seconds"), [(0.5, 1800), (2.0, 1200), (10.0, 300)])
def test_a_rate_limited_target_serves_what_is_paid_for(
    rate: float, seconds: float
) -> None:
    """Under five times the load it serves at least 85 % of its rate."""

    async def life() -> None:
        paid = Behaviour(rate=rate, latency=0.1)
        world = World(1, {"a/1": paid, "b/1": Behaviour()})
        await _load(world, ["a/1", "b/1"], 5 * rate, seconds)

        assert world.providers["a/1"].served >= 0.85 * rate * seconds
        assert world.answered == world.ended

    _day(life)


@pytest.mark.rule("4.4", "4.8")
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_dead_target_is_called_once_a_cooldown(seed: int, silent: bool) -> None:
    """After its first bench; and it is back within a cooldown of its recovery."""

    async def life() -> None:
        dead = Behaviour(outages=[(20.0, 320.0)], silent=silent, latency=0.1)
        world = World(seed, {"a/1": dead, "b/1": Behaviour(latency=0.1)})
        await _load(world, ["a/1", "b/1"], 20, 500)
        calls = world.providers["a/1"].calls

        first_bench = world.first_benched["a/1"]
        at_dead = [moment for moment in calls if first_bench < moment < 320.0]
        # Cooldowns of 4 to 15 s, each at least half of its length.
        least = [2.0, 4.0] + [7.5] * 40
        gaps = [after - before for before, after in pairwise(at_dead)]
        assert len(at_dead) <= 3 + 300 / 7.5
        assert all(
            gap >= shortest - 0.01
            for gap, shortest in zip(gaps, least[1:], strict=False)
        )
        back = next(moment for moment in calls if moment >= 320.0)
        assert back <= 320.0 + 15.0 + 3.0
        assert world.answered == world.ended

    _day(life)
