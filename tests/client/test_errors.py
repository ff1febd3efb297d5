"""Errors of calls as exceptions, over real channels."""

import asyncio
import pickle
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

import majordomo.rpc.generation
from majordomo.client import (
    AsyncClient,
    ChainExhausted,
    Client,
    DeadlineExceeded,
    InvalidRequest,
    MajordomoError,
    NotAnswered,
    StreamInterrupted,
    TransportError,
    UnknownTier,
)
from majordomo.client.errors import REASONS
from majordomo.errors import ResolverFailed
from majordomo.rpc.interceptors.errors import ErrorInterceptor
from majordomo.rpc.status import CODES, pack
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_INTERRUPTED,
    FAILURE_REASON_OVERLOADED,
    Attempt,
)
from majordomo.v1.errors_pb2 import CallFailure, ErrorReason
from majordomo.v1.generation_service_pb2 import (
    ChainOptions,
    GenerateResponse,
    PartDelta,
    Restart,
    StreamResponse,
)
from testkit.servers import Running, running
from tests.client.conftest import Ask
from tests.client.servers import serving

DOWN = "acme/status:503"


async def failure(call: Any) -> MajordomoError:
    """What `call` raises."""
    with pytest.raises(MajordomoError) as raised:
        await call
    return raised.value


def test_every_reason_has_its_exception() -> None:
    """A new value of ErrorReason without one fails here; each has its own name."""
    reasons = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()[1:]}

    assert reasons == set(REASONS)
    for reason, kind in REASONS.items():
        assert reason.replace("_", "").lower() == kind.__name__.lower()


@pytest.mark.parametrize("method", ["Generate", "Stream"])
async def test_every_reason_arrives_as_its_exception(ask: Ask, method: str) -> None:
    """As the server packs it, from a unary call and from a stream."""
    names = {ErrorReason.Name(r).removeprefix("ERROR_REASON_"): r for r in CODES}
    attempts = [Attempt(number=1, target="acme/x", message="busy")]
    failed = CallFailure(generation_id="g-1", attempts=attempts, omitted_attempts=3)

    async def refuse(request: Any, context: Any) -> None:
        reported = pack(
            names[request.call.chain], "it is so", {"name": "fast"}, [failed]
        )
        # Reported to be final, so that the client's own retries do not wait here.
        trailers = (*reported.trailers, ("grpc-retry-pushback-ms", "-1"))
        await context.abort(reported.code, reported.message, trailers)

    async with serving(method, refuse) as address:
        errors = {
            reason: await failure(ask(address, method.lower(), "hi", chain=reason))
            for reason in names
        }

    assert REASONS == {reason: type(error) for reason, error in errors.items()}
    for reason, error in errors.items():
        assert (CODES[names[reason]], reason, "it is so", {"name": "fast"}) == (
            error.code,
            error.reason,
            error.message,
            error.metadata,
        )
        assert ("g-1", attempts, 3) == (
            error.generation_id,
            error.attempts,
            error.omitted_attempts,
        )


@pytest.mark.parametrize(
    ("chain", "reason"),
    [
        ("acme/echo,,acme/x", "INVALID_REQUEST"),
        ("fast", "UNKNOWN_TIER"),
        ("openai/gpt-5", "UNKNOWN_PROVIDER"),
        (DOWN, "CHAIN_EXHAUSTED"),
        ("acme/status:429+retry-after:9", "CHAIN_RATE_LIMITED"),
        ("acme/status:404", "MODEL_NOT_FOUND"),
        ("acme/status:400+code:empty_image_file", "REQUEST_REFUSED"),
        ("acme/status:400+code:context_length_exceeded", "REQUEST_UNSUPPORTED"),
        ("acme/status:400+code:content_filter", "CONTENT_REFUSED"),
        ("acme/status:401", "PROVIDER_CREDENTIALS"),
    ],
)
async def test_what_the_server_says_of_a_chain(
    ask: Ask, chain: str, reason: str
) -> None:
    """Each reason as it comes about, with the id that finds it in the log."""
    async with running() as it:
        error = await failure(ask(it.server.address, "generate", "hi", chain=chain))

    assert REASONS[reason] is type(error)
    assert len(error.generation_id) > 20
    assert isinstance(error, NotAnswered) == bool(error.attempts)


async def test_an_exhausted_chain_tells_every_attempt(ask: Ask) -> None:
    """With the time after which another try is worth it."""
    async with running() as it:
        error = await failure(ask(it.server.address, "generate", "hi", chain=DOWN))

    assert isinstance(error, ChainExhausted)
    assert [(DOWN, FAILURE_REASON_OVERLOADED, 503)] * 2 == [
        (a.target, a.failure_reason, a.http_status_code) for a in error.attempts
    ]
    assert error.retry_delay is not None
    assert 1 < error.retry_delay < 60
    assert f"no target answered ({DOWN}: OVERLOADED)" == str(error)


