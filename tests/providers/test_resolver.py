"""Names that do not resolve, for as long as they like."""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from majordomo.config import Config
from majordomo.config.reload import Source, keep_current
from majordomo.providers.gemini.google_token import GoogleToken
from majordomo.transport.resolver import SystemResolver
from testkit.servers import generate, running
from testkit.upstream import PATIENCE, Upstream, completion, serve

HANGING = 12
"""Names, and more than the event loop has threads of its own."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names that were looked up; those in .hangs have no answer until the end."""
    names: list[str] = []
    over = threading.Event()
    lookup = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
        names.append(host)
        if str(host).endswith(".hangs"):
            over.wait()
        return lookup(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield names
    over.set()


@pytest.mark.rule("5.9")
async def test_names_that_hang_hold_up_nothing_else(
    asked: list[str], tmp_path: Path
) -> None:
    """Neither another provider, nor the page for Prometheus, nor a reload."""
    assert (os.cpu_count() or 1) + 4 < HANGING or sys.version_info >= (3, 13)
    async with Upstream(serve(completion("here"))) as upstream:
        config = f"""
        [server]
        listen = "127.0.0.1:0"
        metrics_listen = "127.0.0.1:0"
        [providers.good]
        kind = "openai-compatible"
        base_url = "http://localhost:{upstream.port}"
        """ + "".join(
            f"""
        [providers.p{number}]
        kind = "openai-compatible"
        base_url = "http://{number}.hangs"
        """
            for number in range(HANGING)
        )
        path = tmp_path / "majordomo.toml"
        path.write_text('[providers.acme]\nkind = "scripted"')
        reloaded: asyncio.Queue[Config] = asyncio.Queue()
        hangup = asyncio.Event()
        async with running(config) as it, httpx.AsyncClient() as client:
            hung = [
                it.generation.Generate(generate(f"p{number}/m"), timeout=PATIENCE)
                for number in range(HANGING)
                for _ in range(3)
            ]
            keeping = asyncio.create_task(
                keep_current(Source(path, {}), reloaded.put_nowait, hangup)
            )
            async with asyncio.timeout(PATIENCE):
                while asked.count(f"{HANGING - 1}.hangs") == 0:
                    await it.generation.Generate(generate("good/m"))
                answered = await it.generation.Generate(generate("good/m"))
                page = await client.get(f"http://{it.server.metrics_address}/metrics")
                hangup.set()
                config_now = await reloaded.get()
            waiting = [call.done() for call in hung]
            keeping.cancel()
            for call in hung:
                call.cancel()
            await asyncio.wait({keeping})

    assert [False] * len(hung) == waiting, "nothing hung, so that nothing was shown"
    assert "here" == answered.message.parts[0].text
    assert 200 == page.status_code
    assert ["acme"] == list(config_now.providers)
    hanging = [name for name in asked if name.endswith(".hangs")]
    assert len(set(hanging)) == len(hanging) == HANGING, "more threads than providers"


async def test_a_process_does_not_wait_for_names() -> None:
    """It ends with a lookup on its way that never returns."""
    program = """
import asyncio, socket, threading
from majordomo.chain.failure import Failure
from majordomo.transport.provider import HttpProvider
from majordomo.providers.openai_chat.codec import OpenAICompatible
from testkit.servers import prompt

socket.getaddrinfo = lambda *_, **__: threading.Event().wait()

async def main():
    codec = OpenAICompatible("acme")
    provider = HttpProvider(codec, "http://it.hangs", connect_timeout=0.1)
    exchange = await provider.prepare("m", prompt(), stream=False)
    try:
        await anext(exchange.run())
    except Failure as failure:
        print(failure.message)
    await provider.aclose()

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(3 * PATIENCE):
            reported, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert (0, "connect timed out") == (process.returncode, reported.decode().strip())


async def test_what_a_lookup_finds() -> None:
    """Addresses by family, with the port that was asked for."""
    found = await SystemResolver().resolve("localhost", 8080)

    assert ("localhost", 8080) == (found[0]["hostname"], found[0]["port"])
    assert {entry["host"] for entry in found} <= {"127.0.0.1", "::1"}
    with pytest.raises(socket.gaierror):
        await SystemResolver().resolve("nope.invalid")


async def test_a_token_server_that_hangs_has_one_thread() -> None:
    """However many calls wait for a token of Google's, and give up on it."""

    class Hanging:
        valid = False

        def __init__(self) -> None:
            self.refreshed = 0
            self.over = threading.Event()

        def refresh(self, request: object) -> None:
            self.refreshed += 1
            self.over.wait()

        token = "late"

    credentials = Hanging()
    token = GoogleToken(credentials)
    calls = [asyncio.ensure_future(token()) for _ in range(HANGING)]
    await asyncio.wait(calls, timeout=0.05)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    last = asyncio.ensure_future(token())
    # The event loop's own threads are free.
    await asyncio.to_thread(credentials.over.set)

    assert [True] * HANGING == [call.cancelled() for call in calls]
    assert "late" == await last
    assert 1 == credentials.refreshed
