"""What the commands that call a server share."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar, cast

import click
import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_SKIPPED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    Attempt,
    AttemptOutcome,
    BenchRecord,
    FailureReason,
)
from majordomo.v1.errors_pb2 import CallFailure

_Command = TypeVar("_Command", bound=Callable[..., Any])
_MEBIBYTE = 1 << 20


def address_option(command: _Command) -> _Command:
    """`--address`, the same for every command."""
    return click.option(
        "--address",
        "-a",
        envvar="MAJORDOMO_ADDRESS",
        default="127.0.0.1:50051",
        show_default=True,
        help="The server: host:port or unix:/path. [env: MAJORDOMO_ADDRESS]",
    )(command)


@contextmanager
def connect(address: str) -> Iterator[grpc.Channel]:
    """A channel to `address`; a call's error becomes the command's end."""
    options = [
        ("grpc.max_receive_message_length", 32 * _MEBIBYTE),
        ("grpc.max_send_message_length", 32 * _MEBIBYTE),
    ]
    with grpc.insecure_channel(address, options) as channel:
        try:
            yield channel
        except grpc.RpcError as error:
            _fail(cast("grpc.Call", error))  # what the stubs raise is both


def describe(attempt: Attempt) -> str:
    """One line for people: the target, what became of it, and how long it took."""
    words = [f"{attempt.number}. {attempt.target}:"]
    if attempt.outcome == ATTEMPT_OUTCOME_SUCCEEDED:
        words.append("answered")
    else:
        outcome = AttemptOutcome.Name(attempt.outcome)
        reason = FailureReason.Name(attempt.failure_reason)
        words.append(outcome.removeprefix("ATTEMPT_OUTCOME_").lower())
        words.append(f"({reason.removeprefix('FAILURE_REASON_')})")
    if attempt.http_status_code:
        words.append(f"HTTP {attempt.http_status_code}")
    if attempt.outcome != ATTEMPT_OUTCOME_SKIPPED:
        words.append(f"in {attempt.duration.ToTimedelta().total_seconds():.3f} s")
    if attempt.message:
        words.append(f"- {attempt.message}")
    if attempt.benched:
        words.append(f"- now benched {until(attempt.bench)}")
    return " ".join(words)


def until(bench: BenchRecord) -> str:
    """When a bench ends, by the server's clock."""
    if not bench.HasField("expire_time"):
        return "until unbenched"
    return f"until {bench.expire_time.ToDatetime():%H:%M:%S} UTC"


def _fail(error: grpc.Call) -> NoReturn:
    """Tell what the status says, and end with exit code 1."""
    lines = [f"{error.code().name}: {error.details()}"]
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            lines.extend(_details(Status.FromString(value)))
    click.echo("\n".join(lines), err=True)
    sys.exit(1)


def _details(status: Status) -> Iterator[str]:
    for packed in status.details:
        for kind in (ErrorInfo, BadRequest, RetryInfo, CallFailure):
            detail = kind()
            if not packed.Unpack(detail):
                continue
            match detail:
                case ErrorInfo():
                    yield f"  reason: {detail.reason}"
                case BadRequest():
                    for violation in detail.field_violations:
                        yield f"  {violation.field}: {violation.description}"
                case RetryInfo():
                    delay = detail.retry_delay.ToTimedelta().total_seconds()
                    yield f"  worth another try in {delay:.1f} s"
                case CallFailure():
                    yield f"  generation: {detail.generation_id}"
                    for attempt in detail.attempts:
                        yield f"  {describe(attempt)}"
                    if detail.omitted_attempts:
                        yield f"  ... and {detail.omitted_attempts} more"
