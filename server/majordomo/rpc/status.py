"""What a caller is told when a call fails: the one place that knows gRPC's codes.

Every error of ours becomes a google.rpc.Status with an ErrorInfo, packed into the
trailers beside the code and the message (docs/semantics.md, section 7).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from google.protobuf.message import Message
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    ResourceInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from majordomo.chain.call import CallFailed
from majordomo.chain.names import (
    ChainError,
    ResolverFailed,
    UnknownName,
    UnknownProvider,
)
from majordomo.chain.tracker import BenchedByProvider
from majordomo.contract import ERROR_DOMAIN, label
from majordomo.durations import duration
from majordomo.rpc.access import PermissionDenied, Unauthenticated
from majordomo.rpc.driver import AnswerTooLarge, CompressedRequest
from majordomo.rpc.memory import CallerStalled, ServerFull
from majordomo.rpc.validation import InvalidRequest, Violation
from majordomo.text import cut
from majordomo.v1.attempt_pb2 import (
    Attempt,
    FailureReason,
)
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
    CallFailure,
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

_OVERLOADED_DELAY = 1.0
"""Seconds after which a server that is full may be asked again; clients' own retry
policies wait once to twice as long."""

_SUMMARIES: dict[ErrorReason, str] = {
    ERROR_REASON_CHAIN_EXHAUSTED: "no target answered",
    ERROR_REASON_ALL_BENCHED: "every target is benched",
    ERROR_REASON_CHAIN_RATE_LIMITED: "every target is at its rate limit or quota",
    ERROR_REASON_MODEL_NOT_FOUND: "no target has its model",
    ERROR_REASON_REQUEST_REFUSED: "a provider refused the request",
    ERROR_REASON_REQUEST_UNSUPPORTED: "the request fits none of the targets",
    ERROR_REASON_CONTENT_REFUSED: "a provider refused the content",
    ERROR_REASON_PROVIDER_CREDENTIALS: "a provider refused this server's credentials",
    ERROR_REASON_STREAM_INTERRUPTED: "the answer broke off",
    ERROR_REASON_DEADLINE_EXCEEDED: "out of time",
}

_MOST_DETAIL_BYTES = 4096
_MOST_BYTES_OF_ONE = _MOST_DETAIL_BYTES - 1024  # the rest is for the others
_MOST_MESSAGE_BYTES = 511
_MOST_WORD_BYTES = 256
"""Of a name, a path or a description, which may quote what the caller sent."""

_MOST_VIOLATIONS = 16


class Draining(Exception):
    """The server is going away; another replica may help."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a call ends: why, and what `ServicerContext.abort` is given."""

    reason: ErrorReason
    code: StatusCode
    message: str
    trailers: tuple[tuple[str, str | bytes], ...] = ()


@dataclass(slots=True)
class _Error:
    """An error before it is packed."""

    reason: ErrorReason
    message: str
    metadata: dict[str, str] = field(default_factory=dict)
    details: list[Message] = field(default_factory=list)


def refusal(error: Exception, generation_id: str) -> Refusal:
    """The status for `error`. Total: what is not ours is INTERNAL, without its text."""
    match error:
        case CallFailed():
            return _pack(_call_failed(error))
        case InvalidRequest():
            found = _invalid(error.violations)
        case UnknownName():
            found = _unknown(error)
        case ChainError():
            found = _invalid([Violation("chain", str(error))])
        case ResolverFailed():
            metadata = {"resolver": error.resolver, "name": error.name}
            found = _Error(ERROR_REASON_RESOLVER_FAILED, str(error), metadata)
        case BenchedByProvider():
            provider = error.target.partition("/")[0]
            message = f"the bench was set for the provider {provider}; unbench that"
            metadata = {"provider": provider}
            found = _Error(ERROR_REASON_BENCHED_BY_PROVIDER, message, metadata)
        case CompressedRequest():
            message = "requests must not be compressed; send it as it is"
            found = _Error(ERROR_REASON_REQUEST_COMPRESSED, message)
        case AnswerTooLarge():
            found = _Error(ERROR_REASON_ANSWER_TOO_LARGE, str(error))
        case CallerStalled():
            found = _Error(ERROR_REASON_DEADLINE_EXCEEDED, str(error))
        case Unauthenticated():
            message = "show a valid token: authorization: Bearer TOKEN"
            found = _Error(ERROR_REASON_UNAUTHENTICATED, message)
        case PermissionDenied():
            found = _Error(ERROR_REASON_PERMISSION_DENIED, str(error))
        case ServerFull():
            found = _Error(ERROR_REASON_SERVER_OVERLOADED, str(error))
            found.details.append(RetryInfo(retry_delay=duration(_OVERLOADED_DELAY)))
        case Draining():
            found = _Error(ERROR_REASON_SERVER_DRAINING, "this server is going away")
            found.details.append(RetryInfo(retry_delay=duration(1)))
        case _:
            message = f"a bug; the server's log has more under {generation_id}"
            found = _Error(ERROR_REASON_INTERNAL, message)
    if generation_id:
        found.metadata["generation_id"] = generation_id
    return _pack(found)


