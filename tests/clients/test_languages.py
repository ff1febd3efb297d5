"""Each language's client: generated afresh, built, linted, and tested.

The servers are real, and what the client's tests cannot see is seen here: that a call
ran its chain once, that providers are left when the client leaves, and that a server
which is full is asked again when it says.
"""

import asyncio
import filecmp
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from majordomo.telemetry import semconv
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from testkit.clients import results
from testkit.clients.languages import CASES, CLIENTS, LANGUAGES, Language
from testkit.collector import attributes, collecting
from testkit.processes import serving
from testkit.servers import stream
from testkit.upstream import PATIENCE
from tests.clients.harness import Harness, harness

pytestmark = [pytest.mark.languages, pytest.mark.timeout(1800)]

_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
"""With the programs of this virtual environment, buf among them."""

_ATTEMPTS_OF_A_WALK = 2
"""At one target that fails each time: one, and a retry."""

_FOR_ONE_CALL = """
[server]
max_calls = 1
[providers.acme]
kind = "scripted"
"""
_TRIES = 3
_LEAST_WAIT = 900_000_000
"""Nanoseconds: the least pushback is 1 s, and timers round; unasked, a client waits for
200 ms, then for 400 ms at most."""


@pytest.fixture(params=LANGUAGES, ids=lambda language: language.name)
def language(request: pytest.FixtureRequest) -> Language:
    """A language whose tools are there; in CI they have to be."""
    it: Language = request.param
    missing = [tool for tool in it.tools if shutil.which(tool, path=_PATH) is None]
    if missing:
        reported = f"{it.title} needs {', '.join(missing)}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reported)
    return it


