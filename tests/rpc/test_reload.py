"""A configuration that changes under the calls that run."""

import asyncio
import json
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from majordomo.config import Config, ConfigError, parse
from majordomo.config.reload import Source, keep_current
from majordomo.rpc.server import Server
from majordomo.v1.attempt_pb2 import FAILURE_REASON_QUOTA_EXHAUSTED
from majordomo.v1.errors_pb2 import CallFailure
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from majordomo.v1.operator_service_pb2 import (
    BenchRequest,
    HealthSnapshotRequest,
    TargetHealth,
)
from majordomo.v1.operator_service_pb2_grpc import OperatorServiceStub
from testkit.processes import serving
from testkit.servers import (
    Running,
    failed,
    generate,
    rest_of,
    running,
    stream,
    text_of,
)
from testkit.upstream import Connection, Upstream, answer, completion, serve
from tests.faults.scene import health

IN_FLIGHT = 200
RELOADS = 50
TEXT = "one two three four five six seven eight"

BEFORE = """
[server]
listen = "127.0.0.1:0"
default_chain = "fast"
[health]
cooldown_base = "1h"
cooldown_cap = "1h"
[providers.acme]
kind = "scripted"
[tiers]
fast = "acme/text:before"
"""
AFTER = BEFORE.replace("before", "after")


class Watched(Source):
    """A file, and what became of it each time that it was loaded."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, {})
        self.outcomes: asyncio.Queue[str] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def load(self) -> Config:
        try:
            return super().load()
        except ConfigError:
            self._loop.call_soon_threadsafe(self.outcomes.put_nowait, "refused")
            raise


@asynccontextmanager
async def reloading(
    path: Path, it: Running, poll: float
) -> AsyncIterator[tuple[asyncio.Event, asyncio.Queue[str]]]:
    """Keep a running server's configuration that of the file at `path`."""
    hangup, source = asyncio.Event(), Watched(path)

    def apply(config: Config) -> None:
        it.server.reload(config)
        source.outcomes.put_nowait("applied")

    task = asyncio.create_task(keep_current(source, apply, hangup, poll))
    try:
        yield hangup, source.outcomes
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _first_text(it: Running, chain: str = "") -> str:
    answer = await it.generation.Generate(generate(chain))
    return answer.message.parts[0].text


async def test_reloads_under_load_lose_no_call_and_no_health(tmp_path: Path) -> None:
    """200 streams run while the configuration changes 50 times, some of them bad."""
    path = tmp_path / "majordomo.toml"
    path.write_text(BEFORE)
    async with (
        running(BEFORE) as it,
        reloading(path, it, poll=60) as (hangup, outcomes),
    ):
        maintenance = BenchRequest(target="acme/held", reason="maintenance")
        await it.operator.Bench(maintenance)
        for _ in range(2):  # one attempt, a retry, and a bench for an hour
            await it.generation.Generate(generate("acme/status:503,acme/echo"))
        calls = [
            it.generation.Stream(stream("acme/pace:100ms", TEXT))
            for _ in range(IN_FLIGHT)
        ]
        first: list[Any] = await asyncio.gather(*(call.read() for call in calls))

        reported, answers = [], []
        for number in range(RELOADS):
            bad = number % 5 == 4
            text = AFTER if number % 2 else BEFORE
            path.write_text("[server\n" if bad else f"{text}# {number}\n")
            hangup.set()
            reported.append(await outcomes.get())
            answers.append(await _first_text(it))

        rest = await asyncio.gather(*(rest_of(call) for call in calls))
        whole = [text_of([one, *more]) for one, more in zip(first, rest, strict=True)]
        assert [TEXT] * IN_FLIGHT == whole
        assert (40, 10) == (reported.count("applied"), reported.count("refused"))
        in_force, expected = "before", []
        for number in range(RELOADS):
            if number % 5 != 4:
                in_force = "after" if number % 2 else "before"
            expected.append(in_force)
        assert expected == answers
        snapshot = await it.operator.HealthSnapshot(HealthSnapshotRequest())
        shown = {target.target: target for target in snapshot.targets}
        assert "maintenance" == shown["acme/held"].bench.reason
        down = shown["acme/status:503"]
        assert (TargetHealth.STATE_BENCHED, 2) == (down.state, down.total_attempts)


