"""How long a provider asks callers to stay away (rule 8.3).

Providers say it in milliseconds, seconds, as a date, as a Go duration or as a
google.rpc.RetryInfo; what cannot be read is as if it had not been said.
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_LONGEST = 366 * 24 * 3600.0
"""Seconds; a longer delay is a mistake or an epoch, not a delay."""

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
_GO_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?(?:h|ms|m|s|us|µs|ns))+")
_GO_UNIT = re.compile(r"([0-9.]+)(h|ms|m|s|us|µs|ns)")
_SECONDS = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def retry_delay(
    status: int, headers: Mapping[str, str], details: Iterable[object] = ()
) -> float | None:
    """Seconds to stay away after a failure with `status`, None if not said.

    `headers` has lower-case names; they are read only where they speak of the
    failure, for providers send them with other answers too. `details` are those
    of a google.rpc.Status, parsed.
    """
    if status in (408, 409, 429) or status >= 500:
        delay = _retry_after(headers)
        if delay is None and status == 429:
            delay = _ran_out(headers)
        if delay is not None:
            return delay
    return _retry_info(details)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """What retry-after-ms or retry-after says (RFC 9110, section 10.2.3)."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return _sane(milliseconds / 1000)
    value = headers.get("retry-after")
    if value is None:
        return None
    delay = _number(value)
    if delay is not None:
        return _sane(delay)
    return _between(_response_date(headers), _http_date(value))


def _ran_out(headers: Mapping[str, str]) -> float | None:
    """When the limits that are used up are there again; the last of them."""
    delays = []
    for name, value in headers.items():
        if name.startswith("anthropic-ratelimit-") and name.endswith("-reset"):
            remaining = f"{name.removesuffix('-reset')}-remaining"
            delay = _between(_response_date(headers), _rfc_3339(value))
        elif name.startswith("x-ratelimit-reset-"):
            remaining = name.replace("-reset-", "-remaining-", 1)
            delay = _go_duration(value)
        else:
            continue
        if delay is not None and headers.get(remaining, "").strip() == "0":
            delays.append(delay)
    return max(delays, default=None)


def _retry_info(details: Iterable[object]) -> float | None:
    for detail in details:
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith(
            "google.rpc.RetryInfo"
        ):
            return _go_duration(str(detail.get("retryDelay", "")))
    return None


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _go_duration(text: str) -> float | None:
    """A duration as Go's time.Duration prints it: "1h2m", "59.56s", "120ms"."""
    text = text.strip()
    if not _GO_DURATION.fullmatch(text):
        return None
    try:
        return _sane(
            sum(float(n) * _SECONDS[unit] for n, unit in _GO_UNIT.findall(text))
        )
    except ValueError:
        return None


def _sane(delay: float) -> float | None:
    return delay if math.isfinite(delay) and 0 <= delay <= _LONGEST else None


def _between(now: datetime | None, then: datetime | None) -> float | None:
    if now is None or then is None:
        return None
    return _sane((then - now).total_seconds())


def _response_date(headers: Mapping[str, str]) -> datetime | None:
    return _http_date(headers.get("date", ""))


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
