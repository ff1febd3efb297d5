"""The schemas of corpus/, and some that nobody would write."""

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "corpus"


def corpus() -> dict[str, dict[str, Any]]:
    """Each schema by its source and name."""
    found = {}
    for path in sorted(_FOLDER.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            found[f"{entry['source']}: {entry['name']}"] = entry["schema"]
    return found


def _object(value: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"it": value}, "required": ["it"], **more}


ITEM = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
    "required": ["a"],
}
TREE = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "left": {"$ref": "#/$defs/tree", "description": "Smaller ones."},
        "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
    },
    "required": ["value"],
    "additionalProperties": False,
}
ODD: dict[str, dict[str, Any]] = {
    "empty": {},
    "no properties": {"type": "object"},
    "a described reference": _object(
        {"$ref": "#/$defs/item", "description": "d"}, **{"$defs": {"item": ITEM}}
    ),
    "a limited reference": _object(
        {"$ref": "#/definitions/item", "required": ["b"]}, definitions={"item": ITEM}
    ),
    "a reference to a place": _object(
        ITEM, properties={"it": ITEM, "b": {"$ref": "#/properties/it"}}
    ),
    "a reference out": _object({"$ref": "https://example.com/a.json"}),
    "a root that is a reference": {"$ref": "#/$defs/tree", "$defs": {"tree": TREE}},
    "recursive": {**TREE, "$defs": {"tree": TREE}},
    "recursive at the root": {
        "type": "object",
        "properties": {"next": {"$ref": "#"}, "n": {"type": "integer"}},
        "required": ["n"],
    },
    "recursive by a required key": {
        "type": "object",
        "properties": {"all": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["all"],
    },
    "draft 4": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "properties": {
            "n": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
            "pair": {"type": "array", "items": [{"type": "string"}, {}]},
        },
    },
    "draft 7 dependencies": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "dependencies": {"a": ["b"]},
    },
    "a union at the root": {
        "anyOf": [ITEM, {"type": "object", "properties": {"a": {"type": "integer"}}}]
    },
    "closed branches at the root": {
        "oneOf": [
            {**ITEM, "additionalProperties": False},
            {"type": "object", "properties": {}, "additionalProperties": False},
        ]
    },
    "allOf at the root": {"allOf": [ITEM, {"required": ["b"]}]},
    "allOf with a reference": _object(
        {"allOf": [{"$ref": "#/$defs/item"}, {"properties": {"c": {"const": 1}}}]},
        **{"$defs": {"item": ITEM}},
    ),
    "closed by allOf": _object({"allOf": [{**ITEM, "additionalProperties": False}]}),
    "oneOf apart": _object({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
    "oneOf that overlaps": _object(
        {"oneOf": [{"type": "number"}, {"type": "integer", "minimum": 3}]}
    ),
    "told apart by a key": _object(
        {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"kind": {"const": kind}, kind: {"type": "string"}},
                    "required": ["kind"],
                    "additionalProperties": False,
                }
                for kind in ("x", "y")
            ]
        }
    ),
    "a union whose nulls differ": _object(
        {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {"a": {"type": kind}, "k": {"const": kind[1]}},
                    "required": ["k"],
                    "additionalProperties": False,
                }
                for kind in ("string", ["integer", "null"])
            ]
        }
    ),
    "several types": _object({"type": ["string", "integer", "null"], "minimum": 2}),
    "types by their values": _object({"enum": ["a", 1, None]}),
    "an enum of objects": _object({"enum": [{"a": 1}, [2]]}),
    "const": _object({"const": "x"}),
    "const true": _object({"const": True}),
    "nullable": _object({"type": "string", "nullable": True}),
    "nullable and optional": {
        "type": "object",
        "properties": {"a": {"type": "string", "nullable": True, "enum": ["x"]}},
    },
    "boolean schemas": {
        "type": "object",
        "properties": {"a": True, "b": False, "c": {"type": "array", "items": True}},
    },
    "open objects": _object(
        {"type": "object", "additionalProperties": {"type": "string"}}
    ),
    "an enum with null": _object({"type": ["string", "null"], "enum": ["a", None]}),
    "an enum with no text": _object({"enum": ["", "a"]}),
    "requires what it does not list": _object(
        {"type": "object", "properties": {"a": {}}, "required": ["a", "b"]}
    ),
    "a union that begins alike": _object(
        {"anyOf": [ITEM, {**ITEM, "properties": {"a": {"type": "string"}}}]}
    ),
    "an enum of null": _object({"enum": [None]}),
    "by pattern": _object({"type": "object", "patternProperties": {"^x": ITEM}}),
    "a format": _object({"type": "string", "format": "color-hex"}),
    "patterns": _object({"type": "string", "pattern": "(?=a)a|b"}),
    "an open pattern": _object({"type": "string", "pattern": "b"}),
    "lengths": _object({"type": "string", "minLength": 1, "maxLength": 3}),
    "items": _object({"type": "array", "items": {"type": "integer"}, "minItems": 3}),
    "no items": _object({"type": "array"}),
    "a limit beside a union": _object(
        {"type": "string", "anyOf": [{"minLength": 2}, {"enum": ["a"]}]}
    ),
    "either of two keys": {
        **ITEM,
        "required": [],
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "not": _object({"not": {"type": "string"}}),
    "if": _object({"type": "integer", "if": {"minimum": 3}, "then": {"maximum": 5}}),
    "other words for types": _object({"type": "STRING"}),
    "a type that is none": _object({"type": "file"}),
    "optional of every kind": {
        "type": "object",
        "properties": {
            "ref": {"$ref": "#/$defs/item"},
            "enum": {"type": "string", "enum": ["a", "b"]},
            "const": {"const": 3},
            "union": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "null": {"type": ["string", "null"]},
            "list": {"type": "array", "items": {"$ref": "#/$defs/item"}},
        },
        "$defs": {"item": ITEM},
    },
    "keys of other letters": {
        "type": "object",
        "properties": {"$filter": {"type": "string"}, "ключ": {"type": "string"}},
    },
}
"""What goes wrong most often, each alone."""
