"""docs/observability.md shows what the code does: its tables, and its examples."""

import hashlib
import io
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from majordomo.chain.tracker import Tracker
from majordomo.telemetry import labels, semconv, setup
from majordomo.telemetry.metrics import Counter, Gauge, Histogram, Metrics
from majordomo.telemetry.prometheus import name_of
from majordomo.v1.attempt_pb2 import FailureReason
from majordomo.v1.errors_pb2 import ErrorReason
from majordomo.v1.operator_service_pb2 import BenchRequest, UnbenchRequest
from testkit.collector import Collector, attributes
from testkit.servers import failed, generate, rest_of, running, stream

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "observability.md").read_text()
LABEL = semconv.LABEL + "KEY"
KINDS = {
    Span.SPAN_KIND_SERVER: "S",
    Span.SPAN_KIND_INTERNAL: "C",
    Span.SPAN_KIND_CLIENT: "A",
}
CONFIG = """
    [health]
    failure_threshold = 1
    cooldown_base = "1ms"
    [providers.acme]
    kind = "scripted"
    [providers.acme.models.flaky]
    script = ["status:503+code:busy+retry-after:0", "text:hello"]
"""

TOKEN = "token-of-checkout"
SPENDING = f"""
    [tokens.checkout]
    sha256 = "{hashlib.sha256(TOKEN.encode()).hexdigest()}"
    scopes = ["generate"]
    [providers.acme.models.dear.prices]
    input = 0.5
    output = 2
    [providers.acme.models.empty]
    script = ["text:"]
"""
"""More of CONFIG."""


def table(first: str) -> list[list[str]]:
    """The rows of the table whose first heading is `first`, each as its cells."""
    lines = iter(PAGE.splitlines())
    for line in lines:
        if line.startswith(f"| {first} |"):
            break
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def named(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall("`([^`]+)`", cell)


def fields(first: str) -> set[str]:
    return {name for row in table(first) for name in named(row[0])}


def metric_row(it: Counter | Gauge | Histogram) -> list[str]:
    kind = type(it).__name__.lower()
    total = "_total" if isinstance(it, Counter) else ""
    return [
        f"`{it.name}`",
        f"`{name_of(it)}{total}`",
        f"{kind}, {it.unit}" if it.unit else kind,
        ", ".join(f"`{label}`" for label in it.labels),
        it.description,
    ]


def test_every_instrument_is_told() -> None:
    """In the order of the page for Prometheus, in the code's own words."""
    readings = Metrics(lambda: 0, Tracker()).read()

    assert [metric_row(it.instrument) for it in readings] == table("metric")


def test_every_variable_is_told() -> None:
    """As the code's own documentation has it."""
    rows = re.findall(r"(?m)^\| `.*\|$", setup.__doc__ or "")

    assert rows == [f"| {' | '.join(row)} |" for row in table("variable")]


def test_every_outcome_is_told() -> None:
    """Those of calls that were answered, and every reason of ours."""
    reasons = [labels.error_reason(value) for value in ErrorReason.values() if value]

    reported = [name for row in table("outcome") for name in named(row[0])]
    ours = {"first_try", "recovered", "restarted", "cancelled", *reasons}
    assert sorted(ours) == sorted(reported)


def test_every_reason_is_told() -> None:
    """In one list, in the contract's order."""
    reasons = [
        labels.failure_reason(value) for value in FailureReason.values() if value
    ]

    assert ", ".join(f"`{it}`" for it in reasons) in " ".join(PAGE.split())


def test_every_name_of_spans_is_told() -> None:
    """And no other."""
    names = {
        value
        for key, value in vars(semconv).items()
        if key.isupper() and key not in ("CHAT", "LABEL", "OUTCOME_LABEL")
    }
    events = {name for row in table("event") for name in named(row[0] + row[2])}

    assert names | {LABEL} == fields("attribute") | events


async def test_spans_say_what_is_told(collector: Collector) -> None:
    """Of calls that end in several ways: no attribute elsewhere, no event otherwise."""
    request = generate("acme/flaky,acme/echo")
    request.call.labels["team"] = "search"
    request.call.prompt.config.max_output_tokens = 9
    async with running(CONFIG) as it:
        for _ in range(3):
            await it.generation.Generate(request)
        await it.generation.Generate(generate("acme/status:404,acme/echo"))
        await it.operator.Bench(BenchRequest(target="acme/echo"))
        await failed(it.generation.Generate(generate("acme/echo")))
        await it.operator.Unbench(UnbenchRequest(target="acme/echo"))
        await failed(it.generation.Stream(stream("acme/cut:1", "one two")))

    reported = {name: row[1] for row in table("attribute") for name in named(row[0])}
    events = {named(row[0])[0]: set(named(row[2])) for row in table("event")}
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for span in collector.spans():
        for key in attributes(span.attributes):
            name = LABEL if key.startswith(semconv.LABEL) else key
            assert KINDS[span.kind] in reported[name], key
        for event in span.events:
            seen[event.name] |= attributes(event.attributes).keys()
    assert seen.keys() == events.keys()
    for name, keys in seen.items():
        assert keys <= events[name]


def lines(text: str, event: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == event]


def keys(found: list[dict[str, Any]]) -> set[str]:
    return {key for line in found for key in line}


async def test_log_lines_have_the_fields_that_are_told(
    log: io.StringIO, collector: Collector
) -> None:
    """All of them but what only a provider over HTTP gives, and no others."""
    request = generate("acme/flaky,acme/echo")
    request.call.labels["team"] = "search"
    bearer = [("authorization", f"Bearer {TOKEN}")]
    async with running(CONFIG + SPENDING) as it:
        method = it.generation.Stream
        for _ in range(1000):  # until its bench is over, which takes a moment
            call = method(stream("acme/flaky,acme/echo"), metadata=bearer)
            events = await rest_of(call)
            if events[-1].completion.attempts[0].probe:
                break
        for chain in ("acme/dear", "acme/empty"):
            await rest_of(method(stream(chain), metadata=bearer))
        await failed(method(stream("acme/cut:1", "one two"), metadata=bearer))
        await it.generation.Generate(request, metadata=bearer)

    calls, health = (lines(log.getvalue(), event) for event in ("call", "health"))
    attempts = [attempt for line in calls for attempt in line["attempts"]]
    assert keys(calls) == fields("field of `call`")
    assert keys(attempts) == fields("field of an attempt") - {
        "last_resort",
        "provider_request_id",
        "resent",
    }
    assert keys(health) == fields("field of `health`")


@pytest.mark.parametrize("event", ["call", "health"])
def test_the_example_s_lines_have_the_fields_that_are_told(event: str) -> None:
    """They are of a real run, and of how lines are now."""
    shown = lines(re.sub("(?m)^ +", "", PAGE), event)

    assert shown
    assert keys(shown) <= fields(f"field of `{event}`")
