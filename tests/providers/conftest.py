"""What the tests of the providers share."""

from pathlib import Path

import pytest

from majordomo.providers import model_file


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The embedded model's file; without it and without a network, a skip."""
    try:
        return model_file.fetch(list[str]().append)
    except model_file.ModelFileError as error:
        pytest.skip(str(error))
