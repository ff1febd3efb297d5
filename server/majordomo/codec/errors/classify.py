"""Why a provider's answer is a failure (rules 8.1 to 8.6).

The body decides first and the status second, for the same status carries opposite
meanings: a 429 may mean that there is no money, a 400 a bad key or a missing model,
a 500 an overlong prompt, and a 200 may hold any error. Within the body a code that
means one thing only wins over the words, and the words over a code that means many.
What the codes and words mean is data: see families.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache, lru_cache
from typing import NamedTuple

from majordomo.chain.failure import PERMANENT, Failure
from majordomo.codec.errors.body import ErrorBody, parse_any, scrub, unquoted
from majordomo.codec.errors.families import FAMILIES, OUTPUT, Family
from majordomo.codec.errors.retry_delay import retry_delay
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONTEXT_TOO_LONG,
    FAILURE_REASON_CREDENTIALS,
    FAILURE_REASON_INVALID_REQUEST,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_MODEL_NOT_FOUND,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_PROVIDER_ERROR,
    FAILURE_REASON_QUOTA_EXHAUSTED,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_TIMEOUT,
    FAILURE_REASON_UNSUPPORTED,
    FailureReason,
)

_WINDOW = 3600.0
"""Seconds; a limit of which the body says more is a plan's window, not a rate."""

_STATUS_OF_CODE = {
    "invalidrequesterror": 400,
    "badrequesterror": 400,
    "invalidargument": 400,
    "failedprecondition": 400,
    "validationexception": 400,
    "notfounderror": 404,
    "notfound": 404,
    "resourceexhausted": 429,
    "servererror": 500,
    "apierror": 500,
    "internal": 500,
}
"""The status that stands behind a code, for errors that come without one."""

_STATUSES = {
    400: FAILURE_REASON_UNSUPPORTED,
    401: FAILURE_REASON_CREDENTIALS,
    402: FAILURE_REASON_QUOTA_EXHAUSTED,
    408: FAILURE_REASON_TIMEOUT,
    413: FAILURE_REASON_CONTEXT_TOO_LONG,
    422: FAILURE_REASON_UNSUPPORTED,
    429: FAILURE_REASON_RATE_LIMITED,
    498: FAILURE_REASON_OVERLOADED,
    503: FAILURE_REASON_OVERLOADED,
    504: FAILURE_REASON_TIMEOUT,
    529: FAILURE_REASON_OVERLOADED,
}
"""What a status means where the body says nothing that is known; the others that
are no success mean PROVIDER_ERROR."""

