"""Callers that leave, do not read, ask for too much, or send what is no request."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc

import majordomo.rpc.memory
from majordomo.v1.content_pb2 import (
    ROLE_USER,
    FunctionTool,
    MediaReference,
    Message,
    Part,
)
from majordomo.v1.generation_service_pb2 import (
    Call,
    GenerateRequest,
    Prompt,
)
from majordomo.v1.operator_service_pb2 import TargetHealth
from testkit.servers import Running, failed, generate, running, stream
from testkit.upstream import (
    CHUNKED,
    PATIENCE,
    Connection,
    Script,
    Upstream,
    chunk,
    event,
)
from tests.faults.matrix import fault
from tests.faults.scene import (
    RPCS,
    answering,
    ask,
    got,
    plays,
    quiet,
    scene,
    well,
)

BOTH = pytest.mark.parametrize("rpc", RPCS)
Code = grpc.StatusCode


def begin(it: Running, rpc: str) -> Any:
    if rpc == "Generate":
        return it.generation.Generate(generate(""))
    return it.generation.Stream(stream(""))


@fault(33)
@pytest.mark.parametrize("sent", [b"", CHUNKED], ids=["nothing", "a head"])
@BOTH
async def test_a_caller_that_leaves_before_content(rpc: str, sent: bytes) -> None:
    """The provider's socket is closed, nobody is blamed, nobody else is asked."""
    asked = asyncio.Event()

    async def arrived() -> None:
        asked.set()

    async with scene(plays(sent, arrived)) as it:
        call = begin(it.it, rpc)
        waiting = asyncio.ensure_future(failed(call))
        await asked.wait()
        call.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        await asyncio.gather(*it.bad.plays)
        shown = await quiet(it.it)

        assert Code.CANCELLED == await call.code()
        assert (1, 0) == (shown.total_attempts, shown.total_failures)
        assert (0, TargetHealth.STATE_ACTIVE) == (
            shown.consecutive_failures,
            shown.state,
        )
        assert [] == it.good.requests


def floods(sent: list[int]) -> Script:
    """A script: content without end; `sent` counts its bytes."""

    async def script(connection: Connection) -> None:
        await connection.request()
        piece = chunk(event("x" * 60_000))
        with suppress(ConnectionError):
            await connection.send(CHUNKED)
            while True:
                await connection.send(piece)
                sent.append(len(piece))
                await asyncio.sleep(0)

    return script


@fault(34)
async def test_a_caller_that_leaves_without_having_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A write is under way and cannot go on: it ends, and the socket is closed."""
    sent: list[int] = []
    async with scene(floods(sent)) as it:
        call: Any = it.it.generation.Stream(stream(""))
        await call.read()
        await stopped(sent)
        call.cancel()
        await asyncio.gather(*it.bad.plays)
        shown = await quiet(it.it)

        assert 0 == shown.consecutive_failures
        assert [] == it.good.requests
        assert [] == [record.getMessage() for record in caplog.records]


async def stopped(sent: list[int]) -> None:
    """Wait until nothing more can be sent: for a while the count stays as it is."""
    async with asyncio.timeout(PATIENCE):
        before = -1
        while before != len(sent):
            before = len(sent)
            await asyncio.sleep(0.1)  # how long "nothing more" is


@fault(37)
async def test_a_caller_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider is read no further than the windows go, and then the call is cut."""
    monkeypatch.setattr(majordomo.rpc.memory, "PATIENCE", 0.5)
    sent: list[int] = []
    async with scene(floods(sent)) as it:
        call: Any = it.it.generation.Stream(stream(""))
        await call.read()
        await asyncio.gather(*it.bad.plays)
        shown = await quiet(it.it)
        seen = await got(call)

        assert (Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED") == seen.status
        assert sum(sent) < 32 << 20
        assert (1, 0) == (shown.total_attempts, shown.consecutive_failures)
        assert [] == it.good.requests


@fault(47)
@BOTH
async def test_no_room_at_a_provider(rpc: str) -> None:
    """The second call goes on to the next target, and nobody's health is touched."""
    asked, answered = asyncio.Event(), asyncio.Event()

    async def script(connection: Connection) -> None:
        request = await connection.request()
        assert request is not None
        asked.set()
        await answered.wait()
        await connection.send(answering(request, "in the end"))
        await connection.closed()

    async with scene(script, bad="max_concurrency = 1") as it:
        first = asyncio.ensure_future(it.ask(rpc))
        await asked.wait()
        second = await it.ask(rpc)
        answered.set()

        skipped = ["bad/m SKIPPED CONCURRENCY_LIMIT", "good/m SUCCEEDED"]
        assert ("rescued", skipped) == (second.text, second.attempts)
        assert "in the end" == (await first).text
        shown = await it.health()
        assert (1, 0) == (shown.total_attempts, shown.total_failures)


@fault(48)
@BOTH
async def test_no_room_at_the_server(rpc: str) -> None:
    """Turned away for another replica to take; the server is healthy all the same."""
    asked = asyncio.Event()

    async def arrived() -> None:
        asked.set()

    async with scene(plays(arrived), server="max_calls = 1") as it:
        held = begin(it.it, rpc)
        waiting = asyncio.ensure_future(failed(held))
        await asked.wait()
        seen = await it.ask(rpc)
        stub: Any = health_pb2_grpc.HealthStub(it.it.channel)
        checked = await stub.Check(health_pb2.HealthCheckRequest())
        held.cancel()
        with suppress(asyncio.CancelledError):
            await waiting

        assert (Code.UNAVAILABLE, "SERVER_OVERLOADED") == seen.status
        assert seen.failure.details[RetryInfo].retry_delay.seconds
        pushback = seen.failure.trailers["grpc-retry-pushback-ms"]
        assert 1000 <= int(pushback) <= 2000
        assert health_pb2.HealthCheckResponse.SERVING == checked.status


INVALID = (Code.INVALID_ARGUMENT, "INVALID_REQUEST")


@fault(60)
async def test_too_many_messages() -> None:
    """Reported before anything is looked into, and before any provider is asked."""
    one = Message(role=ROLE_USER, parts=[Part(text="x")])
    request = GenerateRequest(call=Call(prompt=Prompt(messages=[one] * 10_001)))
    async with scene(well) as it:
        seen = await got(it.it.generation.Generate(request))

        assert INVALID == seen.status
        (violation,) = seen.failure.details[BadRequest].field_violations
        assert "call.prompt.messages" == violation.field
        assert [] == it.bad.requests


@fault(60)
@pytest.mark.parametrize("depth", [10, 100, 1_000, 10_000, 1_000_000])
@pytest.mark.parametrize("field", ["schema", "tool"])
async def test_a_deep_schema(field: str, depth: int) -> None:
    """However deep: it is passed on, skipped or refused, and never a bug of ours."""
    schema = '{"a":' * depth + "1" + "}" * depth
    request = generate("")
    if field == "schema":
        request.call.prompt.response_format.json_schema.schema_json = schema
    else:
        request.call.prompt.tools.add().function.MergeFrom(
            FunctionTool(name="deep", parameters_schema_json=schema)
        )
    async with scene(well) as it:
        seen = await got(it.it.generation.Generate(request))
        after = await it.ask()

        assert seen.code in (Code.OK, Code.INVALID_ARGUMENT)
        assert "rescued" == after.text


@fault(61)
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x0a\x04\xff\xfe\xfd\xfc", id="invalid UTF-8"),
        pytest.param(b"\xff\xff\xff", id="no message"),
        pytest.param(b"\x12\xff\x01", id="cut short"),
    ],
)
@BOTH
async def test_bytes_that_are_no_request(rpc: str, data: bytes) -> None:
    """Reported as any other broken rule is."""
    method = f"/majordomo.v1.GenerationService/{rpc}"
    async with running() as it:
        make: Any = it.channel.unary_unary
        if rpc == "Stream":
            make = it.channel.unary_stream
        seen = await got(make(method)(data))

    assert INVALID == seen.status


