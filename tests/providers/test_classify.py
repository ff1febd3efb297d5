"""Why a response is a failure: the body first, the status second."""

import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo.chain.failure import PERMANENT, TRANSIENT
from majordomo.codec.errors.classify import classify
from majordomo.v1.attempt_pb2 import FailureReason


def reason(status: int, body: object, headers: dict[str, str] | None = None) -> str:
    """The short name of the reason of a failure."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    name = FailureReason.Name(classify(status, headers or {}, data).reason)
    return name.removeprefix("FAILURE_REASON_")


def openai(message: str, code: object = None, type: object = None) -> object:  # noqa: A002
    """An error body as OpenAI sends it."""
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


def google(code: int, message: str, status: str, *details: object) -> object:
    """An error body as Google sends it."""
    error = {"code": code, "message": message, "status": status}
    return {"error": error | ({"details": details} if details else {})}


QUOTA = "You exceeded your current quota, please check your plan and billing details."
SPEND_LIMIT = {
    "type": "rate_limit_error",
    "message": "This request was stopped.",
    "details": {"error_code": "enforced_spend_limit_reached"},
}
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48s"}
PER_DAY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}
FILTERED = {
    "message": "The response was filtered.",
    "code": "content_filter",
    "innererror": {"code": "ResponsibleAIPolicyViolation"},
}


@pytest.mark.rule("8.1")
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        # One status, opposite meanings.
        (429, openai("Rate limit reached", "rate_limit_exceeded"), "RATE_LIMITED"),
        (429, openai(QUOTA, "insufficient_quota"), "QUOTA_EXHAUSTED"),
        (
            429,
            openai(
                "Request too large: Limit 30000, Requested 30601. Try again in 1s.",
                "rate_limit_exceeded",
                "tokens",
            ),
            "CONTEXT_TOO_LONG",
        ),
        (429, openai("Limit 300, Requested 301.", "x", "tokens"), "CONTEXT_TOO_LONG"),
        (429, openai("Limit 300, Requested 300.", "x", "tokens"), "RATE_LIMITED"),
        (429, {"error": SPEND_LIMIT}, "QUOTA_EXHAUSTED"),
        (429, openai("Slow down.", "slow_down", "rate_limit_error"), "RATE_LIMITED"),
        (
            429,
            {"object": "error", "message": "Service tier capacity exceeded."},
            "OVERLOADED",
        ),
        (
            429,
            {"object": "error", "message": "Requests rate", "code": "1300"},
            "RATE_LIMITED",
        ),
        (429, google(429, "Exhausted", "RESOURCE_EXHAUSTED"), "RATE_LIMITED"),
        (429, google(429, QUOTA, "RESOURCE_EXHAUSTED", RETRY_INFO), "RATE_LIMITED"),
        (429, google(429, QUOTA, "RESOURCE_EXHAUSTED", PER_DAY), "QUOTA_EXHAUSTED"),
        (429, google(429, QUOTA, "RESOURCE_EXHAUSTED"), "QUOTA_EXHAUSTED"),
        (402, google(402, "Pay.", "RESOURCE_EXHAUSTED"), "QUOTA_EXHAUSTED"),
        (402, openai("Requires more credits, or fewer max_tokens."), "UNSUPPORTED"),
        (402, openai("Insufficient Balance"), "QUOTA_EXHAUSTED"),
        (400, openai("Bad", "context_length_exceeded"), "CONTEXT_TOO_LONG"),
        (400, openai("The model 'x' does not exist", "?"), "MODEL_NOT_FOUND"),
        (400, openai("Model Not Exist"), "MODEL_NOT_FOUND"),
        (400, openai("x/y is not a valid model ID", 400), "MODEL_NOT_FOUND"),
        (400, openai("Content Exists Risk"), "CONTENT_REFUSED"),
        (400, {"error": FILTERED}, "CONTENT_REFUSED"),
        (400, openai("Your credit balance is too low"), "QUOTA_EXHAUSTED"),
        (
            400,
            {"code": "invalid-argument", "error": "Incorrect API key provided: xa***"},
            "CREDENTIALS",
        ),
        (400, openai("No", "unsupported_value"), "UNSUPPORTED"),
        (400, openai("Error while downloading.", "invalid_image_url"), "UNSUPPORTED"),
        (400, openai("'top_k' is not supported with this model"), "UNSUPPORTED"),
        (400, openai("Expected >= 0", "decimal_below_min_value"), "UNSUPPORTED"),
        (
            403,
            {
                "code": "The caller does not have permission",
                "error": "Your team has used all available credits",
            },
            "QUOTA_EXHAUSTED",
        ),
        (400, openai("Rate limit reached"), "UNSUPPORTED"),
        (422, openai("Overloaded", "overloaded_error"), "UNSUPPORTED"),
        (403, openai("Your input was flagged for violence", 403), "CONTENT_REFUSED"),
        (403, google(403, "No", "PERMISSION_DENIED"), "PROVIDER_ERROR"),
        (404, {"error": "model 'x' not found"}, "MODEL_NOT_FOUND"),
        (413, openai("Too large", "request_too_large"), "CONTEXT_TOO_LONG"),
        (500, openai("Context size has been exceeded."), "CONTEXT_TOO_LONG"),
        (500, openai("Overloaded", None, "api_error"), "OVERLOADED"),
        (
            500,
            openai("The server had an error", None, "server_error"),
            "PROVIDER_ERROR",
        ),
        (500, openai("The model x was not found in the cache"), "PROVIDER_ERROR"),
        (500, openai("Authentication failed"), "PROVIDER_ERROR"),
        (503, openai("Loading model", 503, "unavailable_error"), "OVERLOADED"),
        (503, openai("The model x was not found in the cache"), "OVERLOADED"),
        # A gateway relays what stands behind it.
        (
            400,
            {
                "error": {
                    "message": "Provider returned error",
                    "code": 400,
                    "metadata": {"raw": '{"error":"prompt is too long: 9 > 8"}'},
                }
            },
            "CONTEXT_TOO_LONG",
        ),
        # Other shapes.
        (401, {"detail": "Invalid API Key"}, "CREDENTIALS"),
        (422, {"detail": [{"loc": ["body"], "msg": "required"}]}, "UNSUPPORTED"),
        (400, [google(400, "input is too long", "INVALID")], "CONTEXT_TOO_LONG"),
        (
            404,
            {
                "object": "error",
                "message": "The model `x` does not exist.",
                "code": 404,
            },
            "MODEL_NOT_FOUND",
        ),
        (401, b"\xef\xbb\xbf\r\n" + json.dumps(openai("No")).encode(), "CREDENTIALS"),
        (429, b'{"error":{"message":"\\ud83d rate limit \xff"}}', "RATE_LIMITED"),
        # A 200 may hold any error.
        (200, openai("Rate limit exceeded", 429), "RATE_LIMITED"),
        (200, openai("Provider disconnected", 502), "PROVIDER_ERROR"),
        (200, openai("Bad", None, "invalid_request_error"), "UNSUPPORTED"),
        (200, openai("Bad", "own_code", "invalid_request_error"), "UNSUPPORTED"),
        (200, {"type": "error", "error": {"type": "overloaded_error"}}, "OVERLOADED"),
        (200, {"error": {"message": "No", "status": 400}}, "UNSUPPORTED"),
        (200, {"error": google(503, "?", "UNAVAILABLE")}, "OVERLOADED"),
        (200, google(503, "?", "UNAVAILABLE"), "OVERLOADED"),
        (
            200,
            {
                "type": "response.failed",
                "response": {"error": {"code": "rate_limit_exceeded", "message": ""}},
            },
            "RATE_LIMITED",
        ),
    ],
)
def test_the_body_decides_first(status: int, body: object, expected: str) -> None:
    """What the body says outweighs the status that it came with."""
    assert expected == reason(status, body)


@pytest.mark.rule("8.2")
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, "PROVIDER_ERROR"),
        (400, "UNSUPPORTED"),
        (401, "CREDENTIALS"),
        (402, "QUOTA_EXHAUSTED"),
        (403, "PROVIDER_ERROR"),
        (404, "PROVIDER_ERROR"),
        (405, "PROVIDER_ERROR"),
        (407, "PROVIDER_ERROR"),
        (408, "TIMEOUT"),
        (409, "PROVIDER_ERROR"),
        (413, "CONTEXT_TOO_LONG"),
        (422, "UNSUPPORTED"),
        (429, "RATE_LIMITED"),
        (498, "OVERLOADED"),
        (499, "PROVIDER_ERROR"),
        (500, "PROVIDER_ERROR"),
        (502, "PROVIDER_ERROR"),
        (503, "OVERLOADED"),
        (504, "TIMEOUT"),
        (524, "PROVIDER_ERROR"),
        (529, "OVERLOADED"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>no such model</html>", b"\xff{", b"[]"])
def test_the_status_decides_where_the_body_says_nothing(
    status: int, expected: str, body: bytes
) -> None:
    """Without words that are known only a 401 ends the call."""
    assert expected == reason(status, body)


@pytest.mark.rule("8.2")
def test_a_404_is_about_the_model_only_if_its_body_speaks_of_one() -> None:
    """A wrong address answers 404 too."""
    words = ["Not Found", "No such model, I fear", "Which model, please?", "modelled"]

    assert [reason(404, openai(said)) for said in words] == [
        "PROVIDER_ERROR",
        "MODEL_NOT_FOUND",
        "MODEL_NOT_FOUND",
        "PROVIDER_ERROR",
    ]


@pytest.mark.rule("8.3")
def test_the_delay_is_in_the_failure() -> None:
    """By header for a status that may pass, by RetryInfo wherever it is written."""
    limited = google(429, "x", "RESOURCE_EXHAUSTED", RETRY_INFO)
    data = json.dumps(limited).encode()

    delays = [
        classify(429, {"retry-after": "9"}, data).retry_delay,
        classify(429, {}, data).retry_delay,
        classify(200, {"retry-after": "9"}, data).retry_delay,
        classify(400, {"retry-after": "9"}, b"").retry_delay,
    ]
    assert delays == [9.0, 48.0, 48.0, None]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (openai("x", "insufficient_quota", "insufficient_quota"), "insufficient_quota"),
        (openai("x", None, "server_error"), "server_error"),
        (openai("x", 401, "invalid_api_key"), "invalid_api_key"),
        (openai("x", 503), "503"),
        (openai("x", "1300", "rate_limited"), "1300"),
        (openai("x", "prose with spaces"), ""),
        (openai("x", "sk-proj-abcdefghijklmnop"), ""),
        (openai("x", code=True), ""),
        ({"error": SPEND_LIMIT}, "enforced_spend_limit_reached"),
        ({"error": FILTERED}, "ResponsibleAIPolicyViolation"),
    ],
)
def test_the_provider_s_code(body: object, code: str) -> None:
    """The most specific code is kept as it was sent, if it is a code at all."""
    assert code == classify(400, {}, json.dumps(body).encode()).code


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-AbCdEf0123456789_xyz-ABC",
        "Bearer abc.def-123",
        "gsk_abcdefghijklmnopqrstuvwxyz012345",
        "AIzaSyA-0123456789abcdefghijklmnopqrstu",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.s5Cx_-abc",
        "0123456789abcdef0123456789abcdef",
        "bad-key-**********test",
        "6f9619ff-8b86-d011-b42d-00c04fc964ff",
    ],
)
def test_keys_are_masked(secret: str) -> None:
    """A provider that quotes a key back does not make us pass it on."""
    body = openai(f"Incorrect API key provided: {secret}. See the docs.")
    message = classify(401, {}, json.dumps(body).encode()).message

    assert message == "Incorrect API key provided: ***. See the docs."


@given(words=st.text("ab é😀\n\t.", max_size=400))
def test_messages_are_one_short_line(words: str) -> None:
    """At most 200 bytes, on one line, cut between characters."""
    message = classify(400, {}, json.dumps(openai(words)).encode()).message

    assert len(message.encode()) <= 200
    assert not re.search(r"[\n\t]", message)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text("abc xyz{}\ud83d\x00é", max_size=20),
    st.sampled_from(["model", "429", "400", "PerDay", "48s", "1300", "not_found"]),
)
KEYS = st.sampled_from(
    [
        *("error", "message", "type", "code", "status", "status_code", "detail"),
        *("details", "metadata", "raw", "innererror", "msg", "response", "@type"),
        *("retryDelay", "violations", "quotaId", "reason", "error_code", "object"),
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)
BODIES = st.one_of(st.binary(max_size=60), VALUES.map(lambda v: json.dumps(v).encode()))


@pytest.mark.rule("8.1", "8.2")
@given(status=st.integers(100, 599), body=BODIES)
def test_total(status: int, body: bytes) -> None:
    """Every status with every body has a reason, and saying it never raises."""
    failure = classify(status, {}, body)

    assert failure.reason in TRANSIENT | PERMANENT
    assert failure.message
    assert len(failure.message.encode()) <= 200


@pytest.mark.rule("8.2")
@given(status=st.sampled_from([400, 422]), body=BODIES)
def test_a_refused_request_is_not_sent_again(status: int, body: bytes) -> None:
    """A 400 or 422 is permanent, but for want of money and for a bad sample."""
    assert classify(status, {}, body).reason in PERMANENT


@pytest.mark.rule("8.2")
@given(status=st.integers(500, 599), body=st.binary(max_size=60))
def test_5xx_is_transient(status: int, body: bytes) -> None:
    """A server's own failure may pass."""
    assert classify(status, {}, body).reason in TRANSIENT


