"""The keywords of a schema that a dialect understands, and what is reported of
others."""

import json
from collections.abc import Callable
from typing import Any

from majordomo.schemas.dialects import Dialect
from majordomo.schemas.keywords import ASSERTIONS, REMARKS, Schema, type_of, types
from majordomo.schemas.modern import or_null
from majordomo.schemas.reading import UnfitSchema

_LONGEST_NOTE = 200


class Keeping:
    """Goes through keywords; `lose` and `lost` receive what rules nothing out now."""

    def __init__(
        self, dialect: Dialect, lose: Callable[[str], None], lost: set[str]
    ) -> None:
        self._dialect = dialect
        self._lose = lose
        self._lost = lost

    def kept(self, schema: Schema) -> Schema:
        """What of the keywords is understood; the rest is stated in the description."""
        dialect = self._dialect
        made: Schema = {}
        reported: Schema = {}
        for key, value in schema.items():
            if key in dialect.remarks:
                made[key] = value
            elif key in {"enum", "const"}:
                self._options(made, reported, key, value)
            elif key == "required" and dialect.listed_required:
                self._require_listed(made, schema, value)
            elif key in dialect.keywords:
                self._keep(made, reported, key, value)
            elif key in ASSERTIONS:
                self._lose(key)
                reported[key] = value
            elif key not in REMARKS and dialect.keywords is ASSERTIONS:
                made[key] = value
        if schema.get("nullable") is True and "null" not in types(schema):
            self._take_null(made)
        _tell(made, reported)
        return made

    def _keep(self, made: Schema, reported: Schema, key: str, value: Any) -> None:
        dialect = self._dialect
        if key == "format" and dialect.formats and value not in dialect.formats:
            # It rules nothing out by the standard: what is enforced is no less so.
            self._lost.add(key)
            reported[key] = value
            return
        if key == "pattern" and dialect.patterns and not dialect.patterns.match(value):
            self._lose(key)
            reported[key] = value
            return
        most = dialect.most_min_items
        if key == "minItems" and most is not None and value > most:
            self._lose(key)
            reported[key] = value
            made[key] = most
            return
        made[key] = value

    def _require_listed(self, made: Schema, schema: Schema, names: list[str]) -> None:
        listed = schema.get("properties", {})
        made["required"] = [name for name in names if name in listed]
        if len(made["required"]) < len(names):
            self._lose("required")

    def _options(self, made: Schema, reported: Schema, key: str, value: Any) -> None:
        scalars = self._dialect.scalar_options
        options = [value] if key == "const" else value
        kinds = {*map(type_of, options)}
        empty = "" in options and not self._dialect.empty_options
        if empty or (scalars is not None and not kinds <= scalars):
            self._lose(key)
            reported[key] = value
        elif key in self._dialect.keywords:
            made[key] = value
        else:
            made["enum"] = options

    def _take_null(self, made: Schema) -> None:
        """OpenAPI's `nullable`; JSON Schema has no such word."""
        if self._dialect.enforced:
            raise UnfitSchema("has nullable")
        made.pop("nullable", None)
        if "type" in made and "const" not in made:
            made["type"] = or_null({"type": made["type"]})["type"]
            if isinstance(options := made.get("enum"), list) and None not in options:
                made["enum"] = [*options, None]


def remarks(schema: Schema) -> Schema:
    return {key: schema[key] for key in ("title", "description") if key in schema}


def null_apart(schema: Schema) -> Schema:
    """With null as a branch of its own instead of a value in `enum`."""
    options = schema.get("enum")
    if not isinstance(options, list) or "anyOf" in schema:
        return schema
    takes_null = "null" in types(schema) or schema.get("nullable") is True
    if not takes_null and None not in options:
        return schema
    made = {
        key: schema[key]
        for key in schema
        if key not in REMARKS and key not in {"enum", "type", "nullable"}
    }
    said = schema.get("type", [])
    kinds = [
        kind for kind in ([said] if isinstance(said, str) else said) if kind != "null"
    ]
    if kinds:
        made["type"] = kinds if len(kinds) > 1 else kinds[0]
    if left := [option for option in options if option is not None]:
        made["enum"] = left
    if not takes_null:
        return {**remarks(schema), **made}
    branches = [made, {"type": "null"}] if left else [{"type": "null"}]
    return {**remarks(schema), "anyOf": branches}


def _tell(made: Schema, reported: Schema) -> None:
    """Say in the description what is no longer reported by keywords."""
    words = [
        f"{key}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in reported.items()
        if not isinstance(value, dict | list)
    ]
    if words:
        note = f"({', '.join(words)})"[:_LONGEST_NOTE]
        said = made.get("description")
        made["description"] = f"{said} {note}" if isinstance(said, str) else note
