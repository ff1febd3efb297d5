"""The reference page and the editors' schema are what the configuration is."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from majordomo.config import parse
from scripts import config_reference

ROOT = Path(__file__).parent.parent


def test_the_page_and_the_schema_are_fresh() -> None:
    """`make reference` would change nothing."""
    docs = ROOT / "docs"

    assert config_reference.page() == (docs / "configuration.md").read_text()
    written = json.loads((docs / "majordomo.schema.json").read_text())
    assert config_reference.schema() == written


def test_every_key_is_explained() -> None:
    """In the schema, and so on the page."""
    mute = [
        f"{name}.{key}"
        for name, part in config_reference.schema()["$defs"].items()
        for key, value in part["properties"].items()
        if not value.get("description")
    ]

    assert [] == mute


@pytest.mark.parametrize(
    "path", ["config.example.toml", "scripts/demo.toml"], ids=lambda path: path
)
def test_editors_take_what_the_server_takes(path: str) -> None:
    """The configurations of this repository."""
    text = (ROOT / path).read_text()
    parse(text, {"OPENAI_API_KEY": "sk-1"})

    jsonschema.validate(tomllib.loads(text), config_reference.schema())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("server", "lisen"), "x"),
        (("chain", "transient_retries"), 9),
        (("chain", "stall_timeout"), 30),
        (("chain", "advance_on"), ["overloaded"]),
        (("providers", "openai", "api_key"), "sk-literal"),
        (("providers", "openai", "kind"), "opnai"),
        (("tiers", "fast"), 3),
    ],
)
def test_editors_mark_what_the_server_refuses(
    path: tuple[str, ...], value: object
) -> None:
    """As far as a schema can know it."""
    config: dict[str, Any] = tomllib.loads((ROOT / "config.example.toml").read_text())
    table = config
    for step in path[:-1]:
        table = table.setdefault(step, {})
    table[path[-1]] = value

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config, config_reference.schema())
