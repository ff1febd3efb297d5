"""Every reason why an attempt fails, by the bytes of a provider, through the server."""

import json
from dataclasses import dataclass, field

import grpc
import pytest

from majordomo.v1.attempt_pb2 import (
    FAILURE_CLASS_PERMANENT,
    FAILURE_CLASS_TRANSIENT,
    FailureReason,
)
from majordomo.v1.errors_pb2 import CallFailure
from testkit.servers import failed, generate, running
from testkit.upstream import Connection, Upstream, answer

WITHOUT_BYTES = {
    "UNSPECIFIED": "no reason",
    "BENCHED": "a skip: tests/rpc/test_generation.py",
    "CANCELLED": "the caller went away: tests/rpc/test_cancellation.py",
    "CONCURRENCY_LIMIT": "a skip: tests/chain/test_walk.py",
    "DEADLINE": "the caller's: tests/rpc/test_generation.py",
    "NOT_REACHED": "a skip: tests/rpc/test_generation.py",
}
"""Reasons that no provider gives."""


@dataclass(frozen=True)
class Case:
    """What a provider sends, and what comes of it."""

    reason: str
    kind: str
    status: int
    body: object
    code: grpc.StatusCode
    headers: dict[str, str] = field(default_factory=dict)
    delay: float | None = None
    benched: bool = False


def openai(code: str, message: str, type_: str = "invalid_request_error") -> object:
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


def anthropic(type_: str, message: str) -> object:
    error = {"type": type_, "message": message}
    return {"type": "error", "error": error, "request_id": "req_1"}


def google(code: int, status: str, message: str, *details: object) -> object:
    return {
        "error": {
            "code": code,
            "message": message,
            "status": status,
            "details": [*details],
        }
    }


RETRY_INFO = {
    "@type": "type.googleapis.com/google.rpc.RetryInfo",
    "retryDelay": "48s",
}
PER_DAY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
NOT_FOUND = grpc.StatusCode.NOT_FOUND

