"""The traces of real calls, as a collector is sent them."""

from textwrap import dedent
from typing import Any

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from majordomo.telemetry import semconv
from majordomo.v1.generation_service_pb2 import INTERRUPTION_POLICY_RESTART
from majordomo.v1.operator_service_pb2 import (
    BenchRequest,
    HealthSnapshotRequest,
    UnbenchRequest,
)
from testkit.collector import Collector, attributes, outline
from testkit.servers import (
    SCRIPTED,
    Running,
    failed,
    generate,
    rest_of,
    running,
    stream,
)
from testkit.upstream import Upstream, answer, serve

DOWN = "acme/status:503"

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"


def expected(tree: str) -> str:
    return dedent(tree).strip()


def said(spans: list[Span], name: str) -> dict[str, Any]:
    """The attributes of the last span of that name."""
    last = max(
        (span for span in spans if span.name == name),
        key=lambda span: span.start_time_unix_nano,
    )
    return attributes(last.attributes)


def server_span(spans: list[Span]) -> dict[str, Any]:
    (root,) = (span for span in spans if span.kind == Span.SPAN_KIND_SERVER)
    return attributes(root.attributes)


async def test_first_try(collector: Collector) -> None:
    """Three spans, no error, no event."""
    async with running() as it:
        await it.generation.Generate(generate("acme/echo"))

    spans = collector.spans()
    tree = """
        SERVER majordomo.v1.GenerationService/Generate
          INTERNAL chain
            CLIENT chat echo
    """
    assert expected(tree) == outline(spans)
    assert "first_try" == server_span(spans)[semconv.OUTCOME]
    assert "OK" == server_span(spans)[semconv.RPC_STATUS_CODE]


async def test_retry(collector: Collector) -> None:
    """A failed attempt is an error; what it was repaired by shows none above."""
    models = '[providers.acme.models.flaky]\nscript = ["status:503", "text:hello"]'
    async with running(f'[providers.acme]\nkind = "scripted"\n{models}') as it:
        await it.generation.Generate(generate("acme/flaky"))

    spans = collector.spans()
    tree = """
        SERVER majordomo.v1.GenerationService/Generate
          INTERNAL chain
            CLIENT chat flaky CODE_ERROR overloaded
            CLIENT chat flaky
    """
    assert expected(tree) == outline(spans)
    assert "recovered" == server_span(spans)[semconv.OUTCOME]


async def test_failover_and_skip(collector: Collector) -> None:
    """Benched on its attempt; failed over, and the next time skipped, on the chain."""
    async with running() as it:
        for _ in range(2):
            await rest_of(it.generation.Stream(stream(f"{DOWN},acme/echo")))

    tree = """
        SERVER majordomo.v1.GenerationService/Stream
          INTERNAL chain
            * majordomo.failover
            CLIENT chat status:503 CODE_ERROR overloaded
            CLIENT chat status:503 CODE_ERROR overloaded
              * majordomo.target.benched
            CLIENT chat echo
        SERVER majordomo.v1.GenerationService/Stream
          INTERNAL chain
            * majordomo.target.skipped
            CLIENT chat echo
    """
    assert expected(tree) == outline(collector.spans())


async def test_exhausted_and_all_benched(collector: Collector) -> None:
    """Attempts and the server show errors; then a chain with nothing but skips."""
    async with running(f'[chain]\nall_benched_policy = "fail"\n{SCRIPTED}') as it:
        for _ in range(2):
            await failed(it.generation.Generate(generate(f"{DOWN},acme/status:500")))

    spans = collector.spans()
    tree = """
        SERVER majordomo.v1.GenerationService/Generate CODE_ERROR UNAVAILABLE
          INTERNAL chain
            * majordomo.failover
            CLIENT chat status:503 CODE_ERROR overloaded
            CLIENT chat status:503 CODE_ERROR overloaded
              * majordomo.target.benched
            CLIENT chat status:500 CODE_ERROR provider_error
            CLIENT chat status:500 CODE_ERROR provider_error
              * majordomo.target.benched
        SERVER majordomo.v1.GenerationService/Generate CODE_ERROR UNAVAILABLE
          INTERNAL chain
            * majordomo.target.skipped
            * majordomo.target.skipped
    """
    assert expected(tree) == outline(spans)
    assert ["chain_exhausted", "all_benched"] == [
        attributes(span.attributes)[semconv.OUTCOME]
        for span in sorted(spans, key=lambda span: span.start_time_unix_nano)
        if span.kind == Span.SPAN_KIND_SERVER
    ]


