"""The span tree of a call, for every outcome of a walk."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from grpc import StatusCode as RpcCode
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider, StatusCode

from majordomo.chain.call import Call, Policy
from majordomo.chain.failure import Failure
from majordomo.telemetry.spans import Trace
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CREDENTIALS,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_RATE_LIMITED,
)
from majordomo.v1.generation_service_pb2 import GenerationConfig, Prompt
from tests.chain.fakes import (
    EPOCH,
    OK,
    Wait,
    call,
    engine,
    exchanges,
    target,
    virtual_time,
    walk,
)

METHOD = "majordomo.v1.GenerationService/Stream"
CANARY = "sk-canary-secret"


def down() -> Failure:
    return Failure(FAILURE_REASON_OVERLOADED, CANARY)


@dataclass
class Tree:
    """What was exported of one call."""

    spans: Sequence[ReadableSpan]

    @property
    def server(self) -> ReadableSpan:
        return self.spans[-1]

    @property
    def chain(self) -> ReadableSpan:
        return self.spans[-2]

    @property
    def attempts(self) -> Sequence[ReadableSpan]:
        return self.spans[:-2]

    def outline(self) -> list[str]:
        """Each span and event with its place, in the order of time."""
        lines = []
        for span in (self.server, self.chain, *self.attempts):
            status = "!" if span.status.status_code == StatusCode.ERROR else ""
            lines.append(f"{span.kind.name} {span.name}{status}")
            lines.extend(f"* {event.name}" for event in span.events)
        return lines


def traced(
    finished: Call,
    code: RpcCode = RpcCode.OK,
    metadata: Sequence[tuple[str, str | bytes]] = (),
) -> Tree:
    """The tree of a call that has ended."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace = Trace(provider.get_tracer("test"), METHOD, metadata)
    trace.call = finished
    trace.end(code)
    spans = exporter.get_finished_spans()
    assert CANARY not in "".join(span.to_json() for span in spans)
    ids = {span.context.span_id for span in spans if span.context is not None}
    assert all(s.parent is None or s.parent.span_id in ids or metadata for s in spans)
    return Tree(spans)


@virtual_time
async def test_first_try() -> None:
    """Three spans, none of them an error."""
    walker, _ = engine()
    prompt = Prompt(config=GenerationConfig(max_output_tokens=9, temperature=0.5))
    done = call(target("a/m/1", [Wait(2), *OK]), stream=True, prompt=prompt)
    done.labels["team"] = "search"
    await walk(walker, done)

    tree = traced(done)

    assert [f"SERVER {METHOD}", "INTERNAL chain", "CLIENT chat m/1"] == tree.outline()
    (attempt,) = tree.attempts
    attributes = dict(attempt.attributes or {})
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "a",
        "gen_ai.request.model": "m/1",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 2.0,
        "majordomo.attempt.number": 1,
        "majordomo.attempt.target": "a/m/1",
        "majordomo.attempt.outcome": "succeeded",
        "majordomo.attempt.probe": False,
    }.items() <= attributes.items()
    assert (EPOCH * 10**9, (EPOCH + 2) * 10**9) == (
        attempt.start_time,
        attempt.end_time,
    )
    assert tree.chain.context is not None
    assert attempt.parent is not None
    assert tree.chain.context.span_id == attempt.parent.span_id
    assert {
        "rpc.system.name": "grpc",
        "rpc.method": METHOD,
        "rpc.response.status_code": "OK",
        "majordomo.generation_id": "g",
        "majordomo.target": "a/m/1",
        "majordomo.attempts": 1,
        "majordomo.failovers": 0,
        "majordomo.skipped": 0,
        "majordomo.outcome": "first_try",
        "majordomo.label.team": "search",
    } == dict(tree.server.attributes or {})


