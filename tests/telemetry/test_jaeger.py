"""A real Jaeger is sent a real server's traces, and finds them again.

Without build/bin/jaeger (`make jaeger`) the tests skip; under CI they must run.
"""

import asyncio
import json
import os
import socket
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from majordomo.telemetry import semconv
from majordomo.v1.operator_service_pb2 import BenchRequest
from tests.servers import Running, failed, generate, rest_of, running, stream

JAEGER = Path(__file__).parent.parent.parent / "build" / "bin" / "jaeger"
DOWN = "acme/status:503"

pytestmark = [
    pytest.mark.skipif(
        not JAEGER.exists() and "CI" not in os.environ,
        reason="no Jaeger here: `make jaeger` builds it, and needs Go",
    ),
    pytest.mark.timeout(120),
]

PORTS = (
    "admin.http",
    "collector.grpc-server",
    "collector.http-server",
    "collector.otlp.grpc",
    "collector.otlp.http",
    "query.grpc-server",
    "query.http-server",
)

Trace = dict[str, Any]


class Jaeger:
    """A Jaeger that is sent spans at `otlp`."""

    def __init__(self, ports: dict[str, str]) -> None:
        self.otlp = f"http://{ports['collector.otlp.grpc']}"
        self._query = f"http://{ports['query.http-server']}/api/traces"

    async def find(self, count: int, **tags: str) -> list[Trace]:
        """The traces of majordomo with these tags, once there are `count`."""
        named = {name.replace("_", "."): value for name, value in tags.items()}
        words = {"service": "majordomo", "tags": json.dumps(named), "limit": "1000"}
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                answer = await client.get(self._query, params=words)
                found: list[Trace] = answer.json()["data"]
                if len(found) >= count:
                    return found


def free_addresses(names: tuple[str, ...]) -> dict[str, str]:
    """One of the loopback for each name."""
    with ExitStack() as stack:
        taken = {}
        for name in names:
            it = stack.enter_context(socket.socket())
            it.bind(("127.0.0.1", 0))
            taken[name] = f"127.0.0.1:{it.getsockname()[1]}"
        return taken


@asynccontextmanager
async def jaeger() -> AsyncIterator[Jaeger]:
    """A Jaeger that keeps what it is sent in memory."""
    ports = free_addresses(PORTS)
    process = await asyncio.create_subprocess_exec(
        JAEGER,
        *(f"--{name}.host-port={address}" for name, address in ports.items()),
        stdout=DEVNULL,
        stderr=PIPE,
        env={"SPAN_STORAGE_TYPE": "memory"},
    )
    assert process.stderr is not None
    try:
        words = b""
        async for line in process.stderr:
            words += line
            if b'"status":"ready"' in line:
                break
        else:
            raise AssertionError(words[-2000:])
        # What it says from here on does not matter, and must not fill the pipe.
        rest = asyncio.create_task(process.stderr.read())
        try:
            yield Jaeger(ports)
        finally:
            process.kill()
            await rest
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


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


def tags(span: Trace) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def logs(span: Trace) -> list[dict[str, Any]]:
    return [
        {field["key"]: field["value"] for field in log["fields"]}
        for log in span["logs"]
    ]


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
