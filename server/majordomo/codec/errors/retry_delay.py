"""How long a provider asks callers to stay away (rule 8.3).

Providers say it in milliseconds, seconds, as a date, as a Go duration, as a
google.rpc.RetryInfo, in fields beside the error, or in its words; what cannot be read
is as if it had not been reported.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from majordomo.codec.errors.body import ErrorBody, unquoted
from majordomo.durations import parse_go

_LONGEST = 366 * 24 * 3600.0
"""Seconds; a longer delay is a mistake or an epoch, not a delay."""

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
_SECOND_FIELDS = (
    *("resets_in_seconds", "reset_in_seconds", "retry_after_seconds", "retry_after"),
    *("retryAfter", "retryDelay", "retry_delay"),
)
_MOMENT_FIELDS = ("resets_at", "reset_at", "resetsAt", "reset_time", "resetTime")

_CUE = r"(?:again|retry|reset\w*|wait|available|refresh\w*|renew\w*|regain\w*)"
_UNIT = (
    r"(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d"
    r"|weeks?|w)"
)
_WORDED = re.compile(
    rf"\b{_CUE}\b[^.\n]{{0,24}}?\b(?:in|after|for|within)?\s*"
    rf"((?:[0-9]+(?:\.[0-9]+)?\s*{_UNIT}(?![a-z])[\s,]*(?:and\s+)?)+)",
    re.IGNORECASE,
)
_WORDED_UNIT = re.compile(rf"([0-9]+(?:\.[0-9]+)?)\s*({_UNIT})(?![a-z])", re.IGNORECASE)
_UNIT_SECONDS = {"mi": 60, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "s": 1}
_DATED = re.compile(
    rf"(?:\b(?:{_CUE}|until|on)\b|将在)[^\n]{{0,40}}?"
    r"\b(20[0-9]{2}-[0-9]{2}-[0-9]{2})(?:T| at | )"
    r"([0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:\.[0-9]{1,6})?)"
    r"\s?(Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})?",
    re.IGNORECASE,
)


def retry_delay(
    status: int, headers: Mapping[str, str], error: ErrorBody
) -> float | datetime | None:
    """Seconds to stay away after a failure with `status`, None if not given.

    Or the moment until which to stay away, where the response has no Date that it
    could be measured from. `headers` has lower-case names; they are read only where
    they speak of the failure, for providers send them with other answers too.
    """
    date = _http_date(headers.get("date", ""))
    for said in _reported(status, headers, error):
        delay = _since(said, date) if isinstance(said, datetime) else said
        if delay is not None:
            return delay
    return None


def _reported(
    status: int, headers: Mapping[str, str], error: ErrorBody
) -> Iterator[float | datetime | None]:
    """What is reported of it, the most telling first."""
    if status in (408, 409, 429) or status >= 500:
        yield from _retry_after(headers)
        if status == 429:
            yield _last(_ran_out(headers))
    yield _retry_info(error.details)
    yield from (_duration(error.fields.get(name)) for name in _SECOND_FIELDS)
    yield from (_moment(error.fields.get(name)) for name in _MOMENT_FIELDS)
    yield from _retry_after(error.headers)
    yield _last(_ran_out(error.headers))
    for text in map(unquoted, error.texts):
        yield _dated(text)
        yield _worded(text)


def _retry_after(headers: Mapping[str, str]) -> Iterator[float | datetime | None]:
    """What retry-after-ms or retry-after says (RFC 9110, section 10.2.3)."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        yield _sane(milliseconds / 1000)
    value = headers.get("retry-after", "")
    delay = _number(value)
    yield _sane(delay) if delay is not None else _http_date(value)


def _ran_out(headers: Mapping[str, str]) -> Iterator[float | datetime | None]:
    """When each limit that is used up is there again."""
    for name, value in headers.items():
        if name.startswith("anthropic-ratelimit-") and name.endswith("-reset"):
            remaining = f"{name.removesuffix('-reset')}-remaining"
            reset: float | datetime | None = _rfc_3339(value)
        elif name.startswith("x-ratelimit-reset"):
            remaining = name.replace("-reset", "-remaining", 1)
            reset = _duration(value) if _moment(value) is None else _moment(value)
        else:
            continue
        if headers.get(remaining, "").strip() == "0":
            yield reset


def _last(resets: Iterable[float | datetime | None]) -> float | datetime | None:
    """The longest delay, or else the last moment."""
    reported = list(resets)
    delays = [reset for reset in reported if isinstance(reset, float)]
    moments = [reset for reset in reported if isinstance(reset, datetime)]
    return max(delays, default=None) if delays else max(moments, default=None)


def _retry_info(details: Iterable[object]) -> float | None:
    for detail in details:
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith(
            "google.rpc.RetryInfo"
        ):
            return _go_duration(str(detail.get("retryDelay", "")))
    return None


def _duration(value: object) -> float | None:
    """A number of seconds, or a Go duration."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _sane(value)
    text = value if isinstance(value, str) else ""
    number = _number(text)
    return _sane(number) if number is not None else _go_duration(text)


def _moment(value: object) -> datetime | None:
    """An epoch in seconds or milliseconds, or a date."""
    number = value if isinstance(value, int | float) else _number(str(value))
    if number is None or isinstance(value, bool):
        return _rfc_3339(value) if isinstance(value, str) else None
    if 1e12 <= number < 1e14:
        number /= 1000
    return datetime.fromtimestamp(number, UTC) if 1e9 <= number < 1e11 else None


def _worded(text: str) -> float | None:
    """A duration in words: "try again in 6m0s", "resets in 3 hours"."""
    said = _WORDED.search(text)
    if said is None:
        return None
    parts = _WORDED_UNIT.findall(said[1])
    return _sane(sum(float(number) * _unit(unit.lower()) for number, unit in parts))


def _unit(name: str) -> float:
    if name.startswith(("ms", "milli")):
        return 1e-3
    return _UNIT_SECONDS[name[0]]


def _dated(text: str) -> datetime | None:
    """A moment in words: "will reset at 2026-09-09 05:38:28"; UTC where no zone is."""
    said = _DATED.search(text)
    if said is None:
        return None
    zone = (said[3] or "Z").upper().replace("UTC", "Z").replace("GMT", "Z")
    return _rfc_3339(f"{said[1]}T{said[2]}{zone}")


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _go_duration(text: str) -> float | None:
    try:
        return _sane(parse_go(text.strip()))
    except ValueError:
        return None


def _sane(delay: float) -> float | None:
    return float(delay) if 0 <= delay <= _LONGEST else None


def _since(then: datetime, date: datetime | None) -> float | datetime | None:
    """From `date`, or `then` itself where there is none; None if it is past."""
    if date is None:
        return then
    delay = (then - date).total_seconds()
    return min(delay, _LONGEST) if delay >= 0 else None


def _http_date(text: str) -> datetime | None:
    try:
        return _aware(parsedate_to_datetime(text))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _rfc_3339(text: str) -> datetime | None:
    try:
        return _aware(datetime.fromisoformat(text.strip()))
    except ValueError:
        return None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