@virtual_time
async def test_retry() -> None:
    """Each attempt has a span of its own; what was mended is no error above."""
    walker, _ = engine()
    done = call(target("a/1", [down()], OK))
    await walk(walker, done)

    tree = traced(done)

    assert [
        f"SERVER {METHOD}",
        "INTERNAL chain",
        "CLIENT chat 1!",
        "CLIENT chat 1",
    ] == tree.outline()
    first, second = tree.attempts
    assert "overloaded" == (first.attributes or {})["error.type"]
    assert first.end_time is not None
    assert second.start_time is not None
    # The backoff is outside of both.
    assert 0.1 == pytest.approx((second.start_time - first.end_time) / 1e9)
    assert "recovered" == (tree.server.attributes or {})["majordomo.outcome"]


@virtual_time
async def test_failover_bench_and_skip() -> None:
    """Events say who was benched, failed over and skipped, and when."""
    walker, _ = engine()
    a, b = target("a/1", [down()]), target("b/1")
    first, second = call(a, b), call(a, b)
    await walk(walker, first)
    await walk(walker, second)

    tree, skipped = traced(first), traced(second)

    assert [
        f"SERVER {METHOD}",
        "INTERNAL chain",
        "* majordomo.failover",
        "CLIENT chat 1!",
        "CLIENT chat 1!",
        "* majordomo.target.benched",
        "CLIENT chat 1",
    ] == tree.outline()
    failover = dict(tree.chain.events[0].attributes or {})
    elapsed = failover.pop("elapsed_s")
    assert {"from": "a/1", "to": "b/1", "reason": "overloaded"} == failover
    assert 0.1 == pytest.approx(elapsed)
    benched = dict(tree.attempts[1].events[0].attributes or {})
    assert ("a/1", "overloaded", 1) == (
        benched["target"],
        benched["cause"],
        benched["consecutive_benches"],
    )
    assert 5 == pytest.approx(benched["cooldown_s"])
    assert [
        f"SERVER {METHOD}",
        "INTERNAL chain",
        "* majordomo.target.skipped",
        "CLIENT chat 1",
    ] == skipped.outline()
    skip = dict(skipped.chain.events[0].attributes or {})
    assert ("a/1", "benched") == (skip["target"], skip["reason"])
    assert 5 == pytest.approx(skip["bench.remaining_s"])
    assert 1 == (tree.server.attributes or {})["majordomo.failovers"]


@virtual_time
async def test_all_benched_and_exhausted() -> None:
    """UNAVAILABLE is a server's error; nothing tried leaves no attempt."""
    walker, tracker = engine()
    tracker.bench("b/1", None, CANARY)
    exhausted, benched = call(target("a/1", [down()])), call(target("b/1"))
    await walk(walker, exhausted)
    await walk(walker, benched)

    tree = traced(exhausted, RpcCode.UNAVAILABLE)
    nothing = traced(benched, RpcCode.UNAVAILABLE)

    assert tree.outline()[0].endswith("!")
    assert {
        "rpc.response.status_code": "UNAVAILABLE",
        "error.type": "UNAVAILABLE",
    }.items() <= dict(tree.server.attributes or {}).items()
    assert "chain_exhausted" == (tree.chain.attributes or {})["majordomo.outcome"]
    assert [
        f"SERVER {METHOD}!",
        "INTERNAL chain",
        "* majordomo.target.skipped",
    ] == nothing.outline()
    assert "all_benched" == (nothing.chain.attributes or {})["majordomo.outcome"]


@virtual_time
async def test_targets_not_reached_are_no_events() -> None:
    """A refusal ends the tree with the attempt that was refused."""
    walker, _ = engine()
    refused = Failure(FAILURE_REASON_CREDENTIALS, CANARY, code="invalid_api_key")
    done = call(target("a/1", [refused]), target("b/1"))
    await walk(walker, done)

    tree = traced(done, RpcCode.FAILED_PRECONDITION)

    assert [
        f"SERVER {METHOD}",
        "INTERNAL chain",
        "CLIENT chat 1!",
    ] == tree.outline()
    code = (tree.attempts[0].attributes or {})["majordomo.attempt.provider_code"]
    assert "invalid_api_key" == code