_LIMIT = re.compile(r"limit:? ~?([0-9]+)[^\n]{0,40}?requested:? ~?([0-9]+)")
_NUMBER = re.compile(
    r"(?<![\w./-])(?:[0-9]{1,3}(?:[,_][0-9]{3})+|[0-9]{3,})(?![\w/-]|\.[0-9])"
)
_MODEL = re.compile(r"\b(?:models?|deployment)\b")
_SENTENCE = re.compile(r"[.!?;](?:\s|$)|\n")


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure that a response is. Total: never raises.

    `headers` has lower-case names. `body` may also be an error out of a response
    with a good `status`: a whole body, or one event of a stream.
    """
    error = parse_any(body) or ErrorBody()
    codes = (*_header_code(headers), *error.codes)
    wait = retry_delay(status, headers, error)
    delay = None if isinstance(wait, datetime) else wait
    reason = _reason(_status(status, error, codes), error, codes)
    if reason == FAILURE_REASON_RATE_LIMITED and _for_long(error):
        reason = FAILURE_REASON_QUOTA_EXHAUSTED
    lasting = reason in PERMANENT
    return Failure(
        reason,
        _message(status, error, body),
        code=_code(codes),
        retry_delay=None if lasting else delay,
        reset_time=wait if isinstance(wait, datetime) and not lasting else None,
    )


def _for_long(error: ErrorBody) -> bool:
    reported = retry_delay(0, {}, error)
    return isinstance(reported, float) and reported > _WINDOW


def _header_code(headers: Mapping[str, str]) -> Iterator[str]:
    """AWS names the exception in a header, before a colon."""
    name = headers.get("x-amzn-errortype", "").partition(":")[0]
    if name.isascii() and name.isalnum():
        yield name


def _status(status: int, error: ErrorBody, codes: tuple[str, ...]) -> int:
    """The status of the refusal itself, 0 if nobody says it.

    A gateway may answer 200 or 500 for what was a 400 behind it.
    """
    if status < 400:
        known = (_STATUS_OF_CODE.get(name, 0) for name in _names(codes))
        return error.status or next(filter(None, known), 0)
    if status >= 500 and 400 <= error.status < 500:
        return error.status
    return status


def _reason(status: int, error: ErrorBody, codes: tuple[str, ...]) -> FailureReason:
    texts = [unquoted(text) for text in error.texts]
    if " " in error.param:
        texts.append(unquoted(error.param))
    for reason in _said(error, codes, texts):
        if _plausible(reason, status):
            return reason
    if status in (404, 410) and any(map(_MODEL.search, texts)):
        return FAILURE_REASON_MODEL_NOT_FOUND
    return _STATUSES.get(status, FAILURE_REASON_PROVIDER_ERROR)


def _said(
    error: ErrorBody, codes: tuple[str, ...], texts: list[str]
) -> Iterator[FailureReason]:
    """What the body says the reason is, the most telling first."""
    if any(map(_beyond_the_limit, texts)):
        # More than a whole minute allows: a wait never helps, another target may.
        yield FAILURE_REASON_CONTEXT_TOO_LONG
    if any("PerDay" in quota for quota in _quotas(error)):
        yield FAILURE_REASON_QUOTA_EXHAUSTED
    if "RESOURCE_EXHAUSTED" in codes and _has_retry_info(error):
        yield FAILURE_REASON_RATE_LIMITED
    narrow, wide = _code_tables()
    names = list(_names(codes))
    yield from (narrow[name] for name in names if name in narrow)
    for text in texts:
        yield from _told_by(text)
    yield from (wide[name] for name in names if name in wide)


def _plausible(reason: FailureReason, status: int) -> bool:
    """Whether `status` lets the body mean `reason`."""
    if status in (400, 422):
        # The request was refused: sent again it is refused again, unless it was
        # for the want of money, or the model's own fault.
        return reason in PERMANENT or reason in (
            FAILURE_REASON_QUOTA_EXHAUSTED,
            FAILURE_REASON_MALFORMED_RESPONSE,
        )
    if reason == FAILURE_REASON_INVALID_REQUEST:
        return status in (0, 413, 415)
    if reason == FAILURE_REASON_TIMEOUT:
        return status in (0, 408) or status >= 500
    # A 5xx may pass, whatever was not found or accepted at the moment.
    return status < 500 or reason not in (
        FAILURE_REASON_MODEL_NOT_FOUND,
        FAILURE_REASON_CREDENTIALS,
    )


class _Known(NamedTuple):
    """A family, ready to be looked for."""

    family: Family
    says: re.Pattern[str] | None
    beside: list[tuple[re.Pattern[str], re.Pattern[str]]]
    unless: re.Pattern[str] | None

    @property
    def reason(self) -> FailureReason:
        return self.family.reason

    def fits(self, text: str) -> bool:
        """Whether `text`, in lower case and without quotes, is of this family."""
        if self.unless and self.unless.search(text):
            return False
        if self.says and self.says.search(text):
            return True
        if self.family.counts and _counts(self.family.counts, text):
            return True
        return any(
            one.search(sentence) and other.search(sentence)
            for sentence in _SENTENCE.split(text)
            for one, other in self.beside
        )


@lru_cache(maxsize=512)
def _told_by(text: str) -> tuple[FailureReason, ...]:
    """What the words mean. Kept, for a provider in trouble says the same to all."""
    return tuple(known.reason for known in _families() if known.fits(text))


@cache
def _families() -> list[_Known]:
    return [
        _Known(
            family,
            re.compile("|".join(family.says)) if family.says else None,
            [(re.compile(one), re.compile(other)) for one, other in family.beside],
            re.compile(family.unless) if family.unless else None,
        )
        for family in FAMILIES
    ]


@cache
def _code_tables() -> tuple[dict[str, FailureReason], dict[str, FailureReason]]:
    """Those that mean one thing, and those that words make more precise."""
    narrow = {_bare(c): f.reason for f in FAMILIES for c in f.codes.split()}
    wide = {_bare(c): f.reason for f in FAMILIES for c in f.wide_codes.split()}
    return narrow, wide


def _names(codes: Iterable[str]) -> Iterator[str]:
    """What `codes` may be known by: each as it is, and the parts between its dots."""
    for code in codes:
        yield _bare(code)
        yield from map(_bare, code.split(".")[1:] and code.split("."))


def _bare(code: str) -> str:
    """`code` without what vendors spell differently: case, `_` and `-`."""
    return re.sub(r"[^a-z0-9]", "", code.lower())


def _beyond_the_limit(text: str) -> bool:
    limit = _LIMIT.search(text)
    return limit is not None and int(limit[2]) > int(limit[1])


def _counts(what: str, text: str) -> bool:
    """Whether two numbers stand beside words for `what`, which is not the output."""
    text = OUTPUT.sub(" ", text)
    if not re.search(what, text):
        return False
    return len({re.sub(r"\D", "", number) for number in _NUMBER.findall(text)}) > 1


def _has_retry_info(error: ErrorBody) -> bool:
    kinds = (str(entry.get("@type", "")) for entry in _mappings(error.details))
    return any(kind.endswith("google.rpc.RetryInfo") for kind in kinds)


def _quotas(error: ErrorBody) -> Iterator[str]:
    """The names of the quotas in Google's QuotaFailure and ErrorInfo."""
    for detail in _mappings(error.details):
        for violation in _mappings(detail.get("violations")):
            yield str(violation.get("quotaId", ""))
        for metadata in _mappings((detail.get("metadata"),)):
            yield str(metadata.get("quota_limit", ""))


def _mappings(values: object) -> Iterator[dict[str, object]]:
    entries = values if isinstance(values, list | tuple) else ()
    return (value for value in entries if isinstance(value, dict))


def _message(status: int, error: ErrorBody, body: bytes) -> str:
    if error.message:
        return scrub(error.message)
    if status < 400:
        return "an error within the answer"
    return f"HTTP {status} with {'no API error in its' if body else 'an empty'} body"


def _code(codes: tuple[str, ...]) -> str:
    """The provider's own code; a number only where there is nothing better."""
    reported = [code for code in codes if scrub(code) == code]
    named = (code for code in reported if not (code.isdigit() and len(code) == 3))
    return next(named, reported[0] if reported else "")