def test_a_deep_body_is_no_trouble() -> None:
    """Nesting beyond any parser's depth reads as no API error."""
    deep = b'{"error":' * 50_000

    assert reason(400, deep) == "UNSUPPORTED"


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (500, b'{"error":{"message":"it broke"}}', "it broke"),
        (500, b'{"error":{"code":"x"}}', "HTTP 500 with no API error in its body"),
        (502, b"<html>", "HTTP 502 with no API error in its body"),
        (400, b"<html>", "HTTP 400 with no API error in its body"),
        (502, b"", "HTTP 502 with an empty body"),
        (200, b"<html>", "an error within the answer"),
        (399, b"", "an error within the answer"),
    ],
)
def test_what_is_said(status: int, body: bytes, message: str) -> None:
    """The provider's words, or what there was in their place."""
    assert message == classify(status, {}, body).message


PER_DAY = {"quotaId": "GenerateRequestsPerDayPerProject"}


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ([5, {"violations": 3}, {"violations": [7, PER_DAY]}], "QUOTA_EXHAUSTED"),
        ([{"violations": [{}, PER_DAY]}], "QUOTA_EXHAUSTED"),
        ([{}, {"violations": [{"quotaId": "PerMinute"}]}], "RATE_LIMITED"),
        ([{"violations": {"quotaId": "PerDay"}}], "RATE_LIMITED"),
        ([{"other": [PER_DAY]}], "RATE_LIMITED"),
        ([{"violations": [{"other": "PerDay"}]}], "RATE_LIMITED"),
    ],
)
def test_quotas_of_a_day(details: list[object], expected: str) -> None:
    """Only a violation of a quota of a day is for long; nonsense is passed over."""
    assert expected == reason(429, google(429, "m", "RESOURCE_EXHAUSTED", *details))


