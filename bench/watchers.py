"""What watchers of the targets' health cost the calls, beside a server without any.

    python -m bench.watchers [--rounds N]

The time of an attempt that changes its target's state twice (tracker and feed in this
process, without I/O), and a server's CPU a call (see `bench.subjects`), once while
nothing changes and once while a target changes a hundred times a second.
Medians of interleaved rounds; ratios are what counts.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc

from bench.processes import build_native, native
from bench.subjects import Subject, Work, majordomo
from majordomo.chain.evidence import Lease
from majordomo.chain.health import HealthSettings
from majordomo.chain.tracker import Tracker
from majordomo.rpc.health_feed import HealthFeed
from majordomo.v1.attempt_pb2 import Attempt
from majordomo.v1.operator_service_pb2 import (
    BenchRequest,
    UnbenchRequest,
    WatchHealthRequest,
)
from majordomo.v1.operator_service_pb2_grpc import OperatorServiceStub

WATCHERS = 1000
TARGET = "up/other"
PAUSE = 0.01
"""Seconds between two changes."""

SLICES, ATTEMPTS = 200, 50

Costs = dict[str, list[float]]


async def main(rounds: int) -> None:
    changes: Costs = defaultdict(list)
    for _ in range(rounds):
        for watchers in (0, WATCHERS):
            changes[f"{watchers} watchers"].append(await _change_of_state(watchers))
    _report(
        "an attempt that changes its target's state twice, without I/O", "us", changes
    )
    build_native()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        provider = stack.enter_context(native("upstream", folder / "native.log"))
        alone, watched = (
            stack.enter_context(majordomo(f"http://{provider}/v1", folder))
            for _ in range(2)
        )
        async with _watched(alone, 0), _watched(watched, WATCHERS) as reported:
            for server in (alone, watched):
                await asyncio.to_thread(server.run, Work(seconds=0.5))
            calls: Costs = defaultdict(list)
            for _ in range(rounds):
                for name, server in (("0", alone), (f"{WATCHERS}", watched)):
                    outcome = await asyncio.to_thread(server.run, Work())
                    calls[f"{name} watchers"].append(outcome.cpu_us)
            _report("a unary call, nothing changes", "us CPU", calls)
            calls.clear()
            before = len(reported)
            for _ in range(rounds):
                for name, server in (("0", alone), (f"{WATCHERS}", watched)):
                    async with _changing(server):
                        outcome = await asyncio.to_thread(server.run, Work())
                    calls[f"{name} watchers"].append(outcome.cpu_us)
            _report("a unary call, 100 changes a second", "us CPU", calls)
            print(f"  changes told while that ran: {len(reported) - before}")


def _report(title: str, unit: str, costs: Costs) -> None:
    print(f"\n{title}")
    alone = statistics.median(next(iter(costs.values())))
    for name, values in costs.items():
        middle = statistics.median(values)
        print(
            f"  {name:<14} {middle:8.2f} {unit}   {middle / alone:5.2f} x"
            f"   (rounds {min(values):.2f} to {max(values):.2f})"
        )


async def _change_of_state(watchers: int) -> float:
    """Microseconds of an attempt that changes its target's state twice."""
    tracker = Tracker(HealthSettings(failure_threshold=1, cooldown_base=1e-6))
    feed = HealthFeed(tracker)
    lease = tracker.begin(TARGET)
    assert isinstance(lease, Lease)
    tracker.fail(lease, Attempt(), counts=True)

    async def watch() -> None:
        version = 0
        with feed.watching():
            while await feed.wait(version, time.monotonic() + 3600):
                news = tracker.changes_since(version)
                assert news is not None
                version, _ = news

    tasks = [asyncio.create_task(watch()) for _ in range(watchers)]
    spent = 0.0
    for _ in range(SLICES):
        await asyncio.sleep(0.002)  # the feed's timers have their turn
        begun = time.perf_counter()
        for _ in range(ATTEMPTS):
            probe = tracker.begin(TARGET)
            assert isinstance(probe, Lease)
            tracker.release(probe)
        spent += time.perf_counter() - begun
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return spent / SLICES / ATTEMPTS * 1e6


@asynccontextmanager
async def _watched(server: Subject, watchers: int) -> AsyncIterator[list[None]]:
    """Watch a server so many times; every change that is reported lengthens the
    list."""
    reported: list[None] = []

    async def read(watch: Any, begun: asyncio.Event) -> None:
        async for event in watch:
            begun.set()
            if event.HasField("change"):
                reported.append(None)

    async with grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = OperatorServiceStub(channel)
        begun = [asyncio.Event() for _ in range(watchers)]
        tasks = [
            asyncio.create_task(read(stub.WatchHealth(WatchHealthRequest()), event))
            for event in begun
        ]
        for event in begun:
            await event.wait()
        yield reported
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends


@asynccontextmanager
async def _changing(server: Subject) -> AsyncIterator[None]:
    """Bench a target and put it back, over and over."""

    async def change(stub: Any) -> None:
        while True:
            await stub.Bench(BenchRequest(target=TARGET))
            await asyncio.sleep(PAUSE)
            await stub.Unbench(UnbenchRequest(target=TARGET))
            await asyncio.sleep(PAUSE)

    async with grpc.aio.insecure_channel(server.address) as channel:
        task = asyncio.create_task(change(OperatorServiceStub(channel)))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    asyncio.run(main(parser.parse_args().rounds))
