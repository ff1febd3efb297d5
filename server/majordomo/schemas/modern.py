"""JSON Schemas of older drafts and of OpenAPI, as 2020-12 writes them.

What is meant stays the same. Definitions end up in `$defs`, those that are used, under
plain names, whatever place a reference pointed at; the root is no reference.
"""

import re
from typing import Any

from majordomo.schemas.keywords import (
    LISTS,
    MAPS,
    NUMBERS,
    SINGLE,
    TEXTS,
    TYPES,
    Schema,
    inner,
    type_of,
)
from majordomo.schemas.reading import NotASchema, UnfitSchema, pointed_at

_TYPES = {
    "dict": "object",
    "map": "object",
    "list": "array",
    "tuple": "array",
    "str": "string",
    "int": "integer",
    "float": "number",
    "double": "number",
    "bool": "boolean",
    "none": "null",
    "any": "",
}
"""What people write for types, by what they mean; "": any."""

_PLAIN = re.compile(r"[^A-Za-z0-9_.-]")


class _Modern:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._names: dict[str, str] = {}
        self._definitions: dict[str, Any] = {}
        self.lost: set[str] = set()

    def root(self) -> Schema:
        schema = self.node(self._root)
        seen: set[str] = set()
        while isinstance(reference := schema.get("$ref"), str) and reference != "#":
            if reference in seen:
                raise UnfitSchema("is a reference to itself")
            seen.add(reference)
            target = self._definitions[reference.removeprefix("#/$defs/")]
            if not isinstance(target, dict):
                break
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**target, **beside}
        if self._definitions:
            schema["$defs"] = self._definitions
        return dict(schema)

    def node(self, schema: Any) -> Any:
        if not isinstance(schema, dict):
            return schema if isinstance(schema, bool) else True
        made = dict(schema)
        for key in ("$schema", "$id", "id", "$anchor", "definitions", "$defs"):
            if not isinstance(made.get(key), bool):
                made.pop(key, None)
        if not _modern_types(made):
            self.lost.add("type")
        _modern_bounds(made)
        _modern_items(made)
        _modern_dependencies(made)
        self._drop_empty(made)
        _require_shapes(made)
        if isinstance(made.get("required"), bool):  # draft 3
            del made["required"]
        if not _names(made.get("required", [])):
            raise NotASchema("is no JSON Schema: required takes a list of names")
        if isinstance(reference := made.get("$ref"), str):
            self._follow(made, reference)
        return inner(made, self.node)

    def _drop_empty(self, made: Schema) -> None:
        for key in LISTS:
            if made.get(key) == []:
                del made[key]
                if key in {"anyOf", "oneOf"}:
                    self.lost.add(key)

    def _follow(self, made: Schema, reference: str) -> None:
        if reference == "#":
            return
        if reference not in self._names:
            try:
                target = pointed_at(self._root, reference)
            except (LookupError, ValueError):
                target = None
            if not isinstance(target, dict | bool):
                self.lost.add("$ref")
                del made["$ref"]
                return
            name = self._name(reference)
            self._names[reference] = name
            self._definitions[name] = {}  # keeps its place
            self._definitions[name] = self.node(target)
        made["$ref"] = f"#/$defs/{self._names[reference]}"

    def _name(self, reference: str) -> str:
        name = plain = _PLAIN.sub("_", reference.rpartition("/")[2])[:60] or "_"
        number = 1
        while name in self._definitions:
            number += 1
            name = f"{plain}_{number}"
        return name


def modern(schema: Schema) -> tuple[Schema, set[str]]:
    """`schema` as 2020-12 writes it, and the keywords that could not be kept.

    Raises UnfitSchema for one that is nothing but a reference to itself.
    """
    made = _Modern(schema)
    return made.root(), made.lost


def _require_shapes(made: Schema) -> None:
    """Raises NotASchema where a keyword has a value that it cannot have."""
    for key, value in made.items():
        if key in LISTS or key == "enum":
            fits = isinstance(value, list)
        elif key in MAPS:
            fits = isinstance(value, dict)
        elif key in SINGLE:
            fits = isinstance(value, dict | bool)
        elif key in NUMBERS:
            fits = type_of(value) in {"integer", "number"}
        else:
            fits = key not in TEXTS or isinstance(value, str)
        if not fits:
            raise NotASchema(f"is no JSON Schema: {key} is malformed")


def _names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def or_null(schema: Any) -> Any:
    """A schema that also takes null; as short as it can be reported."""
    if not isinstance(schema, dict):
        return schema or {"type": "null"}
    said = schema.get("type")
    if said and not {"const", "anyOf", "oneOf", "allOf", "not", "$ref"} & schema.keys():
        known = [said] if isinstance(said, str) else said
        made = {**schema, "type": [*known, *({"null"} - {*known})]}
        if isinstance(options := schema.get("enum"), list) and None not in options:
            made["enum"] = [*options, None]
        return made
    null = {"type": "null"}
    branches = schema.get("anyOf")
    if isinstance(branches, list) and not schema.keys() - {"anyOf", "description"}:
        return {**schema, "anyOf": [*branches, null]}
    remarks = {k: schema[k] for k in ("title", "description") if k in schema}
    bare = {key: value for key, value in schema.items() if key not in remarks}
    return {**remarks, "anyOf": [bare, null]}


def _modern_types(made: Schema) -> bool:
    """Whether all that is reported of the type is known."""
    said = made.get("type")
    if said is None:
        made.pop("type", None)
        return True
    names = said if isinstance(said, list) else [said]
    if not _names(names):
        raise NotASchema("is no JSON Schema: type takes a name, or a list of names")
    names = [name.lower() for name in names]
    known = [*dict.fromkeys(_TYPES.get(name, name) for name in names)]
    if "" in known or not set(known) <= set(TYPES):
        del made["type"]
        return "" in known
    made["type"] = known if len(known) > 1 else known[0]
    return True


def _modern_bounds(made: Schema) -> None:
    for limit, exclusive in (
        ("minimum", "exclusiveMinimum"),
        ("maximum", "exclusiveMaximum"),
    ):
        says = isinstance(made.get(exclusive), bool)
        if says and made.pop(exclusive) and limit in made:
            made[exclusive] = made.pop(limit)


def _modern_items(made: Schema) -> None:
    items = made.get("items")
    if isinstance(items, list):
        made["prefixItems"] = items
        del made["items"]
        if "additionalItems" in made:
            made["items"] = made["additionalItems"]
    made.pop("additionalItems", None)


def _modern_dependencies(made: Schema) -> None:
    dependencies = made.pop("dependencies", None)
    if not isinstance(dependencies, dict):
        return
    for name, needed in dependencies.items():
        key = "dependentRequired" if isinstance(needed, list) else "dependentSchemas"
        made[key] = {**made.get(key, {}), name: needed}
