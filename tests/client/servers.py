"""A gRPC server whose methods are plain functions: for what no server of ours sends."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from majordomo.v1.generation_service_pb2 import GenerateRequest, StreamRequest
from majordomo.v1.operator_service_pb2 import WatchHealthRequest

_GENERATION = "majordomo.v1.GenerationService"
_METHODS: dict[str, tuple[str, Any, Any]] = {
    "Generate": (_GENERATION, grpc.unary_unary_rpc_method_handler, GenerateRequest),
    "Stream": (_GENERATION, grpc.unary_stream_rpc_method_handler, StreamRequest),
    "WatchHealth": (
        "majordomo.v1.OperatorService",
        grpc.unary_stream_rpc_method_handler,
        WatchHealthRequest,
    ),
}


@asynccontextmanager
async def serving(
    method: str,
    handler: Any,
    credentials: grpc.ServerCredentials | None = None,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
) -> AsyncIterator[str]:
    """Serve one method of the contract by `handler`; the address."""
    service, made, request = _METHODS[method]
    behaviour = made(
        handler, request.FromString, lambda response: response.SerializeToString()
    )
    server = grpc.aio.server(interceptors=interceptors)
    generic = grpc.method_handlers_generic_handler(service, {method: behaviour})
    server.add_generic_rpc_handlers((generic,))
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"localhost:{port}" if credentials else f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
