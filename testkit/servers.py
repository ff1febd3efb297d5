"""A real server from a few lines of TOML, and a channel to it."""

import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message as ProtoMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status

from majordomo.config import parse
from majordomo.rpc.server import Server
from majordomo.v1.content_pb2 import ROLE_USER, Message, Part
from majordomo.v1.errors_pb2 import CallFailure
from majordomo.v1.generation_service_pb2 import (
    Call,
    GenerateRequest,
    Prompt,
    StreamRequest,
    StreamResponse,
)
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from majordomo.v1.operator_service_pb2_grpc import OperatorServiceStub

if TYPE_CHECKING:
    from majordomo.v1.generation_service_pb2_grpc import GenerationServiceAsyncStub
    from majordomo.v1.operator_service_pb2_grpc import OperatorServiceAsyncStub

SCRIPTED = """
    [providers.acme]
    kind = "scripted"
"""


@dataclass
class Running:
    """A server that takes calls."""

    server: Server
    channel: grpc.aio.Channel
    generation: "GenerationServiceAsyncStub"
    operator: "OperatorServiceAsyncStub"


@asynccontextmanager
async def running(config: str = SCRIPTED) -> AsyncIterator[Running]:
    """Serve what the TOML `config` says, on a free port of the loopback."""
    text = textwrap.dedent(config)
    if "[server]" not in text:
        text = f'[server]\nlisten = "127.0.0.1:0"\n{text}'
    async with (
        Server(parse(text)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        generation: Any = GenerationServiceStub(channel)
        operator: Any = OperatorServiceStub(channel)
        yield Running(server, channel, generation, operator)


def prompt(text: str = "hello") -> Prompt:
    return Prompt(messages=[Message(role=ROLE_USER, parts=[Part(text=text)])])


def generate(chain: str, text: str = "hello") -> GenerateRequest:
    return GenerateRequest(call=Call(chain=chain, prompt=prompt(text)))


def stream(
    chain: str, text: str = "hello", *, include_attempts: bool = False
) -> StreamRequest:
    return StreamRequest(
        call=Call(chain=chain, prompt=prompt(text)), include_attempts=include_attempts
    )


async def rest_of(call: Any) -> list[StreamResponse]:
    """What is still to be read of a stream that `read` was called on."""
    events = []
    while (event := await call.read()) is not grpc.aio.EOF:
        events.append(event)
    return events


def text_of(events: list[StreamResponse]) -> str:
    return "".join(event.part_delta.text for event in events)


@dataclass
class FailedCall:
    """What a caller received a failed call."""

    code: grpc.StatusCode
    message: str
    details: dict[type[ProtoMessage], Any]
    trailers: dict[str, str | bytes]
    initial_metadata: list[tuple[str, Any]]

    @property
    def reason(self) -> str:
        reason: str = self.details[ErrorInfo].reason
        return reason


async def failed(call: Any) -> FailedCall:
    """The status of a call that must fail, unary or streaming."""
    try:
        if hasattr(call, "read"):
            await rest_of(call)
        else:
            await call
    except grpc.aio.AioRpcError as error:
        trailers = dict(error.trailing_metadata())
        packed = trailers.get("grpc-status-details-bin", b"")
        assert isinstance(packed, bytes)
        details: dict[type[ProtoMessage], Any] = {}
        for detail in Status.FromString(packed).details:
            for kind in (ErrorInfo, BadRequest, ResourceInfo, RetryInfo, CallFailure):
                found = kind()
                if detail.Unpack(found):
                    details[kind] = found
        return FailedCall(
            error.code(),
            error.details() or "",
            details,
            trailers,
            list(error.initial_metadata()),
        )
    raise AssertionError("the call did not fail")