def is_bug(told: Refusal) -> bool:
    """Whether it hides an error that nobody foresaw."""
    return told.reason == ERROR_REASON_INTERNAL


def _call_failed(error: CallFailed) -> _Error:
    call = error.call
    found = _Error(error.reason, _summary(error.reason, call.attempts))
    found.metadata["generation_id"] = call.generation_id
    if error.reason in _NO_RETRY and error.retry_delay is not None:
        found.details.append(RetryInfo(retry_delay=duration(error.retry_delay)))
    found.details.append(call_failure(call.generation_id, call.attempts))
    return found


def _invalid(violations: Sequence[Violation]) -> _Error:
    first, *others = violations
    message = f"{first.field}: {first.description}"
    if others:
        message += f" (and {len(others)} more)"
    found = _Error(ERROR_REASON_INVALID_REQUEST, message)
    told = _bad_request(violations)
    more = len(violations) - len(told.field_violations)
    if more:
        found.metadata["omitted_violations"] = str(more)
    found.details.append(told)
    return found


def _bad_request(violations: Sequence[Violation]) -> BadRequest:
    """The first violations, within the budget."""
    told = BadRequest()
    for violation in violations[:_MOST_VIOLATIONS]:
        told.field_violations.add(
            field=_bounded(violation.field, _MOST_WORD_BYTES),
            description=_bounded(violation.description, _MOST_WORD_BYTES),
        )
    while told.ByteSize() > _MOST_BYTES_OF_ONE:
        del told.field_violations[-1]
    return told


def _unknown(error: UnknownName) -> _Error:
    provider = isinstance(error, UnknownProvider)
    reason = ERROR_REASON_UNKNOWN_PROVIDER if provider else ERROR_REASON_UNKNOWN_TIER
    name = _bounded(error.name, _MOST_WORD_BYTES)
    found = _Error(reason, str(error), {"name": name})
    resource = ResourceInfo(resource_type=f"majordomo.{error.kind}", resource_name=name)
    found.details.append(resource)
    return found


def _summary(reason: ErrorReason, attempts: Sequence[Attempt]) -> str:
    """One line for people: what happened, and each target's reason in order."""
    told = [
        f"{a.target}: {label(FailureReason, a.failure_reason)}"
        for a in attempts
        if a.failure_reason
    ]
    return f"{_SUMMARIES[reason]} ({'; '.join(dict.fromkeys(told))})"


def call_failure(generation_id: str, attempts: Sequence[Attempt]) -> CallFailure:
    """The attempts within 4 KiB: first their messages go, then those in the middle."""
    failure = CallFailure(generation_id=generation_id, attempts=attempts)
    if failure.ByteSize() > _MOST_BYTES_OF_ONE:
        for attempt in failure.attempts:
            attempt.ClearField("message")
    while failure.ByteSize() > _MOST_BYTES_OF_ONE and len(failure.attempts) > 2:
        del failure.attempts[len(failure.attempts) // 2]
        failure.omitted_attempts += 1
    return failure


def _pack(error: _Error) -> Refusal:
    name = label(ErrorReason, error.reason)
    code = CODES[error.reason]
    message = _bounded(error.message, _MOST_MESSAGE_BYTES)
    info = ErrorInfo(reason=name, domain=ERROR_DOMAIN, metadata=error.metadata)
    number: int = code.value[0]
    status = Status(code=number, message=message)
    for detail in (info, *error.details):
        status.details.add().Pack(detail)
    trailers: list[tuple[str, str | bytes]] = [
        ("grpc-status-details-bin", status.SerializeToString())
    ]
    if error.reason in _NO_RETRY:
        trailers.append(("grpc-retry-pushback-ms", "-1"))
    elif error.reason == ERROR_REASON_SERVER_OVERLOADED:
        # Not all of them at the same moment.
        delay = _OVERLOADED_DELAY * (1 + random.random())
        trailers.append(("grpc-retry-pushback-ms", str(int(delay * 1000))))
    return Refusal(error.reason, code, message, tuple(trailers))


def _bounded(text: str, most: int) -> str:
    """`text` as one line of at most `most` bytes."""
    return cut(" ".join(text.split()), most)
