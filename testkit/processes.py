"""`majordomo serve` as a process of its own."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Serving:
    """A server that takes calls."""

    process: Process
    address: str

    async def logged(self, words: str) -> str:
        """The next line of its log that holds `words`."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            if words in line.decode():
                return line.decode()
        raise AssertionError(f"the log ended without {words!r}")


@asynccontextmanager
async def serving(
    config: Path,
    environ: Mapping[str, str] = os.environ,
    listen: str = "127.0.0.1:0",
    *,
    under: Sequence[str] = (),
    stderr: int = PIPE,
) -> AsyncIterator[Serving]:
    """Serve `config`, on a free port of the loopback; killed at the end.

    `under` is a command that runs what follows it; `stderr` takes the log.
    """
    process = await asyncio.create_subprocess_exec(
        *(*under, sys.executable),
        *("-m", "majordomo", "serve", "--config", config),
        *("--listen", listen),
        stdout=PIPE,
        stderr=stderr,
        env=environ,
    )
    try:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line.startswith(b"majordomo is listening on "):
            _, words = await process.communicate()
            raise AssertionError(words)
        yield Serving(process, line.decode().split()[-1])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