async def test_what_is_not_configured_any_more_is_closed_after_its_last_call(
    tmp_path: Path,
) -> None:
    """A call in flight keeps its provider; the next ones do not find it."""
    asked, answered = asyncio.Event(), asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        asked.set()
        await answered.wait()
        await connection.send(completion("as before"))
        await connection.closed()

    path = tmp_path / "majordomo.toml"
    path.write_text(BEFORE)
    async with Upstream(script) as upstream:
        provider = f"""
        [providers.old]
        kind = "openai-compatible"
        base_url = "{upstream.url}"
        """
        async with (
            running(BEFORE + provider) as it,
            reloading(path, it, poll=60) as (hangup, outcomes),
        ):
            call: Any = it.generation.Generate(generate("old/model"))
            await asked.wait()
            hangup.set()
            assert "applied" == await outcomes.get()
            with pytest.raises(grpc.aio.AioRpcError, match="no provider 'old'"):
                await it.generation.Generate(generate("old/model"))
            answered.set()

            answer = await call

            assert "as before" == answer.message.parts[0].text
            await asyncio.gather(*upstream.plays)  # the pool is closed


async def test_a_provider_that_did_not_change_is_kept(tmp_path: Path) -> None:
    """Its connections, and its attempts that count against its limit."""
    path = tmp_path / "majordomo.toml"
    scripted = '\n[providers.acme.models.twice]\nscript = ["text:one", "text:two"]\n'
    path.write_text(AFTER + scripted)
    async with (
        running(BEFORE + scripted) as it,
        reloading(path, it, poll=60) as (hangup, outcomes),
    ):
        assert "one" == await _first_text(it, "acme/twice")
        hangup.set()
        await outcomes.get()

        assert "two" == await _first_text(it, "acme/twice")
        assert "after" == await _first_text(it)


async def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    """Also when it is a link that is turned to another file, as Kubernetes does it."""
    old, new, path = tmp_path / "old", tmp_path / "new", tmp_path / "majordomo.toml"
    old.write_text(BEFORE)
    new.write_text(AFTER)
    path.symlink_to(old)
    async with (
        running(BEFORE) as it,
        reloading(path, it, poll=0.01) as (_, outcomes),
    ):
        (tmp_path / "link").symlink_to(new)
        (tmp_path / "link").replace(path)
        assert "applied" == await outcomes.get()
        assert "after" == await _first_text(it)

        path.write_text("[server\n")
        assert "refused" == await outcomes.get()
        assert "after" == await _first_text(it)

        path.unlink()
        assert "refused" == await outcomes.get()
        path.write_text(BEFORE)
        assert "applied" == await outcomes.get()
        assert "before" == await _first_text(it)


