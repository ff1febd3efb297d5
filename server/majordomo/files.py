"""Files that may change while the server runs."""

import os
from collections.abc import Iterable
from pathlib import Path

Signature = tuple[tuple[int, int, int] | None, ...]


def signature(paths: Iterable[Path]) -> Signature:
    """What changes when one of the files does, or a link that leads to it.

    None stands for a file that is not there.
    """
    return tuple(_of(path) for path in paths)


def _of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
