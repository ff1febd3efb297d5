"""Every rule of docs/semantics.md is shown by a test that carries its number."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLANNED = "*(planned)*"


def _rules() -> tuple[set[str], set[str]]:
    """The numbers of the rules that hold today, and of those that are planned."""
    today: set[str] = set()
    planned: set[str] = set()
    section = ""
    for line in (ROOT / "docs" / "semantics.md").read_text().splitlines():
        if heading := re.match(r"## (\d+)\.", line):
            section = heading[1]
            if section == "7":  # a table: one rule
                today.add(section)
        elif item := re.match(r"(\d+)\. ", line):
            rule = f"{section}.{item[1]}"
            (planned if line.endswith(PLANNED) else today).add(rule)
    return today, planned


def _shown() -> set[str]:
    """The numbers in `pytest.mark.rule(...)` all over the tests."""
    numbers: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and ast.unparse(node.func) == "pytest.mark.rule"
            ):
                numbers.update(ast.literal_eval(argument) for argument in node.args)
    return numbers


def test_every_rule_has_a_test() -> None:
    """A rule without a test is a failure; so is a test for a rule that is none."""
    today, planned = _rules()
    shown = _shown()

    assert len(today) > 40
    assert set() == today - shown
    assert set() == shown - today - planned
