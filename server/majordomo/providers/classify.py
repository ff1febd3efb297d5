"""Why a provider's answer is a failure (rules 8.1 to 8.3).

The body decides first and the status second, for the same status carries opposite
meanings: a 429 may mean that there is no money, a 400 a bad key or a missing model,
a 500 an overlong prompt, and a 200 may hold any error. Within the body a code that
means one thing only wins over the words, and the words over a code that means many.

The tables hold what OpenAI, Anthropic, Google and the servers that follow them were
seen to send, all together, for gateways relay the errors of those behind them.
"""

import re
from collections.abc import Iterator, Mapping

from majordomo.chain.failure import PERMANENT, Failure
from majordomo.providers.error_body import ErrorBody, parse, scrub
from majordomo.providers.retry_delay import retry_delay
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONTENT_REFUSED,
    FAILURE_REASON_CONTEXT_TOO_LONG,
    FAILURE_REASON_CREDENTIALS,
    FAILURE_REASON_INVALID_REQUEST,
    FAILURE_REASON_MODEL_NOT_FOUND,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_PROVIDER_ERROR,
    FAILURE_REASON_QUOTA_EXHAUSTED,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_TIMEOUT,
    FAILURE_REASON_UNSUPPORTED,
    FailureReason,
)


def _by_code(table: dict[FailureReason, str]) -> dict[str, FailureReason]:
    return {code: reason for reason, codes in table.items() for code in codes.split()}


_CODES = _by_code(
    {
        FAILURE_REASON_QUOTA_EXHAUSTED: """
            insufficient_quota credit_balance_exhausted billing_error
            organization_spend_limit_exceeded project_spend_limit_exceeded
            organization_usage_limit_exceeded enforced_spend_limit_reached
            contract_spend_limit_reached billing_hard_limit_reached billing_not_active
            exceeded_current_quota_error insufficient_balance""",
        FAILURE_REASON_RATE_LIMITED: "slow_down ramp_limit_exceeded 1300",
        FAILURE_REASON_OVERLOADED: """
            server_is_overloaded capacity_exceeded engine_overloaded
            engine_overloaded_error insufficient_system_resource""",
        FAILURE_REASON_CREDENTIALS: """
            invalid_api_key api_key_invalid service_disabled iam_permission_denied
            invalid_authentication_error unsupported_country_region_territory""",
        FAILURE_REASON_CONTEXT_TOO_LONG: """
            context_length_exceeded exceed_context_size_error too_many_prompt_tokens
            request_too_large""",
        FAILURE_REASON_MODEL_NOT_FOUND: """
            model_not_found deploymentnotfound model_decommissioned invalid_model""",
        FAILURE_REASON_UNSUPPORTED: """
            unsupported_parameter unsupported_value unsupported_file invalid_image_url
            failed_to_download_image unsupported_image_media_type tool_use_failed""",
        FAILURE_REASON_INVALID_REQUEST: """
            invalid_image invalid_image_format invalid_base64_image invalid_image_mode
            image_too_large image_too_small image_file_too_large empty_image_file
            image_file_not_found image_parse_error""",
        FAILURE_REASON_CONTENT_REFUSED: """
            content_filter content_policy_violation responsibleaipolicyviolation
            invalid_prompt bio_policy misalignment_policy_violation
            image_content_policy_violation data_inspection_failed""",
    }
)
"""Codes that mean one thing whatever is said beside them."""

