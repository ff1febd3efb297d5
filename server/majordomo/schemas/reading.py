"""JSON Schemas as text, read within bounds."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import msgspec

LONGEST = 1 << 20
"""Characters of a schema."""

DEEPEST = 128
"""Values within each other."""

MOST_VALUES = 20_000


class UnfitSchema(ValueError):
    """A schema that has no form where one is wanted."""


class NotASchema(UnfitSchema):
    """A text that is no JSON Schema, or one that takes too much to work with."""


def read(text: str) -> Any:
    """The schema in `text`: an object or a boolean.

    Raises NotASchema for what is neither, and beyond the bounds of this module.
    """
    if len(text) > LONGEST:
        raise NotASchema(f"is longer than {LONGEST} characters")
    try:
        schema = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        raise NotASchema("is no JSON") from None
    if not isinstance(schema, dict | bool):
        raise NotASchema("is no JSON Schema: an object is wanted")
    _require_bounds(schema)
    return schema


def _require_bounds(schema: Any) -> None:
    level, depth, values = [schema], 0, 0
    while level:
        depth += 1
        values += len(level)
        if depth > DEEPEST or values > MOST_VALUES:
            raise NotASchema(
                f"is larger than {MOST_VALUES} values, {DEEPEST} within each other"
            )
        level = [inner for value in level for inner in _inner(value)]


def _inner(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def pointed_at(schema: Any, reference: str) -> Any:
    """What a `reference` within the document ("#/$defs/Item") points at.

    Raises LookupError where there is nothing, or the reference leads elsewhere.
    """
    if not reference.startswith("#"):
        raise LookupError(reference)
    path = unquote(reference[1:])
    if path and not path.startswith("/"):
        raise LookupError(reference)
    found = schema
    for step in path.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        found = found[int(key)] if isinstance(found, list) else _entry(found, key)
    return found


def _entry(value: Any, key: str) -> Any:
    if not isinstance(value, dict):
        raise LookupError(key)
    return value[key]
