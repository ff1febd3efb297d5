"""How long calls take at a steady rate, traced and not, side by side in one run.

    python -m bench.latency [--rate 300] [--seconds 10] [--rounds 5]

Calls begin at even distances whether or not earlier ones have ended (an open loop).
Prints medians over the rounds of each round's p50 and p99, in milliseconds.
"""

import argparse
import asyncio
import statistics
import time
from collections import defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING

import grpc

from bench.__main__ import LOADS, SAMPLED, serve
from bench.load import PROMPT
from majordomo.v1.generation_service_pb2 import GenerateRequest
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub

if TYPE_CHECKING:
    from majordomo.v1.generation_service_pb2_grpc import GenerationServiceAsyncStub


async def measure(port: str, rate: float, duration: float) -> list[float]:
    """The seconds that each call took, in order of size."""
    taken: list[float] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: GenerationServiceAsyncStub = GenerationServiceStub(channel)

        async def call() -> None:
            begun = time.perf_counter()
            await stub.Generate(GenerateRequest(chain="bench", prompt=PROMPT))
            taken.append(time.perf_counter() - begun)

        await call()  # connected
        taken.clear()
        loop = asyncio.get_running_loop()
        begin = loop.time()
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * duration)):
                await asyncio.sleep(begin + number / rate - loop.time())
                group.create_task(call())
    return sorted(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=300.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    subjects = ["majordomo", *SAMPLED]
    with ExitStack() as stack:
        ports = {name: stack.enter_context(serve(name, LOADS[0])) for name in subjects}
        found = defaultdict(list)
        for _ in range(options.rounds):
            for name, (_, port) in ports.items():
                taken = asyncio.run(measure(port, options.rate, options.seconds))
                found[name].append(taken)
    for name, rounds in found.items():
        p50, p99 = (
            statistics.median(taken[int(len(taken) * share)] for taken in rounds) * 1000
            for share in (0.5, 0.99)
        )
        print(f"  {name:<14} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")


if __name__ == "__main__":
    main()
