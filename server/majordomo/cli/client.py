"""What the commands that call a server share: where it is, and how a call ends."""

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

from majordomo.cli.exit_codes import FAILED, NO_SERVER
from majordomo.cli.render import describe, printed
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
        help="The server: host:port or unix:/path. [env: MAJORDOMO_ADDRESS] A token "
        "that it wants is taken from MAJORDOMO_TOKEN.",
    ),
    click.option(
        "--tls-ca",
        type=_PATH,
        envvar="MAJORDOMO_TLS_CA",
        help="Speak TLS; roots of the server's certificate. [env: MAJORDOMO_TLS_CA]",
    ),
    click.option(
        "--tls-cert",
        type=_PATH,
        envvar="MAJORDOMO_TLS_CERT",
        help="Show this certificate (mTLS). [env: MAJORDOMO_TLS_CERT]",
    ),
    click.option(
        "--tls-key",
        type=_PATH,
        envvar="MAJORDOMO_TLS_KEY",
        help="The key of that certificate. [env: MAJORDOMO_TLS_KEY]",
    ),
    click.option(
        "--tls-server-name",
        envvar="MAJORDOMO_TLS_SERVER_NAME",
        help="The name in the server's certificate, where the address is another. "
        "[env: MAJORDOMO_TLS_SERVER_NAME]",
    ),
]
"""Where the server is. Tokens are no option: other users see command lines."""


@dataclass(frozen=True)
class Place:
    """Where a server is, and what it wants to see."""

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
    """`--address` and its company, given to the command as `place`."""

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
        help="Print JSON, in the contract's own names.",
    )(command)


@contextmanager
def connect(place: Place, *, as_json: bool = False) -> Iterator[Client]:
    """A client of the server at `place`; a call's error becomes the command's end."""
    with place.client() as client:
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
