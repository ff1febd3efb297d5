"""Answers that are none, and refusals of every kind."""

import json
import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo

from majordomo.durations import seconds
from majordomo.v1.attempt_pb2 import FAILURE_REASON_CREDENTIALS as CREDENTIALS
from majordomo.v1.attempt_pb2 import FAILURE_REASON_QUOTA_EXHAUSTED as QUOTA_EXHAUSTED
from majordomo.v1.attempt_pb2 import BenchRecord
from majordomo.v1.errors_pb2 import CallFailure
from majordomo.v1.generation_service_pb2 import FINISH_REASON_CONTENT_FILTER
from majordomo.v1.operator_service_pb2 import TargetHealth
from testkit.upstream import CHUNKED, DONE, LAST_CHUNK, answer, chunk, event, serve
from tests.faults.matrix import fault
from tests.faults.scene import RPCS, ended, rescued, scene

pytestmark = pytest.mark.usefixtures("transport")
BOTH = pytest.mark.parametrize("rpc", RPCS)
ALONE = pytest.mark.parametrize("alone", [False, True], ids=["of two", "alone"])
BENCHED = TargetHealth.STATE_BENCHED
Code = grpc.StatusCode


def error(message: str, **more: object) -> bytes:
    return json.dumps({"error": {"message": message, **more}}).encode()


def length(bench: BenchRecord) -> float:
    """Seconds from the begin of a bench to its end."""
    end = bench.expire_time.ToNanoseconds()
    return (end - bench.start_time.ToNanoseconds()) / 1e9


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b'{"cho', "MALFORMED_RESPONSE", marks=fault(13), id="half"),
        pytest.param(
            error("Too busy", type="overloaded_error"),
            "OVERLOADED",
            marks=fault(14),
            id="error",
        ),
        pytest.param(
            b"<html>Log in to the hotel's network</html>",
            "MALFORMED_RESPONSE",
            marks=fault(14),
            id="captive page",
        ),
    ],
)
@BOTH
async def test_a_200_that_is_no_answer(rpc: str, body: bytes, reason: str) -> None:
    """The body decides; the next target answers."""
    async with scene(serve(answer(200, body))) as it:
        got = await it.ask(rpc)

        assert "rescued" == got.text
        assert rescued(reason) == got.attempts
        assert 200 == got.records[0].http_status_code
        assert 1 == (await it.health()).consecutive_failures


@fault(16)
@pytest.mark.parametrize(
    ("status", "reason", "attempts"),
    [
        (500, "PROVIDER_ERROR", 2),
        (502, "PROVIDER_ERROR", 2),
        (503, "OVERLOADED", 2),
        (504, "TIMEOUT", 1),  # not retried: it would only multiply the wait
        (529, "OVERLOADED", 2),
    ],
)
@BOTH
async def test_servers_that_fail(
    rpc: str, status: int, reason: str, attempts: int
) -> None:
    """A retry, the bench, the next target; who calls then does not meet it at all."""
    async with scene(serve(answer(status, b"busy")), chain="") as it:
        got = await it.ask(rpc)
        while not (await it.health()).HasField("bench"):
            await it.ask(rpc)
        skipped = await it.ask(rpc)
        health = await it.health()

        assert "rescued" == got.text == skipped.text
        failed = [f"bad/m FAILED {reason}"] * attempts
        assert [*failed, "good/m SUCCEEDED"] == got.attempts
        assert ["bad/m SKIPPED BENCHED", "good/m SUCCEEDED"] == skipped.attempts
        assert 2 == len(it.bad.requests)
        assert (BENCHED, 1) == (health.state, health.bench.consecutive_benches)


