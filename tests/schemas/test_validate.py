"""Answers held against schemas: what is wrong is named, and nobody takes long at it."""

import json
from typing import Any

import pytest

from majordomo.schemas import validate
from majordomo.schemas.reading import DEEPEST, LONGEST, MOST_VALUES, UnfitSchema
from majordomo.schemas.validate import faults_of, require_checkable

PERSON = json.dumps(
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 2},
            "friends": {"type": "array", "items": {"$ref": "#"}},
        },
        "required": ["name"],
    }
)
FLAT = json.dumps(
    {"type": "object", "properties": {"ages": {"items": {"type": "integer"}}}}
)


@pytest.mark.rule("8.7")
def test_an_answer_that_follows_its_schema_has_no_fault() -> None:
    assert faults_of(PERSON, '{"name": "Al", "friends": [{"name": "Bo"}]}') is None


@pytest.mark.rule("8.7")
@pytest.mark.parametrize(
    ("schema", "answer", "fault"),
    [
        (
            FLAT,
            '{"ages": [1, "secret"]}',
            "does not follow the schema: type at /ages/1",
        ),
        (FLAT, "so {}", "is no JSON"),
        (FLAT, "", "is no JSON"),
        (FLAT, "[1]", "does not follow the schema: type at /"),
        (PERSON, '{"friends": []}', "does not follow the schema"),
    ],
)
def test_what_is_wrong_is_named_without_what_was_said(
    schema: str, answer: str, fault: str
) -> None:
    assert fault == faults_of(schema, answer)


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"minimum": 1, "exclusiveMinimum": True}, "1"),
        ({"items": [{"type": "string"}]}, "[1]"),
        ({"definitions": {"a": {"const": 1}}, "$ref": "#/definitions/a"}, "2"),
    ],
)
def test_a_schema_is_of_the_draft_that_it_names(schema: Any, answer: str) -> None:
    schema["$schema"] = "http://json-schema.org/draft-04/schema#"
    if "const" in json.dumps(schema):
        schema["$schema"] = "http://json-schema.org/draft-07/schema#"

    assert "does not follow" in (faults_of(json.dumps(schema), answer) or "")


def _chain(length: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {
        f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(length)
    }
    definitions[f"d{length}"] = {"type": "integer"}
    return {"$ref": "#/$defs/d0", "$defs": definitions}


def _deep(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


@pytest.mark.rule("8.7")
@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "dict"}, "is no JSON Schema: see /type"),
        ([], "an object is wanted"),
        ({"$ref": "https://example.com/schema.json"}, "leads nowhere within it"),
        ({"$ref": "file:///etc/hostname"}, "leads nowhere within it"),
        ({"$ref": "#/$defs/none"}, "leads nowhere within it"),
        ({"$schema": "https://example.com/schema.json"}, "see its references"),
        ({"items": {"$id": "x", "$ref": "#/y"}}, "$id, anchors or dynamic"),
        ({"$dynamicRef": "#a"}, "$id, anchors or dynamic"),
        (_chain(40), "too many ways"),
        (_deep(DEEPEST), "within each other"),
        ({"enum": list(range(MOST_VALUES))}, "values"),
        ({"pattern": "(a{999}){999}"}, "is no JSON Schema: see /pattern"),
        ({"patternProperties": {f"{i}": {} for i in range(40)}}, "patterns"),
        ({"description": "x" * LONGEST}, "is longer than"),
    ],
)
def test_a_schema_that_takes_too_much_or_leads_elsewhere_is_unfit(
    schema: Any, words: str
) -> None:
    """Also one that would have to be fetched: it never is."""
    with pytest.raises(UnfitSchema) as refused:
        require_checkable(json.dumps(schema))

    assert words in str(refused.value)


@pytest.mark.parametrize("key", ["allOf", "anyOf", "oneOf"])
def test_a_schema_that_doubles_at_each_level_takes_no_time(key: str) -> None:
    branches = [{"type": kind, "items": {"$ref": "#"}} for kind in ("array", ["array"])]
    schema = json.dumps({key: branches})

    assert "does not follow the schema" == faults_of(schema, "[" * 60 + "1" + "]" * 60)


def test_a_pattern_that_backtracks_is_given_up() -> None:
    schema = json.dumps({"items": {"pattern": r"^(?=a)(a|aa)+\1\1$"}})
    texts = json.dumps(["a" * 60 + "b"] * 1000)

    assert "does not follow the schema: pattern at /0" == faults_of(schema, texts)


def test_an_answer_that_takes_too_long_to_check_is_said_to() -> None:
    schema = json.dumps({"items": {"allOf": [{"not": {"type": "null"}}] * 2000}})

    fault = faults_of(schema, json.dumps(list(range(10_000))))

    assert "is too large to be held against the schema" == fault


def test_compiled_schemas_are_kept_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = validate._Kept()
    monkeypatch.setattr(validate, "_kept", kept)
    schemas = [json.dumps({"pattern": f"^{i}$"}) for i in range(1000)]

    for schema in schemas:
        require_checkable(schema)

    assert kept.size <= validate.MOST_KEPT
    assert schemas[-1] in kept
    assert schemas[0] not in kept
