"""Write the table of clients/README.md: what each language's tests showed last.

A language that was not tested here keeps its column.
"""

from testkit.clients.languages import LANGUAGES
from testkit.clients.results import README, kept, reported, table, table_in


def main() -> None:
    """Put the new table where the old one is."""
    found = {
        language.name: kept(language) or reported(language) for language in LANGUAGES
    }
    tested = {name: results for name, results in found.items() if results}
    readme = README.read_text()
    old, new = ("\n".join(lines) for lines in (table_in(readme), table(tested)))
    README.write_text(readme.replace(old, new))


if __name__ == "__main__":
    main()
