"""The command line, as a user runs it."""

import asyncio
import os
import re
import subprocess
import sys

import pytest

from tests.servers import running

CONFIG = """
    [providers.acme]
    kind = "scripted"
    [providers.acme.models.answer]
    script = ["text:The answer is 42."]
    [tiers]
    demo = "acme/status:503,acme/answer"
"""


async def majordomo(
    address: str, *words: str, stdin: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run a command against the server at `address`."""
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "majordomo.cli", *words, "--address", address],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


async def test_generate_answers_on_stdout_and_tells_on_stderr() -> None:
    """What failed, as it fails, and who answered at last."""
    async with running(CONFIG) as it:
        done = await majordomo(it.server.address, "generate", "-c", "demo", "why?")

    assert 0 == done.returncode
    assert "The answer is 42.\n" == done.stdout
    told = done.stderr.splitlines()
    assert told[0].startswith("1. acme/status:503: failed (OVERLOADED) HTTP 503 in ")
    assert "now benched until" in told[1]
    assert told[2].startswith("3. acme/answer: answered HTTP 200 in ")
    assert "   finished: stop, 1 tokens in, 4 out" == told[3]


async def test_generate_reads_a_pipe() -> None:
    """Without a prompt among the words."""
    async with running(CONFIG) as it:
        done = await majordomo(
            it.server.address, "generate", "-c", "acme/echo", stdin="from a pipe"
        )

    assert "from a pipe\n" == done.stdout


async def test_generate_ends_with_one_when_nobody_answers() -> None:
    """The status, its reason, and every attempt on stderr; nothing on stdout."""
    async with running(CONFIG) as it:
        done = await majordomo(
            it.server.address, "generate", "-c", "acme/status:500", "x"
        )
        unknown = await majordomo(it.server.address, "generate", "-c", "nope", "x")

    assert (1, "") == (done.returncode, done.stdout)
    assert "UNAVAILABLE: no target answered" in done.stderr
    assert "reason: CHAIN_EXHAUSTED" in done.stderr
    assert "worth another try in" in done.stderr
    assert 1 == unknown.returncode
    assert "NOT_FOUND: no tier 'nope' is configured" in unknown.stderr


async def test_health_bench_and_unbench() -> None:
    """A table that tells who is benched, why, and until when."""
    async with running(CONFIG) as it:
        address = it.server.address
        bench = await majordomo(
            address, "bench", "acme/answer", "--for", "60", "-r", "upgrade"
        )
        health = await majordomo(address, "health", "demo")
        unbench = await majordomo(address, "unbench", "acme/answer")

    assert "acme/answer  benched" in bench.stdout
    lines = health.stdout.splitlines()
    assert lines[0].split() == [
        *("TARGET", "STATE", "ATTEMPTS", "FAILED", "FOR", "WHY")
    ]
    assert lines[2].startswith("acme/answer")
    assert lines[2].endswith("operator: upgrade")
    assert re.search(r" (1m|59s)  ", lines[2])
    assert "acme/answer  active" in unbench.stdout


async def test_no_server_is_a_clear_error() -> None:
    """Not a traceback, and an exit code of its own."""
    done = await majordomo("127.0.0.1:1", "health")

    assert 3 == done.returncode
    assert done.stderr.startswith("UNAVAILABLE: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("[server]\nlisten = 5", "server.listen"),
        ('[providers.local]\nkind = "lokal"', "providers.local.kind"),
    ],
)
def test_serve_refuses_a_bad_configuration(
    config: str, words: str, tmp_path: object
) -> None:
    """All its errors, and no traceback."""
    path = f"{tmp_path}/bad.toml"
    with open(path, "w") as file:
        file.write(config)

    done = subprocess.run(
        [sys.executable, "-m", "majordomo.cli", "serve", "--config", path],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 1 == done.returncode
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_refuses_spans_that_can_go_nowhere() -> None:
    """The variable, what it may be, and no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "majordomo.cli", "serve"],
        env={**os.environ, "OTEL_TRACES_EXPORTER": "zipkin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 1 == done.returncode
    assert "OTEL_TRACES_EXPORTER is 'zipkin'; use otlp, console or none" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_version_load_no_grpc() -> None:
    """They are there at once."""
    program = (
        "import sys; from majordomo.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert 'grpc' not in sys.modules, 'grpc was loaded'\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "generate" in done.stdout
