"""Calls that are given up, from the caller's channel to the provider's socket."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
import pytest

import majordomo.chain.budget
import majordomo.rpc.server
from majordomo.chain.engine import Engine
from majordomo.v1.operator_service_pb2 import HealthSnapshotRequest
from testkit.servers import Running, failed, generate, running, stream
from testkit.upstream import (
    CHUNKED,
    PATIENCE,
    Connection,
    Upstream,
    answer,
    chunk,
    event,
    serve,
)

BOTH = pytest.mark.parametrize("rpc", ["Generate", "Stream"])


def config(upstream: Upstream) -> str:
    return f"""
        [providers.acme]
        kind = "openai-compatible"
        base_url = "{upstream.url}"
    """


def begin(it: Running, rpc: str, timeout: float | None = None) -> Any:
    request = generate if rpc == "Generate" else stream
    return getattr(it.generation, rpc)(request("acme/m"), timeout=timeout)


@pytest.mark.rule("5.6")
@pytest.mark.parametrize(
    ("rpc", "sent"),
    [
        pytest.param("Generate", b"", id="Generate, before the head"),
        pytest.param(
            "Generate", CHUNKED + chunk(b'{"choices": ['), id="Generate, in the body"
        ),
        pytest.param("Stream", b"", id="Stream, before the head"),
        pytest.param("Stream", CHUNKED + chunk(event("one")), id="Stream, in the body"),
    ],
)
@pytest.mark.parametrize("by", ["cancel", "deadline"])
async def test_the_provider_is_left_with_the_caller(
    rpc: str, sent: bytes, by: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its socket is closed at once, whatever it has sent; nobody learns of a bug."""
    asked = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(sent)
        asked.set()
        await connection.closed()

    async with Upstream(script) as upstream, running(config(upstream)) as it:
        call = begin(it, rpc, timeout=None if by == "cancel" else 1.0)
        waiting = asyncio.ensure_future(failed(call))
        await asked.wait()
        if by == "cancel":
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        else:
            await waiting
        await asyncio.gather(*upstream.plays)
        code = await call.code()

    expected = {
        "cancel": grpc.StatusCode.CANCELLED,
        "deadline": grpc.StatusCode.DEADLINE_EXCEEDED,
    }
    assert expected[by] == code
    assert 1 == len(upstream.requests)
    assert [] == [record.getMessage() for record in caplog.records]


@pytest.mark.rule("5.6")
@BOTH
async def test_nothing_is_tried_for_a_caller_that_left_in_a_backoff(
    rpc: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk ends there and then, with the retry unmade."""
    ended = asyncio.Event()
    walk = Engine.walk

    async def watched(engine: Engine, call: Any) -> AsyncIterator[Any]:
        try:
            async for event_ in walk(engine, call):
                yield event_
        finally:
            ended.set()

    full_backoff = partial(Engine, random=lambda: 1.0)
    monkeypatch.setattr(majordomo.rpc.server, "Engine", full_backoff)
    monkeypatch.setattr(majordomo.chain.budget, "_BACKOFF_BASE", 60.0)
    monkeypatch.setattr(majordomo.chain.budget, "_BACKOFF_CAP", 60.0)
    monkeypatch.setattr(Engine, "walk", watched)
    async with (
        Upstream(serve(answer(503, b"busy"))) as upstream,
        running(config(upstream)) as it,
    ):
        call = begin(it, rpc)
        waiting = asyncio.ensure_future(failed(call))
        while not await _failures(it):
            pass
        call.cancel()
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    assert 1 == len(upstream.requests)


async def _failures(it: Running) -> int:
    snapshot = await it.operator.HealthSnapshot(HealthSnapshotRequest())
    return sum(target.total_failures for target in snapshot.targets)


async def test_a_caller_that_leaves_in_a_write_leaves_no_word_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is no error of ours, and there are many of them."""
    async with running() as it:
        # Far more than fits into the windows between server and client.
        call: Any = it.generation.Stream(stream("acme/echo", "word " * 400_000))
        await call.read()
        call.cancel()
        while await _active(it):
            pass

    assert [] == [record.getMessage() for record in caplog.records]


async def _active(it: Running) -> int:
    snapshot = await it.operator.HealthSnapshot(HealthSnapshotRequest())
    return sum(target.active_attempts for target in snapshot.targets)
