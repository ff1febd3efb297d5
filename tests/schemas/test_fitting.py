"""Schemas of the corpus, and odd ones, made to fit: valid there, and meant the same."""

import json
import random
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from majordomo.schemas.absence import AbsentKeys
from majordomo.schemas.dialects import DIALECTS, OPENAI_STRICT, Dialect
from majordomo.schemas.fitted import Fitted, fitted
from majordomo.schemas.reading import UnfitSchema
from tests.schemas.collected import ODD, corpus
from tests.schemas.values import values
from tests.schemas.vendors import CHECKERS

ALL = {**ODD, **corpus()}
ENFORCED = [dialect for dialect in DIALECTS if dialect.enforced]
LOOSE = [dialect for dialect in DIALECTS if not dialect.enforced]
EACH = 8
"""Values of one schema."""

FEWEST = {
    "OpenAI's strict mode": 400,
    "Claude's structured outputs": 430,
}
"""Schemas that have a form in a dialect that has none for some."""


def forms(dialect: Dialect) -> Iterator[tuple[str, dict[str, Any], Fitted]]:
    """Every schema that fits the dialect, with what was made of it."""
    for name, schema in ALL.items():
        try:
            yield name, schema, fitted(json.dumps(schema), dialect)
        except UnfitSchema:
            continue


def readable(schema: Any) -> bool:
    """The schema is one for the tests' validator too."""
    try:
        jsonschema_rs.validator_for(schema, validate_formats=False)
    except ValueError:
        return False
    return True


def judge(schema: Any) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(schema, validate_formats=False)


def test_the_corpus_is_large() -> None:
    """Real schemas of many authors."""
    assert len(corpus()) >= 500
    assert len({name.split(":")[0] for name in corpus()}) >= 20


@pytest.mark.rule("8.8")
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_what_is_made_is_taken(dialect: Dialect) -> None:
    """By a checker of what the vendor's page says; most schemas have a form."""
    found = 0
    for name, _, made in forms(dialect):
        problems = [*CHECKERS[dialect.name](json.loads(bytes(made.json)))]
        assert [] == problems, name
        found += 1

    assert found >= FEWEST.get(dialect.name, len(corpus()))


@pytest.mark.rule("8.9")
@pytest.mark.parametrize("dialect", ENFORCED, ids=lambda dialect: dialect.name)
def test_what_is_enforced_fits_the_original(dialect: Dialect) -> None:
    """Once the nulls are out again that stand for absent keys; cut up or whole."""
    dice = random.Random(1)
    tried = 0
    for name, schema, made in forms(dialect):
        if not readable(schema):
            continue
        original = judge(schema)
        for value in values(json.loads(bytes(made.json)), EACH):
            text = json.dumps(value, indent=dice.choice([None, 1]))
            whole = restored(made, [text])
            assert original.is_valid(json.loads(whole)), (name, text)
            assert whole == restored(made, pieces(text, dice)), name
            tried += 1

    assert tried > 2000


@pytest.mark.rule("8.9")
@pytest.mark.parametrize("dialect", LOOSE, ids=lambda dialect: dialect.name)
def test_nothing_that_fits_the_original_is_ruled_out(dialect: Dialect) -> None:
    """But for keys that no object lists, where the dialect wants objects closed."""
    tried = 0
    for name, schema, made in forms(dialect):
        if not readable(schema) or types_at_the_root(schema) - {"object"}:
            continue
        sent = judge(json.loads(bytes(made.json)))
        for value in values(schema, EACH, extra=not dialect.closed):
            if dialect.object_root and not isinstance(value, dict):
                continue
            assert sent.is_valid(value), (name, value)
            tried += 1

    assert tried > 2000


@pytest.mark.rule("8.9")
@pytest.mark.parametrize("dialect", LOOSE, ids=lambda dialect: dialect.name)
def test_what_is_looser_is_named(dialect: Dialect) -> None:
    """Where nothing is named, what fits the form fits the original."""
    for name, schema, made in forms(dialect):
        if (
            "not enforced" in made.reported
            or "nullable" in json.dumps(schema)
            or not readable(schema)
        ):
            continue
        original = judge(schema)
        for value in values(json.loads(bytes(made.json)), EACH):
            assert original.is_valid(value), (name, value)


def types_at_the_root(schema: dict[str, Any]) -> set[str]:
    said = schema.get("type", [])
    return {said} if isinstance(said, str) else set(said)


def restored(made: Fitted, texts: list[str]) -> str:
    if made.absent is None:
        return "".join(texts)
    keys = AbsentKeys(made.absent)
    return "".join(map(keys.feed, texts)) + keys.end()


def pieces(text: str, dice: random.Random) -> list[str]:
    cuts = sorted(dice.randrange(len(text) + 1) for _ in range(dice.randrange(20)))
    return [
        text[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)
    ]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_form_of_a_form_is_itself(dialect: Dialect) -> None:
    """What fits is sent as it was written."""
    for name, _, made in forms(dialect):
        again = fitted(bytes(made.json).decode(), dialect)
        assert json.loads(bytes(made.json)) == json.loads(bytes(again.json)), name


def test_no_union_that_differs_in_a_null_is_enforced() -> None:
    """Which of the branches an answer is of is not known when the null comes."""
    schema = json.dumps(ODD["a union whose nulls differ"])

    with pytest.raises(UnfitSchema, match="differ in a null"):
        fitted(schema, OPENAI_STRICT)
