"""The contract's messages as text for people, and as JSON."""

import json
from collections.abc import Iterable
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from majordomo.contract import label
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_SKIPPED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    Attempt,
    AttemptOutcome,
    BenchRecord,
    FailureReason,
)
from majordomo.v1.operator_service_pb2 import TargetHealth


def describe(attempt: Attempt) -> str:
    """The target, how the attempt ended, and how long it took."""
    words = [f"{attempt.number}. {attempt.target}:"]
    if attempt.outcome == ATTEMPT_OUTCOME_SUCCEEDED:
        words.append("answered")
    else:
        words.append(label(AttemptOutcome, attempt.outcome).lower())
        words.append(f"({reason(attempt.failure_reason)})")
    if attempt.http_status_code:
        words.append(f"HTTP {attempt.http_status_code}")
    if attempt.outcome != ATTEMPT_OUTCOME_SKIPPED:
        words.append(f"in {attempt.duration.ToTimedelta().total_seconds():.3f} s")
    if attempt.last_resort:
        words.append("- as the last resort")
    if attempt.resent:
        words.append("- sent twice")
    if attempt.message:
        words.append(f"- {attempt.message}")
    if attempt.benched:
        words.append(f"- now benched {until(attempt.bench)}")
    return " ".join(words)


def reason(failure: FailureReason) -> str:
    """A failure's reason without its prefix."""
    return label(FailureReason, failure)


def state(health: TargetHealth) -> str:
    """active, benched or probing."""
    return label(TargetHealth.State, health.state).lower()


def until(bench: BenchRecord) -> str:
    """When a bench ends, by the server's clock."""
    if not bench.HasField("expire_time"):
        return "until unbenched"
    return f"until {bench.expire_time.ToDatetime():%H:%M:%S} UTC"


def why(health: TargetHealth) -> str:
    """Who benched a target, and why; "" if nobody did."""
    if not health.HasField("bench"):
        return ""
    bench = health.bench
    if bench.origin == BenchRecord.ORIGIN_OPERATOR:
        return f"operator: {bench.reason}" if bench.reason else "operator"
    cause = reason(bench.failure_reason)
    if bench.consecutive_benches > 1:
        cause += f", {bench.consecutive_benches} benches in a row"
    return cause


def still(health: TargetHealth, now: Timestamp) -> str:
    """How much longer a target is benched; `now` is by the server's clock."""
    if not health.HasField("bench"):
        return ""
    if not health.bench.HasField("expire_time"):
        return "until unbenched"
    end = health.bench.expire_time
    left = end.ToDatetime() - now.ToDatetime()
    seconds = left.total_seconds()
    if seconds <= 0:
        return "the next call probes" if health.state == health.STATE_BENCHED else ""
    return f"for {length(seconds)}"


def length(seconds: float) -> str:
    """A duration in at most two units: 45s, 3m 20s, 2h 5m, 3d 4h."""
    left = round(seconds)
    words: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or words or size == 1:
            words.append(f"{count}{unit}")
    first, *rest = words[:2]
    return " ".join([first, *(word for word in rest if word[0] != "0")])


def table(rows: Iterable[tuple[str, ...]]) -> str:
    """Rows in columns, the last one as wide as it is."""
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths[-1] = 0
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def to_json(data: object, *, indent: int | None = 2) -> str:
    """`data`, with contract's messages anywhere in it, as JSON."""
    return json.dumps(data, indent=indent, ensure_ascii=False, default=_as_data)


def _as_data(thing: object) -> Any:
    if isinstance(thing, Message):
        return MessageToDict(thing, preserving_proto_field_name=True)
    if isinstance(thing, Iterable):
        return list(thing)
    raise TypeError(type(thing).__name__)
