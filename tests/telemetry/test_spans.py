"""The span tree of a call, for every outcome of a walk, in virtual time."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

import pytest
from grpc import StatusCode as RpcCode
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.trace import NoOpTracerProvider
from opentelemetry.trace import TracerProvider as OtelProvider

from majordomo.chain.call import Call
from majordomo.chain.failure import Failure
from majordomo.telemetry.record import Recorder
from majordomo.telemetry.spans import Trace, Traces
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CREDENTIALS,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_UNSUPPORTED,
    Usage,
)
from majordomo.v1.content_pb2 import ROLE_USER, Message, Part
from majordomo.v1.generation_service_pb2 import GenerationConfig, Prompt
from testkit.collector import attributes, outline
from tests.chain.fakes import (
    EPOCH,
    OK,
    Wait,
    call,
    engine,
    target,
    virtual_time,
    walk,
)

METHOD = "majordomo.v1.GenerationService/Stream"
CANARY = "sk-canary-secret"
START = EPOCH * 10**9

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def down() -> Failure:
    return Failure(FAILURE_REASON_OVERLOADED, CANARY)


def secret(config: GenerationConfig | None = None) -> Prompt:
    """A prompt that must not be found in what is exported."""
    message = Message(role=ROLE_USER, parts=[Part(text=CANARY)])
    return Prompt(messages=[message], config=config)


def exported(
    finished: Call, code: RpcCode = RpcCode.OK, sampler: Sampler = ALWAYS_ON
) -> list[Span]:
    """What leaves the process of a call that has ended."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    end(provider, finished, code)
    request = encode_spans(exporter.get_finished_spans())
    assert CANARY.encode() not in request.SerializeToString()
    return [
        span
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def end(provider: OtelProvider, finished: Call, code: RpcCode = RpcCode.OK) -> None:
    """Trace a call that has ended, as the interceptor does."""
    recorder = Recorder(Traces(provider))
    record = recorder.begin(METHOD, ())
    record.on_call(finished)
    if finished.error is not None:
        record.on_error(finished.error)
    record.finish(code.name)
    recorder.report()


@dataclass
class Tree:
    """The trace of a call: attempts in their order, the chain, the SERVER span."""

    spans: list[Span]
    since: int

    @property
    def outline(self) -> str:
        return outline(self.spans, self.since)

    @property
    def server(self) -> dict[str, Any]:
        return attributes(self.spans[-1].attributes)

    @property
    def chain(self) -> dict[str, Any]:
        return attributes(self.spans[-2].attributes)

    @property
    def attempts(self) -> list[dict[str, Any]]:
        return [attributes(span.attributes) for span in self.spans[:-2]]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [
            attributes(event.attributes) for span in self.spans for event in span.events
        ]


def traced(finished: Call, code: RpcCode = RpcCode.OK) -> Tree:
    """The tree of a call that has ended; its times count from the call's begin."""
    return Tree(exported(finished, code), finished.started_nanoseconds)


def tree(text: str) -> str:
    return dedent(text).strip()


@virtual_time
async def test_first_try() -> None:
    """Three spans that say what was asked and answered, none of them an error."""
    walker, _ = engine()
    config = GenerationConfig(max_output_tokens=9, temperature=0.5)
    a = target("a/m/1", [Wait(2), *OK])
    done = call(a, stream=True, prompt=secret(config))
    done.labels["team"] = "search"
    await walk(walker, done)
    assert done.completion is not None
    done.completion.provider_model = "m-1-2026"
    done.completion.provider_response_id = "r-1"
    done.attempts[0].usage.CopyFrom(Usage(input_tokens=7, cache_write_tokens=3))

    shown = traced(done)

    assert (
        tree(f"""
            SERVER {METHOD}
              INTERNAL chain 0.0..2.0
                CLIENT chat m/1 0.0..2.0
        """)
        == shown.outline
    )
    assert [
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "a",
            "gen_ai.request.model": "m/1",
            "gen_ai.request.stream": True,
            "gen_ai.request.max_tokens": 9,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.response.model": "m-1-2026",
            "gen_ai.response.id": "r-1",
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.response.time_to_first_chunk": 2.0,
            "gen_ai.usage.input_tokens": 7,
            "gen_ai.usage.cache_write.input_tokens": 3,
            "gen_ai.usage.cache_creation.input_tokens": 3,
            "majordomo.attempt.number": 1,
            "majordomo.attempt.target": "a/m/1",
            "majordomo.attempt.outcome": "succeeded",
            "majordomo.attempt.probe": False,
        }
    ] == shown.attempts
    summary = {
        "majordomo.generation_id": "g",
        "majordomo.target": "a/m/1",
        "majordomo.attempts": 1,
        "majordomo.failovers": 0,
        "majordomo.skipped": 0,
        "majordomo.outcome": "first_try",
    }
    assert {**summary, "majordomo.chain": "a/m/1"} == shown.chain
    assert {
        **summary,
        "rpc.system.name": "grpc",
        "rpc.method": METHOD,
        "rpc.response.status_code": "OK",
        "majordomo.label.team": "search",
    } == shown.server


