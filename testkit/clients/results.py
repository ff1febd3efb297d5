"""Results of the languages' tests: in files, and as the table of clients/README.md."""

import json
from collections.abc import Iterator
from itertools import dropwhile, takewhile
from pathlib import Path

from testkit.clients.languages import CASES, LANGUAGES, Language, Results

README = Path(__file__).parent.parent.parent / "clients" / "README.md"
_KEPT = Path(__file__).parent.parent.parent / "build" / "clients"


def keep(language: Language, results: Results) -> None:
    """Write the results where `kept` finds them."""
    _KEPT.mkdir(parents=True, exist_ok=True)
    _path(language).write_text(json.dumps(results, indent=1, sort_keys=True))


def kept(language: Language) -> Results | None:
    """The results of the language's last run; None if there was none."""
    path = _path(language)
    if not path.exists():
        return None
    results: Results = json.loads(path.read_text())
    return results


def table(results: dict[str, Results]) -> list[str]:
    """Lines of Markdown: a row for each case, a column for each of the languages."""
    shown = [language for language in LANGUAGES if language.name in results]

    def rows() -> Iterator[list[str]]:
        yield ["case", "what is shown", *(language.title for language in shown)]
        yield ["---", "---", *("---" for _ in shown)]
        for case, meaning in CASES.items():
            marks = (results[language.name].get(case) for language in shown)
            yield [f"`{case}`", meaning, *("✓" if mark else "-" for mark in marks)]

    return [f"| {' | '.join(row)} |" for row in rows()]


def reported(language: Language) -> Results:
    """What the table of clients/README.md says of the language."""
    head, _, *rows = (
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in table_in(README.read_text())
    )
    if language.title not in head:
        return {}
    column = head.index(language.title)
    return {row[0].strip("`"): row[column] == "✓" for row in rows}


def table_in(readme: str) -> list[str]:
    """The lines of the table of results in the text of clients/README.md."""
    after = dropwhile(lambda line: not line.startswith("| case |"), readme.splitlines())
    return list(takewhile(lambda line: line.startswith("|"), after))


def _path(language: Language) -> Path:
    return _KEPT / f"{language.name}.json"
