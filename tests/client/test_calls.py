"""Every method of both clients, against a real server."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.protobuf.duration_pb2 import Duration

from majordomo.client import (
    AsyncClient,
    Client,
    StreamInterrupted,
    TransportError,
    media,
    text_of,
    user,
)
from majordomo.v1.generation_service_pb2 import (
    ChainOptions,
    GenerateResponse,
    TargetPlan,
)
from majordomo.v1.operator_service_pb2 import (
    HealthSnapshotResponse,
    Heartbeat,
    TargetHealth,
    WatchHealthRequest,
    WatchHealthResponse,
)
from testkit.servers import SCRIPTED, running
from testkit.servers import text_of as streamed_text
from tests.client.conftest import Ask
from tests.client.servers import serving

DOWN = "acme/status:503"


async def test_generate(ask: Ask) -> None:
    """The contract's answer: the message and how the call ended."""
    async with running() as it:
        response = await ask(
            it.server.address,
            "generate",
            "hi you",
            chain=f"{DOWN},acme/echo",
            options=ChainOptions(transient_retries=0),
            labels={"team": "search"},
        )

    assert "hi you" == text_of(response.message)
    assert [DOWN, "acme/echo"] == [a.target for a in response.completion.attempts]


async def test_stream(ask: Ask) -> None:
    """The contract's events; attempts among them where asked for."""
    async with running() as it:
        events = await ask(
            it.server.address,
            "stream",
            "one two",
            chain=f"{DOWN},acme/echo",
            options=ChainOptions(transient_retries=0),
            include_attempts=True,
        )

    assert ["attempt_ended", "part_delta", "part_delta", "completion"] == [
        event.WhichOneof("event") for event in events
    ]
    assert "one two" == streamed_text(events)


async def test_just_the_text_of_a_stream() -> None:
    """Piece by piece; what was read is then what generate would have returned."""

    def read(address: str) -> tuple[list[str], Any]:
        with (
            Client(address) as client,
            client.stream("one two", chain="acme/echo") as answer,
        ):
            return list(answer.text()), answer

    async with running() as it, AsyncClient(it.server.address) as client:
        async with client.stream("one two", chain="acme/echo") as answer:
            pieces = [piece async for piece in answer.text()]
        read_by_thread, other = await asyncio.to_thread(read, it.server.address)
        whole = await client.generate("one two", chain="acme/echo")

    assert ["one ", "two"] == pieces == read_by_thread
    assert whole.message == answer.message == other.message
    for completion in (answer.completion, other.completion):
        assert completion is not None
        assert whole.completion.usage == completion.usage


async def test_a_stream_that_is_left_is_cancelled() -> None:
    """At the end of its block, and with it the provider's work."""

    def leave(address: str) -> None:
        with (
            Client(address) as client,
            client.stream("one two", chain="acme/stall:1") as answer,
        ):
            next(answer.text())

    async with running() as it, AsyncClient(it.server.address) as client:
        async with client.stream("one two", chain="acme/stall:1") as answer:
            await anext(answer.text())
        await asyncio.to_thread(leave, it.server.address)
        while _busy(await client.health()):
            pass

    assert answer.completion is None


async def test_a_stream_that_is_dropped_is_cancelled() -> None:
    """By a reader that has seen enough and lets go of it."""

    def drop(address: str) -> None:
        with Client(address) as client:
            for _ in client.stream("one two", chain="acme/stall:1"):
                break
            while _busy(client.health()):
                pass

    async with running() as it, AsyncClient(it.server.address) as client:
        async for _ in client.stream("one two", chain="acme/stall:1"):
            break
        while _busy(await client.health()):
            pass
        await asyncio.to_thread(drop, it.server.address)


