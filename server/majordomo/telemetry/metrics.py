"""What is counted and measured of calls, attempts and targets.

Calls add to plain dictionaries, which takes a microsecond; no matter who collects makes
what it needs of them: `prometheus` a page, `otlp_metrics` messages. Names, units and
labels are OpenTelemetry's conventions, and ours beside them (`semconv`).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from majordomo.chain.call import Call
from majordomo.chain.changes import Change
from majordomo.chain.records import wildcard
from majordomo.chain.target import Target
from majordomo.chain.tracker import Tracker
from majordomo.contract import GENERATION
from majordomo.durations import seconds
from majordomo.telemetry import labels, semconv
from majordomo.telemetry.finished import FinishedCall
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_SUCCEEDED,
    Attempt,
    BenchRecord,
)
from majordomo.v1.errors_pb2 import (
    ERROR_REASON_SERVER_DRAINING,
    ERROR_REASON_SERVER_OVERLOADED,
)
from majordomo.v1.operator_service_pb2 import HealthChange

Labels = tuple[str, ...]

BOUNDS = tuple(0.01 * 2**power for power in range(14))
"""Upper bounds of the buckets of durations, in seconds: 0.01 to 81.92."""

_MOST_SERIES = 1000
"""Of one instrument; what is beyond shares one."""

_OTHER = "_other"
"""Stands for models that callers name and the configuration does not (rule 1.5)."""

_SHED = (ERROR_REASON_SERVER_OVERLOADED, ERROR_REASON_SERVER_DRAINING)
_ANSWERING = (f"{GENERATION}/Generate", f"{GENERATION}/Stream")
_BENCHING = (HealthChange.CAUSE_FAILURES, HealthChange.CAUSE_OPERATOR_BENCH)


@dataclass(frozen=True)
class Instrument:
    """What is measured, in UCUM's units, by which labels."""

    name: str
    unit: str
    description: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counter(Instrument):
    """A number that only grows."""

    series: dict[Labels, int | Decimal] = field(default_factory=dict)

    def add(self, amount: int | Decimal, *labels: str) -> None:
        series = self.series
        if labels not in series and len(series) >= _MOST_SERIES:
            labels = (_OTHER,) * len(labels)
        series[labels] = series.get(labels, 0) + amount


class Distribution(NamedTuple):
    """How many values fell into each bucket, the last one without bound, and their
    sum."""

    counts: tuple[int, ...]
    sum: float


@dataclass(frozen=True)
class Histogram(Instrument):
    """How durations are distributed over BOUNDS."""

    # Of each series the counts of the buckets, and the sum behind them.
    series: dict[Labels, list[float]] = field(default_factory=dict)

    def record(self, value: float, *labels: str) -> None:
        numbers = self.series.get(labels)
        if numbers is None:
            if len(self.series) >= _MOST_SERIES:
                labels = (_OTHER,) * len(labels)
            numbers = self.series.setdefault(labels, [0.0] * (len(BOUNDS) + 2))
        numbers[bisect_left(BOUNDS, value)] += 1
        numbers[-1] += value

    def distributions(self) -> dict[Labels, Distribution]:
        return {
            labels: Distribution(tuple(map(int, numbers[:-1])), numbers[-1])
            for labels, numbers in self.series.items()
        }


@dataclass(frozen=True)
class Gauge(Instrument):
    """A number that is looked up when somebody collects."""

    read: Callable[[], Mapping[Labels, float]] = dict


@dataclass(frozen=True)
class Numbers:
    """What a counter or a gauge showed at one moment."""

    instrument: Counter | Gauge
    values: Mapping[Labels, float | Decimal]


@dataclass(frozen=True)
class Distributions:
    """What a histogram showed at one moment."""

    instrument: Histogram
    values: Mapping[Labels, Distribution]


Reading = Numbers | Distributions


