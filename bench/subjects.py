"""Who is measured, each in its best case; the configurations are in bench/peers.

Servers are called by the native load. Libraries run in a process of their own that
makes the calls itself (bench/peers/caller.py): there the caller is what is counted.
"""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.processes import (
    LOAD_CORE,
    NATIVE,
    SUBJECT_CORE,
    cpu,
    first_line,
    memory,
    module,
    pinned,
    running,
)

PEERS = Path(__file__).with_name("peers")
BUILD = Path(__file__).parents[1] / "build" / "peers"
WORDS = 200


@dataclass(frozen=True)
class Work:
    """Calls that are alike. The models are those of the native upstream."""

    model: str = "plain"
    streamed: bool = False
    in_flight: int = 16
    seconds: float = 2.0
    calls: int = 0
    rate: float = 0.0
    image: str = ""
    words: int = WORDS
    stagger_ms: float = 0.0
    """How long after one another the callers begin."""

    patience: float = 60.0


@dataclass
class Outcome:
    """What came of some work."""

    calls: int
    errors: int
    first_error: str
    latencies_ms: list[float]
    seconds: float
    cpu_seconds: float
    peak_mb: float
    chunks: int = 0
    late: int = 0
    latest_ms: float = 0.0

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a call."""
        return self.cpu_seconds / self.calls * 1e6


class WorkFailedError(Exception):
    """Calls failed that should not have."""


@dataclass
class Subject:
    """Something that runs and can be given work."""

    name: str
    pid: int
    ready_seconds: float
    """From its start until it could be called."""

    make: Callable[[Work], dict[str, Any]]
    """Does the work; tells of it as the native load does."""

    address: str = ""

    def run(self, work: Work, *, may_fail: bool = False) -> Outcome:
        peak = _Peak(self.pid)
        before = cpu(self.pid)
        with peak:
            reported = self.make(work)
        spent = cpu(self.pid) - before
        reported["latencies_ms"] = reported["latencies_ms"] or []
        if not may_fail and (reported["errors"] or not reported["calls"]):
            raise WorkFailedError(
                f"{self.name}, {work}: {reported['errors']} of"
                f" {reported['calls'] + reported['errors']} calls failed,"
                f" first with {reported.get('first_error', '')!r}"
            )
        reported.setdefault("first_error", "")
        return Outcome(cpu_seconds=spent, peak_mb=peak.mb, **reported)


@dataclass
class _Peak:
    """The most memory that a process has while the block runs, by samples."""

    pid: int
    mb: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            self.mb = max(self.mb, memory(self.pid))


def load(
    protocol: str, address: str, work: Work, model: str, headers: dict[str, str]
) -> dict[str, Any]:
    """Have the native load call a server."""
    command: list[str | Path] = [
        *(NATIVE, "load", f"-protocol={protocol}", f"-address={address}"),
        *(f"-model={model}", f"-in-flight={work.in_flight}", f"-calls={work.calls}"),
        *(f"-seconds={work.seconds}", f"-rate={work.rate}", f"-words={work.words}"),
        *(f"-image={work.image}", f"-patience={work.patience}s"),
        f"-stagger={work.stagger_ms}ms",
        *(f"-streamed={str(work.streamed).lower()}", f"-headers={json.dumps(headers)}"),
    ]
    done = subprocess.run(
        pinned(LOAD_CORE, command), stdout=subprocess.PIPE, check=True, text=True
    )
    reported: dict[str, Any] = json.loads(done.stdout)
    return reported


def upstream(address: str) -> Callable[[Work], dict[str, Any]]:
    """The provider itself, without anything between."""
    return lambda work: load("http", address, work, work.model, {})


Served = AbstractContextManager[Subject]


@contextmanager
def echo(provider: str, folder: Path) -> Iterator[Subject]:
    """The floor."""
    began = time.perf_counter()
    with running(SUBJECT_CORE, module("bench.echo"), folder / "echo.log") as process:
        address = f"127.0.0.1:{first_line(process)}"
        yield _grpc("echo", process.pid, began, address)


@contextmanager
def majordomo(
    provider: str, folder: Path, name: str = "majordomo", **environ: str
) -> Iterator[Subject]:
    config = _filled("majordomo.toml", provider, folder)
    command = module("majordomo", "serve", "--config", str(config))
    began = time.perf_counter()
    log = folder / f"{name}.log"
    with running(SUBJECT_CORE, command, log, **environ) as process:
        address = first_line(process).split()[-1]
        with grpc.insecure_channel(address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
        yield _grpc(name, process.pid, began, address)


def _grpc(name: str, pid: int, began: float, address: str) -> Subject:
    def make(work: Work) -> dict[str, Any]:
        model = work.model if "/" in work.model else f"up/{work.model}"
        if work.model == "failover":
            model = "up/status-503,up/plain"
        if work.model in ("skip", "no skip"):
            both = ["up/benched", "up/plain"]
            model = ",".join(both if work.model == "skip" else reversed(both))
        return load("grpc", address, work, model, {})

    return Subject(name, pid, time.perf_counter() - began, make, address)


@contextmanager
def traced(
    provider: str, folder: Path, collector: str, share: float
) -> Iterator[Subject]:
    """majordomo, with this share of the calls traced."""
    name = f"{share:.0%} traced"
    with majordomo(
        provider,
        folder,
        name,
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://{collector}",
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG=str(share),
    ) as subject:
        yield subject


@contextmanager
def portkey(provider: str, folder: Path) -> Iterator[Subject]:
    port = _free_port()
    script = "node_modules/@portkey-ai/gateway/build/start-server.js"
    command: list[str | Path] = [
        "node",
        BUILD / "portkey" / script,
        "--headless",
        f"--port={port}",
    ]
    target = {"provider": "openai", "api_key": "none", "custom_host": provider}
    failover = {
        "strategy": {"mode": "fallback", "on_status_codes": [503]},
        "targets": [
            {**target, "override_params": {"model": model}}
            for model in ("status-503", "plain")
        ],
    }
    plain = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": provider,
        "authorization": "Bearer none",
    }

    def make(work: Work) -> dict[str, Any]:
        headers = plain
        if work.model == "failover":
            headers = {"x-portkey-config": json.dumps(failover)}
        return load("http", f"127.0.0.1:{port}", work, work.model, headers)

    began = time.perf_counter()
    with running(
        SUBJECT_CORE,
        command,
        folder / "portkey.log",
        NODE_ENV="production",
        TRUSTED_CUSTOM_HOSTS="127.0.0.1",
    ) as process:
        _until_it_answers(f"http://127.0.0.1:{port}/")
        yield Subject("Portkey", process.pid, time.perf_counter() - began, make)


@contextmanager
def litellm(provider: str, folder: Path) -> Iterator[Subject]:
    port = _free_port()
    command: list[str | Path] = [
        *(BUILD / "litellm" / "bin" / "litellm", "--config", PEERS / "litellm.yaml"),
        *("--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"),
    ]

    def make(work: Work) -> dict[str, Any]:
        model = "status-503" if work.model == "failover" else work.model
        return load("http", f"127.0.0.1:{port}", work, model, {})

    began = time.perf_counter()
    with running(
        SUBJECT_CORE,
        command,
        folder / "litellm.log",
        BENCH_UPSTREAM=provider,
        LITELLM_LOG="ERROR",
        LITELLM_MODE="PRODUCTION",
        # What it would fetch from outside.
        LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS="True",
        LITELLM_LOCAL_AUTOROUTER_PRESETS="True",
        LITELLM_LOCAL_BLOG_POSTS="True",
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        LITELLM_LOCAL_POLICY_TEMPLATES="True",
        LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY="true",
        NO_DOCS="True",
    ) as process:
        _until_it_answers(f"http://127.0.0.1:{port}/health/liveliness")
        yield Subject("LiteLLM", process.pid, time.perf_counter() - began, make)


@contextmanager
def openai(provider: str, folder: Path) -> Iterator[Subject]:
    with _library("openai package", "openai", provider, folder) as subject:
        yield subject


@contextmanager
def tensorzero(provider: str, folder: Path) -> Iterator[Subject]:
    config = _filled("tensorzero.toml", provider, folder)
    with _library("TensorZero", "tensorzero", str(config), folder) as subject:
        yield subject


@contextmanager
def _library(name: str, library: str, where: str, folder: Path) -> Iterator[Subject]:
    python = BUILD / library / "bin" / "python"
    command: list[str | Path] = [python, PEERS / "caller.py", library, where]
    log = folder / f"{library}.log"
    began = time.perf_counter()
    with running(SUBJECT_CORE, command, log, RUST_LOG="off") as process:

        def make(work: Work) -> dict[str, Any]:
            assert process.stdin is not None
            asked = {key: getattr(work, key) for key in Work.__dataclass_fields__}
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            reported: dict[str, Any] = json.loads(first_line(process))
            return reported

        assert first_line(process) == "ready"
        yield Subject(name, process.pid, time.perf_counter() - began, make)


def _filled(name: str, provider: str, folder: Path) -> Path:
    """A configuration of bench/peers, with the provider's URL in it."""
    path = folder / name
    path.write_text((PEERS / name).read_text().replace("{upstream}", provider))
    return path


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


def _until_it_answers(url: str) -> None:
    over = time.monotonic() + 120
    with httpx.Client(timeout=5) as client:
        while time.monotonic() < over:
            try:
                if client.get(url).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.02)
    raise RuntimeError(f"nobody answers at {url}")


OURS: dict[str, Callable[[str, Path], Served]] = {"echo": echo, "majordomo": majordomo}
OTHERS: dict[str, Callable[[str, Path], Served]] = {
    "TensorZero": tensorzero,
    "Portkey": portkey,
    "openai package": openai,
    "LiteLLM": litellm,
}
_INSTALLED = {
    "TensorZero": "tensorzero/bin/python",
    "Portkey": "portkey/node_modules/@portkey-ai/gateway",
    "openai package": "openai/bin/python",
    "LiteLLM": "litellm/bin/litellm",
}


def installed() -> dict[str, Callable[[str, Path], Served]]:
    """The others that `make peers` has installed."""
    return {
        name: serve
        for name, serve in OTHERS.items()
        if os.path.exists(BUILD / _INSTALLED[name])
    }