@fault(61)
@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param(
            [
                ("traceparent", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"),
                ("traceparent", "00-" + "c" * 32 + "-" + "d" * 16 + "-01"),
            ],
            id="two traceparents",
        ),
        pytest.param([("traceparent", "garbage")], id="no traceparent"),
        pytest.param([("tracestate", "=,=;" * 200)], id="no tracestate"),
        pytest.param([("authorization", "Basic ???")], id="no bearer"),
        pytest.param([("x-bin", b"\xff\xfe\x00")], id="bytes"),
        pytest.param([("baggage", "%ff%fe=%zz")], id="baggage"),
    ],
)
@BOTH
async def test_odd_metadata_is_ignored(
    rpc: str, metadata: list[tuple[str, str | bytes]]
) -> None:
    """It is not ours to judge: the call is answered."""
    async with running() as it:
        call: Any = (
            it.generation.Generate(generate("acme/echo"), metadata=metadata)
            if rpc == "Generate"
            else it.generation.Stream(stream("acme/echo"), metadata=metadata)
        )
        seen = await got(call)

    assert ("hello", Code.OK) == (seen.text, seen.code)


@fault(61)
async def test_metadata_beyond_its_bounds() -> None:
    """gRPC refuses it before it is a call; the next call is answered."""
    async with running() as it:
        call = it.generation.Generate(
            generate("acme/echo"), metadata=[("x-large", "x" * 20_000)]
        )
        refused = await failed(call)
        seen = await ask(it, chain="acme/echo")

    assert Code.RESOURCE_EXHAUSTED == refused.code
    assert "hello" == seen.text


@fault(62)
@pytest.mark.parametrize("takes", [True, False], ids=["fetches", "takes none"])
async def test_media_at_an_internal_address(takes: bool) -> None:
    """The server fetches nothing: the provider does, or the target is unsuited."""
    async with Upstream(well) as internal:
        uri = f"https://127.0.0.1:{internal.port}/secret.png"
        reference = MediaReference(uri=uri, media_type="image/png")
        part = Part(media_reference=reference)
        request = GenerateRequest(
            call=Call(
                chain="bad/m",
                prompt=Prompt(messages=[Message(role=ROLE_USER, parts=[part])]),
            )
        )
        media = '["image"]' if takes else "[]"
        bad = f'media_hosts = ["127.0.0.1"]\n[providers.bad.models.m]\nmedia = {media}'
        async with scene(well, bad=bad) as it:
            seen = await got(it.it.generation.Generate(request))

            if takes:
                assert "rescued" == seen.text
                assert uri in json.dumps(json.loads(it.bad.requests[0].body))
            else:
                assert (Code.INVALID_ARGUMENT, "REQUEST_UNSUPPORTED") == seen.status
                assert ["bad/m SKIPPED UNSUPPORTED"] == seen.attempts
                assert [] == it.bad.requests
        assert [] == internal.connections
