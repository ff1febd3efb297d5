"""The compose file: valid, and at one with the image and with what looks at it."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Any

import pytest
import yaml

from majordomo.config import parse
from majordomo.media.images import AT_ONCE, MOST_MEMORY
from majordomo.rpc.server import FAREWELL
from majordomo.telemetry.setup import SHUTDOWN_PATIENCE

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "compose.yaml"
COMPOSE: Any = yaml.safe_load(FILE.read_text())
SERVICES = COMPOSE["services"]
SERVER = SERVICES["majordomo"]
IMAGE = (ROOT / "Dockerfile").read_text()
OTLP, UI, PROMETHEUS, GRAFANA = "4317", "16686", "9090", "3000"


async def schema_check(file: Path) -> tuple[int | None, str]:
    """How the compose specification's own schema, and what checks it, likes `file`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "check_jsonschema"),
        *("--builtin-schema", "vendor.compose-spec", file),
        stdout=PIPE,
        stderr=STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


def test_the_memory_is_enough_for_the_budget_and_the_model() -> None:
    """The server's bound, its images' processes, 512 MiB for the embedded model."""
    bound = 120_000_000 + 2 * parse("").server.memory_budget + AT_ONCE * MOST_MEMORY
    limit = re.fullmatch(r"(\d+)m", SERVER["mem_limit"])
    assert limit is not None

    assert bound + (512 << 20) <= int(limit[1]) << 20


async def test_schema(tmp_path: Path) -> None:
    """It is what the specification has, and a key that it has not is found."""
    assert (0, "ok -- validation done\n") == await schema_check(FILE)

    broken = tmp_path / "compose.yaml"
    broken.write_text(FILE.read_text().replace("healthcheck:", "health_check:"))
    code, output = await schema_check(broken)
    assert 1 == code
    assert "health_check" in output


def test_image() -> None:
    """It is built from the Dockerfile of this project."""
    built = [service for service in SERVICES.values() if "build" in service]

    assert ["majordomo", "majordomo"] == [service["image"] for service in built]
    for service in built:
        assert (FILE.parent / service["build"]["context"] / "Dockerfile").samefile(
            ROOT / "Dockerfile"
        )


def test_traces_go_to_jaeger() -> None:
    """By OTLP over gRPC, at a service that is started before."""
    endpoint = SERVER["environment"]["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]

    assert f"http://jaeger:{OTLP}" == endpoint
    assert "jaeger" in SERVER["depends_on"]
    assert [OTLP] == SERVICES["jaeger"]["expose"]


def test_metrics_go_to_grafana() -> None:
    """Over Prometheus, which finds the page by the service's name."""
    config, sources, shown = (
        yaml.safe_load((FILE.parent / name).read_text())
        for name in (
            "prometheus/prometheus.yml",
            "grafana/datasources/prometheus.yaml",
            "grafana/dashboards/provider.yaml",
        )
    )
    [job], [source] = config["scrape_configs"], sources["datasources"]
    [provider] = shown["providers"]
    [found] = job["dns_sd_configs"]
    environ = {k: v for k, v in SERVER["environment"].items() if "METRICS" in k}

    listen = parse("", environ).server.metrics_listen
    assert f"0.0.0.0:{found['port']}" == listen
    assert [str(found["port"])] == SERVER["expose"]
    assert set(found["names"]) <= set(SERVICES)
    assert f"http://prometheus:{PROMETHEUS}" == source["url"]
    assert config["global"]["scrape_interval"] == source["jsonData"]["timeInterval"]
    assert ["./prometheus:/etc/prometheus:ro"] == SERVICES["prometheus"]["volumes"]
    provisioning = "/etc/grafana/provisioning"
    assert [f"./grafana:{provisioning}:ro"] == SERVICES["grafana"]["volumes"]
    assert f"{provisioning}/dashboards" == provider["options"]["path"]


def test_ports() -> None:
    """What is published is on the loopback: the server's port, and pages."""
    [port] = re.findall(r"^EXPOSE (\d+)$", IMAGE, re.MULTILINE)

    assert [f"127.0.0.1:{port}:{port}"] == SERVER["ports"]
    for name, page in (
        ("jaeger", UI),
        ("prometheus", PROMETHEUS),
        ("grafana", GRAFANA),
    ):
        assert [f"127.0.0.1:{page}:{page}"] == SERVICES[name]["ports"]


def test_healthcheck() -> None:
    """The image's own command, asked more often."""
    [command] = re.findall(r"HEALTHCHECK .*CMD \[(.*)\]$", IMAGE, re.MULTILINE)

    assert ["CMD", *re.findall(r'"(\S+)"', command)] == SERVER["healthcheck"]["test"]


def test_the_model_is_fetched_before() -> None:
    """Into the volume that the server's cache directory is."""
    [cache] = re.findall(r"XDG_CACHE_HOME=(\S+) \\", IMAGE)
    model = SERVICES["model"]

    assert ["model", "fetch"] == model["command"]
    assert [f"models:{cache}/majordomo"] == model["volumes"] == SERVER["volumes"]
    assert "models" in COMPOSE["volumes"]
    expected = {"condition": "service_completed_successfully"}
    assert expected == SERVER["depends_on"]["model"]


@pytest.mark.parametrize("key", ["read_only", "cap_drop", "security_opt"])
def test_the_server_may_do_nothing_but_serve(key: str) -> None:
    """As in Kubernetes."""
    expected = {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }

    assert expected[key] == SERVER[key]


def test_grace() -> None:
    """It is killed only after the longest drain is over, spans sent."""
    server = parse("").server
    drain = server.drain_delay + FAREWELL + server.drain_grace + SHUTDOWN_PATIENCE

    assert int(SERVER["stop_grace_period"].removesuffix("s")) > drain
