"""Signals and standard streams, as supervisors and containers have them."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import grpc
import pytest

from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from testkit.servers import generate, running

SERVE = (sys.executable, "-m", "majordomo", "serve", "--config")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "majordomo.toml"
    path.write_text(
        f'[server]\nlisten = "unix:{tmp_path}/m.sock"\n'
        '[providers.acme]\nkind = "scripted"'
    )
    return path


async def answer_at(address: str) -> str:
    """What a server says that may still be starting."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = GenerationServiceStub(channel).Generate(
            generate("acme/echo"), timeout=50, wait_for_ready=True
        )
        return str((await call).message.parts[0].text)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize(
    "how", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-", "1>/dev/full", "2>/dev/full"]
)
async def test_the_server_serves_without_its_streams(config: Path, how: str) -> None:
    """Closed or full: what it says at its start is not worth its life."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'exec "$@" {how}', "sh", *SERVE, config),
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        text = await answer_at(f"unix:{config.parent}/m.sock")
        process.terminate()
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert ("hello", 0) == (text, code)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ("1>/dev/full", 1, "Error: cannot write: No space left on device\n"),
        ("1>&-", 0, ""),
        ("0<&-", 0, ""),
    ],
)
async def test_a_command_without_its_streams(how: str, code: int, words: str) -> None:
    """A full stdout fails it, in one line; a closed one is as /dev/null."""
    async with running() as it:
        command = f"health -a {it.server.address}"
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", f'exec "$@" {how}', "sh"),
            *(sys.executable, "-m", "majordomo", *command.split()),
            stdout=DEVNULL,
            stderr=PIPE,
        )
        _, stderr = await process.communicate()

    assert (code, words) == (process.returncode, stderr.decode())


def as_process_1() -> bool:
    """Whether namespaces of processes can be made here."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    command = [unshare, "--fork", "--pid", "--mount-proc", "true"]
    return not subprocess.run(command, check=False, capture_output=True).returncode


def child_of(process: int) -> int:
    """The first child of a process."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text()
    return int(children.split()[0])


async def test_process_1_ends_by_a_signal_while_it_starts(config: Path) -> None:
    """The kernel drops signals that it has no handler for."""
    if not as_process_1():
        pytest.skip("no process namespaces here: that takes root")
    # It says when its imports begin, which take most of a second.
    program = (
        "import sys, runpy\n"
        "from majordomo.process import take_signals\n"
        "take_signals()\n"
        "print('begun', flush=True)\n"
        "runpy.run_module('majordomo', run_name='__main__', alter_sys=True)\n"
    )
    outer = await asyncio.create_subprocess_exec(
        *("unshare", "--fork", "--pid", "--mount-proc", "--kill-child"),
        *(sys.executable, "-c", program, "serve", "--config", config),
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        assert outer.stdout is not None
        await outer.stdout.readline()
        os.kill(child_of(outer.pid), signal.SIGTERM)
        async with asyncio.timeout(50):
            code = await outer.wait()
    finally:
        if outer.returncode is None:
            outer.kill()
            await outer.wait()

    assert 0 != code


@pytest.mark.parametrize(
    ("number", "ended"), [(signal.SIGTERM, 143), (signal.SIGHUP, None)]
)
async def test_a_signal_in_the_first_second(
    number: signal.Signals, ended: int | None, config: Path
) -> None:
    """SIGTERM ends the process; SIGHUP asks for what is to be loaded anyway."""
    program = (
        "import os, sys, runpy\n"
        "from majordomo import process\n"
        "sys.argv = ['majordomo', *sys.argv[1:]]\n"
        "process.take_signals()\n"
        f"os.kill(os.getpid(), {int(number)})\n"
        "runpy.run_module('majordomo', run_name='__main__')\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, "serve", "--config", config),
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if ended is None:
            process.terminate()
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert (ended is None) == line.startswith(b"majordomo is listening on ")
    assert (ended or 0) == code
