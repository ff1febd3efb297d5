"""Who imports whom outside of the server: nothing but tests imports tests."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imported(folder: str) -> Iterator[tuple[str, str]]:
    """Each import below the folder: the file, and the module that it names."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                yield str(path.relative_to(ROOT)), name


@pytest.mark.parametrize(
    ("folder", "strangers"),
    [
        ("scripts", {"tests"}),
        ("bench", {"tests"}),
        ("testkit", {"tests", "scripts", "bench"}),
        ("server/majordomo", {"tests", "scripts", "bench", "testkit"}),
    ],
)
def test_a_folder_imports_none_of_its_users(folder: str, strangers: set[str]) -> None:
    """Benchmarks and scripts run without the tests; the server without all of them."""
    imports = list(imported(folder))

    assert imports
    assert [] == [it for it in imports if it[1].partition(".")[0] in strangers]
