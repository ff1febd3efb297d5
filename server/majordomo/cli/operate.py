"""`majordomo bench` and `unbench`."""

import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import click
from google.protobuf.timestamp_pb2 import Timestamp

from majordomo.cli.client import Place, connect, report, server_options
from majordomo.cli.exit_codes import FAILURE
from majordomo.cli.health import health_table, whole
from majordomo.client import Client, MajordomoError
from majordomo.durations import parse
from majordomo.v1.operator_service_pb2 import BenchResponse, TargetHealth

_Command = TypeVar("_Command", bound=Callable[..., Any])
_UNITS = ("s", "m", "h", "d")


class _Length(click.ParamType[float]):
    """A duration: 90, 90s, 10m, 2h, 3d. In seconds."""

    name = "length"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        text = str(value)
        try:
            return parse(f"{text}s" if text[-1:].isdigit() else text, _UNITS)
        except ValueError:
            self.fail(f"{value!r} is not a duration; write 90s, 10m or 2h", param, ctx)


def _all_option(command: _Command) -> _Command:
    return click.option(
        "--all",
        "everywhere",
        metavar="HOST:PORT",
        help="All servers behind this name, such as a headless Kubernetes service: "
        "each replica has its own health.",
    )(command)


@click.command()
@click.argument("target")
@click.option(
    "--for",
    "seconds",
    type=_Length(),
    help="How long: 90s, 10m, 2h. Default: until unbenched.",
)
@click.option("--reason", "-r", default="", help="Why; shown by `majordomo health`.")
@_all_option
@server_options
def bench(
    target: str,
    seconds: float | None,
    reason: str,
    everywhere: str | None,
    place: Place,
) -> None:
    """Take TARGET, "provider/model-id" or "provider/*", out of every chain."""
    _operate(
        everywhere,
        place,
        lambda client: _benched(client.bench(target, seconds, reason)),
    )


@click.command()
@click.argument("target")
@_all_option
@server_options
def unbench(target: str, everywhere: str | None, place: Place) -> None:
    """Put TARGET back into rotation and clear its failures."""
    _operate(everywhere, place, lambda client: client.unbench(target).targets)


def _benched(response: BenchResponse) -> list[TargetHealth]:
    provider = response.provider_bench
    first = [whole(provider)] if provider.provider else []
    return [*first, *response.targets]


def _operate(
    everywhere: str | None,
    place: Place,
    call: Callable[[Client], Sequence[TargetHealth]],
) -> None:
    if everywhere is None:
        with connect(place) as client:
            click.echo(_shown(call(client)))
        return
    failed = False
    # Certificates are issued for names, not for addresses.
    name = place.server_name or everywhere.rpartition(":")[0]
    for one in _addresses(everywhere):
        click.echo(f"{one}:")
        try:
            with replace(place, address=one, server_name=name).client() as client:
                click.echo(_shown(call(client)))
        except MajordomoError as error:
            failed = True
            click.echo("\n".join(report(error)), err=True)
    if failed:
        sys.exit(FAILURE)


def _shown(targets: Sequence[TargetHealth]) -> str:
    # The newest bench has the time of the server's clock.
    starts = (target.bench.start_time for target in targets)
    return health_table(targets, max(starts, key=_nanoseconds, default=Timestamp()))


def _nanoseconds(moment: Timestamp) -> int:
    return moment.ToNanoseconds()


def _addresses(name: str) -> Iterator[str]:
    """Every address behind "host:port"."""
    host, colon, port = name.rpartition(":")
    if not colon or not port.isdigit():
        raise click.BadParameter(f"{name!r} must be HOST:PORT", param_hint="--all")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        raise click.BadParameter(
            f"{host} has no address: {error.strerror}", param_hint="--all"
        ) from None
    for family, *_, where in dict.fromkeys(found):
        ip = where[0]
        yield f"[{ip}]:{port}" if family == socket.AF_INET6 else f"{ip}:{port}"