@pytest.mark.rule("8.4")
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # What is quoted is the request's own, and so is what is at any other key.
        (openai("Unknown tool 'insufficient balance'"), "UNSUPPORTED"),
        (openai('No "invalid api key" in enum'), "UNSUPPORTED"),
        (
            {"error": {"message": "No."}, "input": "Incorrect API key provided"},
            "UNSUPPORTED",
        ),
        (
            {"detail": [{"loc": ["body"], "msg": "No.", "input": "content policy"}]},
            "UNSUPPORTED",
        ),
        (openai("tools.0.api_key: the schema is invalid"), "UNSUPPORTED"),
        (openai("Web search is disabled for your organization"), "UNSUPPORTED"),
        # Words of its own.
        (b"prompt is too long: 9000 tokens > 8000", "CONTEXT_TOO_LONG"),
        (b'"Incorrect API key provided"', "CREDENTIALS"),
        (b'event: error\ndata: {"error":"prompt too long"}\n\n', "CONTEXT_TOO_LONG"),
        (b": hello\n\ndata: {}\n\n", "UNSUPPORTED"),
        (
            {"error": {"message": "No.", "param": "context of 9000 tokens, not 8000"}},
            "CONTEXT_TOO_LONG",
        ),
        (
            {"errors": [{"message": "prompt too long", "code": 5021}]},
            "CONTEXT_TOO_LONG",
        ),
    ],
)
def test_what_is_read(body: object, expected: str) -> None:
    """All that a server says, and nothing that a caller made it repeat."""
    assert expected == reason(400, body)


