"""What happens to the process: signals, its files, its log, its collector, its
limits."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from majordomo.v1.operator_service_pb2 import HealthSnapshotRequest, TargetHealth
from majordomo.v1.operator_service_pb2_grpc import OperatorServiceStub
from testkit.processes import Serving, serving
from testkit.servers import generate, stream
from testkit.upstream import (
    CHUNKED,
    DONE,
    LAST_CHUNK,
    Connection,
    Upstream,
    chunk,
    completion,
    event,
    serve,
)
from tests.faults.matrix import fault
from tests.faults.scene import answering, got, read_text

Code = grpc.StatusCode


@dataclass
class Process:
    """A server in a process of its own, and a channel to it."""

    serving: Serving
    generation: Any
    operator: Any

    async def end(self) -> int:
        """Terminate it; its exit code."""
        self.serving.process.terminate()
        return await self.serving.process.wait()

    def memory(self) -> int:
        """The most bytes that it has ever held."""
        status = Path(f"/proc/{self.serving.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) << 10


@asynccontextmanager
async def process(config: Path, text: str, **more: Any) -> AsyncIterator[Process]:
    write(config, text)
    options = [("grpc.max_send_message_length", -1)]
    async with (
        serving(config, **more) as server,
        grpc.aio.insecure_channel(server.address, options) as channel,
    ):
        generation: Any = GenerationServiceStub(channel)
        operator: Any = OperatorServiceStub(channel)
        yield Process(server, generation, operator)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "majordomo.toml"


def write(config: Path, text: str) -> None:
    config.write_text(text)


def compatible(name: str, upstream: Upstream, more: str = "") -> str:
    return f"""
[providers.{name}]
kind = "openai-compatible"
base_url = "{upstream.url}"
{more}
"""


SCRIPTED = '[providers.acme]\nkind = "scripted"\n'


@fault(50)
async def test_sigterm_under_a_hundred_streams(config: Path) -> None:
    """Each comes to its end, nothing new is taken, and the process ends well."""
    drained = asyncio.Event()
    rest = chunk(event("two") + event("", "stop") + DONE) + LAST_CHUNK

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(CHUNKED + chunk(event("one ")))
        await drained.wait()
        await connection.send(rest)
        await connection.closed()

    async with (
        Upstream(script) as upstream,
        process(config, compatible("bad", upstream)) as it,
    ):
        calls = [it.generation.Stream(stream("bad/m")) for _ in range(100)]
        begun = await asyncio.gather(*(read_text(call, "one ") for call in calls))
        it.serving.process.send_signal(signal.SIGTERM)
        await it.serving.logged("draining")
        late = Code.NOT_FOUND  # as long as it is not draining yet
        while late == Code.NOT_FOUND:
            late = await it.generation.Generate(generate("none/m")).code()
        drained.set()
        ends = await asyncio.gather(
            *(got(call, read) for call, read in zip(calls, begun, strict=True))
        )
        code = await it.serving.process.wait()

    assert [("one two", Code.OK)] * 100 == [(end.text, end.code) for end in ends]
    assert Code.UNAVAILABLE == late
    assert 0 == code


@fault(55)
async def test_reloads_with_mistakes(config: Path) -> None:
    """Each is named and changes nothing; a removed target serves its last call."""
    asked, answered = asyncio.Event(), asyncio.Event()

    async def script(connection: Connection) -> None:
        request = await connection.request()
        assert request is not None
        asked.set()
        await answered.wait()
        await connection.send(answering(request, "as before"))
        await connection.closed()

    async with Upstream(script) as upstream:
        text = SCRIPTED + compatible("old", upstream)
        mistakes = {
            "not TOML": "[server\n",
            "unheard_of": text + "\n[chain]\nunheard_of = 1\n",
            "the environment has no NOT_THERE": text + 'api_key = "env:NOT_THERE"\n',
        }
        async with process(config, text) as it:
            call = asyncio.ensure_future(got(it.generation.Generate(generate("old/m"))))
            await asked.wait()
            for words, wrong in mistakes.items():
                write(config, wrong)
                it.serving.process.send_signal(signal.SIGHUP)
                await it.serving.logged(words)
                seen = await got(it.generation.Generate(generate("acme/echo")))
                assert "hello" == seen.text
            write(config, SCRIPTED)
            it.serving.process.send_signal(signal.SIGHUP)
            await it.serving.logged("reloaded the configuration")
            removed = await got(it.generation.Generate(generate("old/m")))
            answered.set()

            assert "as before" == (await call).text
            assert (Code.NOT_FOUND, "UNKNOWN_PROVIDER") == removed.status
            await asyncio.gather(*upstream.plays)  # its connections are closed


@fault(56)
async def test_a_key_that_is_replaced(config: Path, tmp_path: Path) -> None:
    """The next request carries the new one; nobody reported a word to the process."""
    key = tmp_path / "key"
    key.write_text("first\n")
    async with Upstream(serve(completion("well"))) as upstream:
        text = compatible("bad", upstream, f'api_key = "file:{key}"')
        async with process(config, text) as it:
            await it.generation.Generate(generate("bad/m"))
            (tmp_path / "new").write_text("second\n")
            (tmp_path / "new").replace(key)
            await it.serving.logged("reloaded the configuration")
            await it.generation.Generate(generate("bad/m"))

        sent = [request.headers["authorization"] for request in upstream.requests]
        assert ["Bearer first", "Bearer second"] == sent


async def silent(connection: Connection) -> None:
    await connection.closed()


@fault(57)
@pytest.mark.parametrize("collector", ["dead", "silent"])
async def test_a_collector_that_takes_nothing(config: Path, collector: str) -> None:
    """Calls are answered, spans beyond the queue dropped, the end is not held up."""
    async with Upstream(silent) as upstream:
        url = "http://127.0.0.1:1" if collector == "dead" else upstream.url
        environ = os.environ | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_BSP_MAX_QUEUE_SIZE": "64",
        }
        async with process(config, SCRIPTED, environ=environ) as it:
            answers = [
                await got(it.generation.Generate(generate("acme/echo")))
                for _ in range(200)
            ]
            dropped = await it.serving.logged("Queue full")
            code = await it.end()

    assert ["hello"] * 200 == [seen.text for seen in answers]
    assert "dropping Span" in dropped
    assert 0 == code


@contextmanager
def full_disk() -> Iterator[int]:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@contextmanager
def unread_pipe() -> Iterator[int]:
    """A pipe with no room left."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writing, True)
    yield writing
    os.close(reading)
    os.close(writing)


