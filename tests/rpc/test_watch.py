"""WatchHealth over a real channel."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, RetryInfo

import majordomo.rpc.server
from majordomo.config import parse
from majordomo.rpc.health_feed import HealthFeed
from majordomo.v1.attempt_pb2 import FAILURE_REASON_OVERLOADED, BenchRecord
from majordomo.v1.operator_service_pb2 import (
    BenchRequest,
    HealthChange,
    TargetHealth,
    UnbenchRequest,
    WatchHealthRequest,
    WatchHealthResponse,
)
from majordomo.v1.operator_service_pb2_grpc import OperatorServiceStub
from testkit.servers import SCRIPTED, FailedCall, failed, generate, running

FLAKY = """
    [health]
    cooldown_base = "20ms"
    [providers.acme]
    kind = "scripted"
    [providers.acme.models.flaky]
    script = ["status:503", "status:503", "delay:1h", "text:back"]
"""


async def change(watch: Any) -> HealthChange:
    """The next event, which must be a change."""
    event: WatchHealthResponse = await watch.read()
    assert "change" == event.WhichOneof("event")
    return event.change


async def change_for(watch: Any, cause: HealthChange.Cause) -> HealthChange:
    """The next change for `cause`; others may come before it."""
    while (found := await change(watch)).cause != cause:
        pass
    return found


async def watching(watch: Any) -> list[TargetHealth]:
    """The targets of the snapshot that a watch begins with, of all of its pieces."""
    targets: list[TargetHealth] = []
    more = True
    while more:
        event: WatchHealthResponse = await watch.read()
        assert "snapshot" == event.WhichOneof("event")
        assert event.snapshot.instance_id.startswith("majordomo/")
        assert event.snapshot.HasField("snapshot_time")
        targets += event.snapshot.targets
        more = event.snapshot.more
    return targets


async def test_a_snapshot_first_and_then_what_operators_do() -> None:
    """With their reason, and for a record for all models of a provider."""
    async with running(SCRIPTED + '[tiers]\nfast = "acme/echo"') as it:
        watch = it.operator.WatchHealth(WatchHealthRequest())
        assert ["acme/echo"] == [target.target for target in await watching(watch)]

        await it.operator.Bench(BenchRequest(target="acme/echo", reason="upgrade"))
        benched = await change(watch)
        await it.operator.Unbench(UnbenchRequest(target="acme/echo"))
        unbenched = await change(watch)
        await it.operator.Bench(BenchRequest(provider="acme", reason="key rotation"))
        both = [await change(watch), await change(watch)]
        watch.cancel()

    assert HealthChange.CAUSE_OPERATOR_BENCH == benched.cause
    assert TargetHealth.STATE_BENCHED == benched.target.state
    assert "upgrade" == benched.target.bench.reason
    assert benched.change_time.ToNanoseconds() == pytest.approx(
        benched.target.bench.start_time.ToNanoseconds(), abs=1e6, rel=0
    )
    assert HealthChange.CAUSE_OPERATOR_UNBENCH == unbenched.cause
    assert TargetHealth.STATE_ACTIVE == unbenched.target.state
    provider, echo = both
    assert ("acme", "key rotation") == (
        provider.provider.provider,
        provider.provider.bench.reason,
    )
    assert ("acme/echo", "key rotation") == (
        echo.target.target,
        echo.target.bench.reason,
    )


async def test_failures_expiry_and_probes() -> None:
    """What calls and time do to a target, from its bench to its return."""
    async with running(FLAKY) as it:
        watch = it.operator.WatchHealth(WatchHealthRequest())
        await watching(watch)

        await failed(it.generation.Generate(generate("acme/flaky")))
        benched = await change_for(watch, HealthChange.CAUSE_FAILURES)
        expired = await change_for(watch, HealthChange.CAUSE_EXPIRED)
        probe: Any = it.generation.Generate(generate("acme/flaky"))
        started = await change_for(watch, HealthChange.CAUSE_PROBE_STARTED)
        probe.cancel()
        await change_for(watch, HealthChange.CAUSE_PROBE_INCONCLUSIVE)
        await it.generation.Generate(generate("acme/flaky"))
        back = await change_for(watch, HealthChange.CAUSE_PROBE_SUCCEEDED)
        watch.cancel()

    assert BenchRecord.ORIGIN_AUTOMATIC == benched.target.bench.origin
    assert FAILURE_REASON_OVERLOADED == benched.target.bench.failure_reason
    assert FAILURE_REASON_OVERLOADED == benched.target.last_failure.failure_reason
    assert "" == benched.target.last_failure.message
    assert TargetHealth.STATE_BENCHED == expired.target.state
    assert TargetHealth.STATE_PROBING == started.target.state
    assert 1 == started.target.active_attempts
    assert TargetHealth.STATE_ACTIVE == back.target.state


async def test_the_end_of_a_record_is_told_at_its_moment() -> None:
    """Nobody needs to call the target or to look at it."""
    async with running() as it:
        watch = it.operator.WatchHealth(WatchHealthRequest(chain="acme/never-called"))
        assert TargetHealth.STATE_ACTIVE == (await watching(watch))[0].state
        soon = Duration(nanos=300_000_000)

        await it.operator.Bench(BenchRequest(provider="acme", duration=soon))
        benched = await change_for(watch, HealthChange.CAUSE_OPERATOR_BENCH)
        expired = await change_for(watch, HealthChange.CAUSE_EXPIRED)
        watch.cancel()

    assert "acme/never-called" == benched.target.target == expired.target.target
    assert TargetHealth.STATE_ACTIVE == expired.target.state
    assert expired.change_time.ToNanoseconds() == pytest.approx(
        benched.target.bench.expire_time.ToNanoseconds(), abs=1e6, rel=0
    )


async def test_a_chain_limits_the_watch_and_silence_has_a_heartbeat() -> None:
    """What changes elsewhere is neither reported nor does it put the heartbeat off."""
    async with running() as it:
        request = WatchHealthRequest(
            chain="acme/a,acme/b", heartbeat_interval=Duration(seconds=1)
        )
        watch = it.operator.WatchHealth(request)
        targets = await watching(watch)
        await it.operator.Bench(BenchRequest(target="acme/elsewhere"))
        silence: Any = await watch.read()
        await it.operator.Bench(BenchRequest(target="acme/b"))
        benched = await change(watch)
        watch.cancel()

    assert ["acme/a", "acme/b"] == [target.target for target in targets]
    assert "heartbeat" == silence.WhichOneof("event")
    assert silence.heartbeat.time.seconds
    assert "acme/b" == benched.target.target


@pytest.mark.parametrize("interval", [-1.0, 0.0, 0.999, 3600.5])
async def test_a_heartbeat_interval_out_of_bounds(interval: float) -> None:
    """It is named, with its bounds."""
    wrong = Duration()
    wrong.FromNanoseconds(round(interval * 1e9))
    async with running() as it:
        request = WatchHealthRequest(heartbeat_interval=wrong)
        reported = await failed(it.operator.WatchHealth(request))

    assert grpc.StatusCode.INVALID_ARGUMENT == reported.code
    assert "heartbeat_interval: must be 1 s to 1 h, or unset" == reported.message
    (violation,) = reported.details[BadRequest].field_violations
    assert "heartbeat_interval" == violation.field


async def test_a_chain_that_cannot_be_resolved() -> None:
    """Is reported as everywhere."""
    async with running() as it:
        watch = it.operator.WatchHealth(WatchHealthRequest(chain="nowhere"))
        reported = await failed(watch)

    assert (grpc.StatusCode.NOT_FOUND, "UNKNOWN_TIER") == (
        reported.code,
        reported.reason,
    )


async def test_a_slow_reader_misses_steps_but_not_the_newest_state() -> None:
    """10 260 changes while it does not read: it receives at most two a target."""
    names = [f"acme/m{number}" for number in range(512)]
    tiers = (",".join(names[first : first + 32]) for first in range(0, 512, 32))
    config = SCRIPTED + "[tiers]\n"
    config += "\n".join(f't{place} = "{tier}"' for place, tier in enumerate(tiers))
    # With a small window that does not grow, what is not read blocks soon.
    narrow = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
    async with (
        running(config) as it,
        grpc.aio.insecure_channel(it.server.address, narrow) as channel,
    ):
        stub: Any = OperatorServiceStub(channel)
        watch = stub.WatchHealth(WatchHealthRequest())
        assert 512 == len(await watching(watch))
        for number in range(10):
            reason = f"{number}: " + "x" * 240
            await it.operator.Bench(BenchRequest(provider="acme", reason=reason))
            await it.operator.Unbench(UnbenchRequest(provider="acme"))
        await it.operator.Bench(BenchRequest(provider="acme", reason="last"))

        reported: list[HealthChange] = []
        newest: dict[str, str] = {}
        while newest != dict.fromkeys(["acme/*", *names], "last"):
            reported.append(await change(watch))
            one = reported[-1]
            if one.HasField("provider"):
                newest["acme/*"] = one.provider.bench.reason
            else:
                newest[one.target.target] = one.target.bench.reason
        watch.cancel()

    assert len(reported) <= 2 * 513


async def test_a_thousand_watchers_and_a_drain() -> None:
    """All receive of a change; when the server drains all end promptly."""
    listen = '[server]\nlisten = "127.0.0.1:0"\ndrain_grace = "1h"\n'
    async with running(listen + SCRIPTED) as it:
        request = WatchHealthRequest()
        watches = [it.operator.WatchHealth(request) for _ in range(1000)]
        await asyncio.gather(*(watching(watch) for watch in watches))

        await it.operator.Bench(BenchRequest(target="acme/echo", reason="for all"))
        changes = await asyncio.gather(*(change(watch) for watch in watches))
        ends = asyncio.gather(*(failed(watch) for watch in watches))
        await it.server.drain()
        reported: list[FailedCall] = await ends

    assert ["for all"] * 1000 == [one.target.bench.reason for one in changes]
    assert {(grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")} == {
        (one.code, one.reason) for one in reported
    }
    assert reported[0].details[RetryInfo].retry_delay.seconds


async def test_a_draining_server_turns_watches_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new watch receives what those that ended received, and no snapshot."""
    monkeypatch.setattr(majordomo.rpc.server, "FAREWELL", 0.5)
    async with running() as it:
        watch = it.operator.WatchHealth(WatchHealthRequest())
        await watching(watch)
        drain = asyncio.create_task(it.server.drain())
        assert "SERVER_DRAINING" == (await failed(watch)).reason
        late = await failed(it.operator.WatchHealth(WatchHealthRequest()))
        await drain

    assert (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING") == (late.code, late.reason)


async def test_another_configuration_is_told_as_a_snapshot() -> None:
    """What is new in it is listed, and later changes are reported as before."""
    async with running(SCRIPTED) as it:
        watch = it.operator.WatchHealth(WatchHealthRequest())
        assert [] == await watching(watch)

        listen = f'[server]\nlisten = "{it.server.address}"\n'
        it.server.reload(parse(listen + SCRIPTED + '[tiers]\nfast = "acme/echo"'))
        targets = await watching(watch)
        await it.operator.Bench(BenchRequest(target="acme/echo"))
        benched = await change(watch)
        watch.cancel()

    assert ["acme/echo"] == [target.target for target in targets]
    assert "acme/echo" == benched.target.target


async def test_a_watcher_that_goes_away_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At once, while nothing is sent."""
    ended = asyncio.Event()
    watching_feed = HealthFeed.watching

    @contextmanager
    def seen(feed: HealthFeed) -> Iterator[None]:
        try:
            with watching_feed(feed):
                yield
        finally:
            ended.set()

    monkeypatch.setattr(HealthFeed, "watching", seen)
    async with running() as it:
        hour = Duration(seconds=3600)
        request = WatchHealthRequest(heartbeat_interval=hour)
        watch = it.operator.WatchHealth(request)
        await watching(watch)
        watch.cancel()

        async with asyncio.timeout(20):
            await ended.wait()
