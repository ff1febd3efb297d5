"""What the server takes stays below 120 MB and twice its budget."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from majordomo.config.schema import ServerConfig
from majordomo.v1.content_pb2 import ROLE_USER, Blob, Message, Part
from majordomo.v1.generation_service_pb2 import Call, GenerateRequest, Prompt
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from testkit.h2 import Connection, message
from testkit.servers import failed, generate
from testkit.upstream import Connection as Served
from testkit.upstream import Upstream
from tests.attacks.scene import OWN_CONNECTION, Scene, attacked

MIB = 1 << 20
BUDGET = ServerConfig().memory_budget
MOST = (120_000_000 + 2 * BUDGET) // MIB
AFTERWARDS = MOST // 2
"""MiB: most of a burst has gone back; what the allocator has split may stay."""


def pdf(size: int) -> GenerateRequest:
    blob = Blob(media_type="application/pdf", data=b"%PDF" + bytes(size))
    parts = [Part(blob=blob), Part(text="What is in it?")]
    messages = [Message(role=ROLE_USER, parts=parts)]
    return GenerateRequest(
        call=Call(chain="up/gpt-5-mini", prompt=Prompt(messages=messages))
    )


@asynccontextmanager
async def stubs(scene: Scene, count: int) -> AsyncIterator[list[Any]]:
    """Of as many connections."""
    async with AsyncExitStack() as stack:
        yield [
            GenerationServiceStub(
                await stack.enter_async_context(
                    grpc.aio.insecure_channel(
                        scene.address,
                        [*OWN_CONNECTION, ("grpc.max_send_message_length", -1)],
                    )
                )
            )
            for _ in range(count)
        ]


async def settled(scene: Scene) -> int:
    """MiB that are taken once what was is given back, or after 5 000 calls."""
    for _ in range(500):
        await scene.healthy.answered(10)
        if scene.memory() < AFTERWARDS:
            break
    return scene.memory()


@pytest.mark.rule("6.1")
@pytest.mark.parametrize("size", [MIB, 28 * MIB], ids=["many", "large"])
async def test_requests_at_work(size: int, tmp_path: Path) -> None:
    """Callers bring PDFs to a model that takes its time; then they leave."""

    async def silent(connection: Served) -> None:
        await connection.request()
        await connection.closed()

    async with Upstream(silent) as upstream:
        more = f"""
[providers.up]
kind = "openai"
base_url = "{upstream.url}"
"""
        async with attacked(tmp_path, more=more) as scene:
            async with stubs(scene, 3) as all_:
                count = BUDGET // size
                calls = [
                    asyncio.ensure_future(failed(all_[i % 3].Generate(pdf(size))))
                    for i in range(min(count, 100))
                ]
                for call in asyncio.as_completed(calls):
                    reason = (await call).reason  # the first who is turned away
                    break
                await scene.healthy.answered(100)
                held = scene.memory()
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
            peak, after = scene.memory("VmHWM"), await settled(scene)

    assert "SERVER_OVERLOADED" == reason
    assert peak < MOST, f"held {held}, then {after}"
    assert after < AFTERWARDS
    assert [] == scene.healthy.failed


@pytest.mark.rule("6.1")
async def test_answers_that_nobody_reads(tmp_path: Path) -> None:
    """1 000 of half a megabyte, at a window of nothing."""
    body = message(generate("acme/echo", "x" * 500_000).SerializeToString())
    async with attacked(tmp_path) as scene:
        async with Connection.to(scene.address, window=0) as connection:
            calls = [connection.begin() for _ in range(1_000)]
            await asyncio.gather(
                *(connection.send(call, body, end=True) for call in calls)
            )
            await scene.healthy.answered(50)
            peak = scene.memory("VmHWM")
        after = await settled(scene)

    assert peak < MOST
    assert after < AFTERWARDS
    assert [] == scene.healthy.failed