@virtual_time
async def test_interrupted_and_rate_limited() -> None:
    """The attempt is an error with its reason, delay and time to first content."""
    walker, _ = engine()
    limited = Failure(FAILURE_REASON_RATE_LIMITED, CANARY, retry_delay=9)
    done = call(target("a/1", [Wait(1), "par", limited]), stream=True)
    await walk(walker, done)

    tree = traced(done, RpcCode.ABORTED)

    attributes = dict(tree.attempts[0].attributes or {})
    assert ("interrupted", "rate_limited", 9, 1) == (
        attributes["majordomo.attempt.outcome"],
        attributes["error.type"],
        attributes["majordomo.attempt.retry_delay_s"],
        attributes["gen_ai.response.time_to_first_chunk"],
    )
    assert "stream_interrupted" == (tree.server.attributes or {})["majordomo.outcome"]


@virtual_time
async def test_cancelled() -> None:
    """The caller's cancel is nobody's error."""
    walker, _ = engine()
    done = call(target("a/1", [Wait(99)]))
    task = asyncio.create_task(walk(walker, done))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    tree = traced(done, RpcCode.CANCELLED)

    assert [f"SERVER {METHOD}", "INTERNAL chain", "CLIENT chat 1"] == tree.outline()
    assert "cancelled" == (tree.server.attributes or {})["majordomo.outcome"]


@virtual_time
async def test_deadline() -> None:
    """A deadline is an error of the attempt that it cut and of the server."""
    walker, _ = engine()
    done = call(target("a/1", [Wait(99)]), time_remaining=3)
    await walk(walker, done)

    tree = traced(done, RpcCode.DEADLINE_EXCEEDED)

    assert [
        f"SERVER {METHOD}!",
        "INTERNAL chain",
        "CLIENT chat 1!",
    ] == tree.outline()
    assert "deadline" == (tree.attempts[0].attributes or {})["error.type"]


@virtual_time
async def test_probe() -> None:
    """The attempt that decides whether a target comes back says so."""
    walker, _ = engine()
    a = target("a/1", [down()], [down()], OK)
    await walk(walker, call(a))
    await asyncio.sleep(60)
    done = call(a)
    await walk(walker, done)

    tree = traced(done)

    assert 3 == len(exchanges(a))
    assert (tree.attempts[0].attributes or {})["majordomo.attempt.probe"] is True


@virtual_time
async def test_nothing_of_gen_ai_above_the_attempts() -> None:
    """Back-ends would count tokens twice."""
    walker, _ = engine()
    done = call(target("a/1", [down()]), target("b/1"), policy=Policy())
    await walk(walker, done)

    tree = traced(done)

    above = [*(tree.server.attributes or {}), *(tree.chain.attributes or {})]
    assert [] == [name for name in above if name.startswith("gen_ai.")]


TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


def test_the_callers_trace_is_gone_on_with() -> None:
    """W3C headers in the metadata make the parent; garbage makes none."""
    provider = TracerProvider(shutdown_on_exit=False)
    tracer = provider.get_tracer("test")

    good = Trace(tracer, METHOD, [("traceparent", TRACEPARENT), ("x-bin", b"\xff")])
    bad = Trace(tracer, METHOD, [("traceparent", "00-garbage"), ("tracestate", "=,=")])
    unrecorded = Trace(
        NoOpTracerProvider().get_tracer("test"), METHOD, [("traceparent", TRACEPARENT)]
    )

    assert TRACE_ID == good.trace_id
    assert len(bad.trace_id) == 32
    assert bad.trace_id != TRACE_ID
    assert TRACE_ID == unrecorded.trace_id


@virtual_time
async def test_nothing_is_built_for_what_is_not_recorded() -> None:
    """Sampled out, or without an exporter."""
    walker, _ = engine()
    done = call(target("a/1"))
    await walk(walker, done)
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    sampled_out = Trace(provider.get_tracer("test"), METHOD, [])
    sampled_out.call = done
    sampled_out.end(RpcCode.OK)
    disabled = Trace(NoOpTracerProvider().get_tracer("test"), METHOD, [])
    disabled.end(RpcCode.OK)

    assert () == exporter.get_finished_spans()
    assert "" == disabled.trace_id
