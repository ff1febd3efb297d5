"""Our encoder of spans against the SDK's, byte by byte."""

import logging
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace.span import NonRecordingSpan

from majordomo.telemetry.otlp_spans import encode

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
scalars = st.one_of(
    texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
)
values = st.one_of(
    scalars,
    st.lists(texts, max_size=5),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5),
    st.lists(st.booleans(), max_size=3),
)
attributes = st.dictionaries(names, values, max_size=8)
times = st.integers(0, 2**63)
contexts = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.just(TraceFlags(1)),
    st.one_of(st.none(), st.just(TraceState([("vendor", "1"), ("other", "x=y")]))),
)


def finished(draw: Any) -> list[ReadableSpan]:
    """Spans of several resources and scopes, with all that a span can have."""
    exporter = InMemorySpanExporter()
    for _ in range(draw(st.integers(1, 2))):
        provider = TracerProvider(
            resource=Resource(draw(attributes), draw(st.sampled_from(["", "urn:r"]))),
            shutdown_on_exit=False,
            span_limits=SpanLimits(
                max_span_attributes=4, max_events=2, max_links=2, max_event_attributes=2
            ),
        )
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        for _ in range(draw(st.integers(1, 2))):
            scope = draw(st.sampled_from(["one", "two"]))
            schema = draw(st.sampled_from([None, "urn:s"]))
            tracer = provider.get_tracer(scope, "1", schema)
            parent = draw(st.one_of(st.none(), contexts))
            span = tracer.start_span(
                draw(texts),
                context=parent and set_span_in_context(NonRecordingSpan(parent)),
                kind=draw(st.sampled_from(SpanKind)),
                attributes=draw(attributes),
                links=[
                    Link(context, draw(attributes))
                    for context in draw(st.lists(contexts, max_size=3))
                ],
                start_time=draw(times),
            )
            for _ in range(draw(st.integers(0, 3))):
                span.add_event(draw(texts), draw(attributes), draw(times))
            status = draw(st.sampled_from([None, *StatusCode]))
            if status is not None:
                words = draw(texts) if status is StatusCode.ERROR else None
                span.set_status(Status(status, words))
            span.end(draw(times))
    return list(exporter.get_finished_spans())


@pytest.fixture(autouse=True)
def no_complaints(caplog: pytest.LogCaptureFixture) -> None:
    """Of the SDK, about what is over its limits."""
    caplog.set_level(logging.CRITICAL, "opentelemetry")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_same_bytes(data: st.DataObject) -> None:
    """Whatever a span has, a collector is sent what the SDK would have sent."""
    spans = finished(data.draw)

    assert encode_spans(spans).SerializeToString() == encode(spans)
