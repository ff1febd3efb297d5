"""What a healthy caller has of a server that another one attacks.

    python -m bench.attacks [ATTACK...]

One healthy caller, one attacker and the server are processes of their own. Prints the
healthy caller's p50 and p99 while it is quiet and under each attack, as ratios of the
same run, the calls that it lost, and what memory the server took.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc

from bench.processes import module
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from testkit.h2 import Connection, message
from testkit.processes import serving
from testkit.servers import generate

SECONDS = 8.0
QUIET = 4.0
PAUSE = 0.01
"""Seconds between two calls of the healthy caller."""

CONFIG = '[server]\n[providers.acme]\nkind = "scripted"\n'
MIB = 1 << 20

Attack = Callable[[str], Coroutine[Any, Any, None]]


async def half_sent(address: str) -> None:
    """40 messages of 31 MiB at a time that never end."""
    most = message(b"x" * (31 * MIB))[: 30 * MIB]
    while True:
        async with Connection.to(address) as connection:
            calls = [connection.begin() for _ in range(40)]
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await asyncio.gather(*(connection.send(c, most) for c in calls))


async def packed(address: str) -> None:
    """30 KB that would be 30 MB, 20 at a time."""
    async with grpc.aio.insecure_channel(
        address, compression=grpc.Compression.Gzip
    ) as channel:
        stub: Any = GenerationServiceStub(channel)
        request = generate("acme/echo", "x" * (30 * MIB))
        while True:
            calls = [stub.Generate(request) for _ in range(20)]
            await asyncio.gather(*calls, return_exceptions=True)


async def flood(address: str) -> None:
    """10 000 calls at once, again and again."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = GenerationServiceStub(channel)
        while True:
            request = generate("acme/delay:1s+text:x")
            calls = [stub.Generate(request) for _ in range(10_000)]
            await asyncio.gather(*calls, return_exceptions=True)


async def resets(address: str) -> None:
    """Streams that are opened and reset, as fast as they can be written."""
    while True:
        async with Connection.to(address) as connection:
            while not connection.closed:
                for _ in range(50):
                    connection.reset(connection.begin())
                await connection.drain()
                await asyncio.sleep(0)


async def unread(address: str) -> None:
    """Half a megabyte, asked for 1 000 times and not read."""
    body = message(generate("acme/echo", "x" * 500_000).SerializeToString())
    async with Connection.to(address, window=0) as connection:
        for _ in range(1_000):
            await connection.send(connection.begin(), body, end=True)
        await asyncio.Event().wait()


async def places(address: str) -> None:
    """Calls that last, as many as there is room for."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = GenerationServiceStub(channel)
        request = generate("acme/delay:60s+text:x")
        while True:
            calls = [stub.Generate(request) for _ in range(200)]
            waiting = [asyncio.ensure_future(call.code()) for call in calls]
            await asyncio.wait(waiting, timeout=0.5)


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (half_sent, packed, flood, resets, unread, places)
}


async def healthy(address: str, seconds: float) -> None:
    """Calls one after another; prints what they took, and how many were lost."""
    took: list[float] = []
    lost = 0
    end = perf_counter() + seconds
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = GenerationServiceStub(channel)
        while not took or perf_counter() < end:
            begun = perf_counter()
            try:
                await stub.Generate(generate("acme/text:ok"))
            except grpc.aio.AioRpcError:
                lost += 1
            else:
                took.append(perf_counter() - begun)
            await asyncio.sleep(PAUSE)
    took.sort()
    middle, late = took[len(took) // 2], took[int(len(took) * 0.99)]
    print(json.dumps({"p50": middle, "p99": late, "calls": len(took), "lost": lost}))


async def seen(address: str, seconds: float) -> dict[str, float]:
    """What a healthy caller sees, from a process of its own."""
    arguments = module("bench.attacks", "--healthy", address, str(seconds))
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    found: dict[str, float] = json.loads(said)
    return found


async def measure(name: str) -> None:
    """Print one line: quiet, and under the attack."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "majordomo.toml"
        config.write_text(CONFIG)
        async with serving(config, stderr=asyncio.subprocess.DEVNULL) as server:
            quiet = await seen(server.address, QUIET)
            attacker = await asyncio.create_subprocess_exec(
                *module("bench.attacks", "--attack", name, server.address),
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                attacked = await seen(server.address, SECONDS)
            finally:
                attacker.kill()
                await attacker.wait()
            status = await asyncio.to_thread(
                Path(f"/proc/{server.process.pid}/status").read_text
            )
    most = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    print(
        f"{name:10} {quiet['p50'] * 1e3:8.1f} {quiet['p99'] * 1e3:8.1f}"
        f" {attacked['p50'] / quiet['p50']:8.1f} {attacked['p99'] / quiet['p99']:8.1f}"
        f" {attacked['calls']:7} {attacked['lost']:5} {int(most.split()[1]) >> 10:7}",
        flush=True,
    )


async def main(names: list[str]) -> None:
    print("           p50, ms  p99, ms  p50, x   p99, x   calls  lost  MiB, most")
    for name in names or ATTACKS:
        await measure(name)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--healthy", address, seconds]:
            asyncio.run(healthy(address, float(seconds)))
        case ["--attack", name, address]:
            asyncio.run(ATTACKS[name](address))
        case names:
            asyncio.run(main(names))
