"""The status that a call ends with: the one place that knows gRPC's codes.

An error that knows its reason becomes a google.rpc.Status with an ErrorInfo, packed
into the trailers beside the code and the message (docs/semantics.md, section 7).
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from majordomo.contract import ERROR_DOMAIN, label
from majordomo.durations import duration
from majordomo.errors import Refused
from majordomo.text import line
from majordomo.v1.errors_pb2 import (
    ERROR_REASON_ALL_BENCHED,
    ERROR_REASON_ANSWER_TOO_LARGE,
    ERROR_REASON_BENCHED_BY_PROVIDER,
    ERROR_REASON_CHAIN_EXHAUSTED,
    ERROR_REASON_CHAIN_RATE_LIMITED,
    ERROR_REASON_CONTENT_REFUSED,
    ERROR_REASON_DEADLINE_EXCEEDED,
    ERROR_REASON_INTERNAL,
    ERROR_REASON_INVALID_REQUEST,
    ERROR_REASON_MODEL_NOT_FOUND,
    ERROR_REASON_PERMISSION_DENIED,
    ERROR_REASON_PROVIDER_CREDENTIALS,
    ERROR_REASON_REQUEST_COMPRESSED,
    ERROR_REASON_REQUEST_REFUSED,
    ERROR_REASON_REQUEST_UNSUPPORTED,
    ERROR_REASON_RESOLVER_FAILED,
    ERROR_REASON_SERVER_DRAINING,
    ERROR_REASON_SERVER_OVERLOADED,
    ERROR_REASON_STREAM_INTERRUPTED,
    ERROR_REASON_UNAUTHENTICATED,
    ERROR_REASON_UNKNOWN_PROVIDER,
    ERROR_REASON_UNKNOWN_TIER,
    ErrorReason,
)

CODES: dict[ErrorReason, StatusCode] = {
    ERROR_REASON_INVALID_REQUEST: StatusCode.INVALID_ARGUMENT,
    ERROR_REASON_UNKNOWN_TIER: StatusCode.NOT_FOUND,
    ERROR_REASON_UNKNOWN_PROVIDER: StatusCode.NOT_FOUND,
    ERROR_REASON_CHAIN_EXHAUSTED: StatusCode.UNAVAILABLE,
    ERROR_REASON_ALL_BENCHED: StatusCode.UNAVAILABLE,
    ERROR_REASON_CHAIN_RATE_LIMITED: StatusCode.RESOURCE_EXHAUSTED,
    ERROR_REASON_MODEL_NOT_FOUND: StatusCode.NOT_FOUND,
    ERROR_REASON_REQUEST_REFUSED: StatusCode.INVALID_ARGUMENT,
    ERROR_REASON_REQUEST_UNSUPPORTED: StatusCode.INVALID_ARGUMENT,
    ERROR_REASON_CONTENT_REFUSED: StatusCode.INVALID_ARGUMENT,
    ERROR_REASON_PROVIDER_CREDENTIALS: StatusCode.FAILED_PRECONDITION,
    ERROR_REASON_STREAM_INTERRUPTED: StatusCode.ABORTED,
    ERROR_REASON_DEADLINE_EXCEEDED: StatusCode.DEADLINE_EXCEEDED,
    ERROR_REASON_SERVER_OVERLOADED: StatusCode.UNAVAILABLE,
    ERROR_REASON_SERVER_DRAINING: StatusCode.UNAVAILABLE,
    ERROR_REASON_UNAUTHENTICATED: StatusCode.UNAUTHENTICATED,
    ERROR_REASON_PERMISSION_DENIED: StatusCode.PERMISSION_DENIED,
    ERROR_REASON_BENCHED_BY_PROVIDER: StatusCode.FAILED_PRECONDITION,
    ERROR_REASON_INTERNAL: StatusCode.INTERNAL,
    ERROR_REASON_RESOLVER_FAILED: StatusCode.UNAVAILABLE,
    ERROR_REASON_ANSWER_TOO_LARGE: StatusCode.RESOURCE_EXHAUSTED,
    ERROR_REASON_REQUEST_COMPRESSED: StatusCode.UNIMPLEMENTED,
}

_NO_RETRY = {
    ERROR_REASON_ALL_BENCHED,
    ERROR_REASON_ANSWER_TOO_LARGE,
    ERROR_REASON_CHAIN_EXHAUSTED,
    ERROR_REASON_CHAIN_RATE_LIMITED,
}
"""A client's own retry policy would run, and pay for, the whole chain again."""

_RETRY_LATER = {
    ERROR_REASON_ALL_BENCHED,
    ERROR_REASON_CHAIN_EXHAUSTED,
    ERROR_REASON_CHAIN_RATE_LIMITED,
    ERROR_REASON_SERVER_DRAINING,
    ERROR_REASON_SERVER_OVERLOADED,
}
"""Time alone may help: callers see when, in a RetryInfo."""

_MOST_MESSAGE_BYTES = 511


@dataclass(frozen=True, slots=True)
class CallStatus:
    """How a call ends: why, and what `ServicerContext.abort` is given."""

    reason: ErrorReason
    code: StatusCode
    message: str
    trailers: tuple[tuple[str, str | bytes], ...] = ()

    @property
    def is_bug(self) -> bool:
        """Whether it hides an error that nobody foresaw."""
        return self.reason == ERROR_REASON_INTERNAL


def status_for(error: Exception, generation_id: str) -> CallStatus:
    """The status for `error`. What is no Refused is INTERNAL, without its text."""
    if not isinstance(error, Refused):
        message = f"a bug; the server's log has more under {generation_id}"
        return pack(ERROR_REASON_INTERNAL, message, _metadata({}, generation_id))
    details = list(error.details())
    if error.retry_delay is not None and error.reason in _RETRY_LATER:
        details.insert(0, RetryInfo(retry_delay=duration(error.retry_delay)))
    metadata = _metadata(error.metadata(), generation_id)
    return pack(error.reason, error.message, metadata, details, error.retry_delay)


def _metadata(known: Mapping[str, str], generation_id: str) -> dict[str, str]:
    return {**known, "generation_id": generation_id} if generation_id else {**known}


def pack(
    reason: ErrorReason,
    message: str,
    metadata: Mapping[str, str],
    details: Iterable[Message] = (),
    retry_delay: float | None = None,
) -> CallStatus:
    """An error as what gRPC sends of it."""
    name = label(ErrorReason, reason)
    code = CODES[reason]
    message = line(message, _MOST_MESSAGE_BYTES)
    number: int = code.value[0]
    status = Status(code=number, message=message)
    info = ErrorInfo(reason=name, domain=ERROR_DOMAIN, metadata=metadata)
    for detail in (info, *details):
        status.details.add().Pack(detail)
    trailers: list[tuple[str, str | bytes]] = [
        ("grpc-status-details-bin", status.SerializeToString())
    ]
    if reason in _NO_RETRY:
        trailers.append(("grpc-retry-pushback-ms", "-1"))
    elif reason == ERROR_REASON_SERVER_OVERLOADED and retry_delay is not None:
        # Not all of them at the same moment.
        delay = retry_delay * (1 + random.random())
        trailers.append(("grpc-retry-pushback-ms", str(int(delay * 1000))))
    return CallStatus(reason, code, message, tuple(trailers))