async def test_interrupted(collector: Collector) -> None:
    """ABORTED is no error of the server's; what was not reached leaves nothing."""
    async with running() as it:
        await failed(it.generation.Stream(stream("acme/cut:1,acme/echo", "one two")))

    spans = collector.spans()
    tree = """
        SERVER majordomo.v1.GenerationService/Stream
          INTERNAL chain
            CLIENT chat cut:1 CODE_ERROR connection
    """
    assert expected(tree) == outline(spans)
    assert "ABORTED" == server_span(spans)[semconv.RPC_STATUS_CODE]
    assert "stream_interrupted" == server_span(spans)[semconv.OUTCOME]
    assert "interrupted" == said(spans, "chat cut:1")[semconv.ATTEMPT_OUTCOME]


async def test_cancelled(collector: Collector) -> None:
    """The caller's cancel is nobody's error."""
    async with running() as it:
        call = it.generation.Stream(stream("acme/stall:1", "one two"))
        await call.read()
        call.cancel()
        # Comes after the cancel, on the same connection.
        await it.operator.HealthSnapshot(HealthSnapshotRequest())

    spans = collector.spans()
    tree = """
        SERVER majordomo.v1.GenerationService/Stream
          INTERNAL chain
            CLIENT chat stall:1
        SERVER majordomo.v1.OperatorService/HealthSnapshot
    """
    assert expected(tree) == outline(spans)
    about = said(spans, "majordomo.v1.GenerationService/Stream")
    assert "CANCELLED" == about[semconv.RPC_STATUS_CODE]
    assert "cancelled" == about[semconv.OUTCOME]
    assert "cancelled" == said(spans, "chat stall:1")[semconv.ATTEMPT_OUTCOME]


async def test_deadline(collector: Collector) -> None:
    """Out of time is an error of the attempt and of the server."""
    async with running() as it:
        request = stream("acme/stall:0,acme/echo")
        await failed(it.generation.Stream(request, timeout=0.3))

    spans = collector.spans()
    tree = """
        SERVER majordomo.v1.GenerationService/Stream CODE_ERROR DEADLINE_EXCEEDED
          INTERNAL chain
            * majordomo.target.skipped
            CLIENT chat stall:0 CODE_ERROR timeout
    """
    assert expected(tree) == outline(spans)
    assert "deadline_exceeded" == server_span(spans)[semconv.OUTCOME]


FLAKY = """
    [health]
    failure_threshold = 1
    cooldown_base = "100ms"
    [providers.acme]
    kind = "scripted"
    [providers.acme.models.flaky]
    script = [{script}]
"""


def links(spans: list[Span]) -> list[tuple[str, str, str]]:
    """Who links to whom, and about which target, in the order of time."""
    names = {span.span_id: span.name for span in spans}
    return [
        (span.name, names[link.span_id], attributes(link.attributes)["target"])
        for span in sorted(spans, key=lambda span: span.start_time_unix_nano)
        for link in span.links
    ]


async def until_tried_again(
    it: Running, chain: str, metadata: tuple[tuple[str, str], ...] = ()
) -> None:
    """Call until a target has been let through as a probe."""
    tried = False
    while not tried:
        request = stream(chain, include_attempts=True)
        events = await rest_of(it.generation.Stream(request, metadata=metadata))
        ended = [event.attempt_ended for event in events]
        tried = any(a.probe for a in (*ended, *events[-1].completion.attempts))


