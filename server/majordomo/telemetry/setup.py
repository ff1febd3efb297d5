"""Where spans and metrics go: the standard OTEL_* variables decide.

| variable | what it does here |
| --- | --- |
| `OTEL_TRACES_EXPORTER` | `otlp`, `console` (a tree a call, on stdout), both, `none` |
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

What cannot be used is left out with a warning (`environment`). So is an exporter that
is not installed, or that cannot be made of what the variables say.

Without an exporter no span is recorded, and a call costs next to nothing more; its
trace id is then the one of the caller's `traceparent`, or there is none. A provider
that the process has set already is used as it is, and outlives us.
"""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Iterator
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
from majordomo.telemetry import environment
from majordomo.telemetry.console import ConsoleTree

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter

SHUTDOWN_PATIENCE = 2.0
"""Seconds that the last spans may take to be sent."""

# Large batches hold the interpreter: 512 spans at once cost calls 15 to 70 ms.
_BATCH = 64
_QUEUE = 2048
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


def tracer_provider(about: Resource) -> TracerProvider:
    """What is set already, or what the variables ask for."""
    already = get_tracer_provider()
    if not isinstance(already, ProxyTracerProvider):
        return already
    processors = list(_processors())
    if not processors:
        return NoOpTracerProvider()
    provider = SdkTracerProvider(resource=about, shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider


def resource() -> Resource:
    """Who we are."""
    ours = {SERVICE_NAME: "majordomo", SERVICE_VERSION: version(DISTRIBUTION)}
    # What the variables say of us goes over our defaults, as those go over the SDK's.
    return Resource.create(ours).merge(OTELResourceDetector().detect())


def metric_exporter() -> "MetricExporter | None":
    """What the variables ask for, if anything."""
    if "otlp" not in _exporters("METRICS"):
        return None
    exporter: MetricExporter | None = _otlp("METRICS", _METRIC_EXPORTERS)
    return exporter


def metric_interval() -> float:
    """Seconds between two messages of metrics."""
    return _number("OTEL_METRIC_EXPORT_INTERVAL", 60_000) / 1000


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


def _exporters(signal: str) -> list[str]:
    """The exporters of TRACES or METRICS."""
    if _disabled():
        return []
    variable = f"OTEL_{signal}_EXPORTER"
    asked = os.environ.get(variable)
    if asked:
        return environment.exporters(variable, asked)
    return ["otlp"] if _variable(signal, "ENDPOINT") else []


def _variable(signal: str, name: str) -> str | None:
    """What is set for the signal, or for all."""
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_{name}")
    return own or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}")


def _processors() -> Iterator[SpanProcessor]:
    for kind in _exporters("TRACES"):
        if kind == "console":
            yield ConsoleTree(sys.stdout)
        elif exporter := _otlp("TRACES", _SPAN_EXPORTERS):
            queue = _number("OTEL_BSP_MAX_QUEUE_SIZE", _QUEUE)
            batch = _number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", _BATCH)
            yield BatchSpanProcessor(
                exporter,
                max_queue_size=queue,
                max_export_batch_size=min(batch, queue),
                schedule_delay_millis=_number(
                    "OTEL_BSP_SCHEDULE_DELAY", _BATCH_DELAY_MILLISECONDS
                ),
            )


def _number(variable: str, default: int) -> int:
    """What the variable says; `environment` has left out what is no number."""
    return int(os.environ.get(variable) or default)


def _otlp(signal: str, exporters: dict[str, str]) -> Any:
    """The exporter of `exporters` for the protocol that the variables name.

    None, with a warning, where it is not installed or cannot be made.
    """
    # Only who exports needs gRPC.
    from majordomo.telemetry import otlp_connection  # noqa: PLC0415

    protocol = _variable(signal, "PROTOCOL") or "grpc"
    module, _, name = exporters[protocol].rpartition(".")
    by_grpc = protocol == "grpc"
    settings = (
        otlp_connection.grpc_settings if by_grpc else otlp_connection.http_settings
    )
    try:
        exporter = getattr(import_module(module), name)
        return otlp_connection.CurrentExporter(
            lambda: exporter(**settings(signal, os.environ)),
            otlp_connection.files(signal, os.environ),
        )
    except ImportError:
        fix = (
            installing("otlp")
            if by_grpc
            else "pip install opentelemetry-exporter-otlp-proto-http"
        )
        problem = f"is not installed: {fix}"
    except Exception as error:
        problem = f"cannot be made of the OTEL_* variables ({type(error).__name__})"
    _log.warning(
        "%s go nowhere: the exporter by OTLP over %s %s",
        signal.lower(),
        protocol,
        problem,
    )
    return None
