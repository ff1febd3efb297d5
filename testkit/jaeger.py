"""A real Jaeger, and what it was sent."""

import asyncio
import json
import socket
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

BINARY = Path(__file__).parent.parent / "build" / "bin" / "jaeger"
"""What `make jaeger` builds."""

_PORTS = (
    "admin.http",
    "collector.grpc-server",
    "collector.http-server",
    "collector.otlp.grpc",
    "collector.otlp.http",
    "query.grpc-server",
    "query.http-server",
)

Trace = dict[str, Any]
"""A trace, or a span of one, as Jaeger's API writes it."""


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


def free_addresses(names: Iterable[str]) -> dict[str, str]:
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
    ports = free_addresses(_PORTS)
    process = await asyncio.create_subprocess_exec(
        BINARY,
        *(f"--{name}.host-port={address}" for name, address in ports.items()),
        stdout=DEVNULL,
        stderr=PIPE,
        env={"SPAN_STORAGE_TYPE": "memory"},
    )
    assert process.stderr is not None
    rest: asyncio.Task[bytes] | None = None
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
        yield Jaeger(ports)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if rest is not None:
            await rest


def tags(span: Trace) -> dict[str, Any]:
    """A span's attributes."""
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def logs(span: Trace) -> list[dict[str, Any]]:
    """A span's events: attributes, and the name as "event"."""
    return [
        {field["key"]: field["value"] for field in log["fields"]}
        for log in span["logs"]
    ]