CASES = [
    Case(
        "RATE_LIMITED",
        "openai",
        429,
        openai("rate_limit_exceeded", "Rate limit reached for gpt-4o", "requests"),
        EXHAUSTED,
        {"retry_after": "7"},
        delay=7,
        benched=True,
    ),
    Case(
        "RATE_LIMITED",
        "gemini",
        429,
        google(429, "RESOURCE_EXHAUSTED", "Please retry in 48s.", RETRY_INFO),
        EXHAUSTED,
        delay=48,
        benched=True,
    ),
    Case(
        "RATE_LIMITED",
        "anthropic",
        429,
        anthropic("rate_limit_error", "This request would exceed your rate limit."),
        EXHAUSTED,
        {"retry_after": "3"},
        delay=3,
        benched=True,
    ),
    Case(
        "QUOTA_EXHAUSTED",
        "openai",
        429,
        openai("insufficient_quota", "You exceeded your current quota.", "x"),
        EXHAUSTED,
        benched=True,
    ),
    Case(
        "QUOTA_EXHAUSTED",
        "anthropic",
        400,
        anthropic("invalid_request_error", "Your credit balance is too low to go on."),
        EXHAUSTED,
        benched=True,
    ),
    Case(
        "QUOTA_EXHAUSTED",
        "gemini",
        429,
        google(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", PER_DAY, RETRY_INFO),
        EXHAUSTED,
        delay=48,
        benched=True,
    ),
    Case(
        "OVERLOADED",
        "anthropic",
        529,
        anthropic("overloaded_error", "Overloaded"),
        UNAVAILABLE,
    ),
    Case(
        "OVERLOADED",
        "gemini",
        503,
        google(503, "UNAVAILABLE", "The model is overloaded."),
        UNAVAILABLE,
    ),
    Case(
        "OVERLOADED",
        "openai",
        200,
        openai("server_is_overloaded", "Our servers are overloaded.", "server_error"),
        UNAVAILABLE,
    ),
    Case(
        "PROVIDER_ERROR",
        "openai",
        500,
        openai("", "The server had an error.", "server_error"),
        UNAVAILABLE,
    ),
    Case("PROVIDER_ERROR", "chat", 502, b"<html>Bad gateway</html>", UNAVAILABLE),
    Case("MALFORMED_RESPONSE", "chat", 200, b'{"choices":[{"mess', UNAVAILABLE),
    Case("MALFORMED_RESPONSE", "anthropic", 200, b"<html>Sign in</html>", UNAVAILABLE),
    Case("MALFORMED_RESPONSE", "gemini", 200, b"", UNAVAILABLE),
    Case(
        "TIMEOUT",
        "anthropic",
        504,
        anthropic("timeout_error", "The request took too long."),
        UNAVAILABLE,
    ),
    Case(
        "CREDENTIALS",
        "openai",
        401,
        openai("invalid_api_key", "Incorrect API key provided: sk-1234567890abcdef."),
        PRECONDITION,
    ),
    Case(
        "CREDENTIALS",
        "gemini",
        400,
        google(
            400,
            "INVALID_ARGUMENT",
            "API key not valid.",
            {"reason": "API_KEY_INVALID"},
        ),
        PRECONDITION,
    ),
    Case(
        "CREDENTIALS",
        "anthropic",
        403,
        anthropic("permission_error", "Your API key does not have permission."),
        PRECONDITION,
    ),
    Case(
        "MODEL_NOT_FOUND",
        "openai",
        400,
        openai("model_not_found", "The requested model 'm' does not exist."),
        NOT_FOUND,
    ),
    Case(
        "MODEL_NOT_FOUND",
        "anthropic",
        404,
        anthropic("not_found_error", "model: m"),
        NOT_FOUND,
    ),
    Case(
        "MODEL_NOT_FOUND",
        "chat",
        404,
        {"error": 'model "m" not found, try pulling it first'},
        NOT_FOUND,
    ),
    Case(
        "UNSUPPORTED",
        "openai",
        400,
        openai("unsupported_parameter", "Unsupported parameter: 'temperature'."),
        INVALID,
    ),
    Case(
        "UNSUPPORTED",
        "anthropic",
        400,
        anthropic("invalid_request_error", "This model does not support effort."),
        INVALID,
    ),
    Case(
        "CONTEXT_TOO_LONG",
        "anthropic",
        400,
        anthropic(
            "invalid_request_error",
            "prompt is too long: 300 tokens > 200 maximum",
        ),
        INVALID,
    ),
    Case(
        "CONTEXT_TOO_LONG",
        "chat",
        400,
        openai("context_length_exceeded", "This model's maximum context length is 8."),
        INVALID,
    ),
    Case(
        "INVALID_REQUEST",
        "openai",
        400,
        openai("invalid_base64_image", "Invalid base64 image_url."),
        INVALID,
    ),
    Case(
        "INVALID_REQUEST",
        "gemini",
        400,
        google(400, "INVALID_ARGUMENT", "Base64 decoding failed."),
        INVALID,
    ),
    Case(
        "UNSUPPORTED",
        "gemini",
        400,
        google(400, "INVALID_ARGUMENT", "contents is not specified"),
        INVALID,
    ),
    Case(
        "CONTENT_REFUSED",
        "chat",
        400,
        openai("content_filter", "The response was filtered."),
        INVALID,
    ),
    Case(
        "CONTENT_REFUSED",
        "gemini",
        200,
        {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "m"},
        INVALID,
    ),
]
PERMANENT = {
    "CREDENTIALS",
    "MODEL_NOT_FOUND",
    "UNSUPPORTED",
    "CONTEXT_TOO_LONG",
    "INVALID_REQUEST",
    "CONTENT_REFUSED",
}


def provider(kind: str, url: str) -> str:
    """A configuration with one provider, p, of this kind."""
    api = 'kind = "openai-compatible"' if kind == "chat" else f'kind = "{kind}"'
    return f"""
        [chain]
        transient_retries = 0
        first_content_timeout = "1s"
        attempt_timeout = "1s"
        [providers.p]
        {api}
        base_url = "{url}"
    """


def test_every_reason_has_a_case() -> None:
    """A new one fails here."""
    names = {name.removeprefix("FAILURE_REASON_") for name in FailureReason.keys()}  # noqa: SIM118
    shown = {case.reason for case in CASES} | {"CONNECTION"}

    assert names == shown | WITHOUT_BYTES.keys()
    assert set() == shown & WITHOUT_BYTES.keys()


@pytest.mark.rule("8.1", "8.2", "7")
@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.reason}-{case.kind}-{case.status}"
)
async def test_what_a_provider_says(case: Case) -> None:
    """The attempt shows it, health heeds it, and the caller has the code for it."""
    body = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()

    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(answer(case.status, body, **case.headers))

    async with (
        Upstream(script) as upstream,
        running(provider(case.kind, upstream.url)) as it,
    ):
        reported = await failed(it.generation.Generate(generate("p/m")))

    [attempt] = reported.details[CallFailure].attempts
    permanent = case.reason in PERMANENT
    kind = FAILURE_CLASS_PERMANENT if permanent else FAILURE_CLASS_TRANSIENT
    assert f"FAILURE_REASON_{case.reason}" == FailureReason.Name(attempt.failure_reason)
    assert (kind, case.status) == (attempt.failure_class, attempt.http_status_code)
    assert case.delay == (
        attempt.retry_delay.seconds if attempt.HasField("retry_delay") else None
    )
    assert case.benched == attempt.benched
    assert case.code == reported.code
    assert "sk-1234567890abcdef" not in str(reported)


@pytest.mark.rule("7")
@pytest.mark.parametrize("fault", ["refused", "reset", "silent"])
async def test_without_a_word(fault: str) -> None:
    """No connection, one that breaks, and one over which nothing comes."""

    async def script(connection: Connection) -> None:
        await connection.request()
        if fault == "reset":
            connection.reset()
        else:
            await connection.closed()

    async with Upstream(script) as upstream:
        url = "http://127.0.0.1:1" if fault == "refused" else upstream.url
        async with running(provider("anthropic", url)) as it:
            reported = await failed(it.generation.Generate(generate("p/m")))

    [attempt] = reported.details[CallFailure].attempts
    expected = "TIMEOUT" if fault == "silent" else "CONNECTION"
    assert f"FAILURE_REASON_{expected}" == FailureReason.Name(attempt.failure_reason)
    assert grpc.StatusCode.UNAVAILABLE == reported.code
