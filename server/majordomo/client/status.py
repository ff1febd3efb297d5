"""gRPC's errors become ours: the one place that reads a status."""

import asyncio
from types import TracebackType
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from majordomo.client.errors import REASONS, MajordomoError, TransportError
from majordomo.contract import ERROR_DOMAIN
from majordomo.v1.errors_pb2 import CallFailure

_KINDS = (ErrorInfo, BadRequest, RetryInfo, CallFailure)


class _TranslateErrors:
    """A block in which gRPC's errors are raised as MajordomoError."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, grpc.RpcError):
            raise error_of(error) from error
        if isinstance(error, asyncio.CancelledError) and not _task_cancelled():
            # The call was, by `cancel` or by closing its client; its reader was not.
            message = "the call was cancelled by this client"
            raise TransportError(message, code=grpc.StatusCode.CANCELLED) from error


convert_errors = _TranslateErrors()


def error_of(error: grpc.RpcError) -> MajordomoError:
    """The exception for a call that ended with `error`."""
    call = cast("grpc.Call", error)  # what a call raises is both, sync and async alike
    code, message = call.code(), call.details() or ""
    details = _details(dict(call.trailing_metadata() or ()))
    info: Any = details.get(ErrorInfo)
    if info is None or info.domain != ERROR_DOMAIN:
        return TransportError(message or code.name, code=code)
    failure: Any = details.get(CallFailure, CallFailure())
    retry: Any = details.get(RetryInfo)
    bad: Any = details.get(BadRequest, BadRequest())
    return REASONS.get(info.reason, MajordomoError)(
        message,
        code=code,
        reason=info.reason,
        generation_id=failure.generation_id or info.metadata["generation_id"],
        attempts=failure.attempts,
        omitted_attempts=failure.omitted_attempts,
        retry_delay=retry and retry.retry_delay.ToNanoseconds() / 1e9,
        violations=bad.field_violations,
        metadata=info.metadata,
    )


def _details(trailers: dict[str, str | bytes]) -> dict[type[Message], Message]:
    """What the status carries of the messages that we read."""
    packed = trailers.get("grpc-status-details-bin", b"")
    found: dict[type[Message], Message] = {}
    try:
        status = Status.FromString(cast("bytes", packed))
        for detail in status.details:
            for kind in _KINDS:
                if detail.Is(kind.DESCRIPTOR):
                    found[kind] = kind.FromString(detail.value)
    except DecodeError:
        return {}  # of somebody else, in a form of their own
    return found


def _task_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
