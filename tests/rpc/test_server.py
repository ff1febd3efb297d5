"""The server around the services: reflection, health, draining, errors, options."""

import asyncio
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

import majordomo.rpc.generation
import majordomo.rpc.memory
import majordomo.rpc.server
from majordomo.chain.engine import Engine
from majordomo.chain.tracker import Tracker
from majordomo.config import parse
from majordomo.contract import SERVICES
from majordomo.rpc.server import OPTIONS, Server
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from majordomo.v1.operator_service_pb2 import HealthSnapshotRequest, TargetHealth
from testkit.processes import serving
from testkit.servers import (
    SCRIPTED,
    FailedCall,
    Running,
    failed,
    generate,
    rest_of,
    running,
    stream,
    text_of,
)

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_is_served_in_both_versions(version: str) -> None:
    """Each lists the services of the contract."""
    async with running() as it:
        ask = it.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        call: Any = ask(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        answers = [answer async for answer in call]

    services = {s.name for s in answers[0].list_services_response.service}
    assert {*SERVICES, "grpc.health.v1.Health"} <= services


async def test_health_is_served_for_each_service() -> None:
    """SERVING means that this process can take calls."""
    async with running() as it:
        stub: Any = health_pb2_grpc.HealthStub(it.channel)
        states = [
            (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status
            for service in ("", *SERVICES)
        ]

    assert [health_pb2.HealthCheckResponse.SERVING] * 3 == states


def test_the_core_knows_every_option() -> None:
    """It ignores names that it does not know, and many write a wrong one."""
    spec = find_spec("grpc._cython.cygrpc")
    assert spec is not None
    assert spec.origin is not None
    core = Path(spec.origin).read_bytes()

    unknown = [name for name, _ in OPTIONS if name.encode() + b"\0" not in core]

    assert [] == unknown


async def test_a_taken_port_is_an_error() -> None:
    """Not a second server behind the same address."""
    async with running() as it:
        config = f'[server]\nlisten = "{it.server.address}"\n{SCRIPTED}'
        with pytest.raises(OSError, match="Address already in use"):
            async with Server(parse(config)):
                pass


async def test_listens_on_a_unix_socket(tmp_path: Path) -> None:
    """Where the configuration says unix:/path."""
    config = f'[server]\nlisten = "unix:{tmp_path}/m.sock"\n{SCRIPTED}'
    async with running(config) as it:
        response = await it.generation.Generate(generate("acme/echo"))

    assert "hello" == response.message.parts[0].text


async def test_a_bug_is_internal_and_logged_without_its_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller sees a fixed text and an id; the log has the type and the place."""

    def broken(*_: object) -> None:
        raise RuntimeError("sk-secret")

    monkeypatch.setattr(majordomo.rpc.generation, "_policy", broken)
    async with running() as it:
        reported = await failed(it.generation.Generate(generate("acme/echo")))

    assert (grpc.StatusCode.INTERNAL, "INTERNAL") == (reported.code, reported.reason)
    assert str(reported.trailers["majordomo-generation-id"]) in reported.message
    assert "RuntimeError" in caplog.text
    assert "test_server.py" in caplog.text
    assert "sk-secret" not in caplog.text + repr(reported)


async def test_a_bug_behind_the_operator_has_an_id_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The one by which the caller finds it in the log."""

    def broken(*_: object) -> None:
        raise RuntimeError("sk-secret")

    monkeypatch.setattr(Tracker, "snapshot", broken)
    async with running() as it:
        reported = await failed(it.operator.HealthSnapshot(HealthSnapshotRequest()))

    id_ = reported.details[ErrorInfo].metadata["generation_id"]
    assert grpc.StatusCode.INTERNAL == reported.code
    assert len(id_) > 20
    assert f"under {id_}" in reported.message
    assert f"a bug in call {id_}: RuntimeError" in caplog.text


async def test_refused_credentials_are_logged_loudly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Anyone who runs the server has to fix its key."""
    async with running() as it:
        await failed(it.generation.Generate(generate("acme/status:401")))

    assert "acme/status:401 refuses this server's credentials" in caplog.text


async def test_drain_lets_running_calls_end() -> None:
    """Streams come to their end, new calls are turned away, health says no."""
    async with running() as it:
        call = it.generation.Stream(stream("acme/pace:20ms", "one two three four"))
        first: Any = await call.read()
        stub: Any = health_pb2_grpc.HealthStub(it.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        states = [(await watch.read()).status]
        drain = asyncio.create_task(it.server.drain())
        states.append((await watch.read()).status)
        watch.cancel()
        rest = await rest_of(call)
        await drain
        reported = await failed(it.generation.Generate(generate("acme/echo")))

    assert "one two three four" == text_of([first, *rest])
    assert "completion" == rest[-1].WhichOneof("event")
    health = health_pb2.HealthCheckResponse
    assert [health.SERVING, health.NOT_SERVING] == states
    assert grpc.StatusCode.UNAVAILABLE == reported.code


@pytest.mark.rule("7")
async def test_a_draining_server_turns_calls_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """UNAVAILABLE with a delay and without pushback: another replica may help."""
    monkeypatch.setattr(majordomo.rpc.server, "FAREWELL", 0.5)
    async with running() as it:
        drain = asyncio.create_task(it.server.drain())
        reported = await _first_failure(it)
        await drain

    assert (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING") == (
        reported.code,
        reported.reason,
    )
    assert reported.details[RetryInfo].retry_delay.seconds
    assert "grpc-retry-pushback-ms" not in reported.trailers


async def _first_failure(it: Running) -> FailedCall:
    """What is asked to the first of many calls that is not answered."""
    while True:
        call = it.generation.Generate(generate("acme/echo"))
        if await call.code() != grpc.StatusCode.OK:
            return await failed(call)


@pytest.mark.rule("5.6")
async def test_a_reader_that_goes_away_ends_the_walk_in_its_own_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The walk's cleanup runs in the task that ran the walk."""
    tasks = []
    ended = asyncio.Event()
    walk = Engine.walk

    async def watched(engine: Engine, call: Any) -> AsyncIterator[Any]:
        begun = asyncio.current_task()
        try:
            async for event in walk(engine, call):
                yield event
        finally:
            tasks.append((begun, asyncio.current_task()))
            ended.set()

    monkeypatch.setattr(Engine, "walk", watched)
    async with running() as it:
        # Far more than fits into the windows between server and client.
        call = it.generation.Stream(stream("acme/echo", "word " * 400_000))
        await call.read()
        call.cancel()
        async with asyncio.timeout(20):
            await ended.wait()

    begun, cleaned = tasks[0]
    assert begun is not None
    assert begun is cleaned


@pytest.mark.rule("5.5")
async def test_a_reader_that_stops_reading_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After its patience the server ends the call, and the target is not blamed."""
    monkeypatch.setattr(majordomo.rpc.memory, "PATIENCE", 0.2)
    async with running(SCRIPTED + '[tiers]\nfast = "acme/echo"') as it:
        # More than fits into the windows between server and client.
        call: Any = it.generation.Stream(stream("fast", ("x" * 65_535 + " ") * 200))
        await call.read()
        while (shown := await _snapshot(it)).active_attempts:
            pass
        reported = await failed(call)

    assert (1, 0) == (shown.total_attempts, shown.total_failures)
    assert grpc.StatusCode.DEADLINE_EXCEEDED == reported.code


async def _snapshot(it: Running) -> TargetHealth:
    snapshot = await it.operator.HealthSnapshot(HealthSnapshotRequest(chain="fast"))
    return snapshot.targets[0]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "majordomo.toml"
    path.write_text(
        """
        [server]
        default_chain = "demo"
        [providers.acme]
        kind = "scripted"
        [providers.local]
        kind = "scripted"
        [providers.local.models.smollm2]
        script = ["text:Bananas, apples and figs."]
        [tiers]
        demo = "acme/status:503,local/smollm2"
        """
    )
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_drain(config: Path, number: signal.Signals) -> None:
    """A stream that runs is finished; the process ends with 0."""
    async with (
        serving(config) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub: Any = GenerationServiceStub(channel)
        call = stub.Stream(stream("acme/pace:50ms", "one two three four five"))
        first: Any = await call.read()
        server.process.send_signal(number)
        rest = await rest_of(call)
        code = await server.process.wait()

    assert "one two three four five" == text_of([first, *rest])
    assert 0 == code


async def test_draining_under_load_cuts_nothing_within_the_grace(config: Path) -> None:
    """SIGTERM while 100 streams run: each comes to its end, and then the process."""
    words = "one two three four five six seven eight nine ten"
    async with (
        serving(config) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub: Any = GenerationServiceStub(channel)
        calls = [stub.Stream(stream("acme/pace:100ms", words)) for _ in range(100)]
        first: list[Any] = await asyncio.gather(*(call.read() for call in calls))
        server.process.terminate()
        rest = await asyncio.gather(*(rest_of(call) for call in calls))
        code = await server.process.wait()

    whole = [text_of([one, *more]) for one, more in zip(first, rest, strict=True)]
    assert [words] * 100 == whole
    assert 0 == code


@pytest.fixture
def impatient(config: Path) -> Path:
    text = config.read_text()
    config.write_text(text.replace("[server]", '[server]\ndrain_grace = "100ms"'))
    return config


async def test_a_call_that_outlasts_the_grace_is_cut(impatient: Path) -> None:
    """A server that was asked to end does end, and in good order."""
    async with (
        serving(impatient) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub: Any = GenerationServiceStub(channel)
        call = stub.Stream(stream("acme/stall:1", "one two"))
        await call.read()
        server.process.terminate()
        reported = await failed(call)
        code = await server.process.wait()

    assert grpc.StatusCode.UNAVAILABLE == reported.code
    assert 0 == code


async def test_a_second_signal_ends_at_once(config: Path) -> None:
    """Running calls are cut."""
    async with (
        serving(config) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub: Any = GenerationServiceStub(channel)
        call = stub.Stream(stream("acme/stall:1", "one two"))
        await call.read()
        server.process.terminate()
        await server.logged("draining")
        server.process.terminate()
        reported = await failed(call)
        code = await server.process.wait()

    assert grpc.StatusCode.UNAVAILABLE == reported.code
    assert 0 == code


def _readme_lines(starting: str) -> list[str]:
    text = (ROOT / "README.md").read_text().replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.startswith(starting)]


async def test_buf_curl_calls_all_five_by_reflection_alone(config: Path) -> None:
    """The README's lines list the services and call every RPC."""
    buf = shutil.which(
        "buf", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    )
    if buf is None:
        pytest.skip("buf is not installed: pip install buf-bin")
    lines = _readme_lines("buf curl")
    outputs = {}
    async with serving(config) as server:
        for line in lines:
            words = line.replace("127.0.0.1:50051", server.address).split()[1:]
            done = await asyncio.to_thread(
                subprocess.run,
                [buf, *words],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            assert 0 == done.returncode, (line, done.stderr)
            outputs[line.rpartition("/")[2]] = done.stdout

    assert 6 == len(lines)
    listed = next(
        out
        for line, out in zip(lines, outputs.values(), strict=True)
        if "--list-methods" in line
    )
    for method in (
        "Generate",
        "Stream",
        "Explain",
        "HealthSnapshot",
        "WatchHealth",
        "Bench",
        "Unbench",
    ):
        assert f"/{method}\n" in listed
    answer = json.loads(outputs["Generate"])
    assert "local/smollm2" == answer["completion"]["target"]
    assert "completion" in outputs["Stream"]
    assert "STATE_BENCHED" in outputs["Bench"]
    assert "STATE_ACTIVE" in outputs["Unbench"]


async def test_a_stopped_server_leaves_the_log_as_it_was() -> None:
    """What it keeps out of gRPC's log it keeps out while it runs."""
    log = logging.getLogger("grpc._cython.cygrpc")
    before = list(log.filters)

    async with running(), running():
        during = list(log.filters)

    assert 2 == len(during) - len(before)
    assert before == log.filters
