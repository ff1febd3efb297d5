"""The metrics as messages to a collector, by the SDK's exporter.

The SDK's instruments cost 24 us a record; here the exporter is given what was counted
plainly (`metrics`), in the SDK's own types.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.util.types import Attributes

from majordomo.telemetry.metrics import (
    BOUNDS,
    Counter,
    Distribution,
    Distributions,
    Instrument,
    Labels,
    Reading,
)

_log = logging.getLogger("majordomo")

_SCOPE = InstrumentationScope("majordomo")
_CUMULATIVE = AggregationTemporality.CUMULATIVE


class Pushing:
    """Sends what `read` gives every `interval` seconds, in a thread of its own.

    A collector that is dead or silent holds up nobody: what it does not take in time
    is known from the next message, for all sums count from the start.
    """

    def __init__(
        self,
        exporter: MetricExporter,
        resource: Resource,
        read: Callable[[], list[Reading]],
        interval: float,
    ) -> None:
        self._exporter = exporter
        self._resource = resource
        self._read = read
        self._interval = interval
        self._start = time.time_ns()
        self._waiting: queue.Queue[MetricsData | None] = queue.Queue(1)
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, within the event loop that counts."""
        self._thread.start()
        self._task = asyncio.create_task(self._push())

    async def stop(self, patience: float) -> None:
        """Send what is left, for at most `patience` seconds."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._offer()
        await asyncio.to_thread(self._finish, patience)

    async def _push(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            self._offer()

    def _offer(self) -> None:
        if not self._waiting.full():
            self._waiting.put_nowait(data(self._read(), self._resource, self._start))

    def _send(self) -> None:
        while (messages := self._waiting.get()) is not None:
            self._exporter.export(messages)

    def _finish(self, patience: float) -> None:
        end = time.monotonic() + patience
        with suppress(queue.Full):
            self._waiting.put(None, timeout=patience)
        self._thread.join(end - time.monotonic())
        if self._thread.is_alive():
            _log.warning("the collector does not answer; the last metrics are lost")
        else:
            self._exporter.shutdown(timeout_millis=0)


def data(readings: list[Reading], resource: Resource, start: int) -> MetricsData:
    """`readings`, counted since `start` (nanoseconds), in the SDK's types."""
    now = time.time_ns()
    metrics = [_metric(reading, start, now) for reading in readings if reading.values]
    scope = ScopeMetrics(_SCOPE, metrics, schema_url="")
    return MetricsData([ResourceMetrics(resource, [scope], schema_url="")])


def _metric(reading: Reading, start: int, now: int) -> Metric:
    it = reading.instrument
    kind: Sum | Gauge | Histogram
    if isinstance(reading, Distributions):
        shares = [
            _distribution(_attributes(it, labels), value, start, now)
            for labels, value in reading.values.items()
        ]
        kind = Histogram(shares, _CUMULATIVE)
    else:
        numbers = [
            NumberDataPoint(_attributes(it, labels), start, now, _number(value))
            for labels, value in reading.values.items()
        ]
        if isinstance(it, Counter):
            kind = Sum(numbers, _CUMULATIVE, is_monotonic=True)
        else:
            kind = Gauge(numbers)
    return Metric(it.name, it.description, it.unit, kind)


def _number(value: float | Decimal) -> float:
    return float(value) if isinstance(value, Decimal) else value


def _attributes(instrument: Instrument, labels: Labels) -> Attributes:
    named = zip(instrument.labels, labels, strict=True)
    return {name: value for name, value in named if value}


def _distribution(
    attributes: Attributes, value: Distribution, start: int, now: int
) -> HistogramDataPoint:
    count = sum(value.counts)
    return HistogramDataPoint(
        attributes,
        start,
        now,
        count,
        value.sum,
        value.counts,
        BOUNDS,
        min=None,  # type: ignore[arg-type] # not kept, and optional in the message
        max=None,  # type: ignore[arg-type]
    )
