"""What is too much for the server at once is turned away, and reported where to go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc

from majordomo.config import parse
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from majordomo.v1.operator_service_pb2 import HealthSnapshotRequest
from testkit.servers import (
    FailedCall,
    Running,
    failed,
    generate,
    rest_of,
    running,
    stream,
)
from testkit.upstream import PATIENCE


def limited(limit: str) -> str:
    return f"""
        [server]
        listen = "127.0.0.1:0"
        {limit}
        [providers.acme]
        kind = "scripted"
    """


@pytest.mark.rule("6.1", "7")
async def test_calls_beyond_the_limit() -> None:
    """UNAVAILABLE for another replica to try; operators and health checks get through.

    When a call ends, the next one has its place.
    """
    async with running(limited("max_calls = 2")) as it:
        held = [it.generation.Stream(stream("acme/stall:1", "one two")) for _ in "12"]
        for call in held:
            await call.read()
        reported = await failed(it.generation.Generate(generate("acme/echo")))
        await it.operator.HealthSnapshot(HealthSnapshotRequest())
        health = health_pb2_grpc.HealthStub(it.channel)
        checked = await health.Check(health_pb2.HealthCheckRequest())
        held[0].cancel()
        code = None
        async with asyncio.timeout(PATIENCE):
            while code is not grpc.StatusCode.OK:  # until the server has seen it
                again: Any = it.generation.Stream(stream("acme/echo"))
                with suppress(grpc.aio.AioRpcError):
                    await rest_of(again)
                code = await again.code()
                assert code in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)
        held[1].cancel()

    assert grpc.StatusCode.UNAVAILABLE == reported.code
    assert "SERVER_OVERLOADED" == reported.reason
    assert 1 == reported.details[RetryInfo].retry_delay.seconds
    assert 1000 <= int(reported.trailers["grpc-retry-pushback-ms"]) <= 2000
    assert health_pb2.HealthCheckResponse.SERVING == checked.status


@pytest.mark.rule("6.1")
async def test_memory_beyond_the_budget() -> None:
    """Many large requests are too much; one alone is taken whatever its size."""
    large = "x" * (1 << 20)
    async with running(limited('memory_budget = "8MiB"')) as it:
        held = it.generation.Stream(stream("acme/stall:1", f"one {large}"))
        await held.read()
        reported = await failed(it.generation.Generate(generate("acme/echo", large)))
        await it.generation.Generate(generate("acme/echo", "small"))
        held.cancel()

    async with running(limited('memory_budget = "1MiB"')) as it:
        await it.generation.Generate(generate("acme/text:well", large * 2))

    assert "SERVER_OVERLOADED" == reported.reason


@pytest.mark.rule("6.1", "6.8")
async def test_a_burst_beyond_the_limit_leaves_nothing_behind() -> None:
    """However calls end, their places are free again; a new limit holds at once."""
    async with running(limited("max_calls = 12")) as it, other(it) as stub:
        calls = [
            it.generation.Generate(generate(f"acme/delay:20ms+{kind}"))
            for kind in ("echo", "status:400") * 30
        ]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        codes = [end.code() for end in ended if isinstance(end, grpc.aio.AioRpcError)]
        assert grpc.StatusCode.UNAVAILABLE in codes
        held = [await hold(it.generation) for _ in range(9)]
        held += [await hold(stub) for _ in range(3)]
        assert "SERVER_OVERLOADED" == (await refused(stub)).reason
        it.server.reload(parse(limited("max_calls = 13")))
        await stub.Generate(generate("acme/echo"))
        for call in held:
            call.cancel()


@pytest.mark.rule("6.8")
async def test_one_connection_leaves_a_quarter_to_others() -> None:
    """The first takes three quarters of the places; others share the rest."""
    async with running(limited("max_calls = 8")) as it, other(it) as stub:
        held = [await hold(it.generation) for _ in range(6)]
        reported = await refused(it.generation)
        held += [await hold(stub) for _ in range(2)]
        full = await refused(stub)
        for call in held:
            call.cancel()

    assert grpc.StatusCode.UNAVAILABLE == reported.code
    assert ["SERVER_OVERLOADED"] * 2 == [reported.reason, full.reason]


@pytest.mark.rule("6.8")
async def test_beyond_three_quarters_half_of_all_is_the_most() -> None:
    """Two that have three quarters together may both go on to half."""
    async with running(limited("max_calls = 8")) as it, other(it) as stub:
        held = [await hold(it.generation) for _ in range(3)]
        held += [await hold(stub) for _ in range(4)]
        more = await refused(stub)
        held.append(await hold(it.generation))
        for call in held:
            call.cancel()

    assert "SERVER_OVERLOADED" == more.reason


@asynccontextmanager
async def other(it: Running) -> AsyncIterator[Any]:
    """A stub of another connection."""
    own = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(it.server.address, own) as channel:
        yield GenerationServiceStub(channel)


async def hold(stub: Any) -> Any:
    """A call that takes a place until it is cancelled."""
    call = stub.Stream(stream("acme/stall:1", "a b"))
    await call.read()
    return call


async def refused(stub: Any) -> FailedCall:
    return await failed(stub.Generate(generate("acme/echo")))
