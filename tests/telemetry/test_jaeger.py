"""A real Jaeger is sent a real server's traces, and finds them again.

Without build/bin/jaeger (`make jaeger`) the tests skip; under CI they must run.
"""

import os

import pytest

from majordomo.telemetry import semconv
from majordomo.v1.operator_service_pb2 import BenchRequest
from testkit.jaeger import BINARY, jaeger, logs, tags
from testkit.servers import Running, failed, generate, rest_of, running, stream

DOWN = "acme/status:503"

pytestmark = [
    pytest.mark.skipif(
        not BINARY.exists() and "CI" not in os.environ,
        reason="no Jaeger here: `make jaeger` builds it, and needs Go",
    ),
    pytest.mark.timeout(120),
]


async def mixed_load(it: Running) -> None:
    """Calls that end in every way."""
    for number in range(5):
        await it.generation.Generate(generate("acme/echo", f"{number}"))
    await rest_of(it.generation.Stream(stream(f"{DOWN},acme/echo", "one two")))
    await rest_of(it.generation.Stream(stream(f"{DOWN},acme/echo", "one two")))
    await failed(it.generation.Stream(stream("acme/cut:1", "one two")))
    await failed(it.generation.Generate(generate("acme/status:500")))
    await it.operator.Bench(BenchRequest(target="acme/echo"))
    await failed(it.generation.Generate(generate("acme/echo")))


async def test_a_failover_is_found_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its outcome; parents, attributes, events, errors and links are all there."""
    async with jaeger() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.otlp)
        async with running() as it:
            await mixed_load(it)
        found = await collector.find(2, majordomo_outcome="recovered")

    assert 2 == len(found)
    failover, skip = sorted(found, key=lambda it: it["spans"][0]["startTime"])
    server, chain, first, second, answer = sorted(
        failover["spans"], key=lambda span: (span["startTime"], -span["duration"])
    )
    method = "majordomo.v1.GenerationService/Stream"
    names = (server, chain, first, second, answer)
    assert [method, "chain", *["chat status:503"] * 2, "chat echo"] == [
        span["operationName"] for span in names
    ]
    parents = [span["references"][0]["spanID"] for span in names[1:]]
    assert [server["spanID"], *[chain["spanID"]] * 3] == parents
    assert {
        semconv.OUTCOME: "recovered",
        semconv.ATTEMPTS: 3,
        semconv.FAILOVERS: 1,
        semconv.RPC_STATUS_CODE: "OK",
        "span.kind": "server",
    }.items() <= tags(server).items()
    for failed_attempt in (first, second):
        assert {
            "error": True,
            "span.kind": "client",
            semconv.ERROR_TYPE: "overloaded",
            semconv.HTTP_STATUS_CODE: 503,
            semconv.ATTEMPT_TARGET: DOWN,
        }.items() <= tags(failed_attempt).items()
    assert {
        semconv.GEN_AI_PROVIDER: "acme",
        semconv.GEN_AI_REQUEST_MODEL: "echo",
        semconv.GEN_AI_USAGE_OUTPUT: 2,
        semconv.ATTEMPT_OUTCOME: "succeeded",
    }.items() <= tags(answer).items()
    assert not {"error"} & (tags(server).keys() | tags(answer).keys())
    (benched,) = logs(second)
    assert (semconv.TARGET_BENCHED, DOWN) == (benched["event"], benched["target"])
    (failed_over,) = logs(chain)
    assert (semconv.FAILOVER, DOWN, "acme/echo", "overloaded") == tuple(
        failed_over[key] for key in ("event", "from", "to", "reason")
    )

    (skipping,) = (s for s in skip["spans"] if s["operationName"] == "chain")
    (skipped,) = logs(skipping)
    assert semconv.TARGET_SKIPPED == skipped["event"]
    links = [
        ref["spanID"]
        for ref in skipping["references"]
        if ref["refType"] == "FOLLOWS_FROM"
    ]
    assert [second["spanID"]] == links


async def test_every_trace_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a mixed load none is missing, and each is found by its outcome."""
    async with jaeger() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.otlp)
        async with running() as it:
            await mixed_load(it)
        counts = {
            outcome: len(await collector.find(count, majordomo_outcome=outcome))
            for outcome, count in {
                "first_try": 5,
                "recovered": 2,
                "stream_interrupted": 1,
                "chain_exhausted": 1,
                "all_benched": 1,
            }.items()
        }

    assert [5, 2, 1, 1, 1] == list(counts.values())
