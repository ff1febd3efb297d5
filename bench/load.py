"""A caller: CALLS calls, so many at once, over one channel.

    python -m bench.load PORT unary|stream CALLS IN_FLIGHT

Prints the seconds that it took, or the first error.
"""

import asyncio
import sys
import time
from itertools import repeat
from typing import TYPE_CHECKING

import grpc

from majordomo.v1.content_pb2 import ROLE_USER, Message, Part
from majordomo.v1.generation_service_pb2 import GenerateRequest, Prompt, StreamRequest
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub

if TYPE_CHECKING:
    from majordomo.v1.generation_service_pb2_grpc import GenerationServiceAsyncStub

PROMPT = Prompt(messages=[Message(role=ROLE_USER, parts=[Part(text="word " * 200)])])


async def main(port: str, kind: str, calls: int, in_flight: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: GenerationServiceAsyncStub = GenerationServiceStub(channel)  # its alias
        work = repeat(None, calls)  # shared: each caller takes the next

        async def caller() -> None:
            for _ in work:
                if kind == "unary":
                    await stub.Generate(GenerateRequest(chain="bench", prompt=PROMPT))
                else:
                    request = StreamRequest(chain="bench", prompt=PROMPT)
                    async for event in stub.Stream(request):
                        last = event
                    assert last.WhichOneof("event") == "completion"

        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(caller())
        print(time.perf_counter() - begun)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
