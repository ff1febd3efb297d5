"""The root of a schema as an object: what the arguments of a tool have to be.

A union there becomes one object with the keys of all branches, which takes more.
"""

from collections.abc import Callable
from typing import Any

from majordomo.schemas.keywords import Schema, types
from majordomo.schemas.merging import Follow, Unmergeable, merged

_UNIONS = ("anyOf", "oneOf")
_LEFT_OUT = ("enum", "const", "not", "if", "then", "else")
"""Keywords that a root may not have."""


def object_root(schema: Schema, follow: Follow, lose: Callable[[str], None]) -> Schema:
    """`schema` as an object without a union; `lose` receives what that looses.

    Raises Unmergeable where no object fits the schema.
    """
    if "object" not in types(schema):
        raise Unmergeable("type")
    left_out = {*_LEFT_OUT, "nullable"}
    made = {key: value for key, value in schema.items() if key not in left_out}
    for key in _LEFT_OUT:
        if key in schema:
            lose(key)
    made["type"] = "object"
    for member in made.pop("allOf", ()):
        made = _with(made, follow(member), follow, lose)
    for key in _UNIONS:
        if key in made:
            made = _any(made, key, follow, lose)
    made.setdefault("properties", {})
    return made


def _with(
    made: Schema, member: Any, follow: Follow, lose: Callable[[str], None]
) -> Schema:
    if not isinstance(member, dict):
        return made
    try:
        both = merged(made, {"type": "object", **member})
    except Unmergeable:
        lose("allOf")
        return made
    for inner in both.pop("allOf", ()):
        both = _with(both, follow(inner), follow, lose)
    return dict(both)


def _any(made: Schema, key: str, follow: Follow, lose: Callable[[str], None]) -> Schema:
    """The object whose keys are those of all branches; none but common ones needed."""
    lose(key)
    base = {name: value for name, value in made.items() if name != key}
    branches = [
        object_root(branch, follow, lose)
        for branch in map(follow, made[key])
        if isinstance(branch, dict) and "object" in types(branch)
    ]
    if not branches:
        raise Unmergeable("type")
    properties = dict(base.get("properties", {}))
    if base.get("additionalProperties", True) is not False:
        for branch in branches:
            _add(properties, branch["properties"])
    common = set.intersection(*({*b.get("required", ())} for b in branches))
    needed = [*base.get("required", ()), *sorted(common)]
    if needed:
        base["required"] = [*dict.fromkeys(needed)]
    closed = all(branch.get("additionalProperties") is False for branch in branches)
    if closed and "additionalProperties" not in base:
        base["additionalProperties"] = False
    elif base.get("additionalProperties") is not False:
        base.pop("additionalProperties", None)
    return {**base, "properties": properties}


def _add(properties: Schema, others: Schema) -> None:
    for name, value in others.items():
        known = properties.setdefault(name, value)
        if known != value:
            branches = (
                known["anyOf"]
                if isinstance(known, dict) and known.keys() == {"anyOf"}
                else [known]
            )
            properties[name] = {"anyOf": [*branches, value]}
