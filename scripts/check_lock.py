"""Do the locks fit pyproject.toml, and do they name no place to load from?

    python scripts/check_lock.py

Ends with 1 where they do not, and says why. Nothing is resolved, so no network is
needed: that a lock is complete is shown where it is installed, with hashes required.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from packaging.dependency_groups import resolve_dependency_groups
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
EXTRAS = ("server", "local", "otlp", "vertex")
"""What both locks hold beside the dependencies; `make lock` names the same."""

LOCKS = {"requirements.lock": (), "requirements-dev.lock": ("dev",)}
"""The locks, each with the dependency groups that it holds."""


def faults(
    pyproject: dict[str, Any], lock: str, groups: Iterable[str] = ()
) -> Iterator[str]:
    """What is wrong with the text `lock` for the project `pyproject`.

    `groups` are the dependency groups that it holds.
    """
    if "://" in lock or "@" in lock:
        yield "it names a host or an address; make it by `make lock`"
    pins: dict[str, list[Version]] = {}
    for line in _logical_lines(lock):
        text = re.sub(r"\s--hash=\S+", "", line)
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            yield f"{text!r} is no requirement; make the lock by `make lock`"
            continue
        name = canonicalize_name(requirement.name)
        [*specifiers] = requirement.specifier
        if [specifier.operator for specifier in specifiers] != ["=="]:
            yield f"{name} is not pinned to one version"
            continue
        if text == line:
            yield f"{name} has no hash"
        pins.setdefault(name, []).append(Version(specifiers[0].version))
    for requirement in _direct(pyproject, groups):
        name = canonicalize_name(requirement.name)
        if name not in pins:
            yield f"{name} is missing, which pyproject.toml wants; run `make lock`"
        for version in pins.get(name, []):
            if version not in requirement.specifier:
                yield (
                    f"{name}=={version} is not what pyproject.toml wants, "
                    f"{requirement}; run `make lock`"
                )


def _logical_lines(lock: str) -> Iterator[str]:
    for line in lock.replace("\\\n", "").splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if text:
            yield text


def _direct(pyproject: dict[str, Any], groups: Iterable[str]) -> Iterator[Requirement]:
    project = pyproject["project"]
    yield from map(Requirement, project["dependencies"])
    for extra in EXTRAS:
        yield from map(Requirement, project["optional-dependencies"][extra])
    named = resolve_dependency_groups(pyproject.get("dependency-groups", {}), *groups)
    yield from map(Requirement, named)


def main() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = [
        f"{name}: {fault}"
        for name, groups in LOCKS.items()
        for fault in faults(pyproject, (ROOT / name).read_text(), groups)
    ]
    for line in found:
        print(line, file=sys.stderr)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
