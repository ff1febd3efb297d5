"""Providers that are slow, silent or endless, and clocks that cannot be trusted."""

import asyncio
import time
import tracemalloc
from contextlib import suppress
from functools import partial

import grpc
import pytest

import majordomo.rpc.server
from majordomo.chain.clock import Clock
from majordomo.chain.engine import Engine
from majordomo.chain.tracker import Tracker
from majordomo.transport import provider as http
from majordomo.v1.operator_service_pb2 import TargetHealth
from testkit.servers import stream
from testkit.upstream import (
    CHUNKED,
    DONE,
    LAST_CHUNK,
    Connection,
    Script,
    answer,
    chunk,
    event,
    serve,
)
from tests.faults.matrix import fault
from tests.faults.scene import RPCS, ended, got, plays, read_text, rescued, scene

BOTH = pytest.mark.parametrize("rpc", RPCS)
INTERRUPTED = (grpc.StatusCode.ABORTED, "STREAM_INTERRUPTED")
ONCE = "transient_retries = 0\n"
BEGUN = CHUNKED + chunk(event() + event("one "))


def repeats(begin: bytes, again: bytes, every: float = 0.0) -> Script:
    """A script: `again` without end, until the client has closed."""

    async def script(connection: Connection) -> None:
        await connection.request()
        with suppress(ConnectionError):
            await connection.send(begin)
            while True:
                await connection.send(again)
                await asyncio.sleep(every)  # the provider's pace

    return script


PINGS = repeats(CHUNKED, chunk(b": ping\n\n"), every=0.02)
PINGS_AFTER = repeats(BEGUN, chunk(b": ping\n\n"), every=0.02)


@pytest.mark.parametrize(
    ("rpc", "limits"),
    [
        ("Generate", 'generate_via = "unary"\nattempt_timeout = "200ms"'),
        ("Generate", 'first_content_timeout = "200ms"'),
        ("Stream", 'first_content_timeout = "200ms"'),
    ],
    ids=["Generate, unary", "Generate", "Stream"],
)
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(plays(), id="nothing", marks=fault(25)),
        pytest.param(plays(CHUNKED + chunk(event())), id="a role", marks=fault(25)),
        pytest.param(PINGS, id="pings", marks=fault(27)),
    ],
)
async def test_no_content_in_time(rpc: str, limits: str, script: Script) -> None:
    """The socket is closed, the failure counts, the next target answers."""
    async with scene(script, chain=ONCE + limits) as it:
        got = await it.ask(rpc)
        await asyncio.gather(*it.bad.plays)

        assert "rescued" == got.text
        assert rescued("TIMEOUT") == got.attempts
        assert 1 == len(it.bad.requests)
        assert 1 == (await it.health()).consecutive_failures


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(plays(BEGUN), id="silence", marks=fault(26)),
        pytest.param(PINGS_AFTER, id="pings", marks=fault(27)),
    ],
)
@BOTH
async def test_silence_after_content(rpc: str, script: Script) -> None:
    """A broken stream, or for a whole answer the next target; the socket is closed."""
    async with scene(script, chain=ONCE + 'stall_timeout = "200ms"') as it:
        seen = await it.ask(rpc)
        await asyncio.gather(*it.bad.plays)

        if rpc == "Stream":
            assert (INTERRUPTED, "one ") == (seen.status, seen.text)
            assert ended("INTERRUPTED TIMEOUT") == seen.attempts
        else:
            assert ("rescued", rescued("TIMEOUT")) == (seen.text, seen.attempts)
        assert 1 == (await it.health()).consecutive_failures


@fault(29)
async def test_a_stream_without_end() -> None:
    """The attempt's own limit ends it."""
    script = repeats(BEGUN, chunk(event("x")), every=0.02)
    async with scene(script, chain=ONCE + 'attempt_timeout = "300ms"') as it:
        seen = await it.ask("Stream")
        await asyncio.gather(*it.bad.plays)

        assert INTERRUPTED == seen.status
        assert ended("INTERRUPTED TIMEOUT") == seen.attempts
        assert 1 == (await it.health()).consecutive_failures


@fault(28)
@BOTH
async def test_a_few_bytes_at_a_time(rpc: str) -> None:
    """Bytes are no content: the limits hold whatever trickles in."""

    async def script(connection: Connection) -> None:
        await connection.request()
        with suppress(ConnectionError):
            await connection.send(CHUNKED)
            for byte in event("x" * 100_000):
                await connection.send(chunk(bytes([byte])))
                await asyncio.sleep(0.01)  # the provider's pace

    limit = 'attempt_timeout = "300ms"\nfirst_content_timeout = "300ms"'
    async with scene(script, chain=ONCE + limit) as it:
        got = await it.ask(rpc)
        await asyncio.gather(*it.bad.plays)

        assert ("rescued", rescued("TIMEOUT")) == (got.text, got.attempts)