async def test_a_probe_that_heals(collector: Collector) -> None:
    """It says that it is one, and links to the attempt that benched the target."""
    async with running(FLAKY.format(script='"status:503", "text:hello"')) as it:
        await until_tried_again(it, "acme/flaky,acme/echo")

    spans = collector.spans()
    assert said(spans, "chat flaky")[semconv.ATTEMPT_PROBE]
    benched, probe = sorted(
        (span for span in spans if span.name == "chat flaky"),
        key=lambda span: span.start_time_unix_nano,
    )
    assert [semconv.TARGET_BENCHED] == [event.name for event in benched.events]
    (link,) = probe.links
    assert (benched.trace_id, benched.span_id) == (link.trace_id, link.span_id)
    assert ("chat flaky", "chat flaky", "acme/flaky") == links(spans)[-1]


async def test_a_probe_that_fails(collector: Collector) -> None:
    """It links to the attempt before it, and what comes next links to it."""
    async with running(FLAKY.format(script='"status:503"')) as it:
        await until_tried_again(it, "acme/flaky,acme/echo")
        await rest_of(it.generation.Stream(stream("acme/flaky,acme/echo")))

    spans = collector.spans()
    first, probe = sorted(
        (span for span in spans if span.name == "chat flaky"),
        key=lambda span: span.start_time_unix_nano,
    )
    last_chain = max(
        (span for span in spans if span.name == "chain"),
        key=lambda span: span.start_time_unix_nano,
    )
    assert [first.span_id] == [link.span_id for link in probe.links]
    assert [probe.span_id] == [link.span_id for link in last_chain.links]
    benches = [
        attributes(event.attributes)[semconv.EVENT_CONSECUTIVE_BENCHES]
        for span in (first, probe)
        for event in span.events
    ]
    assert [1, 2] == benches


async def test_a_skip_links_to_what_benched_the_target(collector: Collector) -> None:
    """The attempt of another call, or the operator's bench."""
    async with running() as it:
        chain = f"{DOWN},acme/echo"
        await rest_of(it.generation.Stream(stream(chain)))
        await rest_of(it.generation.Stream(stream(chain)))
        await it.operator.Bench(BenchRequest(provider="acme"))
        await failed(it.generation.Stream(stream("acme/echo")))

    bench = "majordomo.v1.OperatorService/Bench"
    assert [
        ("chain", "chat status:503", DOWN),
        ("chain", bench, "acme/echo"),
    ] == links(collector.spans())


async def test_a_link_between_two_benches_is_kept(collector: Collector) -> None:
    """A skip after an attempt that benched, and before another one."""
    async with running() as it:
        await it.operator.Bench(BenchRequest(target="acme/off"))
        chain = f"{DOWN},acme/off,acme/status:500,acme/echo"
        await rest_of(it.generation.Stream(stream(chain)))

    bench = "majordomo.v1.OperatorService/Bench"
    assert [("chain", bench, "acme/off")] == links(collector.spans())


async def test_a_skip_links_to_the_bench_that_kept_the_target_out(
    collector: Collector,
) -> None:
    """Here the operator's, which lasts longer than the one of its failures."""
    async with running() as it:
        await failed(it.generation.Stream(stream(DOWN)))
        await it.operator.Bench(BenchRequest(provider="acme"))
        await failed(it.generation.Stream(stream(DOWN)))

    bench = "majordomo.v1.OperatorService/Bench"
    assert [("chain", bench, DOWN)] == links(collector.spans())


async def test_nothing_links_to_a_bench_that_is_older(collector: Collector) -> None:
    """Where the call that benched last was not recorded, there is no link."""
    unrecorded = (("traceparent", f"00-{TRACE}-{CALLER}-00"),)
    chain = "acme/flaky,acme/echo"
    async with running(FLAKY.format(script='"status:503"')) as it:
        await rest_of(it.generation.Stream(stream(chain)))
        await until_tried_again(it, chain, unrecorded)
        await rest_of(it.generation.Stream(stream(chain)))

    assert [] == links(collector.spans())


