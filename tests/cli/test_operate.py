"""`majordomo health`, `bench`, `unbench` and `ready`."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from majordomo.cli.render import length
from testkit.processes import serving
from testkit.servers import running
from tests.cli.command import majordomo


class Lines:
    """What `majordomo health --watch` prints, line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def next(self) -> str:
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode().rstrip("\n")


@asynccontextmanager
async def watching(environ: dict[str, str]) -> AsyncIterator[Lines]:
    """Watch the server that `environ` names; stopped at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "majordomo", "health", "--watch"),
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, **environ},
    )
    try:
        yield Lines(process)
    finally:
        process.kill()
        await process.communicate()


CONFIG = """
    [providers.acme]
    kind = "scripted"
    [health]
    cooldown_base = "2h"
    cooldown_cap = "2h"
    [tiers]
    demo = "acme/status:503,acme/echo"
"""


async def test_health_bench_and_unbench() -> None:
    """A table that tells who is benched, for how long still, and why."""
    async with running(CONFIG) as it:
        at = ("-a", it.server.address)
        bench = await majordomo(
            *("bench", *at, "acme/echo", "--for", "2m", "-r", "upgrade")
        )
        health = await majordomo("health", *at, "demo")
        data = await majordomo("health", *at, "demo", "--json")
        unbench = await majordomo("unbench", *at, "acme/echo")

    assert re.search(r"acme/echo +benched +0 +0 +2m +operator: upgrade", bench.stdout)
    head, _, benched = health.stdout.splitlines()
    assert ["TARGET", "STATE", "ATTEMPTS", "FAILED", "FOR", "WHY"] == head.split()
    assert re.fullmatch(
        r"acme/echo +benched +0 +0 +(2m|1m 5\ds) +operator: upgrade", benched
    )
    assert "upgrade" == json.loads(data.stdout)["targets"][1]["bench"]["reason"]
    assert re.search(r"acme/echo +active", unbench.stdout)


async def test_failures_are_named() -> None:
    """Who the server benched, and what for."""
    async with running(CONFIG) as it:
        at = ("-a", it.server.address)
        await majordomo("generate", *at, "-c", "demo", "x")
        health = await majordomo("health", *at, "demo")

    failed = health.stdout.splitlines()[1]
    assert re.fullmatch(
        r"acme/status:503 +benched +2 +2 +1h( \d+m)? +OVERLOADED", failed
    )


async def test_all_reaches_every_address_behind_a_name(tmp_path: Path) -> None:
    """Each has a health of its own; one that does not answer is reported."""
    async with running(CONFIG) as it:
        port = it.server.address.rpartition(":")[2]
        done = await majordomo("bench", "--all", f"127.0.0.1:{port}", "acme/echo")
        health = await majordomo("health", "-a", it.server.address, "acme/echo")
    gone = await majordomo("unbench", "--all", f"127.0.0.1:{port}", "acme/echo")
    nowhere = await majordomo("unbench", "--all", "127.0.0.1", "acme/echo")

    assert 0 == done.code
    assert done.stdout.startswith(f"127.0.0.1:{port}:\nTARGET")
    assert "benched" in health.stdout
    assert 1 == gone.code
    assert "UNAVAILABLE" in gone.stderr
    assert 2 == nowhere.code
    assert "must be HOST:PORT" in nowhere.stderr


async def test_what_cannot_be_benched_is_refused() -> None:
    """With the field's name, or the command line's."""
    async with running(CONFIG) as it:
        at = ("-a", it.server.address)
        tier = await majordomo("bench", *at, "demo")
        when = await majordomo("bench", *at, "acme/echo", "--for", "soon")

    assert 1 == tier.code
    assert "INVALID_REQUEST" in tier.stderr
    assert 2 == when.code
    assert "write 90s, 10m or 2h" in when.stderr


async def test_nobody_there() -> None:
    """Exit code 3, and no traceback."""
    for words in (["health"], ["ready"], ["generate", "x"], ["unbench", "a/b"]):
        done = await majordomo(*words, "-a", "127.0.0.1:1")

        assert (3, "") == (done.code, done.stdout)
        assert done.stderr.startswith("UNAVAILABLE: ")


async def test_ready_is_for_health_checks(tmp_path: Path) -> None:
    """0 while the server takes calls, 1 while it drains."""
    path = tmp_path / "majordomo.toml"
    path.write_text(
        '[server]\ndrain_delay = "1m"\n[providers.acme]\nkind = "scripted"\n'
    )
    async with serving(path) as server:
        ready = await majordomo("ready", environ={"MAJORDOMO_ADDRESS": server.address})
        server.process.send_signal(signal.SIGTERM)
        await server.logged("draining")
        draining = await majordomo("ready", "-a", server.address)

    assert (0, "ready\n") == (ready.code, ready.stdout)
    assert (1, "") == (draining.code, draining.stdout)
    assert "not ready" in draining.stderr


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
async def test_no_proxy_stands_between_a_machine_and_itself(variable: str) -> None:
    """What is set for the way out is not for a server on the loopback."""
    nowhere = {variable: "http://127.0.0.1:1"}
    async with running() as it:
        port = it.server.address.rpartition(":")[2]
        for host in ("127.0.0.1", "localhost", "dns:///localhost", "ipv4:127.0.0.1"):
            done = await majordomo("ready", "-a", f"{host}:{port}", environ=nowhere)

            assert (0, "ready\n") == (done.code, done.stdout)


@pytest.mark.parametrize(
    ("seconds", "reported"),
    [
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (200, "3m 20s"),
        (3600, "1h"),
        (3601, "1h"),
        (7500, "2h 5m"),
        (273_600, "3d 4h"),
    ],
)
def test_lengths_of_time(seconds: float, reported: str) -> None:
    """Two units at most."""
    assert reported == length(seconds)


async def test_watching_tells_every_change(tmp_path: Path) -> None:
    """The table, then a line a change; found again after the server was restarted."""
    path = tmp_path / "majordomo.toml"
    socket = tmp_path / "socket"
    path.write_text('[providers.acme]\nkind = "scripted"\nmodels.echo = {}\n')
    environ = {"MAJORDOMO_ADDRESS": f"unix:{socket}"}

    async with AsyncExitStack() as stack:
        async with serving(path, listen=f"unix:{socket}"):
            lines = await stack.enter_async_context(watching(environ))
            assert "TARGET" in await lines.next()
            assert "acme/echo" in await lines.next()
            await majordomo("bench", "acme/echo", "--for", "90s", environ=environ)
            benched = await lines.next()
            await majordomo("unbench", "acme/echo", environ=environ)
            active = await lines.next()
        async with serving(path, listen=f"unix:{socket}"):
            assert "TARGET" in await lines.next()

    assert re.fullmatch(
        r"\d\d:\d\d:\d\d acme/echo benched for 1m 30s \(operator bench: operator\)",
        benched,
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d acme/echo active \(operator unbench\)", active)


async def test_health_has_every_page() -> None:
    """Providers that are benched come first, then all targets by name."""
    names = [f"acme/m{number:04}" for number in range(1001)]
    models = "".join(f'[providers.acme.models."{name[5:]}"]\n' for name in names)
    async with running(f'[providers.acme]\nkind = "scripted"\n{models}') as it:
        at = ("-a", it.server.address)
        await majordomo("bench", *at, "acme/*", "-r", "upgrade")
        health = await majordomo("health", *at)
        as_json = await majordomo("health", *at, "--json")

    _, first, *rows = health.stdout.splitlines()
    assert re.fullmatch(r"acme/\* +benched .*operator: upgrade", first)
    assert names == [row.split()[0] for row in rows]
    snapshot = json.loads(as_json.stdout)
    assert names == [target["target"] for target in snapshot["targets"]]
    assert ["acme"] == [bench["provider"] for bench in snapshot["provider_benches"]]
