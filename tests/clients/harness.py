"""The servers that the clients of all languages are tested against.

`majordomo serve` runs as it is installed, twice: in plain text and open, and over TLS
for callers with a token. Tests find both by `Harness.environ`:

| variable | what it is |
| --- | --- |
| `MAJORDOMO_ADDRESS` | host:port, plain text, open |
| `MAJORDOMO_SECURE_ADDRESS` | localhost:port, TLS, wants a token |
| `MAJORDOMO_CA` | the file of the authority's certificate, PEM |
| `MAJORDOMO_TOKEN` | a token with the scope generate |

The open one serves `acme` (scripted), `local` (the embedded model), `upstream` (see
`upstream`) and tiers of `flaky`. No number of failures benches a target, so tests do
not depend on each other.
"""

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import trustme

from testkit.collector import Collector, collecting
from testkit.processes import Serving, serving
from tests.clients.upstream import Provider

TOKEN = "token-of-the-clients"

_OPEN = """
    [server]
    default_chain = "acme/echo"
    [health]
    failure_threshold = 1000000
    [providers.acme]
    kind = "scripted"
    [providers.local]
    kind = "local"
    start = "at_start"
    [providers.upstream]
    kind = "openai-compatible"
    profile = "openrouter"
    base_url = "{upstream}"
    [resolvers.flaky]
    timeout = "10s"
"""

_SECURE = """
    [server.tls]
    certificate = "{folder}/cert.pem"
    private_key = "{folder}/key.pem"
    [tokens.clients]
    sha256 = "{sha256}"
    scopes = ["generate"]
    [providers.acme]
    kind = "scripted"
"""


@dataclass
class Harness:
    """The servers, while they run."""

    environ: dict[str, str]
    provider: Provider
    collector: Collector
    server: Serving

    async def drained(self) -> None:
        """End the open server in good order: all of its spans are collected then."""
        self.server.process.send_signal(signal.SIGTERM)
        await self.server.process.wait()


@asynccontextmanager
async def harness(
    folder: Path, log: int = asyncio.subprocess.DEVNULL
) -> AsyncIterator[Harness]:
    """Serve, with `folder` for files; `log` is where the servers' log goes."""
    provider = Provider()
    _issue(folder)
    _install_flaky(folder / "site")
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(provider.serving())
        collector = await stack.enter_async_context(collecting())
        environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder / "site"), *sys.path]),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
        }

        async def serve(name: str, config: str) -> Serving:
            path = folder / f"{name}.toml"
            path.write_text(dedent(config))
            return await stack.enter_async_context(serving(path, environ, stderr=log))

        server = await serve("open", _OPEN.format(upstream=upstream.url))
        sha256 = hashlib.sha256(TOKEN.encode()).hexdigest()
        secure = await serve("secure", _SECURE.format(folder=folder, sha256=sha256))
        reported = {
            "MAJORDOMO_ADDRESS": server.address,
            "MAJORDOMO_SECURE_ADDRESS": f"localhost:{secure.address.split(':')[-1]}",
            "MAJORDOMO_CA": str(folder / "ca.pem"),
            "MAJORDOMO_TOKEN": TOKEN,
        }
        yield Harness(reported, provider, collector, server)


def _issue(folder: Path) -> None:
    """A certificate for localhost, its key, and its authority."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    (folder / "cert.pem").write_bytes(chain)


def _install_flaky(site: Path) -> None:
    """Make `flaky` a package's entry point, as servers look for resolvers."""
    metadata = site / "flaky-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: flaky\nVersion: 1.0\n"
    )
    (metadata / "entry_points.txt").write_text(
        "[majordomo.resolvers]\nflaky = tests.clients.flaky:resolve\n"
    )