async def run(
    folder: Path, command: str, environ: Mapping[str, str] = {}
) -> tuple[int | None, str]:
    """The exit code and the stdout of a command; stderr goes where the test's goes."""
    process = await asyncio.create_subprocess_exec(
        *shlex.split(command),
        cwd=folder,
        env={**os.environ, "PATH": _PATH, **environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def done(language: Language, command: str) -> None:
    """Run a command that must succeed."""
    code, out = await run(CLIENTS / language.name, command)
    assert code == 0, f"{command}\n{out}"


@pytest.fixture
def for_one_call(tmp_path: Path) -> Path:
    """The configuration of a server that one call fills."""
    path = tmp_path / "for_one_call.toml"
    path.write_text(_FOR_ONE_CALL)
    return path


async def test_a_client(language: Language, tmp_path: Path, for_one_call: Path) -> None:
    """It is made by its commands, and its tests pass; the table says so."""
    for command in language.install:
        await done(language, command)
    if language.generate:
        await generated_afresh(language, tmp_path / "fresh")
    for command in (*language.build, *language.lint):
        await done(language, command)

    async with harness(tmp_path) as it:
        folder = CLIENTS / language.name
        code, out = await run(folder, language.test, it.environ)
        found = language.results(out, folder)
        results.keep(language, found)
        assert (0, dict.fromkeys(CASES, True)) == (code, found), out
        if language.example:
            await conversation(language, it)
            await asked_again_when_told(language, for_one_call)
        await seen_from_the_server(language, it)

    assert results.reported(language) == found, "run python -m scripts.clients_table"


async def generated_afresh(language: Language, fresh: Path) -> None:
    """The stubs are what the contract says."""
    if not language.generated:
        await done(language, language.generate)
        return
    await done(language, f"{language.generate} --output {fresh}")
    committed = CLIENTS / language.name / language.generated
    assert [] == differing(filecmp.dircmp(fresh / language.generated, committed)), (
        f"stale: run '{language.generate}' in {committed.parent}"
    )


def differing(pair: "filecmp.dircmp[str]") -> list[str]:
    """The files that are not the same, or not there, on both sides."""
    here = [*pair.left_only, *pair.right_only, *pair.diff_files, *pair.funny_files]
    return here + [name for inner in pair.subdirs.values() for name in differing(inner)]


async def conversation(language: Language, it: Harness) -> None:
    """The example asks twice, and each time runs the tool that the model calls."""
    questions = ["What is the weather in Paris?", "And now?"]
    chain = f"upstream/tool-{language.name}"
    command = f"{language.example} {chain} {shlex.join(questions)}"
    code, out = await run(CLIENTS / language.name, command, it.environ)

    reported = [line.partition(":")[0] for line in out.splitlines()]
    assert (0, ["Paris", "Paris"]) == (code, reported), out


async def asked_again_when_told(language: Language, config: Path) -> None:
    """The example asks a server that is full: each try waits for the pushback."""
    async with collecting() as collector:
        environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address}
        async with serving(config, environ, stderr=asyncio.subprocess.DEVNULL) as full:
            async with grpc.aio.insecure_channel(full.address) as channel:
                held = GenerationServiceStub(channel).Stream(stream("acme/stall:1"))
                await held.read()
                command = f"{language.example} acme/echo hello"
                address = {"MAJORDOMO_ADDRESS": full.address}
                code, _ = await run(CLIENTS / language.name, command, address)
                held.cancel()
            full.process.send_signal(signal.SIGTERM)
            await full.process.wait()

    tries = sorted(
        span.start_time_unix_nano
        for span in collector.spans()
        if attributes(span.attributes).get(semconv.OUTCOME) == "server_overloaded"
    )
    assert (1, _TRIES) == (code, len(tries))
    waits = [later - earlier for earlier, later in pairwise(tries)]
    assert [] == [wait for wait in waits if wait < _LEAST_WAIT]


async def seen_from_the_server(language: Language, it: Harness) -> None:
    """Retries of the client ran no chain twice; the providers it left were left."""
    counted = [f"counted-{language.name}", f"counted-stream-{language.name}"]
    walked = {model: it.provider.calls[model] for model in counted}
    assert dict.fromkeys(counted, _ATTEMPTS_OF_A_WALK) == walked
    async with asyncio.timeout(PATIENCE):
        await it.provider.all_left(f"hang-{language.name}")

    await it.drained()
    joined = [
        span
        for span in it.collector.spans()
        if span.kind == Span.SPAN_KIND_SERVER and span.parent_span_id
    ]
    assert joined, "no span of ours has the client's as its parent"
    outcomes = {
        said[semconv.ATTEMPT_OUTCOME]
        for said in (attributes(span.attributes) for span in it.collector.spans())
        if said.get(semconv.ATTEMPT_TARGET) == "local/smollm2"
    }
    assert {"succeeded", "cancelled"} <= outcomes


async def clone(folder: Path) -> None:
    """What is committed of this repository, as a newcomer has it."""
    command = shlex.join(["git", "clone", "--quiet", str(CLIENTS.parent), str(folder)])
    assert (0, "") == await run(CLIENTS, command)


async def test_a_newcomer(language: Language, tmp_path: Path) -> None:
    """From an empty folder to an answer, as its README tells: five commands at most."""
    readme = (CLIENTS / language.name / "README.md").read_text()
    reported = re.search(
        r"## From an empty folder\n.*?```\w*\n(.*?)```", readme, re.DOTALL
    )
    assert reported is not None
    commands = reported[1].splitlines()
    assert len(commands) <= 5

    await clone(tmp_path / "majordomo")
    folder = tmp_path / "ask"
    folder.mkdir()
    servers = tmp_path / "servers"
    servers.mkdir()
    async with harness(servers) as it:
        for command in commands:
            # What a build has made of dependencies before is not made again.
            target = {"CARGO_TARGET_DIR": str(CLIENTS / "rust" / "target")}
            code, out = await run(folder, command, it.environ | target)
            assert 0 == code, f"{command}\n{out}"

    assert "What is a majordomo?" in out.splitlines()