async def test_a_slow_reader_misses_nothing() -> None:
    """Though the server was done, well or not, before the first piece was read."""

    async def read(chain: str) -> str:
        answer = client.stream("one two three", chain=chain)
        while not (await client.health(chain)).targets[0].total_attempts or _busy(
            await client.health()
        ):
            pass
        with suppress(StreamInterrupted):
            async for _ in answer:
                pass
        return text_of(answer.message)

    async with running() as it, AsyncClient(it.server.address) as client:
        whole = await read("acme/echo")
        broken = await read("acme/cut:2")

    assert ("one two three", "one two ") == (whole, broken)


def _busy(snapshot: HealthSnapshotResponse) -> bool:
    """Whether the server has work in hand."""
    return any(target.active_attempts for target in snapshot.targets)


async def test_explain(ask: Ask) -> None:
    """What generate or stream would do; its timeout counts as that of the call."""
    async with running() as it:
        address = it.server.address
        await ask(address, "bench", "acme/a")
        unary = await ask(address, "explain", "hi", chain="acme/a,acme/echo")
        short = await ask(
            address, "explain", "hi", chain="acme/echo", stream=True, timeout=20
        )

    assert [TargetPlan.ACTION_SKIP, TargetPlan.ACTION_TRY] == [
        target.action for target in unary.targets
    ]
    assert 280 <= unary.targets[1].attempt_timeout.seconds <= 300
    assert 18 <= short.targets[0].attempt_timeout.seconds <= 20


async def test_health_and_benches(ask: Ask) -> None:
    """An operator's day."""
    async with running() as it:
        address = it.server.address
        benched = await ask(address, "bench", "acme/echo", 40.5, "upgrade")
        shown = await ask(address, "health", "acme/echo")
        unbenched = await ask(address, "unbench", "acme/echo")
        for_good = await ask(address, "bench", "acme/echo")
        everything = await ask(address, "health")

    bench = benched.targets[0].bench
    length = bench.expire_time.ToDatetime() - bench.start_time.ToDatetime()
    assert ("upgrade", 40.5) == (bench.reason, round(length.total_seconds(), 3))
    assert [TargetHealth.STATE_BENCHED] == [t.state for t in shown.targets]
    assert [TargetHealth.STATE_ACTIVE] == [t.state for t in unbenched.targets]
    assert not for_good.targets[0].bench.HasField("expire_time")
    assert ["acme/echo"] == [target.target for target in everything.targets]


async def test_what_a_watcher_asks_for(ask: Ask) -> None:
    """A chain and the longest silence, or nothing of the kind."""
    requests = []

    async def watch(
        request: WatchHealthRequest, context: Any
    ) -> AsyncIterator[WatchHealthResponse]:
        requests.append(request)
        yield WatchHealthResponse(snapshot={"instance_id": "one"})
        yield WatchHealthResponse(heartbeat=Heartbeat())

    async with serving("WatchHealth", watch) as address:
        events = await ask(address, "watch_health", "fast", heartbeat=2.5)
        await ask(address, "watch_health")

    assert ["snapshot", "heartbeat"] == [e.WhichOneof("event") for e in events]
    interval = Duration(seconds=2, nanos=500_000_000)
    assert [
        WatchHealthRequest(chain="fast", heartbeat_interval=interval),
        WatchHealthRequest(),
    ] == requests


async def test_a_watcher_sees_a_bench() -> None:
    """What is first, and then what changes; until the block is left."""

    def watch(address: str) -> list[WatchHealthResponse]:
        with Client(address) as client, client.watch_health("acme/echo") as events:
            seen = [next(events)]
            client.unbench("acme/echo")
            return [*seen, next(events)]

    async with running() as it, AsyncClient(it.server.address) as client:
        async with client.watch_health("acme/echo") as events:
            seen = [await anext(events)]
            await client.bench("acme/echo", reason="upgrade")
            seen.append(await anext(events))
        seen += await asyncio.to_thread(watch, it.server.address)

    assert ["snapshot", "change", "snapshot", "change"] == [
        event.WhichOneof("event") for event in seen
    ]
    assert "upgrade" == seen[1].change.target.bench.reason
    assert TargetHealth.STATE_BENCHED == seen[2].snapshot.targets[0].state
    assert TargetHealth.STATE_ACTIVE == seen[3].change.target.state


