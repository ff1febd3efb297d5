"""The client for asyncio: the surface of `sync`, to be awaited."""

# ruff: noqa: ASYNC109 - a timeout goes with the call to the server, as its deadline

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Generic, Self, TypeVar, Unpack, cast

import grpc
from grpc import aio

from majordomo.client.assembly import Assembly, text_in
from majordomo.client.channel import SERVING, Options, channel_options, health_check
from majordomo.client.requests import (
    GENERATE_TIMEOUT,
    OPERATOR_TIMEOUT,
    PromptLike,
    PromptOptions,
    bench_request,
    fill_request,
    joined,
    unbench_request,
    watch_request,
)
from majordomo.client.status import convert_errors
from majordomo.v1.generation_service_pb2 import (
    ExplainRequest,
    ExplainResponse,
    GenerateRequest,
    GenerateResponse,
    StreamRequest,
    StreamResponse,
)
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from majordomo.v1.operator_service_pb2 import (
    BenchResponse,
    HealthSnapshotRequest,
    HealthSnapshotResponse,
    UnbenchResponse,
    WatchHealthResponse,
)
from majordomo.v1.operator_service_pb2_grpc import OperatorServiceStub

_Event = TypeVar("_Event")
_Response = TypeVar("_Response")


class AsyncEvents(Generic[_Event]):
    """The events of a stream as they come. Iterating raises MajordomoError.

    The call is cancelled where its block is left, or nothing refers to it any more.
    """

    def __init__(self, call: Any) -> None:
        self._call = call

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _Event:
        with convert_errors:
            event = await self._call.read()
        if event is aio.EOF:
            raise StopAsyncIteration
        return cast("_Event", event)

    def cancel(self) -> None:
        """End the call, if it has not ended: the server stops at once."""
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()

    def __del__(self) -> None:
        self.cancel()  # grpc.aio, unlike gRPC's sync call, lets it run on unread


class AsyncAnswer(AsyncEvents[StreamResponse], Assembly):
    """A streamed answer: its events, or with `text` just its text.

    What has been read is kept in `message` and `completion`.
    """

    def __init__(self, call: Any) -> None:
        AsyncEvents.__init__(self, call)
        Assembly.__init__(self)

    async def __anext__(self) -> StreamResponse:
        return self._add(await super().__anext__())

    async def text(self) -> AsyncIterator[str]:
        """The pieces of text as they come.

        Raises StreamInterrupted where another target starts the answer again; follow
        the events to go on.
        """
        async for event in self:
            if piece := text_in(event):
                yield piece


class AsyncClient:
    """Calls the majordomo at `address`: "host:port", "dns:///name:port", "unix:/path".

    All of its calls raise MajordomoError. It belongs to the event loop that runs when
    it is made.

    Args:
        address: where the server is; with several addresses all replicas are used.
        credentials: for TLS; without them the connection is in plain text.
        metadata: sent with every call, such as a token.
        options: of the gRPC channel; they win over this client's own, by name.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Sequence[tuple[str, str | bytes]] = (),
        options: Options = (),
    ) -> None:
        asyncio.get_running_loop()  # raises where none is, and gRPC would take another
        chosen = channel_options(address, options)
        if credentials is None:
            self._channel = aio.insecure_channel(address, chosen)
        else:
            self._channel = aio.secure_channel(address, credentials, chosen)
        self._metadata = tuple(metadata)
        self._generation = GenerationServiceStub(self._channel)
        self._operator = OperatorServiceStub(self._channel)

    async def generate(
        self,
        prompt: PromptLike,
        *,
        timeout: float | None = GENERATE_TIMEOUT,
        **asking: Unpack[PromptOptions],
    ) -> GenerateResponse:
        """Walk the chain until a target answers; the whole answer.

        `timeout` is in seconds, None is up to the server. The rest is in
        `PromptOptions`.
        """
        request = fill_request(GenerateRequest(), prompt, **asking)
        return await self._unary(self._generation.Generate, request, timeout)

    def stream(
        self,
        prompt: PromptLike,
        *,
        include_attempts: bool = False,
        timeout: float | None = None,
        **asking: Unpack[PromptOptions],
    ) -> AsyncAnswer:
        """Walk the chain, and have the answer as it is written.

        `include_attempts` also sends each attempt that ends on the way. The rest is
        as in `generate`.
        """
        request = StreamRequest(include_attempts=include_attempts)
        fill_request(request, prompt, **asking)
        return AsyncAnswer(
            self._generation.Stream(request, timeout=timeout, metadata=self._metadata)
        )

    async def explain(
        self,
        prompt: PromptLike,
        *,
        stream: bool = False,
        timeout: float | None = GENERATE_TIMEOUT,
        **asking: Unpack[PromptOptions],
    ) -> ExplainResponse:
        """What `generate`, or with `stream` that, would do now; nothing is called.

        `timeout` is the one that the explained call would have.
        """
        request = fill_request(ExplainRequest(stream=stream), prompt, **asking)
        return await self._unary(self._generation.Explain, request, timeout)

    async def health(
        self, chain: str = "", *, timeout: float | None = OPERATOR_TIMEOUT
    ) -> HealthSnapshotResponse:
        """How the targets of `chain` are doing, or all.

        All pages as one; `timeout` is for each of them.
        """
        request = HealthSnapshotRequest(chain=chain)
        snapshot = self._operator.HealthSnapshot
        pages = [await self._unary(snapshot, request, timeout)]
        while token := pages[-1].next_page_token:
            request.page_token = token
            pages.append(await self._unary(snapshot, request, timeout))
        return joined(pages)

    def watch_health(
        self, chain: str = "", *, heartbeat: float | None = None
    ) -> AsyncEvents[WatchHealthResponse]:
        """How the targets are doing, and from then on every change.

        `heartbeat` is the longest silence in seconds, 1 to 3600; None is up to the
        server.
        """
        request = watch_request(chain, heartbeat)
        return AsyncEvents(self._operator.WatchHealth(request, metadata=self._metadata))

    async def bench(
        self,
        target: str,
        duration: float | None = None,
        reason: str = "",
        *,
        timeout: float | None = OPERATOR_TIMEOUT,
    ) -> BenchResponse:
        """Take `target`, "provider/model-id" or "provider/*", out of every chain.

        For `duration` seconds; None is until `unbench`.
        """
        request = bench_request(target, duration, reason)
        return await self._unary(self._operator.Bench, request, timeout)

    async def unbench(
        self, target: str, *, timeout: float | None = OPERATOR_TIMEOUT
    ) -> UnbenchResponse:
        """Put `target` back and forget its failures and benches."""
        request = unbench_request(target)
        return await self._unary(self._operator.Unbench, request, timeout)

    async def ready(
        self, service: str = "", *, timeout: float | None = OPERATOR_TIMEOUT
    ) -> bool:
        """Whether the server takes calls: not while it starts or goes away.

        Raises TransportError where nobody answers, or knows no such `service`.
        """
        check, request = health_check(self._channel, service)
        response = await self._unary(check, request, timeout)
        return bool(response.value == SERVING)

    async def close(self) -> None:
        """End the calls that run, and let go of the connections."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _unary(
        self,
        method: Callable[..., Awaitable[_Response]],
        request: object,
        timeout: float | None,
    ) -> _Response:
        with convert_errors:
            return await method(request, timeout=timeout, metadata=self._metadata)
