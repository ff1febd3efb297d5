"""What is too much for the server at once is turned away, and told where to go."""

import asyncio
from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc

from majordomo.config import parse
from majordomo.v1.operator_service_pb2 import HealthSnapshotRequest
from tests.servers import failed, generate, rest_of, running, stream
from tests.upstream import PATIENCE


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
        told = await failed(it.generation.Generate(generate("acme/echo")))
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

    assert grpc.StatusCode.UNAVAILABLE == told.code
    assert "SERVER_OVERLOADED" == told.reason
    assert 1 == told.details[RetryInfo].retry_delay.seconds
    assert "grpc-retry-pushback-ms" not in told.trailers
    assert health_pb2.HealthCheckResponse.SERVING == checked.status


@pytest.mark.rule("6.1")
async def test_bytes_beyond_the_limit() -> None:
    """Many large requests are too much; one alone is taken whatever its size."""
    large = "x" * (1 << 20)
    async with running(limited('max_request_bytes = "2MiB"')) as it:
        held = it.generation.Stream(stream("acme/stall:1", f"one {large}"))
        await held.read()
        told = await failed(it.generation.Generate(generate("acme/echo", large)))
        await it.generation.Generate(generate("acme/echo", "small"))
        held.cancel()

    async with running(limited('max_request_bytes = "1MiB"')) as it:
        await it.generation.Generate(generate("acme/text:well", large * 2))

    assert "SERVER_OVERLOADED" == told.reason


@pytest.mark.rule("6.1")
async def test_a_burst_beyond_the_limit_leaves_nothing_behind() -> None:
    """However calls end, their places are free again; a new limit holds at once."""
    async with running(limited("max_calls = 10")) as it:
        calls = [
            it.generation.Generate(generate(f"acme/delay:20ms+{kind}"))
            for kind in ("echo", "status:400") * 30
        ]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        codes = [end.code() for end in ended if isinstance(end, grpc.aio.AioRpcError)]
        assert grpc.StatusCode.UNAVAILABLE in codes
        held = [it.generation.Stream(stream("acme/stall:1", "a b")) for _ in range(10)]
        for call in held:
            await call.read()
        it.server.reload(parse(limited("max_calls = 11")))
        await it.generation.Generate(generate("acme/echo"))
        for call in held:
            call.cancel()
