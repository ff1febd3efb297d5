"""The metrics as a page for Prometheus, on a port of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from majordomo.sockets import listening_socket
from majordomo.telemetry.metrics import (
    BOUNDS,
    Counter,
    Distribution,
    Distributions,
    Instrument,
    Reading,
)
from majordomo.telemetry.setup import SHUTDOWN_PATIENCE

_BOUNDS = [*map(floatToGoString, BOUNDS), "+Inf"]
_UNITS = {"s": "_seconds"}


def name_of(instrument: Instrument) -> str:
    """An instrument's name as Prometheus knows it; counters' without "_total".

    Source: OpenTelemetry's compatibility rules for Prometheus.
    """
    return instrument.name.replace(".", "_") + _UNITS.get(instrument.unit, "")


@asynccontextmanager
async def page(
    address: str, read: Callable[[], list[Reading]], resource: Mapping[str, str]
) -> AsyncIterator[str]:
    """Serve /metrics on `address`, host:port; yields where. Raises OSError."""

    async def metrics(request: web.Request) -> web.Response:
        # Read by the event loop, which is who counts; written down beside it.
        readings = read()
        text, content_type = await asyncio.to_thread(
            render, readings, resource, request.headers.get("Accept", "")
        )
        return web.Response(body=text, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_PATIENCE
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listening_socket(address)).start()
        yield f"{address.rpartition(':')[0]}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def render(
    readings: Sequence[Reading], resource: Mapping[str, str], accept: str
) -> tuple[bytes, str]:
    """The page in the format that `accept` asks for, and its content type."""
    registry = CollectorRegistry()
    registry.register(_Readings(readings, resource))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Readings(Collector):
    def __init__(
        self, readings: Sequence[Reading], resource: Mapping[str, str]
    ) -> None:
        self._readings = readings
        self._resource = resource

    def collect(self) -> Iterator[Metric]:
        about = {key.replace(".", "_"): value for key, value in self._resource.items()}
        yield InfoMetricFamily("target", "Who measured this.", value=about)
        for reading in self._readings:
            yield _family(reading)


def _family(reading: Reading) -> Metric:
    it = reading.instrument
    labels = [label.replace(".", "_") for label in it.labels]
    if isinstance(reading, Distributions):
        histogram = HistogramMetricFamily(name_of(it), it.description, labels=labels)
        for values, value in reading.values.items():
            histogram.add_metric(values, list(_cumulative(value)), value.sum)
        return histogram
    kind = CounterMetricFamily if isinstance(it, Counter) else GaugeMetricFamily
    family = kind(name_of(it), it.description, labels=labels)
    for values, number in reading.values.items():
        family.add_metric(values, number)
    return family


def _cumulative(distribution: Distribution) -> Iterator[tuple[str, float]]:
    below = 0
    for bound, count in zip(_BOUNDS, distribution.counts, strict=True):
        below += count
        yield bound, below
