"""What is tested, and what it brings."""

import os
from importlib.metadata import files
from pathlib import Path

import pytest

import majordomo
from majordomo.distribution import DISTRIBUTION


@pytest.mark.skipif(not os.environ.get("CI"), reason="only CI builds the wheel first")
def test_ci_tests_the_wheel() -> None:
    """And not the files of the clone."""
    assert "site-packages" in Path(majordomo.__file__).parts


@pytest.mark.skipif(not os.environ.get("CI"), reason="only CI builds the wheel first")
def test_the_wheel_has_types_and_stubs() -> None:
    """For the type checkers of anyone who uses the client library."""
    names = {str(file) for file in files(DISTRIBUTION) or ()}

    assert "majordomo/py.typed" in names
    assert "majordomo/v1/generation_service_pb2.pyi" in names
