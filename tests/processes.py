"""`majordomo serve` as a process of its own."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
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
) -> AsyncIterator[Serving]:
    """Serve `config`, on a free port of the loopback; killed at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "majordomo.cli", "serve", "--config", config),
        *("--listen", listen),
        stdout=PIPE,
        stderr=PIPE,
        env=environ,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        line = await process.stdout.readline()
        assert line.startswith(b"majordomo is listening on "), (
            await process.stderr.read()
        )
        yield Serving(process, line.decode().split()[-1])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
