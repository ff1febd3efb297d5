"""Processes on a core of their own, and what they use.

What is measured has the first core to itself. The load, the provider and the collector
share the last one.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SUBJECT_CORE = 0
LOAD_CORE = (os.cpu_count() or 1) - 1
NATIVE = Path(__file__).parents[1] / "build" / "bin" / "bench-native"

Command = Sequence[str | Path]


def module(name: str, *arguments: str) -> list[str]:
    """The command that runs a Python module."""
    return [sys.executable, "-m", name, *arguments]


def pinned(core: int, command: Command) -> list[str]:
    return ["taskset", "--cpu-list", str(core), *map(str, command)]


def build_native() -> None:
    """Build bench/native, if it has changed."""
    NATIVE.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["go", "build", "-o", NATIVE, "."],
        cwd=Path(__file__).with_name("native"),
        check=True,
    )


@contextmanager
def running(
    core: int, command: Command, log: Path, **environ: str
) -> Iterator["subprocess.Popen[str]"]:
    """A process with pipes to talk by; what it says besides goes to a file."""
    with log.open("a") as errors:
        process = subprocess.Popen(
            pinned(core, command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **environ},
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def first_line(process: "subprocess.Popen[str]") -> str:
    """What a process says when it is ready."""
    assert process.stdout is not None
    if not (line := process.stdout.readline()):
        raise RuntimeError(f"did not start: {process.args!r}")
    return line.strip()


@contextmanager
def native(command: str, log: Path) -> Iterator[str]:
    """The native upstream or collector; its address."""
    with running(LOAD_CORE, [NATIVE, command], log) as process:
        yield f"127.0.0.1:{first_line(process)}"


def tree(pid: int) -> list[int]:
    """A process and all that came of it."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found.extend(map(int, children.read_text().split()))
    return found


def cpu(pid: int) -> float:
    """Seconds of CPU that a process and all that came of it have used, all threads."""
    # The kernel's clock of another process: as /proc/PID/stat, to the nanosecond.
    return sum(time.clock_gettime((~one << 3) | 2) for one in tree(pid))


def memory(pid: int) -> float:
    """Megabytes resident in a process and all that came of it."""
    pages = 0
    for one in tree(pid):
        pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