@fault(17)
@ALONE
@BOTH
async def test_a_rate_limit_with_a_delay(rpc: str, alone: bool) -> None:
    """Benched at once, for as long as it asked; who has nobody else is informed."""
    limit = answer(429, error("Slow down"), retry_after="7")
    async with scene(serve(limit), chain="") as it:
        got = await it.ask(rpc, chain="bad/m" if alone else "")
        health = await it.health()

        assert 1 == len(it.bad.requests)
        assert got.records[0].benched
        assert 7.0 <= length(health.bench) <= 7.7
        if alone:
            status = (Code.RESOURCE_EXHAUSTED, "CHAIN_RATE_LIMITED")
            assert status == got.status
            wait = seconds(got.failure.details[RetryInfo].retry_delay)
            assert 6.0 < wait <= 7.7
            assert "-1" == got.failure.trailers["grpc-retry-pushback-ms"]
        else:
            assert rescued("RATE_LIMITED") == got.attempts


NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=30)


@fault(18)
@pytest.mark.parametrize(
    ("headers", "delay", "benched"),
    [
        pytest.param({"retry_after": "12"}, 12.0, 12.0, id="seconds"),
        pytest.param({"retry_after_ms": "2500"}, 2.5, 2.5, id="milliseconds"),
        pytest.param(
            {
                "date": format_datetime(NOW, usegmt=True),
                "retry_after": format_datetime(LATER, usegmt=True),
            },
            30.0,
            30.0,
            id="date",
        ),
        pytest.param(
            {
                "date": format_datetime(NOW, usegmt=True),
                "anthropic_ratelimit_tokens_remaining": "0",
                "anthropic_ratelimit_tokens_reset": LATER.isoformat(),
            },
            30.0,
            30.0,
            id="RFC 3339",
        ),
        pytest.param(
            {
                "x_ratelimit_remaining_requests": "0",
                "x_ratelimit_reset_requests": "6m0s",
            },
            360.0,
            360.0,
            id="Go duration",
        ),
        pytest.param({"retry_after": "86400"}, 86400.0, 3600.0, id="a day"),
        pytest.param({"retry_after": "soon"}, None, None, id="garbage"),
        pytest.param({"retry_after": "-5"}, None, None, id="negative"),
        pytest.param({"retry_after": "nan"}, None, None, id="no number"),
        pytest.param({"retry_after": "1000000000"}, None, None, id="an epoch"),
    ],
)
async def test_retry_delays(
    headers: dict[str, str], delay: float | None, benched: float | None
) -> None:
    """What can be read is a floor, up to an hour; what cannot was not given."""
    limit = answer(429, error("Slow down"), **headers)
    async with scene(serve(limit)) as it:
        got = await it.ask()
        bench = (await it.health()).bench

        assert rescued("RATE_LIMITED") == got.attempts
        record = got.records[0]
        if delay is None or benched is None:
            assert not record.HasField("retry_delay")
            assert not record.benched
        else:
            assert delay == seconds(record.retry_delay)
            assert benched <= length(bench) <= min(benched * 1.1, 3600.0) + 0.001


@fault(19)
@BOTH
async def test_no_quota(rpc: str) -> None:
    """Benched for a quarter of an hour by the first of it."""
    body = error("You exceeded your current quota", code="insufficient_quota")
    async with scene(serve(answer(429, body)), chain="") as it:
        got = await it.ask(rpc)
        health = await it.health()

        assert rescued("QUOTA_EXHAUSTED") == got.attempts
        assert 1 == len(it.bad.requests)
        assert QUOTA_EXHAUSTED == health.bench.failure_reason
        assert 900.0 == round(length(health.bench), 3)


KEY = "sk-canary-4711"


