"""A mixed load on a real server, and what Jaeger, Prometheus and the log make of it.

Two tiers: `fast` is acme/giant-1, which fails for a while and comes back, then the
embedded model; `bulk` is globex/swift-2, which is rate limited once and benched by hand
later, then the embedded model. acme and globex are scripted.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

import httpx
from prometheus_client.parser import text_string_to_metric_families

from majordomo.client import AsyncClient, MajordomoError
from majordomo.v1.generation_service_pb2 import GenerationConfig
from testkit.jaeger import Jaeger, Trace, free_addresses, jaeger
from testkit.processes import serving

SECONDS = 100
"""Of load."""

PATIENCE = 30
"""Seconds until Jaeger has the traces."""

_HEALTHY = "delay:150ms+pace:15ms+text:A butler runs a household, quietly and well."
_DOWN = "delay:120ms+status:503+code:overloaded_error"
_QUICK = "delay:60ms+text:Short, and to the point."
_LIMITED = "delay:20ms+status:429+retry-after:8"

_CONFIG = f"""
[server]
listen = "127.0.0.1:0"
metrics_listen = "{{metrics}}"
default_chain = "fast"

[providers.acme]
kind = "scripted"

[providers.acme.models."giant-1"]
script = {[*[_HEALTHY] * 20, *[_DOWN] * 4, _HEALTHY]}

[providers.globex]
kind = "scripted"

[providers.globex.models."swift-2"]
script = {[*[_QUICK] * 80, _LIMITED, _QUICK]}

[providers.local]
kind = "local"
start = "at_start"

[tiers]
fast = "acme/giant-1,local/smollm2"
bulk = "globex/swift-2,local/smollm2"
"""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""What a page of metrics says, by name and labels."""


@dataclass
class Seen:
    """What was seen of the load from outside."""

    traces: list[Trace] = field(default_factory=list)
    """Of calls that recovered, as Jaeger's API gives them."""

    scrapes: list[tuple[float, Samples]] = field(default_factory=list)
    """The page of metrics once a second, and the seconds since the begin."""

    page: str = ""
    """The last one, as it was served."""

    log: str = ""
    """All lines of the server's log."""


async def observe() -> Seen:
    """Serve, call for SECONDS, and gather what is there to be seen."""
    seen = Seen()
    async with jaeger() as collector:
        async with _serving(collector, seen) as (client, page):
            async with asyncio.TaskGroup() as group:
                scraping = group.create_task(_scrape(page, seen))
                await _load(client)
                scraping.cancel()
            seen.page = await _read(page)
            seen.scrapes.append((SECONDS, samples(seen.page)))
        async with asyncio.timeout(PATIENCE):
            seen.traces = await collector.find(1, majordomo_outcome="recovered")
    return seen


@asynccontextmanager
async def _serving(
    collector: Jaeger, seen: Seen
) -> AsyncIterator[tuple[AsyncClient, str]]:
    """A server that takes calls, and the URL of its metrics; ended in good order."""
    metrics = free_addresses(["metrics"])["metrics"]
    environ = {**os.environ, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.otlp}
    with TemporaryDirectory() as folder, NamedTemporaryFile("r") as log:
        config = Path(folder) / "majordomo.toml"
        config.write_text(_CONFIG.replace("{metrics}", metrics))
        stderr = os.open(log.name, os.O_WRONLY | os.O_APPEND)
        async with (
            serving(config, environ, stderr=stderr) as server,
            AsyncClient(server.address) as client,
        ):
            os.close(stderr)
            yield client, f"http://{metrics}/metrics"
            server.process.terminate()
            await server.process.wait()
        seen.log = log.read()


async def _load(client: AsyncClient) -> None:
    """Calls at even distances, and what happens besides at its second."""
    chores: dict[int, Callable[[], Awaitable[object]]] = {
        8: lambda: client.generate("Hello?", chain="fats"),
        22: lambda: client.generate("Hello?", chain="acme/giant-1"),
        35: lambda: _read_out(client, "acme/cut:3"),
        60: lambda: client.bench("globex/swift-2", duration=12, reason="a trial"),
        85: lambda: client.generate("Hello?", chain="globex/stall:0", timeout=2),
        90: lambda: _read_out(client, "acme/cut:2"),
    }
    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for second in range(SECONDS):
            if chore := chores.get(second):
                group.create_task(_settled(chore()))
            for part in range(3):
                await asyncio.sleep(begin + second + part / 3 - time.monotonic())
                asking = _fast(client) if part == 0 else _bulk(client)
                group.create_task(_settled(asking))


async def _fast(client: AsyncClient) -> None:
    await _read_out(client, "fast")


async def _bulk(client: AsyncClient) -> None:
    config = GenerationConfig(max_output_tokens=8)
    labels = {"team": "search"}
    await client.generate("Name a colour.", chain="bulk", config=config, labels=labels)


async def _read_out(client: AsyncClient, chain: str) -> None:
    config = GenerationConfig(max_output_tokens=24)
    question = "In one sentence: what is a butler?"
    async for _ in client.stream(question, chain=chain, config=config):
        pass


async def _settled(call: Awaitable[object]) -> None:
    """Some calls are there to fail."""
    with suppress(MajordomoError):
        await call


async def _scrape(url: str, seen: Seen) -> None:
    begin = time.monotonic()
    while True:
        page = await _read(url)
        seen.scrapes.append((time.monotonic() - begin, samples(page)))
        await asyncio.sleep(1 - (time.monotonic() - begin) % 1)


async def _read(url: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(url)).text


def samples(page: str) -> Samples:
    """All that Prometheus would store of the page."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