async def test_a_new_address_needs_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Which the log says; all the rest is in force."""
    path = tmp_path / "majordomo.toml"
    path.write_text(AFTER.replace("127.0.0.1:0", "127.0.0.1:1"))
    async with (
        running(BEFORE) as it,
        reloading(path, it, poll=60) as (hangup, outcomes),
    ):
        with caplog.at_level(logging.WARNING, "majordomo"):
            hangup.set()
            await outcomes.get()

        assert "server.listen has changed; restart" in caplog.text
        assert "after" == await _first_text(it)


async def test_a_secret_that_changes_is_read_again(tmp_path: Path) -> None:
    """The next request carries the new key; the file with the settings is untouched."""
    key = tmp_path / "key"
    key.write_text("first\n")
    async with Upstream(serve(completion("hi"))) as upstream:
        path = tmp_path / "majordomo.toml"
        path.write_text(
            f"""
            [server]
            listen = "127.0.0.1:0"
            [providers.acme]
            kind = "openai-compatible"
            base_url = "{upstream.url}"
            api_key = "file:{key}"
            """
        )
        async with (
            running(path.read_text()) as it,
            reloading(path, it, poll=0.01) as (hangup, outcomes),
        ):
            hangup.set()
            await outcomes.get()
            await _first_text(it, "acme/m")
            key.write_text("second\n")
            await outcomes.get()
            await _first_text(it, "acme/m")

    assert ["Bearer first", "Bearer second"] == [
        request.headers["authorization"] for request in upstream.requests
    ]


async def test_hangup_reloads_a_process(tmp_path: Path) -> None:
    """SIGHUP: what is good is in force, what is bad is reported and changes nothing."""
    path = tmp_path / "majordomo.toml"
    path.write_text(BEFORE)
    async with (
        serving(path) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub: Any = GenerationServiceStub(channel)
        path.write_text(AFTER)
        server.process.send_signal(signal.SIGHUP)
        await server.logged("reloaded the configuration")
        after = await stub.Generate(generate(""))
        path.write_text(f"{AFTER}\n[tiers.fast]\n")
        server.process.send_signal(signal.SIGHUP)
        refused = await server.logged("not reloaded, all stays as it was")
        still = await stub.Generate(generate(""))

    assert "after" == after.message.parts[0].text == still.message.parts[0].text
    assert "not reloaded" in refused


def reached(url: str, key: str = "", more: str = "") -> Config:
    """One provider, whose every failure benches, at `url` and by `key`."""
    text = f"""
    [server]
    listen = "127.0.0.1:0"
    [health]
    failure_threshold = 1
    [providers.acme]
    kind = "openai-compatible"
    base_url = "{url}"
    {'api_key = "env:KEY"' if key else ""}
    {more}
    """
    return parse(text, {"KEY": key})


@asynccontextmanager
async def serves(config: Config) -> AsyncIterator[Running]:
    async with (
        Server(config) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        generation: Any = GenerationServiceStub(channel)
        operator: Any = OperatorServiceStub(channel)
        yield Running(server, channel, generation, operator)


@pytest.mark.rule("4.14")
async def test_failures_at_the_place_before_do_not_count() -> None:
    """Nor do those of retries there; a bench that they brought is lifted at once."""
    asked, answered = asyncio.Event(), asyncio.Event()

    async def failing(connection: Connection) -> None:
        while await connection.request():
            asked.set()
            await answered.wait()
            await connection.send(answer(503, b"busy"))

    async with (
        Upstream(failing) as old,
        Upstream(serve(completion("good"))) as new,
        serves(reached(old.url)) as it,
    ):
        hanging: Any = it.generation.Generate(generate("acme/m"))
        await asked.wait()
        it.server.reload(reached(new.url))
        answered.set()
        reported = await failed(hanging)
        after = await health(it, "acme/m")

        assert "CHAIN_EXHAUSTED" == reported.reason
        assert 2 == len(reported.details[CallFailure].attempts) == len(old.requests)
        assert TargetHealth.STATE_ACTIVE == after.state
        assert (0, 0) == (after.consecutive_failures, after.active_attempts)
        assert "good" == await _first_text(it, "acme/m")

        it.server.reload(reached(old.url))
        await failed(it.generation.Generate(generate("acme/m")))
        assert TargetHealth.STATE_BENCHED == (await health(it, "acme/m")).state
        it.server.reload(reached(new.url))
        assert "good" == await _first_text(it, "acme/m")


@pytest.mark.rule("4.14")
async def test_a_new_key_has_a_quota_of_its_own() -> None:
    """Its provider's outage stays, and what an operator has reported."""
    spent = json.dumps({"error": {"code": "insufficient_quota", "message": "no money"}})

    async def script(connection: Connection) -> None:
        while request := await connection.request():
            old = request.headers["authorization"] == "Bearer old"
            down = b'"down"' in request.body
            refusal = answer(503, b"busy") if down else answer(429, spent.encode())
            await connection.send(refusal if old or down else completion("good"))

    async with Upstream(script) as upstream, serves(reached(upstream.url, "old")) as it:
        for model in ("m", "down"):
            await failed(it.generation.Generate(generate(f"acme/{model}")))
        await it.operator.Bench(BenchRequest(target="acme/held", reason="maintenance"))
        before = await health(it, "acme/m")
        it.server.reload(reached(upstream.url, "new"))

        assert "good" == await _first_text(it, "acme/m")
        assert FAILURE_REASON_QUOTA_EXHAUSTED == before.bench.failure_reason
        stays = [await health(it, f"acme/{model}") for model in ("down", "held")]
        assert [TargetHealth.STATE_BENCHED] * 2 == [one.state for one in stays]


@pytest.mark.rule("4.14")
async def test_what_does_not_lead_elsewhere_forgets_nothing() -> None:
    """Other connections, and models that receive of: it is the same place."""
    more = 'connect_timeout = "3s"\n[providers.acme.models.other]\ntools = false'
    async with (
        Upstream(serve(answer(503, b"busy"))) as upstream,
        serves(reached(upstream.url)) as it,
    ):
        await failed(it.generation.Generate(generate("acme/m")))
        it.server.reload(reached(upstream.url, more=more))

        assert TargetHealth.STATE_BENCHED == (await health(it, "acme/m")).state