async def test_an_invalid_request_tells_every_violation(ask: Ask) -> None:
    """Each with its path and what it must be."""
    options = ChainOptions(transient_retries=9)
    async with running() as it:
        call = ask(it.server.address, "generate", [], chain="a,,b", options=options)
        error = await failure(call)

    assert isinstance(error, InvalidRequest)
    assert [
        ("call.prompt.messages", "must hold at least one message"),
        ("call.options.transient_retries", "must be from 0 to 5"),
    ] == [(violation.field, violation.description) for violation in error.violations]
    assert ([], None) == (error.attempts, error.retry_delay)


async def test_a_broken_stream(ask: Ask) -> None:
    """What came before the break has been read."""
    async with running() as it:
        call = ask(it.server.address, "stream", "one two", chain="acme/cut:1")
        error = await failure(call)

    assert isinstance(error, StreamInterrupted)
    assert [ATTEMPT_OUTCOME_INTERRUPTED] == [a.outcome for a in error.attempts]


async def test_the_servers_word_comes_before_the_deadline(ask: Ask) -> None:
    """With the attempts that used it up."""
    async with running() as it:
        call = ask(it.server.address, "generate", "hi", chain="acme/stall:0", timeout=2)
        error = await failure(call)

    assert isinstance(error, DeadlineExceeded)
    assert ["acme/stall:0"] == [attempt.target for attempt in error.attempts]


async def test_benches_and_their_errors(ask: Ask) -> None:
    """All benched, for how long; and the record that must be lifted instead."""
    async with running() as it:
        address = it.server.address
        await ask(address, "bench", "acme/*", 40, "upgrade")
        benched = await failure(ask(address, "generate", "hi", chain="acme/echo"))
        covered = await failure(ask(address, "unbench", "acme/echo"))

    assert (REASONS["ALL_BENCHED"], REASONS["BENCHED_BY_PROVIDER"]) == (
        type(benched),
        type(covered),
    )
    assert benched.retry_delay is not None
    assert 39 <= benched.retry_delay <= 40
    assert "upgrade" == benched.attempts[0].bench.reason
    assert "acme" == covered.metadata["provider"]


async def test_a_bug_is_told_with_its_id(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is in the server's log."""

    def broken(*_: object) -> None:
        raise RuntimeError("sk-secret")

    monkeypatch.setattr(majordomo.rpc.generation, "_policy", broken)
    async with running() as it:
        error = await failure(ask(it.server.address, "generate", "hi", chain="acme/x"))

    assert REASONS["INTERNAL"] is type(error)
    assert error.generation_id in error.message
    assert "sk-secret" not in repr(vars(error))


async def test_a_failed_resolver(ask: Ask) -> None:
    """The error of the server's own boundary; which resolver and for what."""

    async def resolve(request: Any, context: Any) -> GenerateResponse:
        raise ResolverFailed("corporate", "fast", "failed")

    async with serving(
        "Generate", resolve, interceptors=[ErrorInterceptor()]
    ) as address:
        error = await failure(ask(address, "generate", "hi"))

    assert REASONS["RESOLVER_FAILED"] is type(error)
    assert ("corporate", "fast") == (error.metadata["resolver"], error.metadata["name"])


async def test_nobody_there(ask: Ask) -> None:
    """A TransportError that says where nobody answered."""
    async with running() as it:
        address = it.server.address
    error = await failure(ask(address, "generate", "hi"))

    assert TransportError is type(error)
    assert (grpc.StatusCode.UNAVAILABLE, "") == (error.code, error.reason)
    assert address in error.message


@pytest.mark.parametrize(
    ("details", "kind"),
    [
        (b"\xff not a status", TransportError),
        (Status(code=8), TransportError),
        (ErrorInfo(reason="CHAIN_EXHAUSTED", domain="envoy"), TransportError),
        (
            ErrorInfo(reason="FROM_THE_FUTURE", domain="majordomo-grpc.github.io"),
            MajordomoError,
        ),
    ],
)
async def test_details_that_are_not_ours(
    ask: Ask, details: Any, kind: type[MajordomoError]
) -> None:
    """A proxy's, a newer server's, or none that can be read: never a crash."""
    packed = details
    if isinstance(details, ErrorInfo):
        status = Status(code=8)
        status.details.add().Pack(details)
        packed = status
    if isinstance(packed, Status):
        packed = packed.SerializeToString()

    async def refuse(request: Any, context: Any) -> None:
        trailers = (("grpc-status-details-bin", packed),)
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too much", trailers)

    async with serving("Generate", refuse) as address:
        error = await failure(ask(address, "generate", "hi"))

    assert kind is type(error)
    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "too much") == (
        error.code,
        error.message,
    )