_WORDS: list[tuple[FailureReason, list[str]]] = [
    (FAILURE_REASON_UNSUPPORTED, [r"fewer max_tokens"]),
    (
        FAILURE_REASON_QUOTA_EXHAUSTED,
        [
            r"credit balance is too low",
            r"api usage limits",
            r"spend(?:ing)? limit",
            r"(?:used all|run out of)(?: available)? credits",
            r"credits? are depleted",
            r"requires more credits",
            r"insufficient (?:balance|credits?|funds|quota)",
            r"exceeded your current quota(?![^\n]*(?:please retry in|ai\.google\.dev))",
        ],
    ),
    (
        FAILURE_REASON_CREDENTIALS,
        [
            r"(?:incorrect|invalid|missing|no valid|expired) (?:x-)?api[ -]?key",
            r"api key (?:not valid|expired|not found|is invalid)",
            r"missing authentication",
            r"no auth credentials",
            r"invalid bearer",
            r"user location is not supported",
        ],
    ),
    (
        FAILURE_REASON_CONTEXT_TOO_LONG,
        [
            r"prompt (?:is )?too long",
            r"maximum context length",
            r"context length is only",
            r"context (?:size|length|window) (?:has been |was )?exceeded",
            r"exceed[^\n]{0,60} context",
            r"longer than the maximum model length",
            r"exceeds the maximum number of tokens",
            r"too many (?:prompt|input) tokens",
            r"input is too long",
            r"request too large",
        ],
    ),
    (
        FAILURE_REASON_UNSUPPORTED,
        [
            r"no endpoints found that",
            r"error while downloading",
            r"(?:failed to|unable to|could not|cannot) (?:download|fetch)",
            r"not a multimodal model",
        ],
    ),
    (
        FAILURE_REASON_MODEL_NOT_FOUND,
        [
            r"\b(?:models?|deployment)\b[^\n]{0,200}?(?:\bnot found|not exist)",
            r"\bmodels?\b[^\n]{0,200}?(?:\bdeprecated|\bdecommissioned|\bretired)",
            r"\bmodels?\b[^\n]{0,200}?\bno longer available",
            r"\b(?:invalid|unknown|no such|unsupported) model\b",
            r"not a valid model",
            r"no endpoints found for",
            r"^model: \S+$",
        ],
    ),
    (
        FAILURE_REASON_CONTENT_REFUSED,
        [
            r"content (?:management )?policy",
            r"usage polic",
            r"safety system",
            r"flagged (?:as|by|for)",
            r"content exists risk",
            r"inappropriate content",
        ],
    ),
    (
        FAILURE_REASON_UNSUPPORTED,
        [
            r"(?:does not|doesn't|do not|not) support",
            r"unsupported",
            r"missing a thought_signature",
            r"requires --",
        ],
    ),
    (
        FAILURE_REASON_OVERLOADED,
        [
            r"\boverload",
            r"capacity exceeded",
            r"(?:at|over) capacity",
            r"high demand",
            r"loading model",
            r"server is busy",
            r"temporarily unavailable",
        ],
    ),
    (FAILURE_REASON_RATE_LIMITED, [r"rate[ -]?limit", r"too many requests"]),
]
"""What messages say, in lower case, the more telling first."""

_PATTERNS = [(re.compile("|".join(words)), reason) for reason, words in _WORDS]

_WIDE_CODES = _by_code(
    {
        FAILURE_REASON_RATE_LIMITED: """
            rate_limit_exceeded rate_limit_error ratelimitreached too_many_requests""",
        FAILURE_REASON_OVERLOADED: "overloaded_error unavailable_error unavailable",
        FAILURE_REASON_TIMEOUT: "timeout_error deadline_exceeded",
        FAILURE_REASON_CREDENTIALS: """
            authentication_error permission_error unauthenticated permission_denied""",
    }
)
"""Codes that the words beside them may make more precise."""

_STATUS_OF_CODE = {
    "invalid_request_error": 400,
    "badrequesterror": 400,
    "invalid_argument": 400,
    "failed_precondition": 400,
    "not_found_error": 404,
    "notfounderror": 404,
    "not_found": 404,
    "resource_exhausted": 429,
    "server_error": 500,
    "api_error": 500,
    "internal": 500,
}
"""The status that stands behind a code, for errors that come without one."""

_STATUSES = {
    400: FAILURE_REASON_INVALID_REQUEST,
    402: FAILURE_REASON_QUOTA_EXHAUSTED,
    408: FAILURE_REASON_TIMEOUT,
    413: FAILURE_REASON_CONTEXT_TOO_LONG,
    422: FAILURE_REASON_INVALID_REQUEST,
    429: FAILURE_REASON_RATE_LIMITED,
    498: FAILURE_REASON_OVERLOADED,
    503: FAILURE_REASON_OVERLOADED,
    504: FAILURE_REASON_TIMEOUT,
    529: FAILURE_REASON_OVERLOADED,
}
"""Statuses that mean the same whoever sent them, the provider or a proxy."""

