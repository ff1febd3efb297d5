"""Targets that work at what the caller does not see."""

import asyncio

import pytest

from majordomo.chain.call import Policy
from majordomo.chain.failure import Failure
from majordomo.chain.target import Life, Timeouts
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_FAILED,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_TIMEOUT,
)
from tests.chain.fakes import Step, Wait, call, engine, target, virtual_time, walk

ALIVE, THINKING = Life.ALIVE, Life.THINKING


@pytest.mark.rule("3.1", "5.4")
@pytest.mark.parametrize(
    "steps",
    [
        [*([Wait(20), ALIVE] * 20), Wait(20), "42", None],
        ["I think. ", *([Wait(20), ALIVE] * 20), Wait(20), "42", None],
        [THINKING, Wait(170), ALIVE, "42", None],
        ["I think. ", THINKING, Wait(170), "42", None],
        ["I think. ", THINKING, Wait(20), "so", Wait(170), ALIVE, "42", None],
    ],
)
@virtual_time
async def test_a_target_that_shows_nothing_but_lives_is_waited_for(
    steps: list[Step],
) -> None:
    """Signs of life restart the stall limit; reasoning that has begun may be silent."""
    walker, _ = engine()

    result = await walk(walker, call(target("a/1", steps), stream=True))

    assert result.failed is None
    assert result.text.endswith("42")
    assert 1 == len(result.attempts)


@pytest.mark.rule("3.1", "5.4")
@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        ([Wait(9999)], 30),
        ([Wait(20), ALIVE, Wait(9999)], 50),
        ([Wait(20), THINKING, Wait(9999)], 200),
        ([Wait(20), THINKING, Wait(20), ALIVE, Wait(9999)], 70),
    ],
)
@virtual_time
async def test_how_long_a_target_that_fell_silent_is_waited_for(
    steps: list[Step], seconds: float
) -> None:
    """As nothing was shown, the next target answers."""
    loop = asyncio.get_running_loop()
    walker, _ = engine()

    result = await walk(walker, call(target("a/1", steps), target("b/1"), stream=True))

    assert seconds == pytest.approx(loop.time(), abs=0.01)
    assert "b/1" == result.answer.completion.target
    assert FAILURE_REASON_TIMEOUT == result.attempts[0].failure_reason
    assert ATTEMPT_OUTCOME_FAILED == result.attempts[0].outcome


@pytest.mark.rule("5.4")
@pytest.mark.parametrize(
    ("timeouts", "policy", "seconds"),
    [
        (Timeouts(first_content=60), Policy(), 60),
        (Timeouts(first_content=60), Policy(first_content_timeout=50), 50),
        (Timeouts(first_content=5), Policy(), 30),
        (Timeouts(first_content=5), Policy(stall_timeout=40), 40),
    ],
)
@virtual_time
async def test_reasoning_may_be_silent_as_long_as_the_first_content_may_take(
    timeouts: Timeouts, policy: Policy, seconds: float
) -> None:
    """And never for less than any pause."""
    loop = asyncio.get_running_loop()
    walker, _ = engine()
    a = target("a/1", [THINKING, Wait(9999)], timeouts=timeouts)

    await walk(walker, call(a, stream=True, policy=policy))

    assert seconds == pytest.approx(loop.time(), abs=0.01)


@pytest.mark.rule("3.1", "5.2")
@virtual_time
async def test_the_reserve_ends_with_the_first_sign_of_life() -> None:
    """A target that works at the answer is not given up for those to come."""
    walker, _ = engine()
    steps: list[Step] = [Wait(5), ALIVE] * 5
    a = target("a/1", [*steps, "42", None])

    result = await walk(walker, call(a, target("b/1"), stream=True, time_remaining=30))

    assert "a/1" == result.answer.completion.target


@pytest.mark.rule("3.1", "4.8")
@virtual_time
async def test_life_does_not_decide_a_probe() -> None:
    """A probe that lived and failed benches again."""
    walker, tracker = engine()
    busy = Failure(FAILURE_REASON_OVERLOADED, "busy")
    a = target("a/1", [busy], [busy], [ALIVE, busy])

    await walk(walker, call(a, stream=True))
    first = tracker.out_of_rotation("a/1")
    assert first is not None
    assert first.until is not None
    await asyncio.sleep(first.until - asyncio.get_running_loop().time() + 0.1)
    result = await walk(walker, call(a, stream=True))

    assert result.attempts[0].probe
    assert ATTEMPT_OUTCOME_FAILED == result.attempts[0].outcome
    assert tracker.out_of_rotation("a/1") is not None
