"""JSON Schemas as Anthropic's answers by schema take them.

Objects are closed, and bounds of numbers, texts and lists are unknown: the model sees
the same types and names, and what was left out is told.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from majordomo.codec.request_json import invalid

_LEFT_OUT = frozenset(
    {
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minLength", "maxLength", "maxItems", "uniqueItems", "contains"),
        *("minContains", "maxContains", "minProperties", "maxProperties"),
        *("patternProperties", "propertyNames", "unevaluatedProperties"),
        *("unevaluatedItems", "dependentRequired", "dependentSchemas"),
        *("if", "then", "else", "not"),
    }
)

_SCHEMAS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")


def closed(text: str, path: str, adapted: Callable[[str, str], None]) -> object:
    """The schema in `text`, made to be taken; `adapted` is told what was changed.

    Failure (INVALID_REQUEST) if it is no schema.
    """
    try:
        schema = msgspec.json.decode(text)
        changed: set[str] = set()
        closed_schema = _closed(schema, changed)
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise invalid(path, "is no JSON Schema") from None
    if changed:
        adapted(path, f"without {', '.join(sorted(changed))}"[:200])
    return closed_schema


def _closed(schema: Any, changed: set[str]) -> Any:
    if isinstance(schema, bool):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _LEFT_OUT or (key == "minItems" and value > 1):
            changed.add(key)
        elif key in _SCHEMAS:
            made[key] = {name: _closed(inner, changed) for name, inner in value.items()}
        elif key in _LISTS:
            made[key] = [_closed(inner, changed) for inner in value]
        elif key == "items":
            made[key] = _closed(value, changed)
        else:
            made[key] = value
    if schema.get("type") == "object" or "properties" in schema:
        if made.get("additionalProperties") not in (None, False):
            changed.add("additionalProperties")
        made["additionalProperties"] = False
    return made