async def test_an_operator_s_bench(collector: Collector) -> None:
    """Bench and Unbench are spans with an event each; the reason stays out."""
    async with running() as it:
        request = BenchRequest(target="acme/echo", reason="canary")
        request.duration.FromSeconds(60)
        await it.operator.Bench(request)
        await it.operator.Unbench(UnbenchRequest(target="acme/echo"))

    spans = collector.spans()
    tree = """
        SERVER majordomo.v1.OperatorService/Bench
          * majordomo.target.benched
        SERVER majordomo.v1.OperatorService/Unbench
          * majordomo.target.unbenched
    """
    assert expected(tree) == outline(spans)
    assert [
        {"target": "acme/echo", "cause": "operator", "cooldown_s": 60},
        {"target": "acme/echo"},
    ] == [attributes(event.attributes) for span in spans for event in span.events]
    assert not any(b"canary" in r.SerializeToString() for r in collector.requests)


async def test_restarted(collector: Collector) -> None:
    """The attempt that broke is an error, and the call is not."""
    request = stream("acme/cut:1,acme/echo", "one two")
    request.call.options.interruption_policy = INTERRUPTION_POLICY_RESTART
    async with running() as it:
        await rest_of(it.generation.Stream(request))

    spans = collector.spans()
    tree = """
        SERVER majordomo.v1.GenerationService/Stream
          INTERNAL chain
            * majordomo.failover
            CLIENT chat cut:1 CODE_ERROR connection
            CLIENT chat echo
    """
    assert expected(tree) == outline(spans)
    assert "restarted" == server_span(spans)[semconv.OUTCOME]


async def test_shed(collector: Collector) -> None:
    """A call that is turned away is a SERVER span alone that says why."""
    config = """
        [server]
        listen = "127.0.0.1:0"
        max_calls = 1
        [providers.acme]
        kind = "scripted"
    """
    async with running(config) as it:
        call = it.generation.Stream(stream("acme/stall:1", "one two"))
        await call.read()
        await failed(it.generation.Generate(generate("acme/echo")))
        call.cancel()

    name = "majordomo.v1.GenerationService/Generate"
    spans = [span for span in collector.spans() if span.name == name]
    assert f"SERVER {name} CODE_ERROR UNAVAILABLE" == outline(spans)
    assert "server_overloaded" == server_span(spans)[semconv.OUTCOME]


async def test_refused_before_the_walk(collector: Collector) -> None:
    """A SERVER span alone, and no error: the request was at fault."""
    async with running() as it:
        await failed(it.generation.Generate(generate("nope")))

    spans = collector.spans()
    assert "SERVER majordomo.v1.GenerationService/Generate" == outline(spans)
    assert {
        semconv.RPC_SYSTEM: "grpc",
        semconv.RPC_METHOD: "majordomo.v1.GenerationService/Generate",
        semconv.RPC_STATUS_CODE: "NOT_FOUND",
        semconv.OUTCOME: "unknown_tier",
    } == server_span(spans)


async def test_labels_stand_on_the_server_span(collector: Collector) -> None:
    """Each under a name of its own."""
    request = generate("acme/echo")
    request.call.labels["team"] = "search"
    async with running() as it:
        await it.generation.Generate(request)

    assert "search" == server_span(collector.spans())["majordomo.label.team"]


async def test_the_callers_trace_goes_on(collector: Collector) -> None:
    """Its trace id comes back in trailers and answer, and its span is the parent."""
    metadata = (
        ("traceparent", TRACEPARENT),
        ("tracestate", "vendor=1"),
        ("traceparent-bin", b"\x00\xff"),
    )
    async with running() as it:
        call = it.generation.Generate(generate("acme/echo"), metadata=metadata)
        response = await call
        trailers = dict(await call.trailing_metadata())

    spans = collector.spans()
    (root,) = (span for span in spans if span.kind == Span.SPAN_KIND_SERVER)
    assert {TRACE} == {span.trace_id.hex() for span in spans}
    assert (CALLER, "vendor=1") == (root.parent_span_id.hex(), root.trace_state)
    assert TRACE == trailers["majordomo-trace-id"]
    assert TRACE == response.completion.trace_id


