"""Targets that fail together, come back, flap, or are taken away by an operator."""

import asyncio
import itertools
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo

import majordomo.rpc.server
from majordomo.chain.clock import Clock
from majordomo.chain.tracker import Tracker
from majordomo.durations import seconds
from majordomo.v1.generation_service_pb2 import (
    ALL_BENCHED_POLICY_TRY_SOONEST,
    ALL_BENCHED_POLICY_WAIT,
)
from majordomo.v1.operator_service_pb2 import (
    BenchRequest,
    TargetHealth,
    UnbenchRequest,
)
from testkit.servers import failed, generate, stream
from testkit.upstream import (
    CHUNKED,
    DONE,
    LAST_CHUNK,
    Connection,
    answer,
    chunk,
    event,
)
from tests.faults.matrix import fault
from tests.faults.scene import (
    RPCS,
    Scene,
    answering,
    got,
    quiet,
    read_text,
    rescued,
    scene,
)

BOTH = pytest.mark.parametrize("rpc", RPCS)
ACTIVE, BENCHED = TargetHealth.STATE_ACTIVE, TargetHealth.STATE_BENCHED
PROBING = TargetHealth.STATE_PROBING
SKIPPED = ["bad/m SKIPPED BENCHED", "good/m SUCCEEDED"]
THREE = "bad/a,bad/b,bad/c"
Code = grpc.StatusCode
IN_A_ROW = "bench_failure_share = 0.0"
"""Two failures in a row bench, whatever came before."""
A_MINUTE = 'cooldown_base = "1m"\ncooldown_cap = "1m"'


