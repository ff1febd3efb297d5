"""What the commands that call a server share: where it is, and how a call ends."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import click
from grpc import StatusCode

from majordomo.cli.exits import FAILED, NO_SERVER
from majordomo.cli.words import describe, printed
from majordomo.client import Client, MajordomoError, TransportError

_Command = TypeVar("_Command", bound=Callable[..., Any])


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


def json_option(command: _Command) -> _Command:
    """`--json`, the same for every command."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print JSON, in the contract's own names.",
    )(command)


@contextmanager
def connect(address: str, *, as_json: bool = False) -> Iterator[Client]:
    """A client of the server at `address`; a call's error becomes the command's end."""
    with Client(address) as client:
        try:
            yield client
        except MajordomoError as error:
            _fail(error, as_json=as_json)


def unreachable(error: MajordomoError) -> bool:
    """Whether nobody answered at the address."""
    return isinstance(error, TransportError) and error.code == StatusCode.UNAVAILABLE


def tell(error: MajordomoError) -> Iterator[str]:
    """What the status says, line by line, for people."""
    yield f"{error.code.name}: {error.message}"
    if error.reason:
        yield f"  reason: {error.reason}"
    for violation in error.violations:
        yield f"  {violation.field}: {violation.description}"
    if error.retry_delay is not None:
        yield f"  worth another try in {error.retry_delay:.1f} s"
    if error.generation_id:
        yield f"  generation: {error.generation_id}"
    for attempt in error.attempts:
        yield f"  {describe(attempt)}"
    if error.omitted_attempts:
        yield f"  ... and {error.omitted_attempts} more"


def _fail(error: MajordomoError, *, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(printed(_as_data(error)))
    else:
        click.echo("\n".join(tell(error)), err=True)
    sys.exit(NO_SERVER if unreachable(error) else FAILED)


def _as_data(error: MajordomoError) -> dict[str, Any]:
    return {
        "error": {
            "code": error.code.name,
            "reason": error.reason,
            "message": error.message,
            "generation_id": error.generation_id,
            "retry_delay_seconds": error.retry_delay,
            "violations": error.violations,
            "attempts": error.attempts,
            "omitted_attempts": error.omitted_attempts,
        }
    }
