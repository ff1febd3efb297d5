"""Every fault of the matrix is shown by a test."""

import ast
from pathlib import Path

from tests.faults.matrix import FAULTS


def test_every_fault_has_a_test() -> None:
    """A fault without a test is a failure; so is a test of a fault that is none."""
    shown: set[int] = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "fault":
                shown.update(ast.literal_eval(argument) for argument in node.args)

    assert FAULTS.keys() == shown