async def test_a_silent_server(ask: Ask) -> None:
    """The bare deadline: the server never got to say anything."""

    ended = asyncio.Event()

    async def silent(request: Any, context: Any) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    async with serving("Generate", silent) as address:
        error = await failure(ask(address, "generate", "hi", timeout=0.2))
        await ended.wait()

    assert TransportError is type(error)
    assert grpc.StatusCode.DEADLINE_EXCEEDED == error.code


async def test_a_call_that_the_server_cancels(ask: Ask) -> None:
    """An error like others, never a CancelledError."""

    async def cancel(request: Any, context: Any) -> None:
        await context.abort(grpc.StatusCode.CANCELLED, "changed my mind")

    async with serving("Stream", cancel) as address:
        error = await failure(ask(address, "stream", "hi"))

    assert TransportError is type(error)
    assert grpc.StatusCode.CANCELLED == error.code


async def _active(it: Running) -> int:
    async with AsyncClient(it.server.address) as client:
        targets = (await client.health()).targets
    return sum(target.active_attempts for target in targets)


@pytest.mark.parametrize("end", ["cancel", "close"])
async def test_a_stream_that_this_client_ends(end: str) -> None:
    """Its reader sees a TransportError, and the server stops."""
    async with running() as it, AsyncClient(it.server.address) as client:
        answer = client.stream("one two", chain="acme/stall:1")
        await anext(answer)
        reading = asyncio.ensure_future(anext(answer))
        if end == "cancel":
            answer.cancel()
        else:
            await client.close()
        error = await failure(reading)
        while await _active(it):
            pass

    assert TransportError is type(error)
    assert grpc.StatusCode.CANCELLED == error.code


async def test_a_stream_that_a_thread_ends() -> None:
    """The same with the other client."""

    def end(address: str) -> MajordomoError:
        with Client(address) as client:
            answer = client.stream("one two", chain="acme/stall:1")
            next(answer)
            answer.cancel()
            with pytest.raises(TransportError) as raised:
                next(answer)
            return raised.value

    async with running() as it:
        error = await asyncio.to_thread(end, it.server.address)
        while await _active(it):
            pass

    assert grpc.StatusCode.CANCELLED == error.code


@pytest.mark.parametrize("method", ["generate", "stream"])
async def test_a_cancelled_task_is_cancelled(method: str) -> None:
    """CancelledError goes on as it is, and takes the call with it."""
    async with running() as it, AsyncClient(it.server.address) as client:

        async def call() -> None:
            if method == "generate":
                await client.generate("hi", chain="acme/stall:0")
            else:
                await anext(client.stream("hi", chain="acme/stall:0"))

        task = asyncio.create_task(call())
        while not await _active(it):
            pass
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while await _active(it):
            pass


async def test_a_timeout_of_asyncio_stays_one() -> None:
    """The block's TimeoutError, though it is a cancellation inside."""
    async with running() as it, AsyncClient(it.server.address) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.generate("hi", chain="acme/stall:0")


async def test_a_reader_of_text_sees_a_restart_as_a_break() -> None:
    """It cannot take back what it has read; a reader of events can."""
    attempt = Attempt(number=1, target="acme/a")
    restart = Restart(interrupted=attempt, target="acme/b")

    async def stream(request: Any, context: Any) -> AsyncIterator[StreamResponse]:
        yield StreamResponse(part_delta=PartDelta(text="one "))
        yield StreamResponse(restart=restart)
        yield StreamResponse(part_delta=PartDelta(text="eins zwei"))

    async with serving("Stream", stream) as address, AsyncClient(address) as client:
        text = client.stream("hi").text()
        first = await anext(text)
        error = await failure(anext(text))
        answer = client.stream("hi")
        kinds = [event.WhichOneof("event") async for event in answer]

    assert "one " == first
    assert isinstance(error, StreamInterrupted)
    assert (grpc.StatusCode.ABORTED, [attempt]) == (error.code, error.attempts)
    assert ["part_delta", "restart", "part_delta"] == kinds
    assert "eins zwei" == answer.message.parts[0].text


def test_errors_can_be_sent_to_another_process() -> None:
    """Nothing of them is lost."""
    error = UnknownTier("no tier", reason="UNKNOWN_TIER", metadata={"name": "fast"})

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own

    assert (UnknownTier, ("no tier",), vars(error)) == (
        type(copy),
        copy.args,
        vars(copy),
    )
