"""Requests that are large, half sent, packed, or from nobody that is known."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from testkit.h2 import GENERATE, Connection, message
from testkit.servers import FailedCall, failed, generate, running
from tests.attacks.scene import OWN_CONNECTION, attacked

MIB = 1 << 20
TOKENS = f"""
[tokens.a]
sha256 = "{hashlib.sha256(b"good").hexdigest()}"
scopes = ["generate"]
"""
AUTHORIZED = (("authorization", "Bearer good"),)
CHECK = "/grpc.health.v1.Health/Check"
REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
BUDGET = 'memory_budget = "128MiB"'


async def half_sent(connection: Connection, path: str, more: Any, calls: int) -> int:
    """Send 30 MiB of 31 to each of `calls`; how many the server let go on."""
    numbers = [connection.begin(path, *more) for _ in range(calls)]
    most = message(b"x" * (31 * MIB))[: 30 * MIB]

    async def send(number: int) -> bool:
        try:
            async with asyncio.timeout(3):
                return await connection.send(number, most)
        except TimeoutError:
            return False  # the server reads no further

    return sum(await asyncio.gather(*map(send, numbers)))


@pytest.mark.rule("6.1", "6.10")
@pytest.mark.parametrize("path", [GENERATE, CHECK, REFLECT])
@pytest.mark.parametrize("tokens", [True, False], ids=["tokens", "open"])
async def test_messages_that_do_not_end(
    path: str, tokens: bool, tmp_path: Path
) -> None:
    """Anyone who is not known gets no byte into the server; others get their share."""
    more, shown = (TOKENS, AUTHORIZED) if tokens else ("", ())
    async with attacked(tmp_path, BUDGET, more, shown) as scene:
        before = scene.memory()
        async with Connection.to(scene.address) as connection:
            went_on = await half_sent(connection, path, (), 12)
            await scene.healthy.answered(20)
            grown = scene.memory("VmHWM") - before

    assert [] == scene.healthy.failed
    if tokens and path == GENERATE:
        assert (0, True) == (went_on, grown < 30)
    else:
        assert went_on <= 3
        assert grown < 2 * 128


@pytest.mark.rule("6.10")
@pytest.mark.parametrize(
    "compression", [grpc.Compression.Gzip, grpc.Compression.Deflate]
)
async def test_a_packed_request(compression: grpc.Compression, tmp_path: Path) -> None:
    """30 KB that would be 30 MB: not unpacked, and the token is looked at first."""
    request = generate("acme/echo", "x" * (30 * MIB))
    async with attacked(tmp_path, "", TOKENS, AUTHORIZED) as scene:
        before = scene.memory()
        async with grpc.aio.insecure_channel(
            scene.address, OWN_CONNECTION, compression=compression
        ) as channel:
            stub: Any = GenerationServiceStub(channel)
            unknown = await failed(stub.Generate(request))
            known = await failed(stub.Generate(request, metadata=AUTHORIZED))
        await scene.healthy.answered(5)
        grown = scene.memory("VmHWM") - before

    assert "UNAUTHENTICATED" == unknown.reason
    assert grpc.StatusCode.UNIMPLEMENTED == known.code
    assert "REQUEST_COMPRESSED" == known.reason
    assert grown < 20
    assert [] == scene.healthy.failed


@pytest.mark.rule("6.10")
@pytest.mark.parametrize("size", [9_000, 15_000, 17_000])
async def test_large_headers_always_pass_or_never(size: int) -> None:
    """There is one limit: 16 KiB."""
    codes = set()
    async with running() as it:
        for _ in range(20):
            call: Any = it.generation.Generate(
                generate("acme/echo"), metadata=[("x-mesh", "t" * size)]
            )
            codes.add(await call.code())

    expected = "OK" if size < 16_000 else "RESOURCE_EXHAUSTED"
    assert {grpc.StatusCode[expected]} == codes


@pytest.mark.rule("6.10")
async def test_a_call_without_a_request() -> None:
    """It ends, and with a word."""
    async with running() as it:
        make: Any = it.channel.stream_unary
        reported = await failed(make(GENERATE)(iter(())))

    assert "INVALID_REQUEST" == reported.reason


@pytest.mark.rule("6.10")
async def test_a_request_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a minute the call ends."""
    monkeypatch.setattr("majordomo.rpc.memory.PATIENCE", 0.3)
    silent = asyncio.Event()

    async def requests() -> Any:
        await silent.wait()
        yield b""

    reported: list[FailedCall] = []
    async with running() as it:
        make: Any = it.channel.stream_unary
        reported.append(await failed(make(GENERATE)(requests())))
        silent.set()
        health: Any = health_pb2_grpc.HealthStub(it.channel)
        checked = await health.Check(health_pb2.HealthCheckRequest())

    assert (grpc.StatusCode.DEADLINE_EXCEEDED, "nothing was sent for 0 s") == (
        reported[0].code,
        reported[0].message,
    )
    assert health_pb2.HealthCheckResponse.SERVING == checked.status
