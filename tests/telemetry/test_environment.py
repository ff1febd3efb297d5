"""What a platform sets for all its services, and we cannot use, is left out."""

from pathlib import Path

import pytest

from majordomo.telemetry.environment import leave_out_unusable
from testkit.processes import serving


@pytest.mark.parametrize(
    ("variable", "value", "left", "words"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "none", "use otlp, console or none"),
        ("OTEL_TRACES_EXPORTER", "otlp,jaeger", "otlp", "use otlp, console or none"),
        ("OTEL_METRICS_EXPORTER", "prometheus", "none", "server.metrics_listen"),
        ("OTEL_METRICS_EXPORTER", "console", "none", "use otlp or none"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", None, "whole number of seconds"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0", None, "whole number of seconds"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5s", None, "whole number of milliseconds"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "2k", None, "whole number"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1m", None, "whole number of milliseconds"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many", None, "whole number"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", None, "use none, gzip or deflate"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", None, "use grpc or http/protobuf"),
    ],
)
def test_what_cannot_be_used_is_left_out_with_one_warning(
    variable: str,
    value: str,
    left: str | None,
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The warning names the variable, its value, and what could be used."""
    environ = {variable: value}

    leave_out_unusable(environ)

    (warning,) = [record.getMessage() for record in caplog.records]
    assert left == environ.get(variable)
    assert warning.startswith(f"{variable} is {value!r}, which is left out: ")
    assert words in warning


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "otlp,console"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", ""),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip"),
        ("PATH", "zstd"),
    ],
)
def test_what_can_be_used_is_left_alone(
    variable: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a word."""
    environ = {variable: value}

    leave_out_unusable(environ)

    assert {variable: value} == environ
    assert [] == caplog.records


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "otlp,console"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "no scheme at all"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "32"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
    ],
)
async def test_the_server_starts(variable: str, value: str, tmp_path: Path) -> None:
    """Whatever the platform has set."""
    config = tmp_path / "majordomo.toml"
    config.write_text('[providers.acme]\nkind = "scripted"')
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", variable: value}

    async with serving(config, environ) as it:
        assert it.address
