"""`majordomo serve`, and the command line as a whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testkit.processes import serving
from tests.cli.command import majordomo


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("[server]\nlisten = 5", "server.listen"),
        ('[providers.local]\nkind = "lokal"', "providers.local.kind"),
    ],
)
async def test_a_bad_configuration_is_refused(
    config: str, words: str, tmp_path: Path
) -> None:
    """With its errors; nothing starts half-configured."""
    path = tmp_path / "bad.toml"
    path.write_text(config)

    done = await majordomo("serve", "--config", path)

    assert (1, "") == (done.code, done.stdout)
    assert words in done.stderr


def threads(process: int) -> dict[str, int]:
    """A thread of each name that the process has, but for the first one."""
    found = {}
    for folder in Path(f"/proc/{process}/task").iterdir():
        if int(folder.name) != process:
            found[(folder / "comm").read_text().strip()] = int(folder.name)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has SCHED_BATCH")
@pytest.mark.parametrize("batch", [True, False])
async def test_grpcs_threads_do_not_interrupt_the_event_loop(
    tmp_path: Path, *, batch: bool
) -> None:
    """The first thread is scheduled as usual; those that serve gRPC wait for it.

    Unless the configuration says otherwise.
    """
    path = tmp_path / "majordomo.toml"
    setting = f"[server]\nbatch_threads = {str(batch).lower()}\n"
    path.write_text(f'{setting}[providers.acme]\nkind = "scripted"')

    async with serving(path) as it:
        own = os.sched_getscheduler(it.process.pid)
        grpcs = os.sched_getscheduler(threads(it.process.pid)["event_engine"])

    expected = os.SCHED_BATCH if batch else os.SCHED_OTHER
    assert (os.SCHED_OTHER, expected) == (own, grpcs)


async def test_every_command_explains_itself() -> None:
    """`--help` of each, and the version."""
    whole = await majordomo("--help")
    commands = whole.stdout.partition("Commands:\n")[2].split("\n  ")
    names = [line.split()[0] for line in commands if line.strip()]
    for name in names:
        done = await majordomo(name, "--help")

        assert 0 == done.code
        assert done.stdout.startswith("Usage: ")
    version = await majordomo("--version")

    assert [
        *("serve", "check", "generate", "health", "bench", "unbench", "ready"),
        *("token", "model"),
    ] == names
    assert version.stdout.startswith("majordomo, version ")


@pytest.mark.parametrize(
    ("words", "strangers"),
    [
        (["--help"], ["grpc", "pydantic", "asyncio"]),
        (["--version"], ["grpc", "pydantic", "asyncio"]),
        (["ready", "--help"], ["pydantic", "httpx", "aiohttp", "opentelemetry"]),
        (["health", "--help"], ["pydantic", "httpx", "aiohttp", "opentelemetry"]),
        (["check", "--help"], ["grpc", "aiohttp", "opentelemetry"]),
    ],
)
def test_a_command_imports_only_what_it_needs(
    words: list[str], strangers: list[str]
) -> None:
    """They are there at once."""
    program = (
        "import sys; from majordomo.cli import main\n"
        f"try: main({words!r})\n"
        "except SystemExit: pass\n"
        f"print(*[name for name in {strangers!r} if name in sys.modules])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "" == done.stdout.splitlines()[-1]
