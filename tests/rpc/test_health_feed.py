"""When watchers are woken, in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from majordomo.chain.tracker import Tracker
from majordomo.errors import ServerDraining
from majordomo.rpc.health_feed import ROUND_INTERVAL, HealthFeed
from tests.chain.fakes import loop_clock, virtual_time

A = "a/1"


class Watcher:
    """Waits for rounds, and writes down when it was woken."""

    def __init__(self, feed: HealthFeed, tracker: Tracker) -> None:
        self.woken: list[float] = []
        self.version = 0
        self._feed = feed
        self._tracker = tracker

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        with self._feed.watching():
            self.version = self._tracker.changes.version
            while await self._feed.wait(self.version, loop.time() + 3600):
                self.version = self._tracker.changes.version
                self.woken.append(round(loop.time(), 6))


@asynccontextmanager
async def watched(
    count: int = 1,
) -> AsyncIterator[tuple[Tracker, HealthFeed, list[Watcher]]]:
    """A tracker, its feed, and so many watchers that wait."""
    tracker = Tracker(clock=loop_clock())
    feed = HealthFeed(tracker)
    watchers = [Watcher(feed, tracker) for _ in range(count)]
    tasks = [asyncio.create_task(watcher.run()) for watcher in watchers]
    await asyncio.sleep(1)
    yield tracker, feed, watchers
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert 0 == tracker.changes.listeners


def now() -> float:
    return round(asyncio.get_running_loop().time(), 6)


@virtual_time
async def test_the_first_change_is_told_at_once_and_a_storm_in_rounds() -> None:
    """A change each millisecond for a second wakes eleven times, not a thousand."""
    async with watched() as (tracker, _, [watcher]):
        begun = now()
        for number in range(1000):
            tracker.bench(A, None, str(number))
            await asyncio.sleep(0.001)
        await asyncio.sleep(10)

    first, *_, last = watcher.woken
    assert (begun, begun + 1) == pytest.approx((first, last))
    assert 11 == len(watcher.woken)
    gaps = [b - a for a, b in zip(watcher.woken, watcher.woken[1:], strict=False)]
    assert min(gaps) >= ROUND_INTERVAL - 1e-6


@virtual_time
async def test_a_change_is_no_work_for_the_call_that_makes_it() -> None:
    """1 000 watchers are woken ten at a time, with time for calls in between."""
    async with watched(1000) as (tracker, _, watchers):
        begun = now()
        tracker.bench(A, None, "")
        assert [] == [time for watcher in watchers for time in watcher.woken]
        await asyncio.sleep(10)

    woken = sorted(watcher.woken[0] for watcher in watchers)
    assert [1] * 1000 == [len(watcher.woken) for watcher in watchers]
    assert begun == woken[0]
    assert 10 == max(woken.count(time) for time in woken)
    assert 2 > woken[-1] - begun


@virtual_time
async def test_what_changes_during_a_round_is_told_in_the_next() -> None:
    """Also to those who had their turn already."""
    async with watched(100) as (tracker, _, watchers):
        tracker.bench(A, None, "first")
        await asyncio.sleep(0.05)  # the round takes longer
        tracker.bench(A, None, "second")
        await asyncio.sleep(10)

    assert {tracker.changes.version} == {watcher.version for watcher in watchers}
    assert 2 == max(len(watcher.woken) for watcher in watchers)


@virtual_time
async def test_time_alone_wakes_at_its_moment() -> None:
    """Also when the bench that was to end first was lifted, and after another."""
    async with watched() as (tracker, _, [watcher]):
        begun = now()
        tracker.bench("a/lifted", 20, "")
        tracker.bench("a/long", 50, "")
        tracker.bench("a/short", 30, "")
        await asyncio.sleep(1)
        tracker.unbench("a/lifted")
        await asyncio.sleep(100)

    assert [0, 1, 30, 50] == [time - begun for time in watcher.woken]


@virtual_time
async def test_benches_begun_before_anybody_watched_end_too() -> None:
    """The first watcher sets the timer, and the last one stops it."""
    tracker = Tracker(clock=loop_clock())
    feed = HealthFeed(tracker)
    for _ in range(2):
        tracker.bench(A, 30, "")
        watcher = Watcher(feed, tracker)
        begun = now()
        task = asyncio.create_task(watcher.run())
        await asyncio.sleep(60)
        task.cancel()
        await asyncio.wait([task])

        assert [30] == [time - begun for time in watcher.woken]
        assert 0 == tracker.changes.listeners


@virtual_time
async def test_silence_ends_the_wait() -> None:
    """At the moment that was asked for."""
    tracker = Tracker(clock=loop_clock())
    feed = HealthFeed(tracker)
    with feed.watching():
        begun = now()
        assert not await feed.wait(tracker.changes.version, begun + 30)

    assert begun + 30 == now()


@virtual_time
async def test_a_closed_feed_ends_all_watches() -> None:
    """Those that wait, at once; those that come back to wait; and new ones."""
    async with watched(100) as (tracker, feed, _):
        with feed.watching():
            others = asyncio.all_tasks() - {asyncio.current_task()}
            closed = now()
            feed.close()
            ended = await asyncio.gather(*others, return_exceptions=True)
            assert [ServerDraining] * 100 == [type(end) for end in ended]
            assert closed == now()
            with pytest.raises(ServerDraining):
                await feed.wait(tracker.changes.version, closed + 3600)
        with pytest.raises(ServerDraining), feed.watching():
            pass
