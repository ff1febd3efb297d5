"""A chain that fails over to a real model, as `make demo` shows it.

Starts a server on a free port of the loopback, calls it by the command line, prints
what the server traced, and stops it. Ends with 0 if all went as it should.
"""

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent
MAJORDOMO = [sys.executable, "-m", "majordomo"]
PATIENCE = 120.0
"""Seconds that the server may take to start, and to trace a call."""


class Server:
    """The server's process, and what it prints, line by line."""

    def __init__(self, process: "subprocess.Popen[str]", output: IO[str]) -> None:
        self._process = process
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(output,), daemon=True).start()

    def _read(self, output: IO[str]) -> None:
        for line in output:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def lines(self) -> Iterator[str]:
        """What it prints from now on."""
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            yield line
        raise SystemExit(f"the server ended with {self._process.wait()}")


@contextmanager
def serving() -> Iterator[Server]:
    process = subprocess.Popen(
        [*MAJORDOMO, "serve", "--config", HERE / "demo.toml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OTEL_TRACES_EXPORTER": "console"},
    )
    assert process.stdout is not None
    try:
        yield Server(process, process.stdout)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def tree(lines: Iterator[str]) -> Iterator[str]:
    """The next call's trace: from its first line to the empty one after it."""
    for line in lines:
        if line.startswith("trace ") and "GenerationService" in line:
            yield line
            break
    for line in lines:
        if not line:
            return
        yield line


def say(text: str) -> None:
    print(f"\n\033[1m# {text}\033[0m" if sys.stdout.isatty() else f"\n# {text}")


def run(address: str, *words: str) -> str:
    """Run a command as a user would, show it and what it prints."""
    print(f"$ majordomo {' '.join(words)}", flush=True)
    process = subprocess.Popen(
        [*MAJORDOMO, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "MAJORDOMO_ADDRESS": address, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    seen = ""
    while piece := process.stdout.read(1):
        print(piece, end="", flush=True)
        seen += piece
    if process.wait():
        raise SystemExit(f"majordomo {words[0]} ended with {process.returncode}")
    return seen


def expect(seen: str, *words: str) -> None:
    for word in words:
        if word not in seen:
            raise SystemExit(f"the demo went wrong: {word!r} should have been seen")


def main() -> None:
    question = ("generate", "--max-tokens", "40", "In one sentence: what is a butler?")
    say("A server whose default chain is acme/giant-1,local/smollm2; acme is down.")
    with serving() as server:
        lines = server.lines()
        address = next(line for line in lines if "listening on" in line).split()[-1]

        say("The first target answers 503. A real model, on this machine, answers.")
        seen = run(address, *question)
        expect(seen, "acme/giant-1: failed", "HTTP 503", "local/smollm2: answered")

        say("What the call's trace looks like.")
        for line in tree(lines):
            print(line)

        say("The first target is benched.")
        expect(run(address, "health"), "benched")

        say("The next call skips it.")
        expect(run(address, *question), "acme/giant-1: skipped (BENCHED)")

        say("An operator puts it back.")
        run(address, "unbench", "acme/giant-1")
        expect(run(address, *question), "acme/giant-1: failed")
    say("That was majordomo.")


if __name__ == "__main__":
    main()