@pytest.mark.rule("8.1")
@pytest.mark.parametrize("status", [200, 400, 413, 422, 500, 502])
@pytest.mark.parametrize(
    "words",
    [
        "We take 200000 tokens, and these are 300001.",
        "Sequence length 40000 is beyond 32768.",
        "Too much text: 90,000 tokens, at most 8,192.",
        "The prompt does not fit into the context.",
        "Your history is longer than the window of this model.",
    ],
)
def test_an_overlong_prompt_in_any_words(status: int, words: str) -> None:
    """Nobody's sentence, under any status: two numbers, or words for too much."""
    assert reason(status, {"error": {"message": words}}) == "CONTEXT_TOO_LONG"


@pytest.mark.rule("8.1")
@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        (429, "Too many tokens, please wait before trying again.", "RATE_LIMITED"),
        (429, "Over 40000 input tokens per minute, of 50000.", "RATE_LIMITED"),
        (400, "max_tokens: 100000 > 64000, the most for this model", "UNSUPPORTED"),
        (500, "context deadline exceeded", "PROVIDER_ERROR"),
        (400, "image exceeds 5 MB: 7018984 bytes > 5242880 bytes", "UNSUPPORTED"),
    ],
)
def test_what_is_no_overlong_prompt(status: int, words: str, expected: str) -> None:
    """A pace, the length of an answer, and sizes of other things."""
    assert expected == reason(status, {"error": {"message": words}})


