"""A new kind of provider is a folder, and a line in KINDS."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import providers_page

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What majordomo is with the folder beside this test, and that line."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.providers.parrot"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=50,
        check=False,
    )

    assert "" == run.stderr
    outcome: dict[str, Any] = json.loads(run.stdout)
    return outcome


def test_it_answers_over_http(found: dict[str, Any]) -> None:
    """Whole and streamed, with its own path and headers, and named in telemetry."""
    assert {
        "whole": "hello",
        "streamed": "hello",
        "path": "/v1/repeat/grey",
        "headers": {"x-seed": "seed-2", "x-nap": "0.5"},
        "peer": "acme.parrot",
    } == found["answers"]


def test_it_is_configured_and_its_mistakes_are_explained(found: dict[str, Any]) -> None:
    """A key of its own that is misspelt, and its kind beside the others."""
    assert ["line 3: providers.polly.napp: unknown key; did you mean nap?"] == found[
        "misspelt"
    ]
    kinds = "openai, anthropic, gemini, openai-compatible, local, scripted, parrot"
    assert [f"line 2: providers.polly.kind: must be one of {kinds}"] == found["unknown"]


def test_it_appears_where_its_key_is_in_the_environment(found: dict[str, Any]) -> None:
    """Without a file, as those do that majordomo knows."""
    assert "ParrotSettings" == found["appears"]
    assert ["| `PARROT_KEY` | `parrot` | `parrot` | its own |"] == found["known"]


def test_it_is_in_the_references(found: dict[str, Any]) -> None:
    """Its keys with their texts, in the schema for editors too."""
    nap = '| `nap` | duration | `"5s"` | How long it sleeps between two answers. |'

    assert "A service that repeats what it hears." in found["reference"]
    assert nap in found["reference"]
    assert ["kind"] == found["schema"]


def test_its_capabilities_are_written_and_those_of_the_others_stay(
    found: dict[str, Any],
) -> None:
    """One row for the kind, one column for what it can say."""
    row = "| `parrot` | A service that repeats what it hears. | `PARROT_KEY` |"
    with_it = found["capabilities"].splitlines()

    assert row in with_it
    features = [line for line in with_it if line.startswith("| image, bytes |")]
    assert [True] == [line.endswith(" | no |") for line in features]
    others = providers_page.page().splitlines()
    columns = [line for line in others if line.startswith("| image, bytes |")]
    assert [f"{line} no |" for line in columns] == features