_STATUSES_OF_AN_API = _STATUSES | {
    401: FAILURE_REASON_CREDENTIALS,
    403: FAILURE_REASON_CREDENTIALS,
}
"""With an API's own error body some more do (rule 8.2)."""

_LIMIT = re.compile(r"Limit:? ~?([0-9]+)[^\n]{0,40}?Requested:? ~?([0-9]+)")
_MODEL = re.compile(r"\b(?:models?|deployment)\b", re.IGNORECASE)


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure that a response is. Total: never raises.

    `headers` has lower-case names. `body` may also be an error out of a response
    with a good `status`: a whole body, or one event of a stream.
    """
    error = parse(body)
    details = error.details if error else []
    return Failure(
        _reason(status, error),
        _message(status, error, body),
        code=_code(error),
        retry_delay=retry_delay(status, headers, details),
    )


def _reason(status: int, error: ErrorBody | None) -> FailureReason:
    if error is None:
        return _STATUSES.get(status, FAILURE_REASON_PROVIDER_ERROR)
    status = status if status >= 400 else _status_within(error)
    for reason in _said(error):
        if _plausible(reason, status):
            return reason
    if status == 404 and _MODEL.search(error.text):
        return FAILURE_REASON_MODEL_NOT_FOUND
    return _STATUSES_OF_AN_API.get(status, FAILURE_REASON_PROVIDER_ERROR)


def _said(error: ErrorBody) -> Iterator[FailureReason]:
    """What the body says the reason is, the most telling first."""
    codes = [code.lower() for code in error.codes]
    limit = _LIMIT.search(error.text)
    if limit and int(limit[2]) > int(limit[1]):
        # More than a whole minute allows: a wait never helps, another target may.
        yield FAILURE_REASON_CONTEXT_TOO_LONG
    if any("PerDay" in quota for quota in _quotas(error)):
        yield FAILURE_REASON_QUOTA_EXHAUSTED
    if "resource_exhausted" in codes and retry_delay(0, {}, error.details) is not None:
        yield FAILURE_REASON_RATE_LIMITED
    yield from (_CODES[code] for code in codes if code in _CODES)
    text = error.text.lower()
    yield from (reason for words, reason in _PATTERNS if words.search(text))
    yield from (_WIDE_CODES[code] for code in codes if code in _WIDE_CODES)


def _plausible(reason: FailureReason, status: int) -> bool:
    """Whether `status` lets the body mean `reason`."""
    if status in (400, 422):
        # The request was refused: sent again it is refused again, unless it was
        # for the want of money.
        return reason in PERMANENT or reason == FAILURE_REASON_QUOTA_EXHAUSTED
    if status >= 500:
        # "The model is not available" at the moment.
        return reason != FAILURE_REASON_MODEL_NOT_FOUND
    return True


def _status_within(error: ErrorBody) -> int:
    statuses = (_STATUS_OF_CODE.get(code.lower(), 0) for code in error.codes)
    return error.status or next(filter(None, statuses), 0)


def _quotas(error: ErrorBody) -> Iterator[str]:
    """The names of the quotas in Google's QuotaFailure."""
    for detail in error.details:
        violations = detail.get("violations") if isinstance(detail, dict) else None
        for violation in violations if isinstance(violations, list) else []:
            if isinstance(violation, dict):
                yield str(violation.get("quotaId", ""))


def _message(status: int, error: ErrorBody | None, body: bytes) -> str:
    if error and error.message:
        return scrub(error.message)
    if status < 400:
        return "an error within the answer"
    return f"HTTP {status} with {'no API error in its' if body else 'an empty'} body"


def _code(error: ErrorBody | None) -> str:
    """The provider's own code; a number only where there is nothing better."""
    codes = [code for code in error.codes if scrub(code) == code] if error else []
    named = (code for code in codes if not (code.isdigit() and len(code) == 3))
    return next(named, codes[0] if codes else "")
