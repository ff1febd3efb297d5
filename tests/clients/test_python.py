"""The example in Python, run as a program against a real server."""

import asyncio
import re
import sys
from pathlib import Path

from testkit.servers import running

FOLDER = Path(__file__).parent.parent.parent / "clients" / "python"
DOWN = "acme/status:503"


async def run(*arguments: str) -> tuple[int | None, str, str]:
    """The exit code, stdout and stderr of a Python of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def ask(address: str, *arguments: str) -> tuple[int | None, str, str]:
    return await run(str(FOLDER / "ask.py"), "--address", address, *arguments)


async def test_one_call() -> None:
    """The answer goes to stdout, and who gave it to stderr."""
    async with running() as it:
        ended = await ask(it.server.address, "hi you", "--chain", f"{DOWN},acme/echo")

    assert (0, "hi you\n", "-- acme/echo\n") == ended


async def test_a_streamed_answer() -> None:
    """The same from its pieces."""
    chain = f"{DOWN},acme/echo"
    async with running() as it:
        ended = await ask(it.server.address, "one two", "--chain", chain, "--stream")

    assert (0, "one two\n", "-- acme/echo\n") == ended


async def test_a_chain_that_fails() -> None:
    """Every attempt is reported, and when another try is worth it."""
    async with running() as it:
        code, out, err = await ask(it.server.address, "hi", "--chain", DOWN)

    assert (1, "") == (code, out)
    lines = err.splitlines()
    assert [
        f"ChainExhausted: no target answered ({DOWN}: OVERLOADED)",
        f"  1. {DOWN}: failed, OVERLOADED",
        f"  2. {DOWN}: failed, OVERLOADED",
    ] == lines[:3]
    assert re.fullmatch(r"  try again in \d+ s", lines[3])


async def test_a_stream_that_breaks() -> None:
    """What had come is there, and what happened is reported."""
    async with running() as it:
        code, out, err = await ask(
            it.server.address, "one two", "--chain", "acme/cut:1", "--stream"
        )

    assert (1, "one ") == (code, out)
    assert "  1. acme/cut:1: interrupted, CONNECTION" in err.splitlines()


async def test_a_deadline() -> None:
    """The server's own word on it, with the attempt that took so long."""
    async with running() as it:
        code, _, err = await ask(
            it.server.address, "hi", "--chain", "acme/stall:0", "--timeout", "2"
        )

    assert 1 == code
    assert err.startswith("DeadlineExceeded: ")
    assert "1. acme/stall:0: " in err


async def test_a_broken_request() -> None:
    """The field is named."""
    async with running() as it:
        code, _, err = await ask(it.server.address, "hi", "--chain", "acme/a,,b")

    assert 1 == code
    assert err.splitlines()[1].startswith("  call.chain: ")


async def test_nobody_there() -> None:
    """The address is named."""
    async with running() as it:
        address = it.server.address
    code, _, err = await ask(address, "hi")

    assert 1 == code
    assert err.startswith("TransportError: ")
    assert address in err


async def test_files(tmp_path: Path) -> None:
    """They go with the question; one that cannot is an error before any call."""
    image = tmp_path / "cat.gif"
    image.write_bytes(b"GIF89a...")
    async with running() as it:
        address = it.server.address
        chain = ("--chain", "acme/echo")
        sent = await ask(address, "hi", *chain, "--file", str(image))
        code, _, err = await ask(address, "hi", *chain, "--file", f"{tmp_path}/dog.gif")

    assert (0, "hi\n", "-- acme/echo\n") == sent
    assert 1 == code
    assert "dog.gif" in err


async def test_the_readme_runs() -> None:
    """Its program, word by word, at another address."""
    readme = (FOLDER / "README.md").read_text()
    program, *_ = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    config = """
        [server]
        listen = "127.0.0.1:0"
        default_chain = "scripted/echo"
        [providers.scripted]
        kind = "scripted"
    """
    async with running(config) as it:
        address = it.server.address
        code, out, err = await run("-c", program.replace("127.0.0.1:50051", address))

    assert (0, "") == (code, err)
    assert [
        "What is a majordomo? - scripted/echo",
        "And a butler?",
        "no target answered (scripted/status:503: OVERLOADED)",
        "1. scripted/status:503: scripted failure",
        "2. scripted/status:503: scripted failure",
    ] == out.splitlines()
