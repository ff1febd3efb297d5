"""How long providers ask callers to stay away, in every form that they use."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo.codec.errors.body import ErrorBody
from majordomo.codec.errors.retry_delay import retry_delay

DATE = "Mon, 23 Nov 2026 10:00:00 GMT"
NOTHING = ErrorBody()
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48s"}


@pytest.mark.rule("8.3")
@pytest.mark.parametrize(
    ("headers", "delay"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "0", "retry-after": "1"}, 0.0),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.25 "}, 0.25),
        ({"retry-after": "Mon, 23 Nov 2026 10:01:30 GMT", "date": DATE}, 90.0),
        ({"retry-after": "Monday, 23-Nov-26 10:00:05 GMT", "date": DATE}, 5.0),
        ({"retry-after": "Mon Nov 23 10:00:09 2026", "date": DATE}, 9.0),
        (
            {
                "date": DATE,
                "anthropic-ratelimit-requests-remaining": "12",
                "anthropic-ratelimit-requests-reset": "2026-11-23T10:30:00Z",
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-11-23T10:00:42Z",
            },
            42.0,
        ),
        (
            {
                "x-ratelimit-remaining-requests": "9",
                "x-ratelimit-reset-requests": "1h2m",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "2m59.56s",
            },
            179.56,
        ),
        (
            {
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "644ms",
            },
            0.644,
        ),
    ],
)
def test_every_form_is_read(headers: dict[str, str], delay: float) -> None:
    """Milliseconds, seconds, all three HTTP dates, RFC 3339 and Go durations."""
    assert delay == pytest.approx(retry_delay(429, headers, NOTHING))


@pytest.mark.rule("8.3")
def test_the_order_of_the_forms() -> None:
    """A header that says it outright wins over what ran out, and that over a body."""
    headers = {
        "retry-after-ms": "1",
        "retry-after": "2",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "3s",
    }
    seen = []
    for name in ("retry-after-ms", "retry-after", "x-ratelimit-reset-tokens"):
        seen.append(retry_delay(429, headers, ErrorBody(details=(RETRY_INFO,))))
        del headers[name]
    seen.append(retry_delay(429, headers, ErrorBody(details=(RETRY_INFO,))))

    assert seen == [0.001, 2.0, 3.0, 48.0]


@pytest.mark.rule("8.3")
@pytest.mark.parametrize(
    "value",
    [
        *("", "soon", "-1", "-0.5", "nan", "NaN", "inf", "Infinity", "-inf", "1e9"),
        *("1_000", "٣", "0x10", "9" * 400, "1.2.3", "1787150054000", "\x00"),
        *("Mon, 99 Nov 2026 10:00:00 GMT", "Mon, 23 Nov 2020 10:00:00 GMT"),
        "Mon, 23 Nov 99999 10:00:00 GMT",
    ],
)
def test_what_is_no_delay_is_ignored(value: str) -> None:
    """Garbage, negatives, NaN, infinity, the past and absurd waits say nothing."""
    headers = {
        "date": DATE,
        "retry-after-ms": value,
        "retry-after": value,
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": value,
        "anthropic-ratelimit-tokens-remaining": "0",
        "anthropic-ratelimit-tokens-reset": value,
    }
    details = ({**RETRY_INFO, "retryDelay": value}, None, "RetryInfo")
    fields = {"retry_after": value, "resets_in_seconds": value, "resets_at": value}
    error = ErrorBody(details=details, fields=dict(fields), headers=headers)

    assert retry_delay(429, headers, error) is None


@pytest.mark.rule("8.3")
def test_a_date_without_the_response_s_own_stays_a_date() -> None:
    """Who has a clock measures it."""
    at = datetime(2026, 11, 23, 10, tzinfo=UTC)

    assert at == retry_delay(429, {"retry-after": DATE}, NOTHING)


@pytest.mark.rule("8.3")
@pytest.mark.parametrize("status", [200, 400, 401, 402, 404, 422])
def test_read_on_failures_that_may_pass_only(status: int) -> None:
    """Providers send Retry-After with other answers too; there it says nothing."""
    headers = {"retry-after": "61", "retry-after-ms": "5"}

    assert retry_delay(status, headers, NOTHING) is None


@pytest.mark.rule("8.3")
def test_a_limit_s_reset_speaks_only_of_rate_limits() -> None:
    """Every answer carries resets; a 500 with one is no reason to stay away."""
    headers = {
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "30s",
    }

    delays = [retry_delay(status, headers, NOTHING) for status in (500, 429)]
    assert delays == [None, 30.0]


@pytest.mark.rule("8.3")
@given(
    headers=st.dictionaries(
        st.sampled_from(
            [
                "date",
                "retry-after",
                "retry-after-ms",
                "x-ratelimit-reset-tokens",
                "x-ratelimit-remaining-tokens",
                "anthropic-ratelimit-tokens-reset",
                "anthropic-ratelimit-tokens-remaining",
            ]
        ),
        st.one_of(
            st.text("0123456789.-+:,hmsuTZ GMNaeonv\x00é", max_size=30),
            st.sampled_from(["0", DATE, "2026-11-23T10:30:00Z", "1h", "1.s2"]),
        ),
    ),
    status=st.integers(0, 999),
)
def test_total(headers: dict[str, str], status: int) -> None:
    """Whatever the headers say, the result is None or a number that can be slept."""
    delay = retry_delay(status, headers, NOTHING)

    assert (
        delay is None
        or isinstance(delay, datetime)
        or (math.isfinite(delay) and delay >= 0)
    )


@pytest.mark.rule("8.3")
@pytest.mark.parametrize(
    ("error", "delay"),
    [
        (ErrorBody(fields={"resets_in_seconds": 13872}), 13872.0),
        (ErrorBody(fields={"retry_after": "2.5"}), 2.5),
        (ErrorBody(fields={"retryDelay": "48s"}), 48.0),
        (ErrorBody(fields={"resets_at": 1795428060}), 60.0),
        (ErrorBody(fields={"resets_at": "1795428060000"}), 60.0),
        (ErrorBody(fields={"reset_time": "2026-11-23T10:01:00Z"}), 60.0),
        (ErrorBody(headers={"retry-after": "7"}), 7.0),
        (
            ErrorBody(
                headers={
                    "x-ratelimit-remaining": "0",
                    "x-ratelimit-reset": "1795428060000",
                }
            ),
            60.0,
        ),
        (ErrorBody(texts=("Please try again in 26.604s. Visit us.",)), 26.604),
        (ErrorBody(texts=("Please try again in 6m0s.",)), 360.0),
        (ErrorBody(texts=("Try again in 4 days 20 hours 9 minutes.",)), 418_140.0),
        (ErrorBody(texts=("Please retry after 8 seconds.",)), 8.0),
        (ErrorBody(texts=("Limit reached (reset after 23s)",)), 23.0),
        (ErrorBody(texts=("please wait 500 ms",)), 0.5),
        (ErrorBody(texts=("It will reset at 2026-11-23 10:01:00",)), 60.0),
        (ErrorBody(texts=("Access again on 2026-11-23 at 10:01 UTC.",)), 60.0),
        (ErrorBody(texts=("resets at 2026-11-23T12:01:00+02:00 (2056)",)), 60.0),
        (ErrorBody(texts=("Resets at 10:00.", "try again in 5s")), 5.0),
        (ErrorBody(texts=("It took 5 s", "9 tokens in 3 seconds")), None),
        (ErrorBody(texts=("'try again in 24h' is no tool",)), None),
        (ErrorBody(texts=("It reset at 2020-01-01 00:00:00",)), None),
    ],
)
def test_what_a_body_says_of_it(error: ErrorBody, delay: float | None) -> None:
    """Fields, headers of the response behind, durations and dates in the words."""
    assert delay == retry_delay(429, {"date": DATE}, error)
