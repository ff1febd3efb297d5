"""Where spans go: the standard OTEL_* variables decide.

| variable | what it does here |
| --- | --- |
| `OTEL_TRACES_EXPORTER` | `otlp`, `console` (a tree a call, on stdout), `none` |
| `OTEL_EXPORTER_OTLP_ENDPOINT`, `..._TRACES_ENDPOINT` | set: `otlp` is the default |
| `OTEL_EXPORTER_OTLP_PROTOCOL`, `..._HEADERS`, ... | as the exporter documents them |
| `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | who we are; `majordomo` by default |
| `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | which calls are recorded |
| `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, `OTEL_BSP_SCHEDULE_DELAY` | 64 spans, 200 ms |
| `OTEL_SDK_DISABLED` | `true`: nothing is recorded |

Without an exporter nothing is recorded, and a call costs next to nothing more; its
trace id is then the one of the caller's `traceparent`, or there is none. A provider
that the process has set already is used as it is, and outlives us.
"""

import logging
import os
import sys
import threading
from importlib import import_module
from importlib.metadata import version

from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import (
    NoOpTracerProvider,
    ProxyTracerProvider,
    TracerProvider,
    get_tracer_provider,
)

from majordomo.telemetry.console import ConsoleTree

SHUTDOWN_PATIENCE = 2.0
"""Seconds that the last spans may take to be sent."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

# Large batches hold the interpreter: 512 spans at once cost calls 15 to 70 ms.
_BATCH = 64
_BATCH_DELAY_MILLISECONDS = 200

_log = logging.getLogger("majordomo")


class TelemetryError(Exception):
    """The variables ask for what is not here; the message names the mend."""


def tracer_provider() -> TracerProvider:
    """What is set already, or what the variables ask for. Raises TelemetryError."""
    already = get_tracer_provider()
    if not isinstance(already, ProxyTracerProvider):
        return already
    processor = None
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true":
        processor = _processor()
    if processor is None:
        return NoOpTracerProvider()
    ours = {SERVICE_NAME: "majordomo", SERVICE_VERSION: version("majordomo")}
    # What the variables say of us goes over our defaults, as those go over the SDK's.
    resource = Resource.create(ours).merge(OTELResourceDetector().detect())
    provider = SdkTracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider


def shutdown(provider: TracerProvider, patience: float = SHUTDOWN_PATIENCE) -> None:
    """Send what is left and stop, within `patience` seconds.

    A collector that is dead or silent must not hold up the end of the process.
    """
    if provider is get_tracer_provider() or not isinstance(provider, SdkTracerProvider):
        return
    thread = threading.Thread(target=provider.shutdown, daemon=True)
    thread.start()
    thread.join(patience)
    if thread.is_alive():
        _log.warning("the trace collector does not answer; the last spans are lost")


def _processor() -> SpanProcessor | None:
    endpoint = any(os.environ.get(name) for name in _ENDPOINTS)
    kind = os.environ.get("OTEL_TRACES_EXPORTER") or ("otlp" if endpoint else "none")
    match kind:
        case "none":
            return None
        case "console":
            return ConsoleTree(sys.stdout)
        case "otlp":
            return BatchSpanProcessor(
                _otlp(),
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


def _otlp() -> SpanExporter:
    named = (os.environ[name] for name in _PROTOCOLS if os.environ.get(name))
    protocol = next(named, "grpc")
    if protocol not in ("grpc", "http/protobuf"):
        raise TelemetryError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; use grpc or http/protobuf"
        )
    kind = "grpc" if protocol == "grpc" else "http"
    package = f"opentelemetry-exporter-otlp-proto-{kind}"
    try:
        module = import_module(
            f"opentelemetry.exporter.otlp.proto.{kind}.trace_exporter"
        )
    except ImportError:
        raise TelemetryError(
            f"spans by OTLP over {protocol} need the package {package}"
        ) from None
    exporter: SpanExporter = module.OTLPSpanExporter()
    return exporter
