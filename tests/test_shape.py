"""No part of the server outgrows the others; what is long is named with its reason."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import majordomo

SERVER = Path(majordomo.__file__).parent
GENERATED = SERVER / "v1"
LARGEST_SHARE = 0.30
LONGEST_MODULE = 450
LONGEST_FUNCTION = 60

LONG_MODULES = {
    "codec/request.py": "one conversation put in order, for all APIs alike",
    "providers/anthropic/request.py": "a request of many parts, in the order they go",
    "providers/openai_responses/answer.py": "one reader of thirty kinds of events",
}
LONG_FUNCTIONS = {
    "telemetry/metrics.py:Metrics.__init__": "a list of all instruments, nothing else",
    "telemetry/spans.py:_attempt": "one span's attributes, in the order shown",
}


def modules() -> Iterator[tuple[Path, str]]:
    """Every module that people write, by its path in the server, and its text."""
    for path in sorted(SERVER.rglob("*.py")):
        if GENERATED not in path.parents:
            yield path.relative_to(SERVER), path.read_text()


def functions(node: ast.AST, name: str) -> Iterator[tuple[str, int]]:
    """Every function within `node`, named by what is around it, and its lines."""
    for child in ast.iter_child_nodes(node):
        inner = name
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{name}{'' if name.endswith(':') else '.'}{child.name}"
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield inner, (child.end_lineno or child.lineno) - child.lineno + 1
        yield from functions(child, inner)


def test_no_folder_holds_most_of_the_server() -> None:
    """Each with all that is in it; what lies loose at the top counts as one."""
    lines: Counter[str] = Counter()
    for path, text in modules():
        folder = path.parts[0] if len(path.parts) > 1 else "(loose)"
        lines[folder] += text.count("\n")

    (largest, most) = lines.most_common(1)[0]
    share = most / lines.total()
    assert share < LARGEST_SHARE, f"{largest} holds {share:.0%}"


def test_long_modules_are_those_that_have_a_reason() -> None:
    """None besides; and none is listed that has become short."""
    long = [str(path) for path, text in modules() if text.count("\n") > LONGEST_MODULE]

    assert sorted(LONG_MODULES) == long


def test_long_functions_are_those_that_have_a_reason() -> None:
    """None besides; and none is listed that has become short."""
    long = [
        name
        for path, text in modules()
        for name, lines in functions(ast.parse(text), f"{path}:")
        if lines > LONGEST_FUNCTION
    ]

    assert sorted(LONG_FUNCTIONS) == sorted(long)