@fault(29)
async def test_more_than_an_answer_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream is cut at the bound of a body, and its socket closed."""
    monkeypatch.setattr(http, "LONGEST_BODY", 1 << 20)
    async with scene(repeats(BEGUN, chunk(event("x" * 10_000)))) as it:
        seen = await it.ask("Stream")
        await asyncio.gather(*it.bad.plays)

        assert INTERRUPTED == seen.status
        assert ended("INTERRUPTED MALFORMED_RESPONSE") == seen.attempts
        assert len(seen.text) < 1 << 20


@fault(30)
@BOTH
async def test_one_enormous_event(rpc: str) -> None:
    """It is given up long before it has come, and little of it was kept."""
    piece = chunk(b"x" * (1 << 20))
    sent = 0

    async def script(connection: Connection) -> None:
        nonlocal sent
        await connection.request()
        with suppress(ConnectionError):
            await connection.send(CHUNKED + chunk(b'data: {"choices": "'))
            while sent < 50:
                await connection.send(piece)
                sent += 1

    async with scene(script, chain=ONCE) as it:
        tracemalloc.start()
        try:
            got = await it.ask(rpc)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        await asyncio.gather(*it.bad.plays)

        assert ("rescued", rescued("MALFORMED_RESPONSE")) == (got.text, got.attempts)
        assert sent < 50
        assert peak < 32 << 20


@fault(35)
@BOTH
async def test_the_callers_deadline_comes_first(rpc: str) -> None:
    """Nobody is blamed, and no second provider is paid for what nobody will read."""
    async with scene(plays()) as it:
        got = await it.ask(rpc, timeout=0.4)
        await asyncio.gather(*it.bad.plays)
        health = await it.health()

        assert grpc.StatusCode.DEADLINE_EXCEEDED == got.code
        assert (1, 0) == (len(it.bad.requests), len(it.good.requests))
        assert 0 == health.consecutive_failures
        assert TargetHealth.STATE_ACTIVE == health.state


@fault(36)
@BOTH
async def test_too_little_time_for_another(rpc: str) -> None:
    """What is left after the first attempt is less than an attempt needs."""
    async with scene(serve(answer(503, b"busy"))) as it:
        got = await it.ask(rpc, timeout=0.9)

        expected = (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        assert expected == got.status
        attempts = ["bad/m FAILED OVERLOADED", "good/m SKIPPED DEADLINE"]
        assert attempts == got.attempts
        assert [] == it.good.requests


@fault(53)
@pytest.mark.parametrize("jump", [3600, -3600], ids=["an hour on", "an hour back"])
async def test_a_jump_of_the_wall_clock(
    monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    """Benches, limits and deadlines go on as if nothing had happened."""
    jumped = 0
    clock = Clock(wall_nanoseconds=lambda: time.time_ns() + jumped * 1_000_000_000)
    for made in (Tracker, Engine):
        patched = partial(made, clock=clock)
        monkeypatch.setattr(majordomo.rpc.server, made.__name__, patched)
    limit = answer(429, b"{}", retry_after="600")
    async with scene(serve(limit), chain=ONCE + 'stall_timeout = "200ms"') as it:
        await it.ask()
        before = await it.health()
        jumped = jump
        after = await it.health()
        call = it.it.generation.Stream(stream("", "hello"))
        seen = await got(call)

        assert "rescued" == seen.text
        assert ["bad/m SKIPPED BENCHED", "good/m SUCCEEDED"] == seen.attempts
        assert TargetHealth.STATE_BENCHED == before.state == after.state
        assert 1 == len(it.bad.requests)
        # What people read is in the wall's time of the moment.
        moved = after.bench.expire_time.seconds - before.bench.expire_time.seconds
        assert jump == round(moved, -1)


@fault(54)
@pytest.mark.parametrize("begun", [False, True], ids=["first content", "next piece"])
async def test_a_stall_of_the_event_loop(begun: bool) -> None:
    """What has come by the time that an expired timer is looked at still counts."""
    received = asyncio.Event()
    rest = chunk(event("two") + event("", "stop") + DONE) + LAST_CHUNK

    async def script(connection: Connection) -> None:
        await connection.request()
        if begun:
            await connection.send(BEGUN)
            await received.wait()
        else:
            await connection.send(CHUNKED + chunk(event("one ")))
        await connection.send(rest)
        time.sleep(0.5)  # noqa: ASYNC251 - the stall
        await connection.closed()

    limits = 'stall_timeout = "200ms"\nfirst_content_timeout = "200ms"'
    async with scene(script, chain=ONCE + limits) as it:
        call = it.it.generation.Stream(stream("", "hello"))
        read = await read_text(call, "one ") if begun else []
        received.set()
        seen = await got(call, read)

        assert "one two" == seen.text
        assert ["bad/m SUCCEEDED"] == seen.attempts
        assert 0 == (await it.health()).total_failures
