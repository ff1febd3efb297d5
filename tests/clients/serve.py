"""The servers of the clients' tests, for anyone who writes a client.

    python -m tests.clients.serve

prints lines for a shell to evaluate, and serves until stdin closes.
"""

import asyncio
import shlex
import sys
import tempfile
from pathlib import Path

from tests.clients.harness import harness


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with harness(Path(folder), log=sys.stderr.fileno()) as it:
            for name, value in it.environ.items():
                print(f"export {name}={shlex.quote(value)}", flush=True)  # noqa: T201
            await asyncio.to_thread(sys.stdin.read)
            print(f"calls: {dict(it.provider.calls)}", file=sys.stderr)  # noqa: T201
            print(f"left: {dict(it.provider.left)}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
