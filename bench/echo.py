"""The floor: an empty grpc.aio service with messages of the same size.

    python -m bench.echo

Prints its port. Answers the contract's own RPCs with a prebuilt answer; a stream has as
many chunks as the provider's, at the pace that the request's chain asks of the provider
(`up/pace-5ms`), else at once.
"""

import asyncio
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

CHUNKS = 200


class Echo(GenerationServiceServicer):
    _answer = GenerateResponse(
        message=Message(parts=[Part(text="word " * CHUNKS)]), completion=Completion()
    )
    _delta = StreamResponse(part_delta=PartDelta(text="word "))

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
        _, paced, pace = request.call.chain.partition("pace-")
        seconds = float(pace.removesuffix("ms")) / 1000 if paced else 0.0
        begun = asyncio.get_running_loop().time()
        for number in range(1, CHUNKS + 1):
            if seconds:
                now = asyncio.get_running_loop().time()
                await asyncio.sleep(begun + number * seconds - now)
            yield self._delta
        yield StreamResponse(completion=Completion())


async def main() -> None:
    server = grpc.aio.server()
    echo: Any = Echo  # not all of the service: nothing asks it to explain
    add_GenerationServiceServicer_to_server(echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
