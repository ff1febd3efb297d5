"""Two schemas as one that takes what both take, and whether two exclude each other."""

from collections.abc import Callable
from typing import Any

from majordomo.schemas.keywords import REMARKS, Schema, types

Follow = Callable[[Any], Any]
"""Gives a schema for one that may be a reference."""

_LARGER = frozenset(
    {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
)
_SMALLER = frozenset(
    {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
)
_OPEN = ("additionalProperties", "patternProperties", "unevaluatedProperties")


class Unmergeable(ValueError):
    """No one schema says what two say together, or none that we would find."""


def merged(one: Any, other: Any) -> Any:
    """The schema of the values that both take; raises Unmergeable."""
    if isinstance(one, bool) or isinstance(other, bool):
        return (other if one is True else one) if other is not False else False
    _require_same_keys(one, other)
    _require_same_keys(other, one)
    made = dict(one)
    for key, value in other.items():
        if key not in made or made[key] == value:
            made[key] = value
        elif key not in REMARKS:
            made[key] = _both(key, made[key], value)
    return made


def _both(key: str, one: Any, other: Any) -> Any:
    if key == "type":
        return _both_types(one, other)
    if key in _LARGER:
        return max(one, other)
    if key in _SMALLER:
        return min(one, other)
    if key == "required":
        return [*dict.fromkeys([*one, *other])]
    if key == "enum":
        return [option for option in one if option in other]
    if key == "properties":
        common = {name: merged(one[name], other[name]) for name in one if name in other}
        return {**one, **other, **common}
    if key in {"items", "additionalProperties", "propertyNames"}:
        return merged(one, other)
    raise Unmergeable(key)


def _both_types(one: Any, other: Any) -> Any:
    listed = [one] if isinstance(one, str) else one
    allowed = {other} if isinstance(other, str) else set(other)
    if "number" in allowed:
        allowed.add("integer")
    both = [each for each in listed if each in allowed]
    if "number" in listed and "integer" in allowed and "integer" not in both:
        both.append("integer")
    if not both:
        raise Unmergeable("type")
    return both if len(both) > 1 else both[0]


def _require_same_keys(closed: Schema, other: Schema) -> None:
    """A schema that limits keys it does not list must not meet keys that it lacks."""
    if all(closed.get(key, True) in (True, {}) for key in _OPEN):
        return
    if other.get("properties", {}).keys() - closed.get("properties", {}).keys():
        raise Unmergeable("additionalProperties")


def exclude(one: Any, other: Any, follow: Follow) -> bool:
    """Whether no value fits both; False where that is not plain to see."""
    one, other = follow(one), follow(other)
    mine, others = types(one), types(other)
    common = mine & others
    if {"integer", "number"} <= mine | others and (
        {"integer", "number"} & mine and {"integer", "number"} & others
    ):
        common |= {"number"}
    if not common:
        return True
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return False
    if _no_common_option(one, other):
        return True
    return common == {"object"} and _no_common_object(one, other, follow)


def _options(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    options = schema.get("enum")
    return options if isinstance(options, list) else None


def _no_common_option(one: Schema, other: Schema) -> bool:
    mine, others = _options(one), _options(other)
    if mine is None or others is None:
        return False
    return not any(option in others for option in mine)


def _no_common_object(one: Schema, other: Schema, follow: Follow) -> bool:
    mine, others = one.get("properties", {}), other.get("properties", {})
    needed, needed_too = set(one.get("required", ())), set(other.get("required", ()))
    for name in needed & needed_too & mine.keys() & others.keys():
        first, second = follow(mine[name]), follow(others[name])
        if isinstance(first, dict) and isinstance(second, dict):
            apart = not (types(first) & types(second))
            if _no_common_option(first, second) or (apart and not _numbers(first)):
                return True
    # Each is closed to what the other needs.
    return _closed_to(other, needed) or _closed_to(one, needed_too)


def _numbers(schema: Schema) -> bool:
    return bool({"integer", "number"} & types(schema))


def _closed_to(schema: Schema, needed: set[str]) -> bool:
    if schema.get("additionalProperties") is not False:
        return False
    if schema.get("patternProperties"):
        return False
    return bool(needed - schema.get("properties", {}).keys())