@pytest.mark.rule("8.5")
@pytest.mark.parametrize(
    ("headers", "words", "expected"),
    [
        ({}, "You have used up your five-hour allowance.", "QUOTA_EXHAUSTED"),
        ({}, "Requests per day: 50 of 50", "QUOTA_EXHAUSTED"),
        ({}, "Too fast. Retry after 7200 seconds.", "QUOTA_EXHAUSTED"),
        ({}, "Too fast. Retry after 3600 seconds.", "RATE_LIMITED"),
        ({"retry-after": "86400"}, "Too fast.", "RATE_LIMITED"),
        ({}, "The limit is 9 requests per minute.", "RATE_LIMITED"),
    ],
)
def test_a_window_that_is_used_up(
    headers: dict[str, str], words: str, expected: str
) -> None:
    """It is no rate: by its words, or by how long they say that it lasts."""
    assert expected == reason(429, {"error": {"message": words}}, headers)


@pytest.mark.rule("8.6")
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_sample_that_went_wrong(status: int) -> None:
    """By the code of one vendor, and by the words of others."""
    said: list[object] = [
        openai("Failed to call a function.", "tool_use_failed"),
        {"error": "error parsing tool call: invalid character"},
        {"message": "The model produced an invalid tool call."},
    ]

    assert [reason(status, body) for body in said] == ["MALFORMED_RESPONSE"] * 3


@pytest.mark.rule("8.2")
def test_a_gateway_s_500_around_a_400_is_a_400() -> None:
    """The gateway is not at fault; neither has it reported what is."""
    refused = {"error": {"message": "No.", "code": 400}}
    body = {"error": {"message": json.dumps(refused), "code": 500}}

    assert [reason(502, body), reason(502, openai("No."))] == [
        "UNSUPPORTED",
        "PROVIDER_ERROR",
    ]


@pytest.mark.rule("8.3")
def test_a_moment_is_settled_by_a_clock() -> None:
    """Where the response has no Date, no matter who has a clock measures the wait."""
    body = {"error": {"message": "Resets at 2026-11-23T10:01:00Z", "code": 429}}
    data = json.dumps(body).encode()
    waits = []
    for now in (
        datetime(2026, 11, 23, 10, tzinfo=UTC),
        datetime(2027, 1, 1, tzinfo=UTC),
    ):
        failure = classify(200, {}, data)
        waits.append(failure.retry_delay)
        failure.settle(now)
        waits.append(failure.retry_delay)

    assert waits == [None, 60.0, None, None]
