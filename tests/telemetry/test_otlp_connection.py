"""Telemetry behind an egress proxy, and with certificates that are replaced in use."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import trustme
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    add_TraceServiceServicer_to_server,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from majordomo.telemetry.otlp_connection import (
    CurrentExporter,
    files,
    grpc_settings,
    http_settings,
)
from majordomo.telemetry.otlp_spans import SpanExporter
from testkit.collector import Collector
from tests.proxies import HttpProxy


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https", "all", "no", "grpc"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def collecting(
    authority: trustme.CA, port: int = 0
) -> AsyncIterator[tuple[Collector, int]]:
    """A collector over TLS, and its port."""
    issued = authority.issue_cert("localhost", "otel.example")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    pair = (issued.private_key_pem.bytes(), chain)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    bound = server.add_secure_port(
        f"127.0.0.1:{port}", grpc.ssl_server_credentials([pair])
    )
    collector = Collector(f"https://localhost:{bound}")
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    await server.start()
    try:
        yield collector, bound
    finally:
        await server.stop(0)


def span() -> ReadableSpan:
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    provider.get_tracer("test").start_span("one").end()
    return kept.get_finished_spans()[0]


def exporter(environ: Mapping[str, str]) -> CurrentExporter:
    """As `setup` makes it."""
    return CurrentExporter(
        lambda: SpanExporter(**grpc_settings("TRACES", environ)),
        files("TRACES", environ),
    )


@pytest.mark.parametrize(
    "variable",
    [
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
        "SSL_CERT_FILE",
    ],
)
async def test_authorities_that_are_replaced(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next spans go out with what the file says now."""
    old, new = trustme.CA(), trustme.CA()
    bundle = tmp_path / "ca.pem"
    old.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv(variable, str(bundle))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "5")
    async with collecting(old) as (before, port):
        endpoint = before.address
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        it = exporter({variable: str(bundle), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
        first = await asyncio.to_thread(it.export, [span()])
    async with collecting(new, port) as (after, _):
        fresh = tmp_path / "fresh.pem"
        new.cert_pem.write_to_path(str(fresh))
        fresh.replace(bundle)
        second = await asyncio.to_thread(it.export, [span()])
    await asyncio.to_thread(it.shutdown)

    assert [SpanExportResult.SUCCESS] * 2 == [first, second]
    assert (1, 1) == (len(before.spans()), len(after.spans()))


async def test_a_file_that_is_of_no_use_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The exporter from before goes on."""
    path = tmp_path / "ca.pem"
    path.write_text("well")

    class Exporter:
        def __init__(self) -> None:
            if path.read_text() != "well":
                raise ValueError("no certificate")

        def export(self, data: str) -> str:
            return data

    it = CurrentExporter(Exporter, [path])
    path.write_text("not well")

    assert "spans" == it.export("spans")
    assert "stay as they were: ValueError" in caplog.text


async def test_a_collector_behind_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS_PROXY leads there, as it leads to providers."""
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    async with (
        collecting(authority) as (collector, port),
        HttpProxy({"otel.example": port}, "user:canary") as proxy,
    ):
        endpoint = "https://otel.example:4317"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        it = exporter(
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                "SSL_CERT_FILE": str(bundle),
                "HTTPS_PROXY": f"http://user:canary@{proxy.name}",
            }
        )
        result = await asyncio.to_thread(it.export, [span()])
        await asyncio.to_thread(it.shutdown)

    assert SpanExportResult.SUCCESS == result
    assert ["CONNECT otel.example:4317 HTTP/1.1"] == proxy.asked
    assert 1 == len(collector.spans())


PROXY = "http://proxy.example:3128"
NONE = ("grpc.enable_http_proxy", 0)
THERE = ("grpc.http_proxy", PROXY)


@pytest.mark.parametrize(
    ("endpoint", "more", "expected"),
    [
        ("", {}, NONE),
        ("http://localhost:4317", {}, NONE),
        ("https://otel.example:4317", {}, THERE),
        ("https://otel.example:4317", {"NO_PROXY": "otel.example"}, NONE),
        ("otel.example:4317", {}, THERE),
        ("otel.example:4317", {"OTEL_EXPORTER_OTLP_INSECURE": "true"}, NONE),
    ],
)
def test_which_proxy_leads_to_the_collector(
    endpoint: str, more: dict[str, str], expected: tuple[str, object]
) -> None:
    environ = {"HTTPS_PROXY": PROXY, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **more}

    assert (expected,) == grpc_settings("TRACES", environ)["channel_options"]


def test_a_proxy_that_grpc_cannot_go_by(caplog: pytest.LogCaptureFixture) -> None:
    """What was set for all services keeps none from starting; the log has a line."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://otel.example",
        "ALL_PROXY": "socks5://user:canary@proxy.example",
    }

    assert (NONE,) == grpc_settings("TRACES", environ)["channel_options"]
    assert "telemetry goes out directly" in caplog.text
    assert "canary" not in caplog.text


def test_what_an_exporter_by_http_is_told() -> None:
    ours = {"SSL_CERT_FILE": "/ca.pem"}

    assert {"certificate_file": "/ca.pem"} == http_settings("METRICS", ours)
    assert {} == http_settings(
        "METRICS", {**ours, "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE": "/own.pem"}
    )
