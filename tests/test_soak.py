"""Hours of work leave nothing behind.

200 streams at a time, a fifth of them cancelled, a tenth at a provider that fails.
`MAJORDOMO_SOAK_SECONDS` says for how long (`make soak`: ten minutes).
"""

import asyncio
import gc
import os
import random
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from majordomo.v1.operator_service_pb2 import HealthSnapshotRequest
from testkit.servers import Running, running, stream
from testkit.upstream import CHUNKED, LAST_CHUNK, chunk, event

SECONDS = float(os.environ.get("MAJORDOMO_SOAK_SECONDS", "10"))
STREAMS = 200
ROUNDS = 5
"""Between them everything comes to rest and is counted; the first is the warm-up."""

_GROWTH = 0.05 if SECONDS >= 60 else 0.2
"""Of the memory: the allocator gives back late, and seconds show little."""


@dataclass
class Rest:
    """What is held while no attempt, and so no lease, is under way."""

    tasks: int
    sockets: int
    memory: int


connected: set[asyncio.StreamWriter] = set()
"""To the provider: what the pool keeps, more or fewer of them."""


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A provider that breaks one answer in twenty, and holds on to nothing."""
    connected.add(writer)
    dice = random.Random(writer.get_extra_info("peername")[1])
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(CHUNKED + chunk(event()))
            for _ in range(20):
                writer.write(chunk(event("word ")))
                await writer.drain()
                await asyncio.sleep(0.005)
            if dice.random() < 0.05:
                break
            last = event("", "stop") + b"data: [DONE]\n\n"
            writer.write(chunk(last) + LAST_CHUNK)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    connected.discard(writer)


@pytest.mark.timeout(SECONDS * 2 + 120)
async def test_nothing_grows() -> None:
    """Memory, tasks, sockets and leases are at the end what they were in the middle."""
    dice = random.Random(1)
    chains = ["http/m,acme/pace:5ms"] * 7 + ["acme/pace:5ms"] * 2 + ["acme/cut:2"]
    counted: list[Rest] = []
    calls = 0

    provider = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = provider.sockets[0].getsockname()[1]
    async with (
        provider,
        running(
            f"""
            [health]
            cooldown_base = "100ms"
            cooldown_cap = "200ms"
            [providers.http]
            kind = "openai-compatible"
            base_url = "http://127.0.0.1:{port}"
            [providers.acme]
            kind = "scripted"
            """
        ) as it,
    ):
        loop = asyncio.get_running_loop()
        for _ in range(ROUNDS):
            end = loop.time() + SECONDS / ROUNDS

            async def caller(end: float = end) -> int:
                done = 0
                while loop.time() < end:
                    call: Any = it.generation.Stream(
                        stream(dice.choice(chains), "word " * 20)
                    )
                    await _read(call, dice)
                    done += 1
                return done

            calls += sum(await asyncio.gather(*(caller() for _ in range(STREAMS))))
            counted.append(await asyncio.to_thread(_count, await _at_rest(it)))

    warm, last = counted[0], counted[-1]
    assert calls > STREAMS
    assert last.tasks <= warm.tasks
    assert last.sockets <= warm.sockets
    assert last.memory <= warm.memory * (1 + _GROWTH)


async def _read(call: Any, dice: random.Random) -> None:
    """To the end, or in one of five cases to where the reader goes away."""
    left = dice.randint(0, 10) if dice.random() < 0.2 else None
    with suppress(grpc.aio.AioRpcError):
        while await call.read() is not grpc.aio.EOF:
            if left == 0:
                call.cancel()
                return
            left = None if left is None else left - 1
    assert await call.code() in (
        grpc.StatusCode.OK,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.UNAVAILABLE,
    )


async def _at_rest(it: Running) -> int:
    """Wait until no attempt runs; how many tasks there are then."""
    while True:
        shown = await it.operator.HealthSnapshot(HealthSnapshotRequest())
        running = sum(target.active_attempts for target in shown.targets)
        if not running and not any(writer.is_closing() for writer in connected):
            return len(asyncio.all_tasks())


def _count(tasks: int) -> Rest:
    gc.collect()
    sockets = 0
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the folder's own descriptor
            sockets += os.readlink(path).startswith("socket:")
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    # Of a connection both ends are ours here, and its provider's task.
    kept = len(connected)
    return Rest(tasks - kept, sockets - 2 * kept, pages * os.sysconf("SC_PAGE_SIZE"))