@fault(20)
@pytest.mark.parametrize("advance", [False, True], ids=["ends", "advances"])
@pytest.mark.parametrize("status", [401, 403])
@BOTH
async def test_refused_credentials(
    rpc: str,
    status: int,
    advance: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The call ends, or goes on where it was asked to; the key is shown to nobody."""
    monkeypatch.setenv("CANARY", KEY)
    caplog.set_level(logging.DEBUG)
    refusal = error(f"Incorrect API key provided: {KEY}", type="authentication_error")
    async with scene(
        serve(answer(status, refusal)), chain="", bad='api_key = "env:CANARY"'
    ) as it:
        wish: dict[str, Any] = {"advance_on": [CREDENTIALS]} if advance else {}
        got = await it.ask(rpc, **wish)
        health = await it.health()

        if advance:
            assert rescued("CREDENTIALS") == got.attempts
        else:
            status_told = (Code.FAILED_PRECONDITION, "PROVIDER_CREDENTIALS")
            assert status_told == got.status
            assert ended("FAILED CREDENTIALS") == got.attempts
        assert 1 == len(it.bad.requests)
        assert int(advance) == len(it.good.requests)
        assert f"Bearer {KEY}" == it.bad.requests[0].headers["authorization"]
        assert 0 == health.consecutive_failures
        assert "refuses this server's credentials" in caplog.text
        for shown in (got, health, caplog.text):
            assert KEY not in str(shown)


@fault(21)
@ALONE
@BOTH
async def test_no_such_model(rpc: str, alone: bool) -> None:
    """The next target may have it; health has nothing to say to it."""
    body = error("The model `m` does not exist", code="model_not_found")
    async with scene(serve(answer(404, body)), chain="") as it:
        got = await it.ask(rpc, chain="bad/m" if alone else "")

        if alone:
            assert (Code.NOT_FOUND, "MODEL_NOT_FOUND") == got.status
        else:
            assert rescued("MODEL_NOT_FOUND") == got.attempts
        assert 1 == len(it.bad.requests)
        assert 0 == (await it.health()).consecutive_failures


@fault(22)
@pytest.mark.parametrize("status", [400, 422])
@BOTH
async def test_a_request_that_is_refused(rpc: str, status: int) -> None:
    """Nobody else is asked where it is known that failing over cannot fix it."""
    body = error("The image is broken", code="invalid_base64_image")
    async with scene(serve(answer(status, body)), chain="") as it:
        got = await it.ask(rpc)

        assert (Code.INVALID_ARGUMENT, "REQUEST_REFUSED") == got.status
        assert ended("FAILED INVALID_REQUEST") == got.attempts
        assert (1, 0) == (len(it.bad.requests), len(it.good.requests))
        assert 0 == (await it.health()).consecutive_failures


@fault(22)
@pytest.mark.parametrize("status", [400, 422])
@ALONE
@BOTH
async def test_a_refusal_that_nobody_knows(rpc: str, status: int, alone: bool) -> None:
    """It is not tried twice and benches nobody; the next target may take it."""
    body = error("'messages' is wrong", type="invalid_request_error")
    async with scene(serve(answer(status, body)), chain="") as it:
        got = await it.ask(rpc, chain="bad/m" if alone else "")

        if alone:
            assert (Code.INVALID_ARGUMENT, "REQUEST_UNSUPPORTED") == got.status
        else:
            assert rescued("UNSUPPORTED") == got.attempts
        assert 1 == len(it.bad.requests)
        assert 0 == (await it.health()).consecutive_failures


@fault(18)
@pytest.mark.rule("8.3", "8.5")
@pytest.mark.parametrize("streamed", [False, True], ids=["429", "in the stream"])
async def test_a_moment_in_the_words(streamed: bool) -> None:
    """It is measured by our clock where the answer has no date of its own."""
    at = datetime.now(UTC) + timedelta(hours=2)
    refusal = error(f"Usage limit reached, resets at {at:%Y-%m-%dT%H:%M:%SZ}", code=429)
    within = answer(
        200, b"data: " + refusal + b"\n\n", content_type="text/event-stream"
    )
    play = serve(within if streamed else answer(429, refusal))
    async with scene(play, chain="") as it:
        got = await it.ask("Stream")

        assert rescued("QUOTA_EXHAUSTED") == got.attempts
        assert 1 == len(it.bad.requests)
        assert 7000 <= seconds(got.records[0].retry_delay) <= 7200


@fault(20)
@BOTH
async def test_a_403_that_says_nothing_of_the_key(rpc: str) -> None:
    """Somebody forbids it: that is a failed attempt, and no fault of a key."""
    async with scene(serve(answer(403, error("Request not allowed"))), chain="") as it:
        got = await it.ask(rpc)

        assert rescued("PROVIDER_ERROR") == got.attempts[-2:]


@fault(23)
@ALONE
@BOTH
async def test_an_overlong_context(rpc: str, alone: bool) -> None:
    """The next target may have room; where none has, the request is at fault."""
    body = error("too many tokens", code="context_length_exceeded")
    async with scene(serve(answer(400, body)), chain="") as it:
        got = await it.ask(rpc, chain="bad/m" if alone else "")

        if alone:
            assert (Code.INVALID_ARGUMENT, "REQUEST_UNSUPPORTED") == got.status
        else:
            assert rescued("CONTEXT_TOO_LONG") == got.attempts
        assert 1 == len(it.bad.requests)
        assert 0 == (await it.health()).consecutive_failures


@fault(24)
@BOTH
async def test_filtered_content(rpc: str) -> None:
    """It is an answer: it goes out as it is, and nobody else is asked."""
    if rpc == "Stream":
        frames = event("I will") + event("", "content_filter") + DONE
        reply = CHUNKED + chunk(frames) + LAST_CHUNK
    else:
        message = {"role": "assistant", "content": "I will"}
        choice = {"index": 0, "message": message, "finish_reason": "content_filter"}
        reply = answer(200, json.dumps({"choices": [choice]}).encode())
    async with scene(serve(reply)) as it:
        got = await it.ask(rpc)

        assert ("I will", ["bad/m SUCCEEDED"]) == (got.text, got.attempts)
        assert got.completion is not None
        assert FINISH_REASON_CONTENT_FILTER == got.completion.finish_reason
        assert [] == it.good.requests


@fault(65)
@pytest.mark.parametrize("where", ["missing", "in the last chunk", "after [DONE]"])
async def test_usage_is_never_guessed(where: str) -> None:
    """What the provider did not say in time is not there, rather than 0."""
    said = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    usage = b"data: " + json.dumps({"choices": [], "usage": said}).encode() + b"\n\n"
    end = {
        "missing": DONE,
        "in the last chunk": usage + DONE,
        "after [DONE]": DONE + usage,
    }
    body = event("one") + event("", "stop") + end[where]
    async with scene(serve(CHUNKED + chunk(body) + LAST_CHUNK)) as it:
        got = await it.ask("Stream")

        assert got.completion is not None
        reported = got.completion.usage
        if where == "in the last chunk":
            assert (9, 5) == (reported.input_tokens, reported.output_tokens)
        else:
            assert not got.completion.HasField("usage")
            assert not got.records[0].HasField("usage")


@fault(63)
async def test_the_details_of_a_long_chain() -> None:
    """They fit into the trailers: the status is whole, with the first and the last."""
    models = [f"bad/{'model-' * 16}{number}" for number in range(32)]
    body = error("words " * 100)
    async with scene(serve(answer(503, body))) as it:
        got = await it.ask(chain=",".join(models))

        assert (Code.UNAVAILABLE, "CHAIN_EXHAUSTED") == got.status
        packed = got.failure.trailers["grpc-status-details-bin"]
        assert len(packed) <= 4096
        assert len(got.failure.message.encode()) <= 512
        failure = got.failure.details[CallFailure]
        assert 32 == len(failure.attempts) + failure.omitted_attempts
        assert failure.omitted_attempts
        ends = (failure.attempts[0].target, failure.attempts[-1].target)
        assert (models[0], models[-1]) == ends
        assert 32 == len(it.bad.requests)
