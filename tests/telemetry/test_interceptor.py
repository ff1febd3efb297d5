"""The statuses of calls, as their SERVER spans have them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from majordomo.rpc.interceptors.admission import AdmissionInterceptor
from majordomo.rpc.interceptors.auth import AuthInterceptor
from majordomo.rpc.interceptors.errors import ErrorInterceptor
from majordomo.rpc.interceptors.streams import StreamInterceptor
from majordomo.rpc.interceptors.telemetry import TelemetryInterceptor
from majordomo.rpc.scope import current_record
from majordomo.telemetry import semconv
from majordomo.telemetry.finished import FinishedCall, Observer
from majordomo.telemetry.record import Recorder
from majordomo.telemetry.setup import resource, shutdown, tracer_provider
from majordomo.telemetry.spans import Traces
from testkit.collector import Collector, attributes, outline

Method = Callable[[bytes, Any], Awaitable[bytes]]


class Handlers:
    """Methods of ours that end in ways that the real ones hide."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cut = asyncio.Event()

    async def answer(self, request: bytes, context: Any) -> bytes:
        record = current_record()
        assert record is not None
        return record.trace.trace_id.encode()

    async def refuse(self, request: bytes, context: Any) -> bytes:
        await context.abort(StatusCode.NOT_FOUND, "canary")
        raise AssertionError("abort raises")

    async def bug(self, request: bytes, context: Any) -> bytes:
        raise RuntimeError("canary")

    async def silent(self, request: bytes, context: Any) -> bytes:
        self.cut.clear()
        self.begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.cut.set()
        raise AssertionError("the future has no result")


def streamed(method: Method) -> Callable[[bytes, Any], AsyncGenerator[bytes]]:
    """A stream whose second message is what `method` answers."""

    async def stream(request: bytes, context: Any) -> AsyncGenerator[bytes]:
        yield b"first"
        yield await method(request, context)

    return stream


@asynccontextmanager
async def serving(
    *observers: Observer,
) -> AsyncIterator[tuple[Handlers, grpc.aio.Channel]]:
    """A server of `Unary` and `Stream` services behind our interceptors.

    What it traced is sent, and the last calls are observed, once the block is left.
    """
    tracers = tracer_provider(resource())
    recorder = Recorder(Traces(tracers), observers)
    server = grpc.aio.server(
        interceptors=[
            TelemetryInterceptor(recorder),
            ErrorInterceptor(),
            AuthInterceptor({}),
            AdmissionInterceptor(9, 1 << 20),
            StreamInterceptor(),
        ]
    )
    handlers = Handlers()
    names = ("answer", "refuse", "bug", "silent")
    unary: dict[str, Any] = {}
    stream: dict[str, Any] = {}
    for name in names:
        method = getattr(handlers, name)
        unary[name] = grpc.unary_unary_rpc_method_handler(method)
        stream[name] = grpc.unary_stream_rpc_method_handler(streamed(method))
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("majordomo.v1.Unary", unary),
            grpc.method_handlers_generic_handler("majordomo.v1.Stream", stream),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield handlers, channel
    await server.stop(0)
    recorder.report()
    await shutdown(tracers)


def begin(channel: grpc.aio.Channel, method: str, seconds: float | None = None) -> Any:
    shape = channel.unary_stream if ".Stream/" in method else channel.unary_unary
    multicallable: Any = shape(f"/{method}")
    return multicallable(b"", timeout=seconds)


async def reported(call: Any) -> tuple[str, bytes]:
    """The code that the caller got, and the last message."""
    last = b""
    try:
        if hasattr(call, "read"):
            while (message := await call.read()) is not grpc.aio.EOF:
                last = message
        else:
            last = await call
    except (grpc.aio.AioRpcError, asyncio.CancelledError):
        pass  # the code says it
    code: StatusCode = await call.code()
    return code.name, last