@fault(58)
@pytest.mark.parametrize("log", [full_disk, unread_pipe])
async def test_a_log_that_takes_nothing(config: Path, log: Any) -> None:
    """Calls are answered, also those that are worth an entry, and the end is good."""
    with log() as descriptor:
        async with process(config, SCRIPTED, stderr=descriptor) as it:
            for _ in range(20):
                refused = await got(it.generation.Generate(generate("acme/status:401")))
                seen = await got(it.generation.Generate(generate("acme/echo")))

                assert Code.FAILED_PRECONDITION == refused.code
                assert "hello" == seen.text
            code = await it.end()

    assert 0 == code


@fault(59)
async def test_no_descriptors_left(config: Path) -> None:
    """Calls beyond them find no room; no provider is blamed, and all is well after."""
    gate, calls = asyncio.Event(), 100

    async def script(connection: Connection) -> None:
        while request := await connection.request():
            await gate.wait()
            await connection.send(answering(request, "well"))

    few = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")
    async with (
        Upstream(script) as upstream,
        process(config, compatible("bad", upstream), under=few) as it,
    ):
        made = [
            asyncio.ensure_future(got(it.generation.Generate(generate("bad/m"))))
            for _ in range(calls)
        ]
        first = await next(asyncio.as_completed(made))
        gate.set()
        seen = await asyncio.gather(*made)
        after = await got(it.generation.Generate(generate("bad/m")))
        snapshot = await it.operator.HealthSnapshot(
            HealthSnapshotRequest(chain="bad/m")
        )
        (shown,) = snapshot.targets

    assert "EMFILE" == first.records[0].provider_error_code
    answered = [one for one in seen if one.code == Code.OK]
    turned_away = [one for one in seen if one.code != Code.OK]
    assert calls > len(answered) > 20
    assert {("bad/m FAILED CONCURRENCY_LIMIT",)} == {
        tuple(one.attempts) for one in turned_away
    }
    assert {(Code.UNAVAILABLE, "CHAIN_EXHAUSTED")} == {
        one.status for one in turned_away
    }
    assert "well" == after.text
    assert (TargetHealth.STATE_ACTIVE, 0) == (shown.state, shown.consecutive_failures)


@fault(60)
async def test_requests_that_are_too_large(config: Path) -> None:
    """Refused by their length: the process does not grow by what was sent."""
    large = generate("acme/echo", "x" * (40 << 20))
    async with process(config, SCRIPTED) as it:
        await it.generation.Generate(generate("acme/echo"))
        before = it.memory()
        refused = [await got(it.generation.Generate(large)) for _ in range(5)]
        grown = it.memory() - before
        seen = await got(it.generation.Generate(generate("acme/echo")))

    assert {Code.RESOURCE_EXHAUSTED} == {one.code for one in refused}
    assert "hello" == seen.text
    assert grown < (5 * 40 << 20) / 2
