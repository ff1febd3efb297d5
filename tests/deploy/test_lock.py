"""The lock's check: what it finds, and that it finds nothing in the lock itself."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from scripts.check_lock import LOCKS, faults

ROOT = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = {
    "project": {
        "dependencies": [],
        "optional-dependencies": {
            "server": ["Click>=8.1"],
            "local": ["xllamacpp>=2026.10"],
            "otlp": [],
            "vertex": [],
        },
    },
    "dependency-groups": {
        "dev": [{"include-group": "test"}],
        "test": ["pytest>=9"],
    },
}
LOCK = """\
# made by: make lock
click==8.5.1 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via majordomo-grpc
xllamacpp==2026.10.11549 ; sys_platform != 'win32' \\
    --hash=sha256:cc
"""


def pins(lock: str) -> set[str]:
    """The packages of a lock with their versions."""
    return set(re.findall(r"^(\S+==\S+)", lock, re.MULTILINE))


@pytest.mark.parametrize("name", LOCKS)
def test_the_locks_fit_the_project(name: str) -> None:
    """Each dependency of pyproject.toml is pinned and hashed, and no host is named."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert [] == [*faults(pyproject, (ROOT / name).read_text(), LOCKS[name])]


def test_the_dev_lock_pins_what_the_image_installs() -> None:
    """What is tested is what the image runs."""
    served, dev = (pins((ROOT / name).read_text()) for name in LOCKS)

    assert served <= dev


def test_a_lock_of_tools_holds_the_groups() -> None:
    """Also what a group includes from another one."""
    assert ["pytest is missing, which pyproject.toml wants; run `make lock`"] == [
        *faults(PYPROJECT, LOCK, ["dev"])
    ]


def test_a_lock_without_fault() -> None:
    """Names are compared as packaging does, and markers may stand."""
    assert [] == [*faults(PYPROJECT, LOCK)]


@pytest.mark.parametrize(
    ("written", "instead", "expected"),
    [
        ("click==8.5.1", "click==8.0.0", "click==8.0.0 is not what"),
        ("click==8.5.1", "clack==8.5.1", "click is missing"),
        ("click==8.5.1", "click>=8.5.1", "click is not pinned"),
        ("xllamacpp==2026.10.11549", "other==1", "xllamacpp is missing"),
        ("    --hash=sha256:cc\n", "\n", "xllamacpp has no hash"),
        ("click==8.5.1", "./click-8.5.1.whl", "is no requirement"),
        ("# made", "--find-links wheels\n# made", "is no requirement"),
        ("# made", "--index-url http://127.0.0.1\n# made", "it names a host"),
        ("# via majordomo-grpc", "# from https://127.0.0.1/simple", "it names a host"),
        ("click==8.5.1", "click @ git+ssh://127.0.0.1/click", "it names a host"),
    ],
)
def test_a_lock_with_a_fault(written: str, instead: str, expected: str) -> None:
    """Each is found and says what is wrong."""
    assert written in LOCK

    found = [*faults(PYPROJECT, LOCK.replace(written, instead, 1))]

    assert any(expected in fault for fault in found), found
