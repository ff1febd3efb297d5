"""Values that a JSON Schema takes, at random."""

import json
import random
from typing import Any

import jsonschema_rs

Schema = dict[str, Any]

_WORDS = ["", "a", "ab", "x", "null", 'q"uote', "é\\", "2026-01-02", "a,b:{}[]"]
_DEEPEST = 7


class Values:
    """Makes values of one schema; not all that it takes, and some that it does not."""

    def __init__(self, root: Any, dice: random.Random, *, extra: bool = False) -> None:
        self._root = root
        self._dice = dice
        self._extra = extra
        """Objects have keys that no schema lists."""

    def make(self, schema: Any, depth: int = 0) -> Any:
        """One value."""
        dice = self._dice
        if not isinstance(schema, dict):
            return dice.choice([None, 1, "a", {}, [1]])
        if "$ref" in schema:
            schema = {**self._target(schema["$ref"]), **_without(schema, "$ref")}
        for key in ("anyOf", "oneOf"):
            if key in schema:
                branch = self._branch(schema[key], depth)
                schema = {**_without(schema, key), **self._plain(branch)}
        for member in schema.get("allOf", ()):
            schema = _together(schema, self._plain(member))
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return dice.choice(schema["enum"])
        return self._of_type(self._type(schema), schema, depth)

    def _plain(self, schema: Any) -> Schema:
        for _ in range(20):
            if isinstance(schema, dict) and "$ref" in schema:
                schema = {**self._target(schema["$ref"]), **_without(schema, "$ref")}
        return schema if isinstance(schema, dict) else {}

    def _branch(self, branches: list[Any], depth: int) -> Any:
        if depth > _DEEPEST:
            short = [b for b in branches if isinstance(b, dict) and "$ref" not in b]
            return self._dice.choice(short or branches)
        return self._dice.choice(branches)

    def _type(self, schema: Schema) -> str:
        said = schema.get("type")
        if isinstance(said, list):
            return str(self._dice.choice(said))
        if isinstance(said, str):
            return said
        if "properties" in schema or "required" in schema:
            return "object"
        return "array" if "items" in schema else "string"

    def _of_type(self, kind: str, schema: Schema, depth: int) -> Any:
        dice = self._dice
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                least = schema.get("minItems", 0)
                most = least if depth > _DEEPEST else least + 2
                length = dice.randint(least, min(most, schema.get("maxItems", most)))
                first = schema.get("prefixItems", [])
                return [
                    self.make(
                        first[i] if i < len(first) else schema.get("items", {}),
                        depth + 1,
                    )
                    for i in range(length)
                ]
            case "string":
                least = schema.get("minLength", 0)
                return (dice.choice(_WORDS) + "x" * least)[
                    : schema.get("maxLength", 99)
                ]
            case "integer" | "number":
                return self._number(kind, schema)
            case "boolean":
                return dice.random() < 0.5
        return None

    def _number(self, kind: str, schema: Schema) -> Any:
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        if low is None:
            low = (high or 0) - 9
        if high is None:
            high = low + 9
        if kind == "number" and self._dice.random() < 0.5:
            return self._dice.uniform(low, high)
        return self._dice.randint(int(low), int(high))

    def _object(self, schema: Schema, depth: int) -> Any:
        dice = self._dice
        properties = schema.get("properties", {})
        needed = schema.get("required", [])
        likely = 0.0 if depth > _DEEPEST else 0.6
        made = {
            name: self.make(value, depth + 1)
            for name, value in properties.items()
            if name in needed or dice.random() < likely
        }
        for name in needed:
            if name not in made:
                made[name] = "x"
        more = schema.get("additionalProperties", {})
        if self._extra and more is not False and dice.random() < 0.3:
            made["another key"] = self.make(more, depth + 1)
        return made

    def _target(self, reference: str) -> Schema:
        found = self._root
        for step in reference.split("/")[1:]:
            found = found[int(step)] if isinstance(found, list) else found[step]
        return found if isinstance(found, dict) else {}


def values(schema: Any, number: int, *, extra: bool = False) -> list[Any]:
    """Up to `number` values that `schema` takes, by the judge of the tests."""
    valid = jsonschema_rs.validator_for(schema, validate_formats=False)
    making = Values(schema, random.Random(2026), extra=extra)
    made = []
    for _ in range(number * 3):
        value = making.make(schema)
        if valid.is_valid(value):
            made.append(value)
        if len(made) == number:
            break
    return made


def _without(schema: Schema, key: str) -> Schema:
    return {name: value for name, value in schema.items() if name != key}


def _together(one: Schema, other: Schema) -> Schema:
    both = {**_without(one, "allOf"), **other}
    for key in ("properties",):
        both[key] = {**one.get(key, {}), **other.get(key, {})}
    both["required"] = [*one.get("required", []), *other.get("required", [])]
    return json.loads(json.dumps(both))  # type: ignore[no-any-return]
