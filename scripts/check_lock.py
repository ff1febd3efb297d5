"""Does requirements.lock fit pyproject.toml, and does it name no place to load from?

    python scripts/check_lock.py

Ends with 1 where it does not, and says why. Nothing is resolved, so it needs no
network: that the lock is complete is what the image's build shows, which installs it
with hashes required and has pip check the whole.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
EXTRAS = ("server", "local", "otlp", "vertex")
"""What the lock holds beside the dependencies; `make lock` names the same."""


def faults(pyproject: dict[str, Any], lock: str) -> Iterator[str]:
    """What is wrong with the text `lock` for the project `pyproject`."""
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
    for requirement in _direct(pyproject["project"]):
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


def _direct(project: dict[str, Any]) -> Iterator[Requirement]:
    yield from map(Requirement, project["dependencies"])
    for extra in EXTRAS:
        yield from map(Requirement, project["optional-dependencies"][extra])


def main() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lock = (ROOT / "requirements.lock").read_text()
    found = [*faults(pyproject, lock)]
    for fault in found:
        print(f"requirements.lock: {fault}", file=sys.stderr)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