@virtual_time
async def test_retry() -> None:
    """A span for each attempt, the backoff between; what was repaired shows no
    error."""
    walker, _ = engine()
    done = call(target("a/x", [Wait(1), down()], [Wait(2), *OK]))
    await walk(walker, done)

    shown = traced(done)

    assert (
        tree(f"""
            SERVER {METHOD}
              INTERNAL chain 0.0..3.1
                CLIENT chat x CODE_ERROR overloaded 0.0..1.0
                CLIENT chat x 1.1..3.1
        """)
        == shown.outline
    )
    assert ("recovered", 2, 0) == (
        shown.server["majordomo.outcome"],
        shown.server["majordomo.attempts"],
        shown.server["majordomo.failovers"],
    )


@virtual_time
async def test_failover_and_skip() -> None:
    """Events say who was benched, failed over and, by the next call, skipped."""
    walker, _ = engine()
    a, b = target("a/x", [Wait(1), down()]), target("b/y", [Wait(2), *OK])
    first, second = call(a, b), call(a, b)
    await walk(walker, first)
    await walk(walker, second)

    shown = traced(first)

    assert (
        tree(f"""
            SERVER {METHOD}
              INTERNAL chain 0.0..4.1
                * majordomo.failover 2.1
                CLIENT chat x CODE_ERROR overloaded 0.0..1.0
                CLIENT chat x CODE_ERROR overloaded 1.1..2.1
                  * majordomo.target.benched 2.1
                CLIENT chat y 2.1..4.1
        """)
        == shown.outline
    )
    assert [
        {
            "target": "a/x",
            "cause": "overloaded",
            "cooldown_s": pytest.approx(4),
            "until": first.attempts[1].bench.expire_time.ToJsonString(),
            "consecutive_benches": 1,
        },
        {
            "from": "a/x",
            "to": "b/y",
            "reason": "overloaded",
            "elapsed_s": pytest.approx(2.1, abs=0.01),
        },
    ] == shown.events
    assert (3, 1, "b/y") == (
        shown.server["majordomo.attempts"],
        shown.server["majordomo.failovers"],
        shown.server["majordomo.target"],
    )

    shown = traced(second)

    assert (
        tree(f"""
            SERVER {METHOD}
              INTERNAL chain 0.0..2.0
                * majordomo.target.skipped 0.0
                CLIENT chat y 0.0..2.0
        """)
        == shown.outline
    )
    remaining = pytest.approx(2, abs=0.01)
    assert [
        {"target": "a/x", "reason": "benched", "bench.remaining_s": remaining}
    ] == shown.events
    assert ("recovered", 1, 0) == (
        shown.server["majordomo.outcome"],
        shown.server["majordomo.skipped"],
        shown.server["majordomo.failovers"],
    )


@virtual_time
async def test_exhausted() -> None:
    """UNAVAILABLE is an error of the server's; the chain span has its outcome."""
    walker, _ = engine()
    unsupported = Failure(FAILURE_REASON_UNSUPPORTED, CANARY)
    done = call(
        target("a/x", unsupported=unsupported), target("b/y", [Wait(1), down()])
    )
    await walk(walker, done)

    shown = traced(done, RpcCode.UNAVAILABLE)

    assert (
        tree(f"""
            SERVER {METHOD} CODE_ERROR UNAVAILABLE
              INTERNAL chain 0.0..2.1
                * majordomo.target.skipped 0.0
                CLIENT chat y CODE_ERROR overloaded 0.0..1.0
                CLIENT chat y CODE_ERROR overloaded 1.1..2.1
                  * majordomo.target.benched 2.1
        """)
        == shown.outline
    )
    assert "chain_exhausted" == shown.chain["majordomo.outcome"]
    assert "majordomo.target" not in shown.chain
    assert {"target": "a/x", "reason": "unsupported"} in shown.events


