"""A trace collector, and the outline of a trace that it was sent."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from majordomo.telemetry import semconv


class Collector(TraceServiceServicer):
    """Keeps what it is sent, and answers while `answers` is set. `address`: its URL."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: list[ExportTraceServiceRequest] = []
        self.answered = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def Export(  # noqa: N802 - gRPC's name
        self, request: ExportTraceServiceRequest, context: Any
    ) -> ExportTraceServiceResponse:
        self.requests.append(request)
        await self.answers.wait()
        self.answered += 1
        return ExportTraceServiceResponse()

    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector on a free port of the loopback."""
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    collector = Collector(f"http://127.0.0.1:{port}")
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    await server.start()
    try:
        yield collector
    finally:
        await server.stop(0)


def attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """What a span or an event says, as plain values."""
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    assert kind is not None
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    return getattr(value, kind)


def outline(spans: list[Span], since: int | None = None) -> str:
    """The trees of `spans`, a line a span or event, roots in the order of their times.

    A span is its kind, name, status if it has one, and `error.type`. With `since`, in
    nanoseconds, also the seconds from then to the begin and the end of what is below
    the roots.
    """
    ids = {span.span_id for span in spans}
    roots = [span for span in spans if span.parent_span_id not in ids]
    return "\n".join(
        line for root in _in_order(roots) for line in _lines(root, spans, "", since)
    )


def _lines(
    span: Span, spans: list[Span], indent: str, since: int | None
) -> Iterator[str]:
    words = [Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"), span.name]
    if span.status.code:
        words.append(Status.StatusCode.Name(span.status.code).removeprefix("STATUS_"))
    error = attributes(span.attributes).get(semconv.ERROR_TYPE)
    if error:
        words.append(error)
    if indent:
        words += _times(since, span.start_time_unix_nano, span.end_time_unix_nano)
    yield indent + " ".join(words)
    indent += "  "
    for event in span.events:
        words = ["*", event.name, *_times(since, event.time_unix_nano)]
        yield indent + " ".join(words)
    below = [child for child in spans if child.parent_span_id == span.span_id]
    for child in _in_order(below):
        yield from _lines(child, spans, indent, since)


def _times(since: int | None, *times: int) -> list[str]:
    if since is None:
        return []
    return ["..".join(f"{(time - since) / 1e9:.1f}" for time in times)]


def _in_order(spans: list[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: span.start_time_unix_nano)