class Metrics:
    """The metrics of one server.

    `in_flight` shows how many calls run.
    """

    def __init__(self, in_flight: Callable[[], int], tracker: Tracker) -> None:
        self._is_configured = tracker.is_configured
        target = (semconv.EVENT_TARGET,)
        model = (
            semconv.GEN_AI_OPERATION,
            semconv.GEN_AI_PROVIDER,
            semconv.GEN_AI_REQUEST_MODEL,
        )
        self._calls = Counter(
            "majordomo.calls",
            "{call}",
            "Generate and Stream calls, by how they ended.",
            (semconv.OUTCOME_LABEL,),
        )
        self._attempts = Counter(
            "majordomo.attempts",
            "{attempt}",
            "Attempts at targets, by how they ended.",
            (*target, semconv.OUTCOME_LABEL, semconv.ERROR_TYPE),
        )
        self._skips = Counter(
            "majordomo.skips",
            "{skip}",
            "Targets that calls passed over.",
            (*target, semconv.EVENT_REASON),
        )
        self._failovers = Counter(
            "majordomo.failovers",
            "{failover}",
            "Steps from a target that failed to the next.",
            (semconv.EVENT_FROM, semconv.EVENT_TO, semconv.ERROR_TYPE),
        )
        self._benches = Counter(
            "majordomo.benches",
            "{bench}",
            "How often a target was taken out of rotation.",
            (*target, semconv.EVENT_CAUSE),
        )
        self._shed = Counter(
            "majordomo.shed",
            "{call}",
            "Calls that this server turned away.",
            (semconv.EVENT_REASON,),
        )
        self._calls_duration = Histogram(
            "rpc.server.call.duration",
            "s",
            "How long calls of every method take.",
            (semconv.RPC_METHOD, semconv.RPC_STATUS_CODE),
        )
        self._duration = Histogram(
            "gen_ai.client.inference.duration",
            "s",
            "How long attempts at models take.",
            (*model, semconv.ERROR_TYPE),
        )
        self._first_chunk = Histogram(
            "gen_ai.client.inference.time_to_first_chunk",
            "s",
            "How long a model takes until the first content.",
            model,
        )
        self._usage = [
            (key, Counter(name, unit, what, model)) for key, name, unit, what in _USAGE
        ]
        spent = (
            semconv.ENDUSER_ID,
            semconv.GEN_AI_PROVIDER,
            semconv.GEN_AI_REQUEST_MODEL,
        )
        self._read_for = Counter(
            "majordomo.caller.input_tokens",
            "{token}",
            "Tokens read for a caller, cached ones included.",
            spent,
        )
        self._written_for = Counter(
            "majordomo.caller.output_tokens",
            "{token}",
            "Tokens written for a caller, reasoning included.",
            spent,
        )
        self._cost = Counter(
            "majordomo.caller.cost",
            "",
            "What tokens for a caller cost, by the prices of the configuration.",
            spent,
        )
        self._instruments: tuple[Counter | Gauge | Histogram, ...] = (
            self._calls,
            Gauge(
                "majordomo.calls.in_flight",
                "{call}",
                "Calls that run now.",
                read=lambda: {(): in_flight()},
            ),
            self._shed,
            self._attempts,
            self._skips,
            self._failovers,
            Gauge(
                "majordomo.target.state",
                "",
                "Where a target stands: 1 active, 2 benched, 3 probing.",
                target,
                read=lambda: {(name,): it for name, it in tracker.states().items()},
            ),
            self._benches,
            self._calls_duration,
            self._duration,
            self._first_chunk,
            *(counter for _, counter in self._usage),
            self._read_for,
            self._written_for,
            self._cost,
        )

    def observe(self, finished: FinishedCall) -> None:
        """Count a call that has ended."""
        self._calls_duration.record(finished.duration, finished.method, finished.code)
        if finished.method in _ANSWERING:
            self._calls.add(1, finished.outcome)
        if finished.reason in _SHED:
            self._shed.add(1, labels.error_reason(finished.reason))
        for skip in finished.skipped:
            self._skips.add(1, self._label(skip.target), labels.why(skip))
        if finished.call is not None:
            self._walked(finished.call, finished.attempts, finished.caller)

    def changed(self, change: Change) -> None:
        """Count a change of a target's health."""
        bench = change.view.bench
        if bench is not None and change.cause in _BENCHING:
            by_operator = bench.origin == BenchRecord.ORIGIN_OPERATOR
            cause = "operator" if by_operator else labels.failure_reason(bench.cause)
            self._benches.add(1, self._label(change.target), cause)

    def read(self) -> list[Reading]:
        """All values as they are now."""
        return [_reading(it) for it in self._instruments]

    def _walked(self, call: Call, attempts: Sequence[Attempt], caller: str) -> None:
        failed: Attempt | None = None
        for attempt in attempts:
            self._attempt(attempt, call.target(attempt.target), caller)
            if failed is not None and failed.target != attempt.target:
                steps = self._label(failed.target), self._label(attempt.target)
                self._failovers.add(1, *steps, labels.why(failed))
            failed = attempt

    def _label(self, target: str) -> str:
        """Of a target that only a caller names no more than its provider."""
        whole = wildcard(target)
        if self._is_configured(target) or target == whole:
            return target
        return whole.replace("*", _OTHER)

    def _attempt(self, attempt: Attempt, target: Target, caller: str) -> None:
        error = (
            "" if attempt.outcome == ATTEMPT_OUTCOME_SUCCEEDED else labels.why(attempt)
        )
        label = self._label(target.name)
        self._attempts.add(1, label, labels.outcome(attempt.outcome), error)
        known = label == target.name
        name = target.model if known else _OTHER
        model = (semconv.CHAT, target.peer.provider_name, name)
        self._duration.record(seconds(attempt.duration), *model, error)
        if attempt.HasField("first_content_latency"):
            self._first_chunk.record(seconds(attempt.first_content_latency), *model)
        if attempt.HasField("usage"):
            usage = attempt.usage
            for key, counter in self._usage:
                amount = getattr(usage, key)
                if amount:
                    counter.add(amount, *model)
            spent = (caller, *model[1:])
            self._read_for.add(usage.input_tokens, *spent)
            self._written_for.add(usage.output_tokens, *spent)
            if cost := target.cost_of(attempt):
                self._cost.add(cost, *spent)


