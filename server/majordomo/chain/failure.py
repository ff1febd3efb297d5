"""Why an attempt failed.

`Failure` is the one exception by which a provider informs the walk that an attempt
did not end in an answer. Its reason decides everything else: whether it may pass
(`failure_class`), and what the walk does next.
"""

from datetime import datetime

from majordomo.v1.attempt_pb2 import (
    FAILURE_CLASS_PERMANENT,
    FAILURE_CLASS_TRANSIENT,
    FAILURE_CLASS_UNSPECIFIED,
    FAILURE_REASON_CONNECTION,
    FAILURE_REASON_CONTENT_REFUSED,
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
    FailureClass,
    FailureReason,
)

TRANSIENT = frozenset(
    {
        FAILURE_REASON_CONNECTION,
        FAILURE_REASON_TIMEOUT,
        FAILURE_REASON_RATE_LIMITED,
        FAILURE_REASON_QUOTA_EXHAUSTED,
        FAILURE_REASON_OVERLOADED,
        FAILURE_REASON_PROVIDER_ERROR,
        FAILURE_REASON_MALFORMED_RESPONSE,
    }
)
"""Reasons that may pass by themselves."""

PERMANENT = frozenset(
    {
        FAILURE_REASON_CREDENTIALS,
        FAILURE_REASON_MODEL_NOT_FOUND,
        FAILURE_REASON_UNSUPPORTED,
        FAILURE_REASON_CONTEXT_TOO_LONG,
        FAILURE_REASON_INVALID_REQUEST,
        FAILURE_REASON_CONTENT_REFUSED,
    }
)
"""Reasons that no retry at the same target fixes."""

CERTIFICATE_NOT_VALID = "CERTIFICATE_NOT_VALID"
PROXY_REFUSED = "PROXY_REFUSED"
LASTING = frozenset({CERTIFICATE_NOT_VALID, PROXY_REFUSED})
"""Codes of failures to connect that a moment later will be the same."""


def failure_class(reason: FailureReason) -> FailureClass:
    """Whether `reason` may pass by itself; unspecified for those of skips."""
    if reason in TRANSIENT:
        return FAILURE_CLASS_TRANSIENT
    if reason in PERMANENT:
        return FAILURE_CLASS_PERMANENT
    return FAILURE_CLASS_UNSPECIFIED


class Failure(Exception):
    """An attempt did not end in an answer.

    `message` may quote the provider and goes to the caller only; `code` is the
    provider's own code and goes into spans and snapshots too. `retry_delay` is how
    many seconds the provider asked callers to stay away, None if it did not say;
    where it named the moment instead, and no time of its own, that is `reset_time`,
    until settle() has measured it.
    """

    def __init__(
        self,
        reason: FailureReason,
        message: str,
        *,
        code: str = "",
        retry_delay: float | None = None,
        reset_time: datetime | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.code = code
        self.retry_delay = retry_delay
        self.reset_time = reset_time

    def settle(self, now: datetime) -> None:
        """Make a `reset_time` that is still to come the delay from `now`."""
        if self.reset_time is not None and self.reset_time > now:
            self.retry_delay = (self.reset_time - now).total_seconds()
        self.reset_time = None

    @property
    def transient(self) -> bool:
        """True when it may pass by itself."""
        return self.reason in TRANSIENT
