"""A command, as a user runs it."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """How it ended, and what it printed."""

    code: int
    stdout: str
    stderr: str


async def majordomo(
    *words: object, stdin: str = "", environ: Mapping[str, str] = {}
) -> Done:
    """Run `majordomo` with these words, and `environ` over the environment."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "majordomo", *map(str, words)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, **environ},
    )
    stdout, stderr = await process.communicate(stdin.encode())
    assert process.returncode is not None
    assert b"Traceback" not in stderr, stderr.decode()
    return Done(process.returncode, stdout.decode(), stderr.decode())
