"""How results are read, and the table that they make."""

from pathlib import Path

import pytest

from testkit.clients.languages import LANGUAGES, Read, cargo_test, go_test, junit
from testkit.clients.results import README, reported, table, table_in

GO = """
{"Action":"run","Test":"TestCancelLocal"}
{"Action":"pass","Test":"TestCancelLocal","Elapsed":0.1}
{"Action":"pass","Test":"TestTLS"}
{"Action":"fail","Test":"TestStream"}
{"Action":"skip","Test":"TestImage"}
{"Action":"pass","Test":"TestToken/wrong"}
{"Action":"pass","Test":"TestOfItsOwn"}
{"Action":"pass","Package":"majordomo"}
"""

CARGO = """
running 5 tests
test cancel_local ... ok
test tests::tls ... ok
test stream ... FAILED
test image ... ignored
test of_its_own ... ok
"""

JUNIT = """
<testsuites><testsuite>
<testcase name="cancelLocal()"/>
<testcase name="test_tls[one]"/><testcase name="test_tls[two]"><system-out/></testcase>
<testcase name="Majordomo.Stream"><failure/></testcase>
<testcase name="image"><skipped/></testcase>
<testcase name="of its own"/>
</testsuite></testsuites>
"""


@pytest.mark.parametrize(
    ("read", "stdout"),
    [
        pytest.param(go_test, GO, id="go"),
        pytest.param(cargo_test, CARGO, id="cargo"),
        pytest.param(junit("*.xml"), "", id="junit"),
    ],
)
def test_a_case_has_passed_or_not(read: Read, stdout: str, tmp_path: Path) -> None:
    """By its name in each idiom; one that was skipped has not."""
    (tmp_path / "results.xml").write_text(JUNIT)

    found = read(stdout, tmp_path)

    expected = {"cancel_local": True, "tls": True, "stream": False, "image": False}
    assert expected == found


def test_the_table_shows_all() -> None:
    """Every language and case, in order; what passed is written from results."""
    shown = {language.name: reported(language) for language in LANGUAGES}

    assert table(shown) == table_in(README.read_text())