@virtual_time
async def test_all_benched() -> None:
    """Nothing tried leaves no attempt; an operator's words stay out."""
    walker, tracker = engine()
    tracker.bench("a/x", None, CANARY)
    done = call(target("a/x"))
    await walk(walker, done)

    shown = traced(done, RpcCode.UNAVAILABLE)

    assert (
        tree(f"""
            SERVER {METHOD} CODE_ERROR UNAVAILABLE
              INTERNAL chain 0.0..0.0
                * majordomo.target.skipped 0.0
        """)
        == shown.outline
    )
    assert [{"target": "a/x", "reason": "benched"}] == shown.events
    assert ("all_benched", 0, 1, 0) == (
        shown.chain["majordomo.outcome"],
        shown.chain["majordomo.attempts"],
        shown.chain["majordomo.skipped"],
        shown.chain["majordomo.failovers"],
    )


@virtual_time
async def test_refused() -> None:
    """The tree ends with the attempt that was refused; targets not reached are none."""
    walker, _ = engine()
    refused = Failure(FAILURE_REASON_CREDENTIALS, CANARY, code="invalid_api_key")
    done = call(target("a/x", [refused]), target("b/y"))
    await walk(walker, done)

    shown = traced(done, RpcCode.FAILED_PRECONDITION)

    assert (
        tree(f"""
            SERVER {METHOD}
              INTERNAL chain 0.0..0.0
                CLIENT chat x CODE_ERROR credentials 0.0..0.0
        """)
        == shown.outline
    )
    code = shown.attempts[0]["majordomo.attempt.provider_code"]
    assert ("invalid_api_key", 0) == (code, shown.chain["majordomo.skipped"])


@virtual_time
async def test_interrupted() -> None:
    """ABORTED is no error of the server's; the attempt says how far it came."""
    walker, _ = engine()
    limited = Failure(FAILURE_REASON_RATE_LIMITED, CANARY, retry_delay=9)
    a = target("a/x", [Wait(1), "par", Wait(1), limited])
    done = call(a, target("b/y"), stream=True)
    await walk(walker, done)

    shown = traced(done, RpcCode.ABORTED)

    assert (
        tree(f"""
            SERVER {METHOD}
              INTERNAL chain 0.0..2.0
                CLIENT chat x CODE_ERROR rate_limited 0.0..2.0
                  * majordomo.target.benched 2.0
        """)
        == shown.outline
    )
    (attempt,) = shown.attempts
    assert ("interrupted", 9, 1) == (
        attempt["majordomo.attempt.outcome"],
        attempt["majordomo.attempt.retry_delay_s"],
        attempt["gen_ai.response.time_to_first_chunk"],
    )
    assert "stream_interrupted" == shown.server["majordomo.outcome"]


@virtual_time
async def test_cancelled() -> None:
    """The caller's cancel is nobody's error."""
    walker, _ = engine()
    done = call(target("a/x", [Wait(99)]), target("b/y"))
    task = asyncio.create_task(walk(walker, done))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    shown = traced(done, RpcCode.CANCELLED)

    assert (
        tree(f"""
            SERVER {METHOD}
              INTERNAL chain 0.0..1.0
                CLIENT chat x 0.0..1.0
        """)
        == shown.outline
    )
    assert "cancelled" == shown.server["majordomo.outcome"]
    assert "cancelled" == shown.attempts[0]["majordomo.attempt.outcome"]


@virtual_time
async def test_deadline() -> None:
    """An error of the attempt that it cut, and of the server."""
    walker, _ = engine()
    done = call(target("a/x", [Wait(99)]), time_remaining=10)
    await walk(walker, done)

    shown = traced(done, RpcCode.DEADLINE_EXCEEDED)

    end = (done.ended_nanoseconds - START) / 1e9
    assert (
        tree(f"""
            SERVER {METHOD} CODE_ERROR DEADLINE_EXCEEDED
              INTERNAL chain 0.0..{end:.1f}
                CLIENT chat x CODE_ERROR deadline 0.0..{end:.1f}
        """)
        == shown.outline
    )
    assert "deadline_exceeded" == shown.server["majordomo.outcome"]


@virtual_time
async def test_probe() -> None:
    """The attempt that decides whether a target comes back says so."""
    walker, _ = engine()
    a = target("a/x", [down()], [down()], OK)
    await walk(walker, call(a))
    await asyncio.sleep(60)
    done = call(a)
    await walk(walker, done)

    shown = traced(done)

    assert (
        tree(f"""
            SERVER {METHOD}
              INTERNAL chain 0.0..0.0
                CLIENT chat x 0.0..0.0
        """)
        == shown.outline
    )
    assert shown.attempts[0]["majordomo.attempt.probe"] is True
    assert "first_try" == shown.server["majordomo.outcome"]