async def test_a_failed_call_tells_its_trace_too(collector: Collector) -> None:
    """The id in the trailers is the one that was exported."""
    async with running() as it:
        reported = await failed(it.generation.Generate(generate(DOWN)))

    exported = {span.trace_id.hex() for span in collector.spans()}
    assert {reported.trailers["majordomo-trace-id"]} == exported


@pytest.mark.parametrize(
    ("sampler", "metadata"),
    [
        ("always_off", ()),
        ("parentbased_always_on", (("traceparent", f"00-{TRACE}-{CALLER}-00"),)),
    ],
)
async def test_what_is_not_sampled_is_not_sent(
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    sampler: str,
    metadata: tuple[tuple[str, str], ...],
) -> None:
    """The sampler's decision, or the caller's, is kept."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    async with running() as it:
        response = await it.generation.Generate(
            generate("acme/echo"), metadata=metadata
        )

    assert [] == collector.requests
    assert 32 == len(response.completion.trace_id)


@pytest.mark.parametrize(
    ("metadata", "trace_id"), [((), ""), ((("traceparent", TRACEPARENT),), TRACE)]
)
async def test_without_an_exporter_only_the_callers_trace_is_known(
    metadata: tuple[tuple[str, str], ...], trace_id: str
) -> None:
    """No id is made up for a trace that nobody will find."""
    async with running() as it:
        call = it.generation.Generate(generate("acme/echo"), metadata=metadata)
        response = await call
        trailers = dict(await call.trailing_metadata())

    assert trace_id == response.completion.trace_id
    assert trace_id == trailers.get("majordomo-trace-id", "")


async def test_only_our_services_are_traced(collector: Collector) -> None:
    """Health checks come every few seconds and would bury the rest."""
    async with running() as it:
        await HealthStub(it.channel).Check(HealthCheckRequest())
        await it.operator.HealthSnapshot(HealthSnapshotRequest())

    assert "SERVER majordomo.v1.OperatorService/HealthSnapshot" == outline(
        collector.spans()
    )


async def test_nothing_secret_is_exported(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the key, not the prompt, not the URL, not what a provider says of them."""
    monkeypatch.setenv("CANARY_KEY", "canary-key")
    words = b'{"error": {"message": "canary-key may not ask canary-prompt"}}'
    answered = (
        b'{"id": "1", "model": "m", "choices": [{"index": 0, "finish_reason": "stop",'
        b' "message": {"role": "assistant", "content": "canary-answer"}}]}'
    )
    script = serve(answer(500, words), answer(200, answered))
    async with Upstream(script) as upstream:
        config = f"""
            [providers.acme]
            kind = "openai-compatible"
            base_url = "{upstream.url}/canary-path/v1"
            api_key = "env:CANARY_KEY"
        """
        async with running(config) as it:
            response = await it.generation.Generate(generate("acme/m", "canary-prompt"))

    assert "canary-answer" == response.message.parts[0].text
    assert b"canary-prompt" in upstream.requests[0].body
    assert "Bearer canary-key" == upstream.requests[0].headers["authorization"]
    tree = """
        SERVER majordomo.v1.GenerationService/Generate
          INTERNAL chain
            CLIENT chat m CODE_ERROR provider_error
            CLIENT chat m
    """
    assert expected(tree) == outline(collector.spans())
    exported = b"".join(r.SerializeToString() for r in collector.requests)
    assert b"canary" not in exported


async def test_nothing_but_the_attempts_is_a_model(collector: Collector) -> None:
    """gen_ai.* above them would be counted twice."""
    async with running(SCRIPTED) as it:
        await it.generation.Generate(generate(f"{DOWN},acme/echo"))

    spans = collector.spans()
    about_models = {
        span.name
        for span in spans
        if any(key.startswith("gen_ai.") for key in attributes(span.attributes))
    }
    assert {"chat status:503", "chat echo"} == about_models