@pytest.mark.parametrize("service", ["Unary", "Stream"])
@pytest.mark.parametrize(
    ("name", "seconds", "code"),
    [
        ("answer", None, "OK"),
        ("refuse", None, "NOT_FOUND"),
        ("bug", None, "INTERNAL"),
        ("silent", 0.2, "DEADLINE_EXCEEDED"),
        ("silent", None, "CANCELLED"),
    ],
)
async def test_the_span_has_the_status_that_the_caller_got(
    collector: Collector, service: str, name: str, seconds: float | None, code: str
) -> None:
    """Whatever the shape of the method, and anyone who ends it."""
    async with serving() as (handlers, channel):
        call = begin(channel, f"majordomo.v1.{service}/{name}", seconds)
        if code == "CANCELLED":
            await handlers.begun.wait()
            call.cancel()
        got, _ = await reported(call)
        if name == "silent":
            await handlers.cut.wait()

    (span,) = collector.spans()
    exported = attributes(span.attributes)[semconv.RPC_STATUS_CODE]
    assert (code, code) == (got, exported)


@pytest.mark.parametrize("service", ["Unary", "Stream"])
async def test_a_method_finds_its_trace(collector: Collector, service: str) -> None:
    """Of two calls at once each has its own, and it is the one that is exported."""
    method = f"majordomo.v1.{service}/answer"
    async with serving() as (_, channel):
        both = [begin(channel, method) for _ in range(2)]
        ids = [(await reported(call))[1].decode() for call in both]

    assert sorted(ids) == sorted(span.trace_id.hex() for span in collector.spans())
    assert 2 == len(set(ids))


async def test_a_bug_is_an_error_without_its_text(collector: Collector) -> None:
    """INTERNAL, and nothing of the exception."""
    async with serving() as (_, channel):
        await reported(begin(channel, "majordomo.v1.Unary/bug"))

    assert "SERVER majordomo.v1.Unary/bug CODE_ERROR INTERNAL" == outline(
        collector.spans()
    )
    (request,) = collector.requests
    assert b"canary" not in request.SerializeToString()


async def test_calls_are_observed_soon_after_their_end() -> None:
    """While the server goes on, and in the order of their ends."""
    seen: asyncio.Queue[FinishedCall] = asyncio.Queue()
    methods = [f"majordomo.v1.Unary/{name}" for name in ("answer", "refuse", "answer")]
    async with serving(seen.put_nowait) as (_, channel):
        for method in methods:
            await reported(begin(channel, method))
        observed = [await seen.get() for _ in methods]

    assert methods == [finished.method for finished in observed]
    ends = [finished.ended_nanoseconds for finished in observed]
    assert sorted(ends) == ends
    assert 0 < ends[0]


async def test_a_bug_in_one_observer_hides_nothing_from_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nor later calls from itself; it is logged without its text."""
    seen: list[str] = []

    def bad(finished: FinishedCall) -> None:
        raise ValueError(f"canary {finished.method}")

    def good(finished: FinishedCall) -> None:
        seen.append(finished.code)

    async with serving(bad, good) as (_, channel):
        for name in ("answer", "refuse"):
            await reported(begin(channel, f"majordomo.v1.Unary/{name}"))

    assert ["OK", "NOT_FOUND"] == seen
    assert 2 == caplog.text.count("a bug in the record of a call: ValueError")
    assert "canary" not in caplog.text


async def test_a_deadline_is_told_from_a_cancel(collector: Collector) -> None:
    """Even where the transport reported us of a later one.

    The second call's deadline is sent as the first one's, which is 2.5 % longer: it is
    the caller's reset that ends it.
    """
    async with serving() as (handlers, channel):
        for seconds in (0.2, 0.195):
            await reported(begin(channel, "majordomo.v1.Unary/silent", seconds))
            await handlers.cut.wait()

    line = "SERVER majordomo.v1.Unary/silent CODE_ERROR DEADLINE_EXCEEDED"
    assert f"{line}\n{line}" == outline(collector.spans())
