"""The floor: an empty grpc.aio service with messages of the same size.

    python -m bench.echo CHUNKS PACE_SECONDS

Prints its port. Answers the contract's own RPCs with a prebuilt answer.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc

from majordomo.v1.content_pb2 import Message, Part
from majordomo.v1.generation_service_pb2 import (
    Completion,
    GenerateRequest,
    GenerateResponse,
    PartDelta,
    StreamRequest,
    StreamResponse,
)
from majordomo.v1.generation_service_pb2_grpc import (
    GenerationServiceServicer,
    add_GenerationServiceServicer_to_server,
)


class Echo(GenerationServiceServicer):
    def __init__(self, chunks: int, pace: float) -> None:
        self._answer = GenerateResponse(
            message=Message(parts=[Part(text="word " * 180)]), completion=Completion()
        )
        self._delta = StreamResponse(part_delta=PartDelta(text="word "))
        self._chunks = chunks
        self._pace = pace

    async def Generate(  # noqa: N802 - gRPC's name
        self,
        request: GenerateRequest,
        context: grpc.aio.ServicerContext[GenerateRequest, GenerateResponse],
    ) -> GenerateResponse:
        return self._answer

    async def Stream(  # noqa: N802 - gRPC's name
        self,
        request: StreamRequest,
        context: grpc.aio.ServicerContext[StreamRequest, StreamResponse],
    ) -> AsyncIterator[StreamResponse]:
        for _ in range(self._chunks):
            if self._pace:
                await asyncio.sleep(self._pace)
            yield self._delta
        yield StreamResponse(completion=Completion())


async def main(chunks: int, pace: float) -> None:
    server = grpc.aio.server()
    echo: Any = Echo  # not all of the service: nothing asks it to explain
    add_GenerationServiceServicer_to_server(echo(chunks, pace), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
