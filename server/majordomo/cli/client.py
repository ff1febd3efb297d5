"""What the commands that call a server share: its address, and how errors end."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from grpc import ChannelCredentials, StatusCode, ssl_channel_credentials

from majordomo.cli.exit_codes import FAILURE, UNREACHABLE
from majordomo.cli.render import describe, to_json
from majordomo.client import Client, MajordomoError, TransportError

_Command = TypeVar("_Command", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path, dir_okay=False)
_OPTIONS = [
    click.option(
        "--address",
        "-a",
        envvar="MAJORDOMO_ADDRESS",
        default="127.0.0.1:50051",
        show_default=True,
        help="The server: host:port or unix:/path. [env: MAJORDOMO_ADDRESS] Its token, "
        "if it needs one, is read from MAJORDOMO_TOKEN.",
    ),
    click.option(
        "--tls-ca",
        type=_PATH,
        envvar="MAJORDOMO_TLS_CA",
        help="Use TLS, with this file of root certificates. [env: MAJORDOMO_TLS_CA]",
    ),
    click.option(
        "--tls-cert",
        type=_PATH,
        envvar="MAJORDOMO_TLS_CERT",
        help="The client certificate (mTLS). [env: MAJORDOMO_TLS_CERT]",
    ),
    click.option(
        "--tls-key",
        type=_PATH,
        envvar="MAJORDOMO_TLS_KEY",
        help="The private key of that certificate. [env: MAJORDOMO_TLS_KEY]",
    ),
    click.option(
        "--tls-server-name",
        envvar="MAJORDOMO_TLS_SERVER_NAME",
        help="The name in the server's certificate, if it differs from the address. "
        "[env: MAJORDOMO_TLS_SERVER_NAME]",
    ),
]
"""Where the server is. Tokens are no option: other users see command lines."""


@dataclass(frozen=True)
class Place:
    """Where a server is, and the credentials for it."""

    address: str
    ca: Path | None
    certificate: Path | None
    key: Path | None
    server_name: str | None
    token: str | None

    def client(self) -> Client:
        """A client of that server; ends the command where a file cannot be read."""
        try:
            credentials = self._credentials()
        except OSError as error:
            raise click.UsageError(
                f"cannot read {error.filename}: {error.strerror}"
            ) from None
        metadata = [("authorization", f"Bearer {self.token}")] if self.token else []
        name = self.server_name
        options = [("grpc.ssl_target_name_override", name)] if name else []
        return Client(
            self.address, credentials=credentials, metadata=metadata, options=options
        )

    def _credentials(self) -> ChannelCredentials | None:
        if self.ca is None:
            return None
        return ssl_channel_credentials(
            self.ca.read_bytes(),
            self.key.read_bytes() if self.key else None,
            self.certificate.read_bytes() if self.certificate else None,
        )


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """`--address` and the options of TLS, passed to the command as `place`."""

    @wraps(command)
    def with_place(
        address: str,
        tls_ca: Path | None,
        tls_cert: Path | None,
        tls_key: Path | None,
        tls_server_name: str | None,
        **others: Any,
    ) -> None:
        if (tls_cert is None) != (tls_key is None):
            raise click.UsageError("--tls-cert and --tls-key go together")
        if tls_cert is not None and tls_ca is None:
            raise click.UsageError("--tls-cert needs --tls-ca too")
        token = os.environ.get("MAJORDOMO_TOKEN") or None
        place = Place(address, tls_ca, tls_cert, tls_key, tls_server_name, token)
        command(place=place, **others)

    for option in reversed(_OPTIONS):
        with_place = option(with_place)
    return with_place


def json_option(command: _Command) -> _Command:
    """`--json`, the same for every command."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print JSON, with the contract's field names.",
    )(command)


@contextmanager
def connect(place: Place, *, as_json: bool = False) -> Iterator[Client]:
    """A client of the server at `place`; a call's error ends the command."""
    with place.client() as client:
        try:
            yield client
        except MajordomoError as error:
            _fail(error, as_json=as_json)


def unreachable(error: MajordomoError) -> bool:
    """Whether no server answered at the address."""
    return isinstance(error, TransportError) and error.code == StatusCode.UNAVAILABLE


def report(error: MajordomoError) -> Iterator[str]:
    """The error in lines for people."""
    yield f"{error.code.name}: {error.message}"
    if error.reason:
        yield f"  reason: {error.reason}"
    for violation in error.violations:
        yield f"  {violation.field}: {violation.description}"
    if error.retry_delay is not None:
        yield f"  retry after {error.retry_delay:.1f} s"
    if error.generation_id:
        yield f"  generation: {error.generation_id}"
    for attempt in error.attempts:
        yield f"  {describe(attempt)}"
    if error.omitted_attempts:
        yield f"  ... and {error.omitted_attempts} more"


def _fail(error: MajordomoError, *, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(to_json(_as_data(error)))
    else:
        click.echo("\n".join(report(error)), err=True)
    sys.exit(UNREACHABLE if unreachable(error) else FAILURE)


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
