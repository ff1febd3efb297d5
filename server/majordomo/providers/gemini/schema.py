"""JSON Schemas as Gemini's answers by schema take them.

Google lists the keywords that are understood, at GenerationConfig.responseJsonSchema
in https://ai.google.dev/api/generate-content; the others are not enforced, whether sent
or not. Beside a reference nothing else may stand.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from majordomo.codec.request_json import invalid

_UNDERSTOOD = frozenset(
    {
        *("$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description"),
        *("enum", "items", "prefixItems", "minItems", "maxItems", "minimum", "maximum"),
        *("anyOf", "oneOf", "properties", "additionalProperties", "required"),
        "propertyOrdering",
    }
)
_REMARKS = frozenset({"$schema", "$comment", "default", "examples", "deprecated"})
"""What limits no answer: nothing is lost with it."""

_RENAMED = {"definitions": "$defs"}
_NAMED = ("properties", "$defs")
_LISTS = ("anyOf", "oneOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")


def understood(text: str, path: str, adapted: Callable[[str, str], None]) -> object:
    """The schema in `text`, of what is understood; `adapted` is told what is lost.

    Failure (INVALID_REQUEST) if it is no schema.
    """
    try:
        lost: set[str] = set()
        schema = _understood(msgspec.json.decode(text), lost)
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise invalid(path, "is no JSON Schema") from None
    if lost:
        adapted(path, f"not enforced: {', '.join(sorted(lost))}"[:200])
    return schema


def _understood(schema: Any, lost: set[str]) -> Any:
    if isinstance(schema, bool):
        return schema
    made: dict[str, Any] = {}
    for said, value in schema.items():
        key = _RENAMED.get(said, said)
        if key == "const" and type(value) in (str, int, float):
            made["enum"] = [value]
        elif key not in _UNDERSTOOD:
            lost |= {key} - _REMARKS
        elif key in _NAMED:
            made[key] = {name: _understood(of, lost) for name, of in value.items()}
        elif key in _LISTS:
            made[key] = [_understood(of, lost) for of in value]
        elif key in _SINGLE:
            made[key] = _understood(value, lost)
        elif key == "$ref":
            made[key] = value.replace("#/definitions/", "#/$defs/")
        else:
            made[key] = value
    if "$ref" in made:
        beside = {key for key in made if not key.startswith("$")}
        lost |= beside - {"title", "description"}
        return {key: value for key, value in made.items() if key not in beside}
    return made
