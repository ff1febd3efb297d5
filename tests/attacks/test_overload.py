"""More calls than anybody can answer."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pytest

from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from testkit.h2 import Connection
from testkit.servers import failed, generate
from tests.attacks.scene import OWN_CONNECTION, attacked

HELD = generate("acme/delay:60s+text:x")


@pytest.mark.rule("6.1")
async def test_thousands_of_calls_at_once(tmp_path: Path) -> None:
    """Anyone who is turned away is informed by us, and when to come back."""
    async with attacked(tmp_path, "max_calls = 200") as scene:
        seen: Counter[str] = Counter()

        async def call(stub: Any) -> None:
            try:
                await stub.Generate(generate("acme/delay:100ms+text:x"))
                seen["OK"] += 1
            except grpc.aio.AioRpcError as error:
                reported = dict(error.trailing_metadata() or ())
                known = "grpc-retry-pushback-ms" in reported
                seen[f"{error.code().name}, {known}"] += 1

        async with grpc.aio.insecure_channel(scene.address, OWN_CONNECTION) as channel:
            stub = GenerationServiceStub(channel)
            await asyncio.gather(*(call(stub) for _ in range(3_500)))
        await scene.healthy.answered(5)

    assert {"OK", "UNAVAILABLE, True"} == set(seen)
    assert [] == scene.healthy.failed


@pytest.mark.rule("6.1", "6.8")
async def test_streams_that_are_opened_and_reset(tmp_path: Path) -> None:
    """A connection that does nothing else costs nobody a call."""
    async with (
        attacked(tmp_path) as scene,
        Connection.to(scene.address) as connection,
    ):
        for number in range(10_000):
            connection.reset(connection.begin())
            if number % 100 == 0:
                await connection.drain()
        await scene.healthy.answered(50)

    assert [] == scene.healthy.failed


@pytest.mark.rule("6.8")
async def test_one_connection_cannot_take_all_places(tmp_path: Path) -> None:
    """Calls that last for ever: another caller is answered all the same."""
    async with attacked(tmp_path, "max_calls = 40") as scene:
        async with grpc.aio.insecure_channel(scene.address, OWN_CONNECTION) as channel:
            stub: Any = GenerationServiceStub(channel)
            calls = [
                asyncio.ensure_future(failed(stub.Generate(HELD))) for _ in range(100)
            ]
            ending = asyncio.as_completed(calls)
            refused = [await next(ending) for _ in range(70)]
            await scene.healthy.answered(50)
            held = [call for call in calls if not call.done()]
        await asyncio.gather(*calls, return_exceptions=True)

    assert {"SERVER_OVERLOADED"} == {reported.reason for reported in refused}
    assert 30 == len(held)
    assert [] == scene.healthy.failed
