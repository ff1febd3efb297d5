"""`majordomo serve` as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

_SERVE = [sys.executable, "-m", "majordomo.cli", "serve", "--listen", "127.0.0.1:0"]
_LISTENING = "majordomo is listening on "


@dataclass
class Serving:
    """A server that takes calls."""

    process: "subprocess.Popen[str]"
    address: str


@contextmanager
def serving(
    *options: str, environ: Mapping[str, str] = os.environ
) -> Iterator[Serving]:
    """Serve with `options` on a free port of the loopback; killed at the end."""
    with subprocess.Popen(
        [*_SERVE, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(_LISTENING):
                    address = line.removeprefix(_LISTENING).strip()
                    break
            else:
                assert process.stderr is not None
                raise AssertionError(process.stderr.read())
            yield Serving(process, address)
        finally:
            process.kill()
