"""A call that is cancelled wherever it waits leaves nothing behind."""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from majordomo.chain.call import Call, Policy
from majordomo.chain.engine import Engine
from majordomo.chain.failure import Failure
from majordomo.chain.target import ConcurrencyLimit, Target, Timeouts
from majordomo.chain.tracker import Tracker
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_OVERLOADED,
)
from majordomo.v1.generation_service_pb2 import (
    ALL_BENCHED_POLICY_WAIT,
    INTERRUPTION_POLICY_RESTART,
)
from tests.chain.fakes import Wait, call, engine, exchanges, target, virtual_time, walk

BUSY = Failure(FAILURE_REASON_OVERLOADED, "busy")
BROKEN = Failure(FAILURE_REASON_MALFORMED_RESPONSE, "no end")
POLICY = Policy(
    all_benched=ALL_BENCHED_POLICY_WAIT,
    interruption=INTERRUPTION_POLICY_RESTART,
    attempt_timeout=30,
)


@dataclass
class Scene:
    """A call with all that a walk can come to, in a world of its own."""

    engine: Engine
    tracker: Tracker
    targets: list[Target]
    call: Call


def failing_over(*, stream: bool) -> Scene:
    """A retry, a timeout, a break, a restart, and then the answer."""
    concurrency = ConcurrencyLimit(limit=5)
    targets = [
        target(
            "a/1", [Wait(1), BUSY], [Wait(1), BUSY], concurrency_limits=(concurrency,)
        ),
        target("b/1", [Wait(60)], timeouts=Timeouts(first_content=3, attempt=3)),
        target(
            "c/1", [Wait(1), "one ", Wait(1), BROKEN], concurrency_limits=(concurrency,)
        ),
        target(
            "d/1",
            [Wait(1), "one ", Wait(1), "two", Wait(1), None],
            concurrency_limits=(concurrency,),
        ),
    ]
    return _scene(targets, stream=stream)


def waiting(*, stream: bool) -> Scene:
    """Every target fails, is waited for, probed, and answers in the end."""
    targets = [
        target("a/1", [BUSY], [BUSY], [Wait(1), BUSY], [Wait(1), "one two", None]),
        target("b/1", [Wait(2), BUSY]),
    ]
    return _scene(targets, stream=stream)


def gathering(*, stream: bool) -> Scene:
    """Whole answers from streams, one of which stalls."""
    targets = [
        replace(
            target("a/1", ["one ", Wait(99)], timeouts=Timeouts(stall=2)), streams=True
        ),
        replace(target("b/1", ["one ", Wait(1), "two", None]), streams=True),
    ]
    return _scene(targets, stream=stream)


def _scene(targets: list[Target], *, stream: bool) -> Scene:
    made, tracker = engine()
    return Scene(made, tracker, targets, call(*targets, stream=stream, policy=POLICY))


@types.coroutine
def _stepping(
    inner: Coroutine[Any, Any, Any], suspended: Callable[[int, Any], None]
) -> Generator[Any, Any, Any]:
    """Run `inner`, and tell of each time that it waits, and for what."""
    steps = 0
    step = partial(inner.send, None)
    while True:
        try:
            awaited = step()
        except StopIteration as end:
            return end.value
        steps += 1
        suspended(steps, awaited)
        try:
            yield awaited
        except BaseException as error:
            step = partial(inner.throw, error)
        else:
            step = partial(inner.send, None)


async def _cancelled_at(scene: Scene, place: int, *, late: bool) -> bool:
    """Walk, and cancel at the `place`-th wait; False if there are not so many.

    `late`: just as what is waited for has come.
    """
    reached = False

    def suspended(steps: int, awaited: Any) -> None:
        nonlocal reached
        if steps != place:
            return
        reached = True
        task = asyncio.current_task()
        assert task is not None
        if late and awaited is not None:
            awaited.add_done_callback(lambda _: task.cancel())
        else:
            asyncio.get_running_loop().call_soon(task.cancel)

    async def run() -> None:
        await _stepping(walk(scene.engine, scene.call), suspended)

    task = asyncio.create_task(run())
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
    return reached


@pytest.mark.rule("5.6")
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("make", [failing_over, waiting, gathering])
@virtual_time
async def test_cancelled_at_every_await(
    make: Callable[..., Scene], stream: bool, late: bool
) -> None:
    """Exchanges are closed, leases and places given back, and probes are free."""
    place = 0
    while True:
        place += 1
        scene = make(stream=stream)
        if not await _cancelled_at(scene, place, late=late):
            break

        for each in scene.targets:
            assert all(exchange.closed for exchange in exchanges(each)), place
            assert [0] * len(each.concurrency_limits) == [
                concurrency.used for concurrency in each.concurrency_limits
            ]
        shown = scene.tracker.snapshot()
        assert all(health.active_attempts == 0 for health in shown), place
        assert 0 == scene.tracker.changes.listeners
        assert {asyncio.current_task()} == asyncio.all_tasks()
        ends = [scene.call.completion is not None, scene.call.cancelled]
        assert 1 == sum(ends), place
        # No probe is stuck: anyone who is benched may be asked once its time is over.
        await asyncio.sleep(120)
        assert all(
            scene.tracker.out_of_rotation(each.name) is None for each in scene.targets
        )

    assert place > 2
