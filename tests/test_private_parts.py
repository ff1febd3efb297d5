"""docs/private-parts.md says what the code uses of its libraries' insides."""

import asyncio
import importlib
import logging
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from testkit.servers import generate, running
from testkit.upstream import PATIENCE
from tests.fuzz.frames import PREFACE, SETTINGS, frame, request

ROOT = Path(__file__).parents[1]
SERVER = ROOT / "server/majordomo"
ROW = re.compile(
    r"^\| `(.+?)` \| (.+?) \| .+ \| (.+?) \| `(.+?)::(.+?)` \|$", re.MULTILINE
)
IGNORED = re.compile(r"noqa:[^#]*\b(?:SLF001|PLC2701)\b")
PRIVATE = re.compile(r"(?<![\w])_[A-Za-z]\w+")


def rows() -> list[tuple[str, list[str], str, str, str]]:
    """Part, files, bound, test's file and name."""
    page = (ROOT / "docs/private-parts.md").read_text()
    return [
        (part, re.findall(r"`(.+?)`", files), bound.strip("`"), test, name)
        for part, files, bound, test, name in ROW.findall(page)
    ]


def test_every_row_is_read() -> None:
    page = (ROOT / "docs/private-parts.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| `")]

    assert len(lines) == len(rows()) > 0


def test_what_ruff_passes_over_stands_there() -> None:
    """Each name on a line that it is asked to pass over; with the file."""
    listed = {(part, file) for part, files, *_ in rows() for file in files}
    for path in SERVER.rglob("*.py"):
        if path.parent.name == "v1":
            continue
        for line in path.read_text().splitlines():
            if IGNORED.search(line):
                code = line.partition("#")[0]
                names = [name for name in PRIVATE.findall(code) if _foreign(name, code)]
                file = str(path.relative_to(SERVER))

                assert names, line
                assert {(name, file) for name in names} <= listed


def _foreign(name: str, code: str) -> bool:
    """Whether the name is a library's and none of ours, as those after `self` are."""
    return f"self.{name}" not in code


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_part_that_stands_there_is_used(
    row: tuple[str, list[str], str, str, str],
) -> None:
    """In the file that it names; and the test that watches it is there."""
    part, files, _, test, name = row
    word = part.rpartition(".")[2]
    for file in files:
        assert word in (SERVER / file).read_text()
    assert re.search(
        rf"^(async )?def {name}\(", (ROOT / test).read_text(), re.MULTILINE
    )


def test_the_bounds_are_those_that_are_installed_by() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted: dict[str, set[str]] = {}
    for text in (text for listed in lists for text in listed):
        requirement = Requirement(text)
        bounds = {str(bound) for bound in requirement.specifier}
        wanted.setdefault(requirement.name, set()).update(bounds)
    bounds = {bound for _, _, bound, _, _ in rows() if not bound.startswith("Python")}

    assert bounds
    for bound in bounds:
        requirement = Requirement(bound)
        assert {str(one) for one in requirement.specifier} <= wanted[requirement.name]
    versions = [row for row in project["classifiers"] if "Python :: 3." in row]
    named = {bound for _, _, bound, _, _ in rows() if bound.startswith("Python")}
    first, last = (versions[index].rpartition(" ")[2] for index in (0, -1))
    assert {f"Python {first} to {last}"} == named


def test_undocumented_names_are_where_they_are_said_to_be() -> None:
    """Of libraries that say what is public, these are not."""
    for module, name in (
        ("aiohttp.client_proto", "ResponseHandler"),
        ("aiohttp.connector", "Connection"),
    ):
        assert hasattr(importlib.import_module(module), name)
        assert name not in importlib.import_module("aiohttp").__all__


async def test_metadata_that_is_no_text_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It may be a token that was pasted badly; that it came is reported, by itself."""
    caplog.set_level(logging.DEBUG)
    message = generate("acme/echo").SerializeToString()
    path = b"/majordomo.v1.GenerationService/Generate"
    async with running() as it:
        host, _, port = it.server.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        begin = PREFACE + frame(SETTINGS, 0, 0, b"")
        header = (b"authorization", b"Bearer canary\xff")
        writer.write(begin + request(1, path, message, header))
        async with asyncio.timeout(PATIENCE):
            while not (await reader.read(1 << 16)).count(b"grpc-status"):
                pass
        writer.close()
        await writer.wait_closed()

    assert "canary" not in caplog.text
