"""All that is informed of one server's calls: traces, metrics, log lines."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack

from majordomo.chain.tracker import Tracker
from majordomo.telemetry.environment import leave_out_unusable
from majordomo.telemetry.logs import HealthLog, call_ended
from majordomo.telemetry.metrics import Metrics, Reading
from majordomo.telemetry.record import CallRecord, Recorder
from majordomo.telemetry.setup import (
    SHUTDOWN_PATIENCE,
    metric_exporter,
    metric_interval,
    resource,
    shutdown,
    tracer_provider,
)
from majordomo.telemetry.spans import Traces


class Telemetry:
    """Observes the calls of `recorder`, and the tracker's health.

    `current` says for which call this runs, if for any: changes of health are logged
    under it. The standard OTEL_* variables say where spans and metrics go (`setup`).
    """

    def __init__(
        self, tracker: Tracker, current: Callable[[], CallRecord | None]
    ) -> None:
        leave_out_unusable(os.environ)
        self._resource = resource()
        self._tracers = tracer_provider(self._resource)
        self._exporter = metric_exporter()
        self._resources = AsyncExitStack()
        self.metrics = Metrics(lambda: self.recorder.in_flight, tracker)
        self.recorder = Recorder(
            Traces(self._tracers), [self.metrics.observe, call_ended]
        )
        for observer in (self.metrics.changed, HealthLog(current).changed):
            self._resources.callback(tracker.changes.subscribe(observer))

    async def start(self, page_address: str | None) -> str:
        """Begin to send metrics, and to serve the page for Prometheus.

        Returns where the page is, empty without an address. Raises OSError.
        """
        if self._exporter is not None:
            # Only who sends metrics needs the SDK's types for them.
            from majordomo.telemetry.otlp_metrics import Pushing  # noqa: PLC0415

            pushing = Pushing(
                self._exporter, self._resource, self._read, metric_interval()
            )
            pushing.start()
            self._resources.push_async_callback(pushing.stop, SHUTDOWN_PATIENCE)
        if page_address is None:
            return ""
        # Only who shows the page needs a web server.
        from majordomo.telemetry.prometheus import page  # noqa: PLC0415

        about = {key: str(value) for key, value in self._resource.attributes.items()}
        return await self._resources.enter_async_context(
            page(page_address, self._read, about)
        )

    def _read(self) -> list[Reading]:
        """The metrics, with all calls that have ended."""
        self.recorder.report()
        return self.metrics.read()

    async def stop(self) -> None:
        """Send what is left and let go of everything, within SHUTDOWN_PATIENCE."""
        self.recorder.report()
        await asyncio.gather(self._resources.aclose(), shutdown(self._tracers))
