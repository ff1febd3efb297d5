"""How large a schema may be that a dialect takes."""

from typing import Any

from majordomo.schemas.dialects import Dialect
from majordomo.schemas.keywords import Schema, inner
from majordomo.schemas.reading import UnfitSchema


class _Counts:
    def __init__(self) -> None:
        self.keys = self.optional = self.unions = self.options = self.text = 0
        self.longest_options = 0

    def node(self, schema: Any) -> Any:
        if not isinstance(schema, dict):
            return schema
        properties = schema.get("properties", {})
        self.keys += len(properties)
        self.text += sum(map(len, [*properties, *schema.get("$defs", ())]))
        self.optional += len(properties.keys() - {*schema.get("required", ())})
        self.unions += "anyOf" in schema or isinstance(schema.get("type"), list)
        options = schema.get("enum", [schema["const"]] if "const" in schema else [])
        self.options += len(options)
        length = sum(len(each) for each in options if isinstance(each, str))
        self.text += length
        if len(options) > _MANY_OPTIONS:
            self.longest_options = max(self.longest_options, length)
        return inner(schema, self.node)


_MANY_OPTIONS = 250
_MOST_TEXT_OF_MANY = 15_000
"""OpenAI's own limit for one `enum` of so many values."""


def require_limits(schema: Schema, dialect: Dialect) -> None:
    """Raises UnfitSchema for what is larger than the dialect takes."""
    counts = _Counts()
    counts.node(schema)
    for most, count, what in (
        (dialect.most_keys, counts.keys, "keys"),
        (dialect.most_optional, counts.optional, "optional keys"),
        (dialect.most_unions, counts.unions, "unions"),
        (dialect.most_options, counts.options, "values in enum"),
        (dialect.most_text, counts.text, "characters of names"),
    ):
        if most is not None and count > most:
            raise UnfitSchema(f"has {count} {what}, more than {most}")
    if dialect.most_text and counts.longest_options > _MOST_TEXT_OF_MANY:
        raise UnfitSchema("has an enum of too much text")
    if dialect.most_levels is not None:
        levels = _Levels(schema).of(schema)
        if levels > dialect.most_levels:
            raise UnfitSchema(f"has {levels} levels, more than {dialect.most_levels}")


class _Levels:
    """Objects within each other; a recursive reference adds none."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._known: dict[str, int] = {"#": 0}

    def of(self, schema: Any) -> int:
        if not isinstance(schema, dict):
            return 0
        if isinstance(reference := schema.get("$ref"), str):
            return self._of_reference(reference)
        within = [*schema.get("properties", {}).values(), schema.get("items")]
        deeper = max(map(self.of, within), default=0)
        beside = max(map(self.of, schema.get("anyOf", ())), default=0)
        return max(beside, deeper + ("properties" in schema))

    def _of_reference(self, reference: str) -> int:
        if reference not in self._known:
            self._known[reference] = 0
            target = self._root["$defs"][reference.removeprefix("#/$defs/")]
            self._known[reference] = self.of(target)
        return self._known[reference]
