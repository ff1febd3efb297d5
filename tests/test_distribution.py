"""The name of the distribution, its extras, and what is reported where one is
missing."""

import contextlib
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from majordomo import distribution
from majordomo.distribution import MissingExtra, installing, is_installed, require

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

_INSTALLER = r"\b(?:pip3?|pipx|uv|poetry|pdm|conda) +(?:tool +)?(?:install|add|run)\b"
_ENDS = r"(?![\w./-])"
FOREIGN = re.compile(
    "|".join(
        [
            rf"{_INSTALLER}[^\n`]*[ '\"]majordomo{_ENDS}",
            rf"\buvx +majordomo{_ENDS}",
            r"(?<![\w./-])majordomo *(?:\[\w|[=~!<>]=)",
            r"(?:version|files|distribution|metadata|requires)\([\"']majordomo[\"']\)",
            r"package_name=[\"']majordomo[\"']",
            r"dependencies *= *\[[^\]]*[\"']majordomo[\"']",
            r"pypi\.org/\w+/majordomo" + _ENDS,
        ]
    )
)
"""What installs, requires or asks for the distribution `majordomo`, not ours."""


MADE = {"__pycache__", "build", "dist", "node_modules", "target"}
"""Folders that tools leave behind; so are those with a dot."""


def texts() -> dict[str, str]:
    """Every text of the repository but this one, by its path."""
    found = {}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name not in MADE and (name[0] != "." or name == ".ci")
        ]
        for path in (Path(folder) / name for name in names):
            with contextlib.suppress(UnicodeDecodeError):  # a picture
                found[str(path.relative_to(ROOT))] = path.read_text()
    del found[str(Path(__file__).relative_to(ROOT))]
    return found


def test_no_text_names_the_foreign_distribution() -> None:
    """Anyone who follows one would install a program that is somebody else's."""
    read = texts()

    assert {"README.md", "Makefile", "pyproject.toml"} <= read.keys()
    assert {} == {
        path: [match.group() for match in FOREIGN.finditer(text)]
        for path, text in read.items()
        if FOREIGN.search(text)
    }


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("CHANGELOG.md", r"^## \[(\d\S*)\] - "),
        ("deploy/kubernetes/kustomization.yaml", r"newTag: (\S+)"),
        ("clients/cpp/CMakeLists.txt", r"^project\(.* VERSION (\S+)"),
        ("clients/java/pom.xml", r"^  <version>(.*)</version>"),
        ("clients/java/ask/pom.xml", r"-client</artifactId>\s+<version>(.*)</version>"),
        ("clients/rust/Cargo.toml", r'^version = "(.*)"'),
        ("clients/typescript/package.json", r'^  "version": "(.*)"'),
        ("clients/typescript/package-lock.json", r'^  "version": "(.*)"'),
    ],
)
def test_one_version(path: str, pattern: str) -> None:
    """The newest of the changelog, the image's and the clients' are the server's."""
    found = re.search(pattern, (ROOT / path).read_text(), re.MULTILINE)

    assert found is not None
    assert PROJECT["version"] == found[1]


@pytest.mark.parametrize(
    "text",
    [
        "pip install majordomo",
        "pip install 'majordomo[local]'",
        "python -m pip install --quiet majordomo",
        "uv add majordomo",
        "uv tool install majordomo",
        "uvx majordomo serve",
        "the extra majordomo[vertex]",
        "majordomo==0.1.0",
        "majordomo>=0.1",
        'version("majordomo")',
        'dependencies = [\n  "click",\n  "majordomo",\n]',
    ],
)
def test_the_foreign_name_is_found(text: str) -> None:
    """In each form in which a text may have it."""
    assert FOREIGN.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "pip install majordomo-grpc",
        "pip install 'majordomo-grpc[server,local]'",
        "pip install ../majordomo",
        "pip install dist/majordomo_grpc-0.2.0-py3-none-any.whl",
        "majordomo serve",
        'tracers.get_tracer("majordomo")',
        'dependencies = ["majordomo-grpc"]',
    ],
)
def test_our_own_name_is_not_taken_for_it(text: str) -> None:
    """Nor are paths, the command and the package."""
    assert not FOREIGN.search(text)


def test_the_project_has_the_name() -> None:
    """The one that messages tell people to install."""
    assert PROJECT["name"] == distribution.DISTRIBUTION


@pytest.mark.parametrize("extra", distribution._MODULES)
def test_the_modules_of_an_extra(extra: str) -> None:
    """One for each distribution that pyproject.toml says the extra brings."""
    required = {
        Requirement(text).name for text in PROJECT["optional-dependencies"][extra]
    }
    provided = packages_distributions()
    named = {
        canonicalize_name(name)
        for module in distribution._MODULES[extra]
        for name in provided[module.partition(".")[0]]
    }

    assert len(required) == len(distribution._MODULES[extra])
    assert required <= named


def test_an_extra_that_is_here() -> None:
    """It may be required."""
    assert is_installed("server")
    require("server")


def test_an_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is an ImportError that says what to install."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    assert not is_installed("local")
    with pytest.raises(MissingExtra) as raised:
        require("local")

    assert ("local", "xllamacpp") == (raised.value.extra, raised.value.name)
    assert (
        "xllamacpp is not installed, of the extra local: "
        "pip install 'majordomo-grpc[server,local]'"
    ) == str(raised.value)


def test_what_installs_the_server() -> None:
    """It is named once."""
    assert "pip install 'majordomo-grpc[server]'" == installing("server")


@pytest.mark.parametrize("module", ["majordomo.cli", "majordomo.rpc.server"])
def test_an_import_without_its_extra(module: str) -> None:
    """It says what to install, before anything else fails."""
    program = f"import sys; sys.modules['pydantic'] = None; import {module}"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert (
        "majordomo.distribution.MissingExtra: pydantic is not installed, of the extra "
        "server: pip install 'majordomo-grpc[server]'"
    ) == done.stderr.splitlines()[-1]


def test_the_command_without_its_extra() -> None:
    """One line, no traceback."""
    program = (
        "import sys; sys.modules['pydantic'] = None\n"
        "from majordomo.__main__ import main; main()"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (1, "") == (done.returncode, done.stdout)
    assert (
        "majordomo: pydantic is not installed, of the extra server: "
        "pip install 'majordomo-grpc[server]'\n"
    ) == done.stderr
