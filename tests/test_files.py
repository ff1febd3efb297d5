"""Files that are watched."""

import os
from pathlib import Path

from majordomo.files import signature


def test_a_signature_is_of_what_a_file_is_now(tmp_path: Path) -> None:
    """Its content, its time, another file in its place, or none."""
    path = tmp_path / "key"
    seen = [signature([path])]
    path.write_text("one")
    seen.append(signature([path]))
    path.write_text("three")
    seen.append(signature([path]))
    os.utime(path, ns=(1, 1))
    seen.append(signature([path]))
    other = tmp_path / "other"
    other.write_text("three")
    os.utime(other, ns=(1, 1))
    other.replace(path)
    seen.append(signature([path]))

    assert (None,) == seen[0]
    assert len(seen) == len(set(seen))
    assert seen[-1] == signature([path])