@virtual_time
async def test_a_call_that_was_never_walked_has_no_chain() -> None:
    """What was refused before it is the SERVER span's alone."""
    shown = exported(call(target("a/x")), RpcCode.INVALID_ARGUMENT)

    assert f"SERVER {METHOD}" == outline(shown)


async def test_six_codes_are_errors_of_the_servers() -> None:
    """What the caller did, or asked for, is no error of this server."""
    errors = {
        code.name
        for code in RpcCode
        if "CODE_ERROR" in outline(exported(call(target("a/x")), code))
    }

    assert {
        "UNKNOWN",
        "DEADLINE_EXCEEDED",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
    } == errors


def start(metadata: Sequence[tuple[str, str | bytes]]) -> Trace:
    provider = TracerProvider(shutdown_on_exit=False)
    return Traces(provider).begin(METHOD, metadata)


def test_the_callers_trace_is_gone_on_with() -> None:
    """W3C headers in the metadata make the parent, whether or not we record."""
    metadata: list[tuple[str, str | bytes]] = [
        ("x-bin", b"\xff"),
        ("traceparent", TRACEPARENT),
    ]
    silent = Traces(NoOpTracerProvider())

    assert TRACE == start(metadata).trace_id
    assert TRACE == silent.begin(METHOD, metadata).trace_id


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "00",
        "00-garbage",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        f"00-{TRACE}-00f067aa0ba902b7-zz",
    ],
)
def test_garbage_begins_a_trace_of_its_own(garbage: str) -> None:
    """What is no W3C header is as if it had not been sent."""
    trace_id = start([("traceparent", garbage), ("tracestate", "=,=")]).trace_id

    assert len(trace_id) == 32
    assert TRACE not in (trace_id, trace_id.lower())
    assert trace_id != "0" * 32


@virtual_time
async def test_what_others_wrote_is_bounded() -> None:
    """A span that a collector refuses for its size takes its batch with it."""
    walker, _ = engine()
    config = GenerationConfig(stop_sequences=["s" * 10_000] * 1_000)
    done = call(target("a/x"), prompt=secret(config))
    await walk(walker, done)
    assert done.completion is not None
    done.completion.provider_model = "m" * 10_000
    done.completion.provider_response_id = "r" * 10_000

    (attempt,) = traced(done).attempts

    assert {
        "gen_ai.request.stop_sequences": ["s" * 256] * 16,
        "gen_ai.response.model": "m" * 256,
        "gen_ai.response.id": "r" * 256,
    }.items() <= attempt.items()


class Begins(SpanProcessor):
    """When spans began to be built, by name."""

    def __init__(self) -> None:
        self.times: dict[str, int] = {}

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        self.times[span.name] = time.time_ns()


@virtual_time
async def test_building_the_tree_is_no_part_of_the_call() -> None:
    """The SERVER span ends where the call did, before what is below is built."""
    walker, _ = engine()
    done = call(target("a/x"))
    await walk(walker, done)
    exporter, begins = InMemorySpanExporter(), Begins()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(begins)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    end(provider, done)

    root = exporter.get_finished_spans()[-1]
    assert root.end_time is not None
    assert begins.times[METHOD] <= root.end_time <= begins.times["chain"]


@virtual_time
async def test_what_is_sampled_out_is_not_built() -> None:
    """The chain and its attempts go by the decision on the call."""
    walker, _ = engine()
    done = call(target("a/x"))
    await walk(walker, done)

    assert [] == exported(done, sampler=ALWAYS_OFF)


def test_without_a_provider_there_is_no_id() -> None:
    """No id is made up for a trace that nobody will find."""
    record = Recorder(Traces(NoOpTracerProvider())).begin(METHOD, ())
    trace = record.trace
    trace.end(record.summary())

    assert ("", "") == (trace.trace_id, trace.span_id)


@virtual_time
async def test_nothing_of_gen_ai_above_the_attempts() -> None:
    """Back-ends would count tokens twice."""
    walker, _ = engine()
    done = call(target("a/x", [down()]), target("b/y"), prompt=secret())
    await walk(walker, done)

    shown = traced(done)

    above = {*shown.server, *shown.chain}
    assert not any(name.startswith("gen_ai.") for name in above)
    assert all("gen_ai.request.model" in attempt for attempt in shown.attempts)
