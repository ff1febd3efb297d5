"""The OTEL_* variables, which a platform may set for all its services at once.

What we cannot use is left out with one warning, as OpenTelemetry's specification of
these variables has it: a gateway does not stay down for the want of an exporter.
"""

import logging
import re
from collections.abc import MutableMapping, Sequence

SPANS = ("otlp", "console")
METRICS = ("otlp",)
"""The exporters that there are."""

_SIGNALS = {"TRACES": SPANS, "METRICS": METRICS}
_PROTOCOLS = ("grpc", "http/protobuf")
_COMPRESSIONS = ("none", "gzip", "deflate")

_NUMBER = re.compile(
    r"OTEL_(EXPORTER_OTLP(_TRACES|_METRICS)?_TIMEOUT|METRIC_EXPORT_(INTERVAL|TIMEOUT)"
    r"|BSP_(SCHEDULE_DELAY|EXPORT_TIMEOUT|MAX_QUEUE_SIZE|MAX_EXPORT_BATCH_SIZE)"
    r"|(\w+_)?(COUNT|LENGTH)_LIMIT)"
)
_OTLP = re.compile(r"OTEL_EXPORTER_OTLP_(?:(TRACES|METRICS)_)?(PROTOCOL|COMPRESSION)")
_EXPORTER = re.compile(r"OTEL_(TRACES|METRICS)_EXPORTER")
_LIMIT = re.compile(r".*_LIMIT")

_log = logging.getLogger("majordomo")


def leave_out_unusable(environ: MutableMapping[str, str]) -> None:
    """Take what cannot be used out of `environ`, with a warning for each variable.

    The SDK reads the variables itself, and raises where a number has a unit.
    """
    for name in sorted(environ):
        value = environ[name].strip()
        if value and (problem := _problem(name, value)):
            _log.warning("%s is %r, which is left out: %s", name, value, problem)
            if _EXPORTER.fullmatch(name):
                environ[name] = ",".join(exporters(name, value)) or "none"
            else:
                del environ[name]


def exporters(variable: str, value: str) -> list[str]:
    """Those that `value` names and that there are, each once."""
    match = _EXPORTER.fullmatch(variable)
    known = _SIGNALS[match[1]] if match else ()
    return [name for name in _names(value) if name in known]


def _problem(name: str, value: str) -> str:
    """Why the variable cannot be used as it is; empty where it can."""
    if _NUMBER.fullmatch(name):
        return _number(name, value)
    if match := _EXPORTER.fullmatch(name):
        return _exporter(match[1], _names(value))
    if match := _OTLP.fullmatch(name):
        known = _PROTOCOLS if match[2] == "PROTOCOL" else _COMPRESSIONS
        return "" if value.lower() in known else f"use {_either(known)}"
    return ""


def _number(name: str, value: str) -> str:
    if value.isascii() and value.isdecimal() and (int(value) or _LIMIT.fullmatch(name)):
        return ""
    unit = "milliseconds" if re.search("DELAY|INTERVAL|BSP_.*TIMEOUT", name) else ""
    if "OTLP" in name:
        unit = "seconds"
    return f"use a whole number{f' of {unit}' if unit else ''} and no unit"


def _exporter(signal: str, names: Sequence[str]) -> str:
    unknown = [name for name in names if name not in (*_SIGNALS[signal], "none")]
    if signal == "METRICS" and unknown == ["prometheus"]:
        return "the page for Prometheus is server.metrics_listen"
    return f"use {_either((*_SIGNALS[signal], 'none'))}" if unknown else ""


def _names(value: str) -> list[str]:
    return list(
        dict.fromkeys(name.strip() for name in value.split(",") if name.strip())
    )


def _either(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
