"""Turns are shared among callers, not among their calls."""

import asyncio

import pytest

from majordomo.media.turns import Turns


class Calls:
    """Calls that wait for their turns, and leave when they are asked to."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.inside: list[str] = []
        self._leave: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, name: str) -> None:
        """A call of the caller that its name begins with."""
        self._leave[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._call(name))
        await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        self._leave[name].set()
        await self.tasks[name]
        await asyncio.sleep(0)

    async def _call(self, name: str) -> None:
        async with self._turns.turn(name[0]):
            self.inside.append(name)
            await self._leave[name].wait()
            self.inside.remove(name)


@pytest.mark.rule("6.6")
async def test_a_caller_has_one_turn_at_a_time() -> None:
    """Though there is room for another."""
    calls = Calls(Turns(2))
    for name in ("a1", "a2", "b1"):
        await calls.begin(name)

    assert ["a1", "b1"] == calls.inside
    await calls.end("b1")
    assert ["a1"] == calls.inside
    await calls.end("a1")
    assert ["a2"] == calls.inside
    await calls.end("a2")


@pytest.mark.rule("6.6")
async def test_callers_are_let_in_by_turns() -> None:
    """However many calls of one wait: another waits for one of them at most."""
    calls = Calls(Turns(1))
    for name in ("a1", "a2", "a3", "a4", "b1", "c1", "b2"):
        await calls.begin(name)
    order = []
    while calls.inside:
        (name,) = calls.inside
        order.append(name)
        await calls.end(name)

    assert ["a1", "a2", "b1", "c1", "a3", "b2", "a4"] == order


async def test_a_call_that_gives_up_leaves_its_place() -> None:
    """Waiting, or at the very moment that it was let in."""
    calls = Calls(Turns(1))
    for name in ("a1", "b1", "c1", "d1"):
        await calls.begin(name)
    calls.tasks["b1"].cancel()
    calls._leave["a1"].set()
    await asyncio.wait({calls.tasks["a1"], calls.tasks["b1"]})
    calls.tasks["c1"].cancel()
    await asyncio.wait({calls.tasks["c1"]})
    await asyncio.sleep(0)

    assert ["d1"] == [name for name in calls.inside if name != "c1"]
    await calls.end("d1")
    await calls.begin("e1")
    assert "e1" in calls.inside
    await calls.end("e1")
