"""Where spans go is what the OTEL_* variables say."""

import asyncio
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.trace import NoOpTracerProvider, TracerProvider

from majordomo.telemetry.setup import (
    resource,
    shutdown,
    tracer_provider,
)
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from testkit.collector import Collector, attributes, collecting
from testkit.servers import generate
from testkit.upstream import Connection, Upstream


def spans(provider: TracerProvider, count: int) -> None:
    tracer = provider.get_tracer("test")
    for _ in range(count):
        tracer.start_span("one").end()


async def sent(collector: Collector, count: int) -> dict[str, Any]:
    """Send `count` spans; who the collector receives that we are."""
    provider = tracer_provider(resource())
    spans(provider, count)
    await shutdown(provider)
    (reported,) = collector.requests[0].resource_spans
    return attributes(reported.resource.attributes)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
            "OTEL_TRACES_EXPORTER": "none",
        },
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
            "OTEL_SDK_DISABLED": "True",
        },
    ],
)
def test_nothing_is_recorded_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """Without an exporter, and where the variables turn it off."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert isinstance(tracer_provider(resource()), NoOpTracerProvider)


async def test_we_have_a_name(collector: Collector) -> None:
    """Name, version and instance, without a word from anyone who runs us."""
    reported = await sent(collector, 1)

    assert "majordomo" == reported["service.name"]
    assert reported["service.version"]
    assert reported["service.instance.id"]


async def test_the_variables_name_us_otherwise(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OTEL_SERVICE_NAME goes over OTEL_RESOURCE_ATTRIBUTES, and both over ours."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "butler")
    attributes = "service.name=no,service.version=9,deployment.environment.name=test"
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", attributes)

    reported = await sent(collector, 1)

    assert ("butler", "9", "test") == (
        reported["service.name"],
        reported["service.version"],
        reported["deployment.environment.name"],
    )


@pytest.mark.parametrize(("variable", "largest"), [("", 64), ("10", 10)])
async def test_spans_leave_in_small_batches(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, variable: str, largest: int
) -> None:
    """Of ours, or of the size that the variable asks for; none is lost."""
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", variable)

    await sent(collector, 150)

    sizes = [
        len(scope.spans)
        for request in collector.requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
    ]
    assert 150 == sum(sizes)
    assert largest == max(sizes)


async def test_the_endpoint_for_traces_is_enough(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes over the one for everything."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.address)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")

    await sent(collector, 1)

    assert 1 == len(collector.spans())


@pytest.mark.parametrize(
    ("protocol", "command"),
    [
        ("grpc", "pip install 'majordomo-grpc[server,otlp]'"),
        ("http/protobuf", "pip install opentelemetry-exporter-otlp-proto-http"),
    ],
)
def test_a_missing_exporter_is_a_warning(protocol: str, command: str) -> None:
    """The exporters are extras: without one, a warning says what to install."""
    program = (
        "import sys, logging\n"
        "logging.basicConfig(stream=sys.stdout, format='%(message)s')\n"
        "for kind in 'grpc', 'http':\n"
        "    sys.modules[f'opentelemetry.exporter.otlp.proto.{kind}'] = None\n"
        "from majordomo.telemetry import setup\n"
        "setup.tracer_provider(setup.resource())\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol},
        capture_output=True,
        text=True,
        check=True,
    )

    words = f"traces go nowhere: the exporter by OTLP over {protocol} is not installed"
    assert f"{words}: {command}\n" == done.stdout


def test_a_provider_that_is_set_is_left_alone() -> None:
    """It is used, whatever the variables say, and not shut down."""
    program = (
        "import asyncio\n"
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "from opentelemetry.sdk.trace.export.in_memory_span_exporter import"
        " InMemorySpanExporter\n"
        "from majordomo.telemetry.setup import resource, shutdown, tracer_provider\n"
        "exporter = InMemorySpanExporter()\n"
        "provider = TracerProvider()\n"
        "provider.add_span_processor(SimpleSpanProcessor(exporter))\n"
        "trace.set_tracer_provider(provider)\n"
        "ours = tracer_provider(resource())\n"
        "asyncio.run(shutdown(ours))\n"
        "ours.get_tracer('test').start_span('late').end()\n"
        "print(*[span.name for span in exporter.get_finished_spans()])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"OTEL_TRACES_EXPORTER": "console"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "late\n" == done.stdout


LOST = "the trace collector does not answer; the last spans are lost"


def reported(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What we logged; the exporter's own complaints come when they come."""
    return [
        record.getMessage() for record in caplog.records if record.name == "majordomo"
    ]


async def silent(connection: Connection) -> None:
    """Take the connection, and whatever is sent, and say nothing."""
    await connection.closed()


async def test_a_silent_collector_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of the process does not wait for it, and the loss is reported."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    async with Upstream(silent) as upstream:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", upstream.url)
        provider = tracer_provider(resource())
        spans(provider, 1)

        await shutdown(provider, 0.05)

    assert [LOST] == reported(caplog)


async def test_a_collector_that_holds_the_request_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """We have stopped while it still has our spans in hand."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "5")
    async with collecting() as collector:
        collector.answers.clear()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
        provider = tracer_provider(resource())
        spans(provider, 1)

        await shutdown(provider, 0.5)
        held = len(collector.requests) - collector.answered
        collector.answers.set()

    assert 1 == held
    assert [LOST] == reported(caplog)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "majordomo.toml"
    path.write_text(
        """
        [server]
        listen = "127.0.0.1:0"
        [providers.acme]
        kind = "scripted"
        """
    )
    return path


async def last_words(config: Path, collector: str) -> str:
    """What a server that sends spans to `collector` says once it has to end.

    Before that it answers a call.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "majordomo", "serve", "--config", config),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector},
    )
    assert process.stdout is not None
    address = (await process.stdout.readline()).decode().split()[-1]
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = GenerationServiceStub(channel)
        response = await stub.Generate(generate("acme/echo", "hello"))
    process.send_signal(signal.SIGTERM)
    _, words = await process.communicate()

    assert "hello" == response.message.parts[0].text
    assert 0 == process.returncode
    return words.decode()


async def test_a_silent_collector_does_not_keep_the_process(config: Path) -> None:
    """A call is answered, and SIGTERM ends the server in good order."""
    async with Upstream(silent) as upstream:
        words = await last_words(config, upstream.url)

    assert LOST in words
    assert "Traceback" not in words


async def test_a_dead_collector_does_not_keep_the_process(config: Path) -> None:
    """Nor does one where nobody listens, and which is named.

    Once, for spans or for metrics: the SDK shows no more of what sounds alike.
    """
    words = await last_words(config, "http://127.0.0.1:1")

    assert re.search("exporting (traces|metrics) to 127.0.0.1:1", words)
    assert LOST in words
    assert "Traceback" not in words
