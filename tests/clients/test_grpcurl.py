"""The lines for grpcurl, and for `buf curl`, that the documents show: each is run."""

import asyncio
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path

import pytest

from testkit.processes import serving
from tests.clients.harness import harness

ROOT = Path(__file__).parent.parent.parent
ADDRESS = "127.0.0.1:50051"
"""What the documents say; here the server has a free port."""

TOOLS = ROOT / "build" / "bin"
ENDLESS = "WatchHealth"


def shown(document: Path, start: str) -> list[str]:
    """The lines of the document's examples that begin so."""
    blocks = re.findall(r"```sh\n(.*?)```", document.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if re.match(start, line)]


def calls(document: Path) -> list[str]:
    return shown(document, "(grpcurl|buf curl) ")


DOCUMENTS = [
    document
    for document in (
        ROOT / "README.md",
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("clients/*.md"),
        *ROOT.glob("clients/*/README.md"),
    )
    if calls(document)
]

pytestmark = [pytest.mark.languages, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    """An environment with grpcurl, built as its page tells."""
    if shutil.which("go") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("grpcurl needs Go")
    return {
        **os.environ,
        "GOBIN": str(TOOLS),
        "PATH": os.pathsep.join(
            [str(TOOLS), str(Path(sys.executable).parent), os.environ["PATH"]]
        ),
    }


async def run(line: str, environ: Mapping[str, str]) -> str:
    """What the line writes to stdout; the first of it, where the line never ends."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", f"exec {line}"), cwd=ROOT, env=environ, stdout=PIPE
    )
    assert process.stdout is not None
    if ENDLESS in line:
        first = await process.stdout.readuntil(b"\n}\n")
        process.send_signal(signal.SIGINT)
        await process.communicate()
        return first.decode()
    out, _ = await process.communicate()
    assert process.returncode == 0, line
    return out.decode()


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)
async def test_every_line_runs(
    document: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    """Against the demo's server, in the order of the page; each has an answer."""
    (install,) = shown(ROOT / "clients" / "grpcurl" / "README.md", "go install ")
    await run(install, environ)

    demo = ROOT / "scripts" / "demo.toml"
    async with harness(tmp_path) as it, serving(demo, environ) as server:
        for line in calls(document):
            answer = await run(
                line.replace(ADDRESS, server.address), environ | it.environ
            )
            assert answer.strip(), line


def test_every_rpc_has_a_line() -> None:
    """Of ours, and a file where it takes a request."""
    protos = "".join(path.read_text() for path in ROOT.glob("protos/**/*.proto"))
    rpcs = re.findall(r"^  rpc (\w+)", protos, re.MULTILINE)
    lines = calls(ROOT / "clients" / "grpcurl" / "README.md")

    assert [] == [rpc for rpc in rpcs if not any(f"/{rpc} <" in line for line in lines)]