async def test_ready(ask: Ask) -> None:
    """While the server takes calls; a service that it does not have is an error."""
    async with running() as it:
        address = it.server.address
        before = [
            await ask(address, "ready"),
            await ask(address, "ready", "majordomo.v1.GenerationService"),
        ]
        with pytest.raises(TransportError) as unknown:
            await ask(address, "ready", "majordomo.v1.NoService")
        await it.server._health.enter_graceful_shutdown()
        after = await ask(address, "ready")

    assert ([True, True], False) == (before, after)
    assert grpc.StatusCode.NOT_FOUND == unknown.value.code


async def test_a_unix_socket(ask: Ask, tmp_path: Path) -> None:
    """An address of the form unix:/path."""
    config = f'[server]\nlisten = "unix:{tmp_path}/m.sock"\n{SCRIPTED}'
    async with running(config) as it:
        response = await ask(it.server.address, "generate", "hi", chain="acme/echo")

    assert "hi" == text_of(response.message)


async def test_media_pass_the_usual_limits(ask: Ask) -> None:
    """6 MiB there, of an image, and 6 MiB back, of text."""
    prompt = user("x" * (6 << 20), media(b"\xff\xd8\xff" + b"x" * (6 << 20)))
    async with running() as it:
        response = await ask(it.server.address, "generate", prompt, chain="acme/echo")

    assert 6 << 20 == len(text_of(response.message))


async def test_options_of_the_user_win(ask: Ask) -> None:
    """By name, over the client's own."""
    client = {"options": [("grpc.max_receive_message_length", 1000)]}
    async with running() as it:
        address = it.server.address
        with pytest.raises(TransportError) as large:
            await ask(address, "generate", "x" * 2000, chain="acme/echo", client=client)
        response = await ask(
            address, "generate", "x" * 2000, chain="acme/text:ok", client=client
        )

    assert grpc.StatusCode.RESOURCE_EXHAUSTED == large.value.code
    assert "ok" == text_of(response.message)


async def test_tls_and_a_token(ask: Ask) -> None:
    """The server is who it says, and every call carries the client's metadata."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    server = grpc.ssl_server_credentials(
        [
            (
                certificate.private_key_pem.bytes(),
                b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
            )
        ]
    )
    trusted = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    stranger = grpc.ssl_channel_credentials(trustme.CA().cert_pem.bytes())
    metadata = [("authorization", "Bearer t-1")]
    seen = []

    async def answer(request: Any, context: Any) -> GenerateResponse:
        seen.append(dict(context.invocation_metadata())["authorization"])
        return GenerateResponse()

    async with serving("Generate", answer, server) as address:
        client = {"credentials": trusted, "metadata": metadata}
        await ask(address, "generate", "hi", client=client)
        with pytest.raises(TransportError):
            await ask(address, "generate", "hi", client={"credentials": stranger})

    assert ["Bearer t-1"] == seen


def test_an_async_client_needs_its_loop() -> None:
    """Made outside of one it would belong to another than the one that runs it."""
    with pytest.raises(RuntimeError, match="no running event loop"):
        AsyncClient("127.0.0.1:1")


def test_importing_the_client_loads_no_server() -> None:
    """Nothing of what the server needs and a caller does not."""
    strangers = [
        "aiohttp",
        "click",
        "httpx",
        "msgspec",
        "opentelemetry",
        "pydantic",
        "majordomo.config",
        "majordomo.rpc",
    ]
    program = (
        "import sys, majordomo.client\n"
        f"print(*[name for name in {strangers!r} if name in sys.modules])\n"
        "print(*sorted({n.partition('.')[0] for n in sys.modules}"
        " - sys.stdlib_module_names))"
    )

    found = subprocess.run(
        [sys.executable, "-I", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )

    loaded, packages = found.stdout.splitlines()
    assert "" == loaded
    assert {"google", "grpc", "majordomo"} <= set(packages.split())
