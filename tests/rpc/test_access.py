"""Tokens: who may call what."""

import hashlib
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from majordomo.chain.call import Call
from majordomo.chain.engine import Engine
from majordomo.chain.events import Event
from majordomo.config import parse
from majordomo.v1 import generation_service_pb2, operator_service_pb2
from majordomo.v1.generation_service_pb2 import ExplainRequest
from majordomo.v1.operator_service_pb2 import BenchRequest, WatchHealthRequest
from testkit.servers import (
    SCRIPTED,
    Running,
    failed,
    generate,
    rest_of,
    running,
    stream,
)

GENERATE, OPERATE, BOTH = "token-of-checkout", "token-of-the-night", "token-of-both"


Method = tuple[str, Any, Any, bool]
"""Its path, its messages, whether it streams."""


def tokens(**scopes: str) -> str:
    """A configuration that knows the tokens by these names, each with its scopes."""
    return SCRIPTED + "".join(
        f"""
    [tokens.{name}]
    sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"
    scopes = [{listed}]
        """
        for name, (token, listed) in {
            "checkout": (GENERATE, '"generate"'),
            "night": (OPERATE, '"operate"'),
            "both": (BOTH, '"generate", "operate"'),
        }.items()
        if name in scopes or not scopes
    )


def bearer(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")]


def methods() -> list[Method]:
    """Every method of ours."""
    found = []
    for module in (generation_service_pb2, operator_service_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                path = f"/{service.full_name}/{method.name}"
                request = getattr(module, method.input_type.name)
                response = getattr(module, method.output_type.name)
                found.append((path, request, response, method.server_streaming))
    return found


async def code(
    it: Running,
    method: Method,
    metadata: list[tuple[str, str]],
) -> grpc.StatusCode:
    """How a call with an empty request ends."""
    path, request, response, streams = method
    make: Any = it.channel.unary_stream if streams else it.channel.unary_unary
    call = make(
        path,
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )(request(), metadata=metadata, timeout=20)
    if streams:
        with suppress(grpc.aio.AioRpcError):
            await call.read()
        call.cancel()  # a watch that is let in has no end
    status: grpc.StatusCode = await call.code()
    return status


@pytest.mark.parametrize("method", methods(), ids=lambda method: method[0])
async def test_every_method_needs_a_token(
    method: Method,
) -> None:
    """Without one, with a wrong one, and with one of another scope, it is refused."""
    operates = "OperatorService" in method[0]
    other, own = (GENERATE, OPERATE) if operates else (OPERATE, GENERATE)
    wrong = [
        [],
        bearer("wrong"),
        bearer(own[:-1]),
        bearer(own + "x"),
        bearer(""),
        [("authorization", own)],
        [("authorization", f"Basic {own}")],
        bearer(own) + bearer(own),
        [("x-api-key", own)],
    ]
    async with running(tokens()) as it:
        reported = [await code(it, method, metadata) for metadata in wrong]
        beyond = await code(it, method, bearer(other))
        allowed = [await code(it, method, bearer(token)) for token in (own, BOTH)]

    assert [grpc.StatusCode.UNAUTHENTICATED] * len(wrong) == reported
    assert grpc.StatusCode.PERMISSION_DENIED == beyond
    refusals = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
    assert refusals.isdisjoint(allowed)


@pytest.mark.rule("7")
async def test_what_the_caller_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A reason of the contract, what to do, and never the token."""
    with caplog.at_level(logging.DEBUG):
        async with running(tokens()) as it:
            call = it.generation.Generate
            unknown = await failed(
                call(generate("acme/echo"), metadata=bearer("s3cr3t"))
            )
            beyond = await failed(call(generate("acme/echo"), metadata=bearer(OPERATE)))

    assert "UNAUTHENTICATED" == unknown.reason
    assert "authorization: Bearer" in unknown.message
    assert "PERMISSION_DENIED" == beyond.reason
    assert "generate" in beyond.message
    everything = f"{unknown} {beyond} {caplog.text}"
    assert "s3cr3t" not in everything
    assert OPERATE not in everything


@pytest.mark.parametrize(
    ("config", "metadata", "expected"),
    [
        (tokens(), bearer(GENERATE), "token checkout"),
        (tokens(), bearer(BOTH), "token both"),
        (SCRIPTED, bearer(GENERATE), "ipv4:127.0.0.1:"),
    ],
)
async def test_a_call_knows_its_caller(
    config: str,
    metadata: list[tuple[str, str]],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the name of its token, or without tokens by its connection."""
    callers = []
    walk = Engine.walk

    def watched(self: Engine, call: Call) -> AsyncGenerator[Event]:
        callers.append(call.caller)
        return walk(self, call)

    monkeypatch.setattr(Engine, "walk", watched)
    async with running(config) as it:
        await it.generation.Generate(generate("acme/echo"), metadata=metadata)

    assert [expected] == [caller[: len(expected)] for caller in callers]
    assert (":" in expected) == (callers != [expected])


async def test_health_and_reflection_need_none() -> None:
    """Health checks and grpcurl have no tokens."""
    async with running(tokens()) as it:
        health = health_pb2_grpc.HealthStub(it.channel)
        checked = await health.Check(health_pb2.HealthCheckRequest())
        listed = await services(it)

    assert health_pb2.HealthCheckResponse.SERVING == checked.status
    assert "majordomo.v1.GenerationService" in listed


async def services(it: Running) -> set[str]:
    """What reflection lists; raises where there is none."""
    stub = reflection_pb2_grpc.ServerReflectionStub(it.channel)
    asked = stub.ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    )
    return {
        service.name
        async for response in asked
        for service in response.list_services_response.service
    }


async def test_reflection_can_be_closed() -> None:
    """Then nobody learns what the services are."""
    closed = f'[server]\nlisten = "127.0.0.1:0"\nreflection = false\n{SCRIPTED}'
    async with running(closed) as it:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await services(it)

    assert grpc.StatusCode.UNIMPLEMENTED == caught.value.code()


async def test_a_token_that_is_taken_away() -> None:
    """From the next configuration on it is refused; the others still hold."""
    async with running(tokens()) as it:
        call = it.generation.Generate
        await call(generate("acme/echo"), metadata=bearer(GENERATE))
        it.server.reload(parse(tokens(both="")))
        revoked = await failed(call(generate("acme/echo"), metadata=bearer(GENERATE)))
        await call(generate("acme/echo"), metadata=bearer(BOTH))

    assert grpc.StatusCode.UNAUTHENTICATED == revoked.code


@pytest.mark.parametrize(
    ("listen", "extra", "warned"),
    [
        ("127.0.0.1:0", "", 0),
        ("[::1]:0", "", 0),
        ("localhost:0", "", 0),
        ("0.0.0.0:0", "", 2),
        ("0.0.0.0:0", tokens(both="").removeprefix(SCRIPTED), 1),
    ],
)
async def test_listening_wider_is_warned_of(
    listen: str, extra: str, warned: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Beyond the loopback without TLS, and without tokens, the log says it."""
    with caplog.at_level(logging.WARNING, "majordomo"):
        async with running(f'[server]\nlisten = "{listen}"\n{SCRIPTED}{extra}'):
            pass

    assert warned == len(caplog.records)


CHECKOUT = f"""
    [tokens.checkout]
    sha256 = "{hashlib.sha256(GENERATE.encode()).hexdigest()}"
    scopes = ["generate", "operate"]
"""


def narrowed(terms: str, default_chain: str = "") -> str:
    """A configuration with one token, tiers `fast` and `slow`, and its `terms`."""
    return f"""
        [server]
        listen = "127.0.0.1:0"
        default_chain = "{default_chain}"
        [tiers]
        fast = "acme/text:quick"
        slow = "acme/echo"
        {SCRIPTED}
        {CHECKOUT}
        {terms}
    """


@pytest.mark.rule("6.9")
@pytest.mark.parametrize(
    ("terms", "chain", "allowed"),
    [
        ("", "acme/echo,slow", True),
        ('chains = ["fast"]', "fast", True),
        ('chains = ["fast"]', "fast, fast", True),
        ('chains = ["fast"]', "slow", False),
        ('chains = ["fast"]', "fast,slow", False),
        ('chains = ["fast"]', "acme/text:quick", False),
        ('targets = ["acme/echo"]', "acme/echo", True),
        ('targets = ["acme/echo"]', "acme/text:x", False),
        ('targets = ["acme/*"]', "acme/text:x", True),
        ('targets = ["acme/*"]', "fast", False),
        ('targets = ["acme/*"]', "other/echo", False),
        ('chains = ["fast"]\ntargets = ["acme/echo"]', "fast,acme/echo", True),
        ("chains = []", "fast", False),
    ],
)
async def test_what_a_token_may_name(terms: str, chain: str, allowed: bool) -> None:
    """With lists of chains or targets, what they name and nothing else."""
    async with running(narrowed(terms)) as it:
        shown = bearer(GENERATE)
        calls: list[Any] = [
            it.generation.Generate(generate(chain), metadata=shown),
            it.generation.Stream(stream(chain), metadata=shown),
        ]
        for made in calls:
            if allowed:
                await (rest_of(made) if hasattr(made, "read") else made)
            else:
                reported = await failed(made)
                assert grpc.StatusCode.PERMISSION_DENIED == reported.code
                assert "may not name" in reported.message


@pytest.mark.rule("6.9")
@pytest.mark.parametrize("default", ["fast", "slow"])
async def test_a_call_without_a_chain_names_the_default(default: str) -> None:
    """So that a narrowed token gets no further by saying nothing."""
    async with running(narrowed('chains = ["fast"]', default)) as it:
        request = ExplainRequest(call=generate("").call)
        call: Any = it.generation.Explain(request, metadata=bearer(GENERATE))
        if default == "fast":
            await call
        else:
            assert grpc.StatusCode.PERMISSION_DENIED == (await failed(call)).code


@pytest.mark.rule("6.9")
async def test_what_a_token_may_hold() -> None:
    """Its own limit of calls, under the server's; other tokens are not touched."""
    more = tokens(both="").removeprefix(SCRIPTED)
    async with running(narrowed(f"max_calls = 1\n{more}")) as it:
        own, others = bearer(GENERATE), bearer(BOTH)
        held = it.generation.Stream(stream("acme/stall:1", "a b"), metadata=own)
        await held.read()
        request = generate("acme/echo")
        reported = await failed(it.generation.Generate(request, metadata=own))
        await it.generation.Generate(request, metadata=others)
        held.cancel()

    assert "SERVER_OVERLOADED" == reported.reason
    assert "this token" in reported.message


@pytest.mark.rule("6.9")
@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (tokens(checkout=""), grpc.StatusCode.UNAUTHENTICATED),
        (tokens(both="").replace('"generate", "operate"', '"generate"'), None),
    ],
    ids=["taken away", "narrowed"],
)
async def test_a_watch_ends_with_its_token(
    after: str, expected: grpc.StatusCode | None
) -> None:
    """At once, when the configuration is loaded; and one that has its token goes on."""
    before = tokens(both="", night="")
    async with running(before) as it:
        watch = it.operator.WatchHealth
        ended = watch(WatchHealthRequest(), metadata=bearer(BOTH))
        await ended.read()
        it.server.reload(parse(after))
        reported = await failed(ended)

    assert (expected or grpc.StatusCode.PERMISSION_DENIED) == reported.code


async def test_an_open_watch_ends_when_tokens_are_needed() -> None:
    """Anyone who watched without one shows one from then on."""
    async with running(SCRIPTED) as it:
        open_ = it.operator.WatchHealth(WatchHealthRequest())
        await open_.read()
        it.server.reload(parse(tokens(night="")))
        reported = await failed(open_)

    assert grpc.StatusCode.UNAUTHENTICATED == reported.code


async def test_a_watch_goes_on_with_its_token() -> None:
    """Other tokens come and go."""
    async with running(tokens(both="", night="")) as it:
        watch = it.operator.WatchHealth(WatchHealthRequest(), metadata=bearer(OPERATE))
        await watch.read()
        it.server.reload(parse(tokens(night="")))
        request = BenchRequest(target="acme/echo")
        await it.operator.Bench(request, metadata=bearer(OPERATE))
        reported: Any = await watch.read()
        while not reported.HasField("change"):  # what was reloaded is shown first
            reported = await watch.read()
        watch.cancel()

    assert "acme/echo" == reported.change.target.target