@dataclass
class Ahead:
    """Health's clock: the time that passes, and `seconds` more."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.seconds


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> Ahead:
    """Moves the time that health is decided by; cooldowns are without jitter."""
    ahead = Ahead()
    made = partial(Tracker, clock=Clock(monotonic=ahead), random=lambda: 1.0)
    monkeypatch.setattr(majordomo.rpc.server, "Tracker", made)
    return ahead


class Provider:
    """A script: answers while it is `up` and fails else, once `gate` is set."""

    def __init__(self) -> None:
        self.up = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Semaphore(0)

    async def __call__(self, connection: Connection) -> None:
        while request := await connection.request():
            up = self.up
            self.arrived.release()
            await self.gate.wait()
            await connection.send(
                answering(request, "well") if up else answer(503, b"busy")
            )

    async def has(self, requests: int) -> None:
        """Wait for so many requests more."""
        for _ in range(requests):
            await self.arrived.acquire()


@fault(38, 39)
@BOTH
async def test_every_target_fails_and_is_benched(rpc: str) -> None:
    """One error that names them all; and then one at once, with nothing asked."""
    provider = Provider()
    async with scene(provider, chain='all_benched_policy = "fail"') as it:
        first = await it.ask(rpc, chain=THREE)
        second = await it.ask(rpc, chain=THREE)

        assert (Code.UNAVAILABLE, "CHAIN_EXHAUSTED") == first.status
        twice = [f"bad/{model} FAILED OVERLOADED" for model in "aabbcc"]
        assert twice == first.attempts
        assert (Code.UNAVAILABLE, "ALL_BENCHED") == second.status
        assert [f"bad/{model} SKIPPED BENCHED" for model in "abc"] == second.attempts
        for seen in (first, second):
            assert "-1" == seen.failure.trailers["grpc-retry-pushback-ms"]
            assert 1 <= seconds(seen.failure.details[RetryInfo].retry_delay) <= 5
        assert 6 == len(it.bad.requests)


@fault(39)
async def test_the_soonest_is_tried_before_its_time(ahead: Ahead) -> None:
    """TRY_SOONEST: one early attempt a second, and not one more."""
    provider = Provider()
    async with scene(provider, health=A_MINUTE, chain="") as it:
        wish: dict[str, Any] = {"all_benched_policy": ALL_BENCHED_POLICY_TRY_SOONEST}
        await it.ask(chain=THREE)
        asked = len(it.bad.requests)
        early = [await it.ask(chain=THREE, **wish) for _ in range(3)]
        tried = len(it.bad.requests) - asked
        ahead.seconds += 1.0
        provider.up = True
        rescue = await it.ask(chain=THREE, **wish)

        assert "bad/a FAILED OVERLOADED" == early[0].attempts[-1]
        assert {Code.UNAVAILABLE} == {seen.code for seen in early}
        assert 3 == tried  # one at each of the three targets, each once in its second
        assert "well" == rescue.text


@fault(39)
@BOTH
async def test_waiting_for_the_first_to_return(rpc: str) -> None:
    """WAIT: the call goes on where a bench ends within its deadline."""
    provider = Provider()
    quick = 'cooldown_base = "300ms"'
    async with scene(provider, health=quick, chain="") as it:
        await it.ask(rpc, chain="bad/m")
        provider.up = True
        seen = await it.ask(
            rpc, chain="bad/m", timeout=10, all_benched_policy=ALL_BENCHED_POLICY_WAIT
        )

        assert "well" == seen.text
        assert ["bad/m SKIPPED BENCHED", "bad/m SUCCEEDED"] == seen.attempts
        assert ACTIVE == (await it.health()).state


async def benched(it: Scene) -> TargetHealth:
    """Two failures, and bad/m is out of rotation."""
    for _ in range(2):
        await it.ask()
    shown = await it.health()
    assert BENCHED == shown.state
    return shown


@fault(40)
@BOTH
async def test_one_of_a_hundred_is_the_probe(rpc: str, ahead: Ahead) -> None:
    """When a bench is over one call tries; when it is answered all go there again."""
    provider = Provider()
    async with scene(provider) as it:
        before = await benched(it)
        asked = len(it.bad.requests)
        ahead.seconds += 5.0
        provider.up = True
        provider.gate.clear()
        calls = [asyncio.ensure_future(it.ask(rpc)) for _ in range(100)]
        for one in itertools.islice(asyncio.as_completed(calls), 99):
            await one
        during = await it.health()
        provider.gate.set()
        answers = await asyncio.gather(*calls)
        after = await asyncio.gather(*(it.ask(rpc) for _ in range(10)))

        assert 1 == before.bench.consecutive_benches
        assert PROBING == during.state
        assert ["rescued"] * 99 + ["well"] == sorted(seen.text for seen in answers)
        assert ["well"] * 10 == [seen.text for seen in after]
        assert asked + 11 == len(it.bad.requests)
        assert ACTIVE == (await it.health()).state


@fault(41)
@BOTH
async def test_a_probe_that_fails(rpc: str, ahead: Ahead) -> None:
    """Benched again, for twice as long, without a retry."""
    async with scene(Provider(), chain="") as it:
        await it.ask()  # with its retry
        asked = len(it.bad.requests)
        ahead.seconds += 5.0
        probe = await it.ask(rpc)
        shown = await it.health()

        assert rescued("OVERLOADED") == probe.attempts
        assert probe.records[0].probe
        assert asked + 1 == len(it.bad.requests)
        assert (BENCHED, 2) == (shown.state, shown.bench.consecutive_benches)
        assert 8.0 == pytest.approx(length(shown), abs=0.01)


def length(shown: TargetHealth) -> float:
    """Seconds that the bench lasts."""
    bench = shown.bench
    end = bench.expire_time.ToNanoseconds()
    return (end - bench.start_time.ToNanoseconds()) / 1e9


@fault(33, 41)
@BOTH
async def test_a_probe_that_is_cancelled(rpc: str, ahead: Ahead) -> None:
    """It reported nothing: the next call is the probe."""
    provider = Provider()
    async with scene(provider) as it:
        await benched(it)
        ahead.seconds += 5.0
        provider.up = True
        provider.gate.clear()
        await provider.has(2)  # those that benched it
        request = stream("") if rpc == "Stream" else generate("")
        call = getattr(it.it.generation, rpc)(request)
        waiting = asyncio.ensure_future(failed(call))
        await provider.has(1)
        during = await it.health()
        call.cancel()
        await asyncio.wait({waiting})
        after = await quiet(it.it)
        provider.gate.set()
        seen = await it.ask(rpc)

        assert (PROBING, BENCHED) == (during.state, after.state)
        assert 1 == after.bench.consecutive_benches
        assert ("well", True) == (seen.text, seen.records[0].probe)


@fault(42)
@BOTH
async def test_fifty_failures_at_once(rpc: str) -> None:
    """They bench once, for one cooldown."""
    provider = Provider()
    provider.gate.clear()
    async with scene(provider) as it:
        calls = [asyncio.ensure_future(it.ask(rpc)) for _ in range(50)]
        await provider.has(50)
        provider.gate.set()
        answers = await asyncio.gather(*calls)
        shown = await it.health()

        assert ["rescued"] * 50 == [seen.text for seen in answers]
        assert (BENCHED, 1) == (shown.state, shown.bench.consecutive_benches)
        assert 50 == shown.total_failures
        assert 2 <= length(shown) <= 4.01


@fault(43)
@pytest.mark.parametrize("late", ["success", "failure"])
async def test_results_from_before_the_bench(late: str) -> None:
    """They neither lift it nor make it longer."""
    held = asyncio.Event()

    async def script(connection: Connection) -> None:
        while request := await connection.request():
            if connection.number:
                await connection.send(answer(503, b"busy"))
                continue
            await held.wait()
            good = late == "success"
            reply = answering(request, "late") if good else answer(503, b"busy")
            await connection.send(reply)

    async with scene(script, health=IN_A_ROW) as it:
        first = asyncio.ensure_future(it.ask())
        while not it.bad.requests:
            await it.health()
        before = await benched(it)
        held.set()
        seen = await first
        after = await it.health()

        assert ("late" if late == "success" else "rescued") == seen.text
        assert (BENCHED, 1) == (after.state, after.bench.consecutive_benches)
        assert length(before) == pytest.approx(length(after), abs=0.001)


@fault(44)
async def test_flapping(ahead: Ahead) -> None:
    """Each bench is twice as long, up to the cap; one answer forgives all of them."""
    provider = Provider()
    async with scene(provider, health=IN_A_ROW) as it:
        shown = await benched(it)
        lengths = [round(length(shown), 1)]
        for up in (False, False, False, True):
            provider.up = up
            ahead.seconds += lengths[-1] + 0.1
            await it.ask()
            if up:
                provider.up = False
                await benched(it)
            shown = await it.health()
            lengths.append(round(length(shown), 1))

        assert [4.0, 8.0, 15.0, 15.0, 4.0] == lengths
        assert 1 == shown.bench.consecutive_benches


@fault(45)
async def test_a_bench_under_a_running_stream() -> None:
    """The stream comes to its end, new calls go elsewhere until it is lifted."""
    benched = asyncio.Event()
    rest = chunk(event("two") + event("", "stop") + DONE) + LAST_CHUNK

    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(CHUNKED + chunk(event("one ")))
            await benched.wait()
            await connection.send(rest)

    async with scene(script) as it:
        call = it.it.generation.Stream(stream(""))
        read = await read_text(call, "one ")
        await it.it.operator.Bench(BenchRequest(target="bad/m", reason="costs"))
        meanwhile = await it.ask()
        shown = await it.health()
        benched.set()
        seen = await got(call, read)
        still = await it.health()
        await it.it.operator.Unbench(UnbenchRequest(target="bad/m"))
        after = await it.ask("Stream")

        assert (SKIPPED, "rescued") == (meanwhile.attempts, meanwhile.text)
        assert (BENCHED, "costs", 1) == (
            shown.state,
            shown.bench.reason,
            shown.active_attempts,
        )
        assert ("one two", Code.OK) == (seen.text, seen.code)
        assert (BENCHED, ACTIVE) == (still.state, (await it.health()).state)
        assert ["bad/m SUCCEEDED"] == after.attempts


@fault(46)
@pytest.mark.parametrize(
    "policy", [0, ALL_BENCHED_POLICY_TRY_SOONEST, ALL_BENCHED_POLICY_WAIT]
)
@BOTH
async def test_everything_benched_by_an_operator(rpc: str, policy: int) -> None:
    """Nothing is tried before its time, and nobody can say when that is."""
    async with scene(Provider()) as it:
        for provider in ("bad", "good"):
            await it.it.operator.Bench(BenchRequest(provider=provider))
        seen = await it.ask(rpc, timeout=20, all_benched_policy=policy)

        assert (Code.UNAVAILABLE, "ALL_BENCHED") == seen.status
        assert RetryInfo not in seen.failure.details
        assert [] == it.bad.requests == it.good.requests
