"""The keywords of JSON Schema that lead to other schemas, and those that say nothing.

One place for what has schemas within it: whatever walks through one goes by this.
"""

from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]

MAPS = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs"})
"""Schemas by a name."""

LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})

SINGLE = frozenset(
    {
        *("items", "unevaluatedItems", "contains", "additionalProperties"),
        *("unevaluatedProperties", "propertyNames", "not", "if", "then", "else"),
        "contentSchema",
    }
)

REMARKS = frozenset(
    {
        *("title", "description", "default", "examples", "example", "deprecated"),
        *("readOnly", "writeOnly", "$comment", "$schema", "$id", "$anchor"),
    }
)
"""What rules no value out."""

NUMBERS = frozenset(
    {
        *("minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"),
        *("exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minContains"),
        *("maxContains", "minProperties", "maxProperties"),
    }
)
"""What takes a number."""

TEXTS = frozenset({"format", "pattern", "$ref"})
"""What takes a text."""

ASSERTIONS = frozenset(
    {
        *("type", "enum", "const", "format", "pattern", "minLength", "maxLength"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        *("multipleOf", "minItems", "maxItems", "uniqueItems", "minContains"),
        *("maxContains", "required", "minProperties", "maxProperties"),
        *("dependentRequired", "$ref", "$dynamicRef", "$recursiveRef"),
        *(MAPS - {"$defs"}),
        *LISTS,
        *SINGLE,
    }
)
"""What may rule a value out; any other key means nothing."""

TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")

BY_TYPE = {
    "object": frozenset(
        {
            *("properties", "required", "additionalProperties", "minProperties"),
            *("patternProperties", "propertyNames", "maxProperties"),
            *("dependentRequired", "dependentSchemas", "unevaluatedProperties"),
        }
    ),
    "array": frozenset(
        {
            *("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
            *("contains", "minContains", "maxContains", "unevaluatedItems"),
        }
    ),
    "string": frozenset({"pattern", "format", "minLength", "maxLength"}),
    "number": frozenset(
        {
            *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
            "multipleOf",
        }
    ),
}
"""Keywords that say something of values of one type alone."""


def inner(schema: Schema, change: Callable[[Any], Any]) -> Schema:
    """`schema` with each schema right within it as `change` makes it."""
    made: Schema = {}
    for key, value in schema.items():
        if key in MAPS and isinstance(value, dict):
            made[key] = {name: change(each) for name, each in value.items()}
        elif key in LISTS and isinstance(value, list):
            made[key] = [change(each) for each in value]
        elif key in SINGLE and isinstance(value, dict | bool):
            made[key] = change(value)
        else:
            made[key] = value
    return made


def type_of(value: object) -> str:
    """The type of a JSON value; "integer" for whole numbers."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def types(schema: Any) -> frozenset[str]:
    """The types that values of `schema` may have, as far as it says so itself."""
    if not isinstance(schema, dict):
        return frozenset(TYPES if schema else ())
    said = schema.get("type")
    found = frozenset([said] if isinstance(said, str) else said or TYPES)
    if "const" in schema:
        found &= (
            {type_of(schema["const"]), "number"}
            if _whole(schema)
            else {type_of(schema["const"])}
        )
    elif isinstance(options := schema.get("enum"), list):
        found &= {type_of(option) for option in options} | (
            {"number"} if any(map(_number, options)) else set()
        )
    return found


def _whole(schema: Schema) -> bool:
    return _number(schema["const"])


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
