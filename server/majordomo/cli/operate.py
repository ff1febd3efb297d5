"""`majordomo health`, `bench` and `unbench`."""

from collections.abc import Iterable

import click
from google.protobuf.duration_pb2 import Duration

from majordomo.cli.client import address_option, connect, until
from majordomo.v1.attempt_pb2 import BenchRecord, FailureReason
from majordomo.v1.operator_service_pb2 import (
    BenchRequest,
    HealthSnapshotRequest,
    TargetHealth,
    UnbenchRequest,
)
from majordomo.v1.operator_service_pb2_grpc import OperatorServiceStub


@click.command()
@click.argument("chain", default="")
@address_option
def health(chain: str, address: str) -> None:
    """Show how the targets of CHAIN, or all, are doing."""
    with connect(address) as channel:
        stub = OperatorServiceStub(channel)
        snapshot = stub.HealthSnapshot(HealthSnapshotRequest(chain=chain))
    _show(snapshot.targets)


@click.command()
@click.argument("target")
@click.option("--for", "seconds", type=float, help="Seconds; without it: for good.")
@click.option("--reason", "-r", default="", help="Why, for whoever finds it.")
@address_option
def bench(target: str, seconds: float | None, reason: str, address: str) -> None:
    """Take TARGET, "provider/model-id" or "provider/*", out of every chain."""
    request = BenchRequest(target=target, reason=reason)
    if seconds is not None:
        duration = Duration()
        duration.FromNanoseconds(round(seconds * 1e9))
        request.duration.CopyFrom(duration)
    with connect(address) as channel:
        response = OperatorServiceStub(channel).Bench(request)
    _show(response.targets)


@click.command()
@click.argument("target")
@address_option
def unbench(target: str, address: str) -> None:
    """Put TARGET back into rotation and forget its failures."""
    with connect(address) as channel:
        response = OperatorServiceStub(channel).Unbench(UnbenchRequest(target=target))
    _show(response.targets)


def _show(targets: Iterable[TargetHealth]) -> None:
    rows = [("TARGET", "STATE", "ATTEMPTS", "FAILED", "WHY")]
    rows.extend(
        (
            health.target,
            TargetHealth.State.Name(health.state).removeprefix("STATE_").lower(),
            str(health.total_attempts),
            str(health.total_failures),
            _why(health),
        )
        for health in targets
    )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[4]]).rstrip())


def _why(health: TargetHealth) -> str:
    if not health.HasField("bench"):
        return ""
    bench = health.bench
    if bench.origin == BenchRecord.ORIGIN_OPERATOR:
        why = f"operator: {bench.reason}" if bench.reason else "operator"
    else:
        name = FailureReason.Name(bench.failure_reason)
        why = name.removeprefix("FAILURE_REASON_")
        if bench.consecutive_benches > 1:
            why += f", {bench.consecutive_benches} benches in a row"
    return f"{why}, {until(bench)}"
