"""What the tests of the providers share."""

import os
from pathlib import Path

import pytest

from majordomo.providers.local import model_file


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The embedded model's file; without it and without a network, a skip.

    Under CI it has to be there.
    """
    try:
        return model_file.fetch(list[str]().append)
    except model_file.ModelFileError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
