"""Where spans and metrics go: the standard OTEL_* variables decide.

| variable | what it does here |
| --- | --- |
| `OTEL_TRACES_EXPORTER` | `otlp`, `console` (a tree a call, on stdout), `none` |
| `OTEL_METRICS_EXPORTER` | `otlp`, `none` |
| `OTEL_EXPORTER_OTLP_ENDPOINT` | set: `otlp` is the default of both |
| `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `..._METRICS_ENDPOINT` | set: of one |
| `OTEL_METRIC_EXPORT_INTERVAL` | milliseconds between two messages; 60 000 |
| `OTEL_EXPORTER_OTLP_PROTOCOL`, `..._HEADERS`, ... | as the exporter documents them |
| `OTEL_EXPORTER_OTLP_CERTIFICATE`, `..._CLIENT_KEY`, ... | read when they change |
| `SSL_CERT_FILE` | authorities, where `..._CERTIFICATE` names none |
| `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` | the proxy that leads to the collector |
| `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | who we are; `majordomo` by default |
| `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | which calls are recorded |
| `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, `OTEL_BSP_SCHEDULE_DELAY` | 64 spans, 200 ms |
| `OTEL_SDK_DISABLED` | `true`: nothing is recorded |

Without an exporter no span is recorded, and a call costs next to nothing more; its
trace id is then the one of the caller's `traceparent`, or there is none. A provider
that the process has set already is used as it is, and outlives us.
"""

import asyncio
import logging
import os
import sys
import threading
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NoOpTracerProvider,
    ProxyTracerProvider,
    TracerProvider,
    get_tracer_provider,
)

from majordomo.distribution import DISTRIBUTION, installing
from majordomo.telemetry.console import ConsoleTree
from majordomo.telemetry.otlp_connection import (
    CurrentExporter,
    files,
    grpc_settings,
    http_settings,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter

SHUTDOWN_PATIENCE = 2.0
"""Seconds that the last spans may take to be sent."""

# Large batches hold the interpreter: 512 spans at once cost calls 15 to 70 ms.
_BATCH = 64
_BATCH_DELAY_MILLISECONDS = 200

_SDK = "opentelemetry.exporter.otlp.proto"
_SPAN_EXPORTERS = {
    "grpc": "majordomo.telemetry.otlp_spans.SpanExporter",
    "http/protobuf": f"{_SDK}.http.trace_exporter.OTLPSpanExporter",
}
_METRIC_EXPORTERS = {
    "grpc": f"{_SDK}.grpc.metric_exporter.OTLPMetricExporter",
    "http/protobuf": f"{_SDK}.http.metric_exporter.OTLPMetricExporter",
}
"""By protocol. They are extras, and are imported where they are asked for."""

_log = logging.getLogger("majordomo")


class TelemetryError(Exception):
    """The variables ask for what is not here; the message names the mend."""


def tracer_provider(about: Resource) -> TracerProvider:
    """What is set already, or what the variables ask for. Raises TelemetryError."""
    already = get_tracer_provider()
    if not isinstance(already, ProxyTracerProvider):
        return already
    processor = None if _disabled() else _processor()
    if processor is None:
        return NoOpTracerProvider()
    provider = SdkTracerProvider(resource=about, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider


def resource() -> Resource:
    """Who we are."""
    ours = {SERVICE_NAME: "majordomo", SERVICE_VERSION: version(DISTRIBUTION)}
    # What the variables say of us goes over our defaults, as those go over the SDK's.
    return Resource.create(ours).merge(OTELResourceDetector().detect())


def metric_exporter() -> "MetricExporter | None":
    """What the variables ask for, if anything. Raises TelemetryError."""
    if _disabled():
        return None
    kind = _exporter_kind("METRICS")
    match kind:
        case "none":
            return None
        case "otlp":
            exporter: MetricExporter = _otlp("METRICS", _METRIC_EXPORTERS)
            return exporter
        case _:
            raise TelemetryError(f"OTEL_METRICS_EXPORTER is {kind!r}; use otlp or none")


def metric_interval() -> float:
    """Seconds between two messages of metrics. Raises TelemetryError."""
    given = os.environ.get("OTEL_METRIC_EXPORT_INTERVAL") or "60000"
    if not given.isdecimal() or int(given) == 0:
        raise TelemetryError(
            f"OTEL_METRIC_EXPORT_INTERVAL is {given!r}; use milliseconds above 0"
        )
    return int(given) / 1000


async def shutdown(
    provider: TracerProvider, patience: float = SHUTDOWN_PATIENCE
) -> None:
    """Send what is left and stop, within `patience` seconds.

    A collector that is dead or silent must not hold up the end of the process.
    """
    if provider is get_tracer_provider() or not isinstance(provider, SdkTracerProvider):
        return
    thread = threading.Thread(target=provider.shutdown, daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, patience)
    if thread.is_alive():
        _log.warning("the trace collector does not answer; the last spans are lost")


def _disabled() -> bool:
    return os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"


def _exporter_kind(signal: str) -> str:
    """The exporter of TRACES or METRICS."""
    asked = os.environ.get(f"OTEL_{signal}_EXPORTER")
    return asked or ("otlp" if _variable(signal, "ENDPOINT") else "none")


def _variable(signal: str, name: str) -> str | None:
    """What is set for the signal, or for all."""
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_{name}")
    return own or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}")


def _processor() -> SpanProcessor | None:
    kind = _exporter_kind("TRACES")
    match kind:
        case "none":
            return None
        case "console":
            return ConsoleTree(sys.stdout)
        case "otlp":
            return BatchSpanProcessor(
                _otlp("TRACES", _SPAN_EXPORTERS),
                max_export_batch_size=_unless("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", _BATCH),
                schedule_delay_millis=_unless(
                    "OTEL_BSP_SCHEDULE_DELAY", _BATCH_DELAY_MILLISECONDS
                ),
            )
        case _:
            raise TelemetryError(
                f"OTEL_TRACES_EXPORTER is {kind!r}; use otlp, console or none"
            )


def _unless(variable: str, ours: int) -> int | None:
    """Our value; None, which the SDK fills in, where the variable has another."""
    return None if os.environ.get(variable) else ours


def _otlp(signal: str, exporters: dict[str, str]) -> Any:
    """The exporter of `exporters` for the protocol that the variables name."""
    protocol = _variable(signal, "PROTOCOL") or "grpc"
    if protocol not in exporters:
        raise TelemetryError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; use grpc or http/protobuf"
        )
    module, _, name = exporters[protocol].rpartition(".")
    try:
        exporter = getattr(import_module(module), name)
    except ImportError:
        mend = (
            installing("otlp")
            if protocol == "grpc"
            else "pip install opentelemetry-exporter-otlp-proto-http"
        )
        raise TelemetryError(
            f"the exporter of {signal.lower()} by OTLP over {protocol} is not "
            f"installed: {mend}"
        ) from None
    more = grpc_settings if protocol == "grpc" else http_settings
    try:
        return CurrentExporter(
            lambda: exporter(**more(signal, os.environ)), files(signal, os.environ)
        )
    except (OSError, ValueError) as error:
        raise TelemetryError(f"telemetry cannot go out: {error}") from None
