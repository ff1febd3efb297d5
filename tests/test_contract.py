"""The contract's guard, in a repository that has a release."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = (
    "protos",
    "scripts",
    "tests/contract",
    "server/majordomo/v1",
    "buf.yaml",
    "buf.gen.yaml",
)
ATTEMPT = "protos/majordomo/v1/attempt.proto"
TARGET = "  string target = 2;"
ENVIRON = {
    **os.environ,
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}


def run(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, cwd=folder, env=ENVIRON, capture_output=True, text=True, check=False
    )


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """What the guard looks at, committed and tagged."""
    for part in PARTS:
        source, copied = ROOT / part, tmp_path / part
        copied.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copied)
        else:
            shutil.copy(source, copied)
    for words in ("init -q", "add .", "commit -q -m release", "tag v1.0.0"):
        assert 0 == run(tmp_path, "git", *words.split()).returncode
    return tmp_path


def guarded(folder: Path, before: str, after: str) -> tuple[int, str]:
    """The exit code of the guard after a change with its code, and what it wrote."""
    proto = folder / ATTEMPT
    text = proto.read_text()
    assert before in text
    proto.write_text(text.replace(before, after))
    assert 0 == run(folder, "buf", "generate").returncode
    run(folder, "scripts/contract_image.sh")
    ended = run(folder, "scripts/check_contract.sh")
    return ended.returncode, ended.stdout + ended.stderr


def test_a_field_may_come(released: Path) -> None:
    """Callers of the release do not notice."""
    more = f"{TARGET}\n  // The place of the target.\n  string place = 99;"
    code, reported = guarded(released, TARGET, more)

    assert code == 0, reported


def test_no_field_may_move(released: Path) -> None:
    """The release reads it at its number; the guard names it."""
    code, reported = guarded(released, TARGET, "  string target = 98;")

    assert code != 0
    assert 'Previously present field "2" with name "target"' in reported


def test_an_addition_must_be_in_the_image(released: Path) -> None:
    """Or it could be broken before it is ever released; the guard says what to run."""
    proto = released / ATTEMPT
    more = f"{TARGET}\n  // The place of the target.\n  string place = 99;"
    proto.write_text(proto.read_text().replace(TARGET, more))
    assert 0 == run(released, "buf", "generate").returncode

    ended = run(released, "scripts/check_contract.sh")

    assert ended.returncode != 0
    assert "run scripts/contract_image.sh" in ended.stderr


def test_code_must_be_fresh(released: Path) -> None:
    """As buf writes it, nothing more."""
    stub = released / "server/majordomo/v1/attempt_pb2.pyi"
    stub.write_text(stub.read_text() + "\n")

    ended = run(released, "scripts/check_contract.sh")

    assert ended.returncode != 0
    assert "generated code is stale" in ended.stderr
