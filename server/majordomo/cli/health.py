"""`majordomo health`."""

import sys
import time
from collections.abc import Iterable, Sequence

import click
from google.protobuf.timestamp_pb2 import Timestamp

from majordomo.cli.client import (
    Place,
    connect,
    json_option,
    report,
    server_options,
    unreachable,
)
from majordomo.cli.render import state, still, table, to_json, why
from majordomo.client import Client, MajordomoError, ServerDraining
from majordomo.contract import label
from majordomo.v1.operator_service_pb2 import (
    HealthChange,
    HealthSnapshotPiece,
    HealthSnapshotResponse,
    ProviderBench,
    TargetHealth,
    WatchHealthResponse,
)

_RETRY = 1.0
"""Seconds before a lost connection is tried again."""


@click.command()
@click.argument("chain", default="")
@click.option("--watch", "-w", is_flag=True, help="Keep running; print each change.")
@json_option
@server_options
def health(chain: str, watch: bool, as_json: bool, place: Place) -> None:
    """Show the health of the targets of CHAIN, or of all targets.

    Which targets are benched, why, and for how much longer. With --watch every change
    is printed as it happens, until you stop it; with --json too, one event per line.
    """
    with connect(place, as_json=as_json) as client:
        if watch:
            _watch(client, chain, as_json=as_json)
            return
        snapshot = client.health(chain)
        if as_json:
            click.echo(to_json(snapshot))
        else:
            click.echo(_snapshot([snapshot]))


def whole(provider: ProviderBench) -> TargetHealth:
    """A provider's bench as a row among targets."""
    shown = TargetHealth(target=f"{provider.provider}/*")
    shown.state = TargetHealth.STATE_ACTIVE
    if provider.HasField("bench"):
        shown.state = TargetHealth.STATE_BENCHED
        shown.bench.CopyFrom(provider.bench)
    return shown


def health_table(targets: Iterable[TargetHealth], now: Timestamp) -> str:
    """A table of targets; `now` is by the server's clock."""
    rows = [("TARGET", "STATE", "ATTEMPTS", "FAILED", "FOR", "WHY")]
    rows.extend(
        (
            target.target,
            state(target),
            str(target.total_attempts),
            str(target.total_failures),
            still(target, now).removeprefix("for "),
            why(target),
        )
        for target in targets
    )
    return table(rows)


def _snapshot(pieces: Sequence[HealthSnapshotResponse | HealthSnapshotPiece]) -> str:
    benches = (whole(one) for piece in pieces for one in piece.provider_benches)
    targets = (one for piece in pieces for one in piece.targets)
    return health_table([*benches, *targets], pieces[0].snapshot_time)


def _watch(client: Client, chain: str, *, as_json: bool) -> None:
    """Print the changes; reconnect to a server that restarts."""
    followed = False
    while True:
        try:
            with client.watch_health(chain) as events:
                pieces: list[HealthSnapshotPiece] = []
                for event in events:
                    followed = True
                    if as_json:
                        text = to_json(event, indent=None)
                    else:
                        text = _event_text(event, pieces)
                    if text:
                        click.echo(text)
                        sys.stdout.flush()
        except MajordomoError as error:
            lost = isinstance(error, ServerDraining) or unreachable(error)
            if not followed or not lost:
                raise
            click.echo(f"connection lost, retrying: {next(report(error))}", err=True)
            time.sleep(_RETRY)


def _event_text(event: WatchHealthResponse, pieces: list[HealthSnapshotPiece]) -> str:
    """`event` for people; `pieces` are those so far of a snapshot that goes on."""
    match event.WhichOneof("event"):
        case "snapshot":
            pieces.append(event.snapshot)
            if event.snapshot.more:
                return ""
            text = _snapshot(pieces)
            pieces.clear()
            return text
        case "change":
            return _change(event.change)
        case _:
            return ""


def _change(change: HealthChange) -> str:
    target = change.target
    if change.HasField("provider"):
        target = whole(change.provider)
    cause = label(HealthChange.Cause, change.cause).lower()
    words = [
        f"{change.change_time.ToDatetime():%H:%M:%S}",
        target.target,
        state(target),
        still(target, change.change_time),
        f"({cause.replace('_', ' ')}{': ' if why(target) else ''}{why(target)})",
    ]
    return " ".join(word for word in words if word)