def _reading(instrument: Counter | Gauge | Histogram) -> Reading:
    match instrument:
        case Counter():
            return Numbers(instrument, instrument.series.copy())
        case Gauge():
            return Numbers(instrument, instrument.read())
        case Histogram():
            return Distributions(instrument, instrument.distributions())


_TOKENS = "gen_ai.client.inference.usage."
_USAGE: Iterable[tuple[str, str, str, str]] = (
    (
        "input_tokens",
        f"{_TOKENS}input_tokens",
        "{token}",
        "Tokens read, cached ones included.",
    ),
    (
        "output_tokens",
        f"{_TOKENS}output_tokens",
        "{token}",
        "Tokens written, reasoning included.",
    ),
    (
        "cache_read_tokens",
        f"{_TOKENS}cache_read.input_tokens",
        "{token}",
        "Tokens read from a cache.",
    ),
    (
        "cache_write_tokens",
        f"{_TOKENS}cache_write.input_tokens",
        "{token}",
        "Tokens written to a cache.",
    ),
    (
        "reasoning_tokens",
        f"{_TOKENS}reasoning.output_tokens",
        "{token}",
        "Tokens of reasoning.",
    ),
    (
        "web_searches",
        semconv.USAGE_WEB_SEARCHES,
        "{search}",
        "Searches of the web that providers made.",
    ),
    (
        "url_reads",
        semconv.USAGE_URL_READS,
        "{page}",
        "Pages at URLs that providers read.",
    ),
    (
        "code_executions",
        semconv.USAGE_CODE_EXECUTIONS,
        "{run}",
        "Runs of code that providers made.",
    ),
)
