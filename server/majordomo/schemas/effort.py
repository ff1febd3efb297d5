"""How much work it is to hold a value against a JSON Schema, before it is done.

A validator looks at a value once for each way through the schema that leads to it, and
references multiply these: thirty short definitions can make a thousand million ways. A
recursive reference is followed once for each value, as the validator remembers.
"""

from collections.abc import Iterator
from typing import Any

from majordomo.schemas.keywords import LISTS, MAPS, SINGLE
from majordomo.schemas.reading import UnfitSchema, pointed_at

MOST_WAYS = 20_000
MOST_PATTERNS = 24

_MAPS = MAPS - {"$defs"} | {"dependencies"}
_SINGLE = SINGLE | {"additionalItems"}
_MOVING = frozenset({"$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor"})
"""References whose target is not reported where they stand, and what they lead to."""

_DEEPEST_WAY = 200
_PATTERN = 20
"""What it costs to try a pattern, in looks at a value."""


class Effort:
    """The ways through one schema; raises UnfitSchema where they are too many."""

    def __init__(self, schema: Any) -> None:
        self._root = schema
        self._known: dict[int, int] = {}
        self._open: set[int] = set()
        self._patterns: set[str] = set()
        self.recursive = False
        """A value may be looked at in the same way again, within itself."""

        self.ways = self._ways(schema, 0)
        """Upper bound of the looks at one value."""

    @property
    def patterns(self) -> int:
        """How many different ones there are."""
        return len(self._patterns)

    def _ways(self, schema: Any, depth: int) -> int:
        if not isinstance(schema, dict):
            return int(isinstance(schema, bool))
        key = id(schema)
        if key in self._open:
            self.recursive = True
            return 1
        if key in self._known:
            return self._known[key]
        if depth > _DEEPEST_WAY:
            raise UnfitSchema("leads through too many references")
        if (depth and isinstance(schema.get("$id"), str)) or _MOVING & schema.keys():
            raise UnfitSchema("has $id, anchors or dynamic references within it")
        self._open.add(key)
        ways = self._own(schema) + sum(
            self._ways(inner, depth + 1) for inner in self._inner(schema)
        )
        self._open.remove(key)
        if ways > MOST_WAYS:
            raise UnfitSchema("can be followed in too many ways to be checked")
        self._known[key] = ways
        return ways

    def _own(self, schema: dict[str, Any]) -> int:
        """What the keywords cost that lead to no other schema."""
        cost = 1
        if isinstance(options := schema.get("enum"), list):
            cost += len(options) // 8
        patterns = [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
        if isinstance(by_pattern := schema.get("patternProperties"), dict):
            patterns += by_pattern
        self._patterns.update(patterns)
        if len(self._patterns) > MOST_PATTERNS:
            raise UnfitSchema(f"has more than {MOST_PATTERNS} patterns")
        return cost + _PATTERN * len(patterns)

    def _inner(self, schema: dict[str, Any]) -> Iterator[Any]:
        for key in _MAPS:
            if isinstance(named := schema.get(key), dict):
                yield from named.values()
        for key in LISTS:
            if isinstance(listed := schema.get(key), list):
                yield from listed
        for key in _SINGLE:
            inner = schema.get(key)
            yield from inner if isinstance(inner, list) else [inner]
        if isinstance(reference := schema.get("$ref"), str):
            yield self._target(reference)

    def _target(self, reference: str) -> Any:
        try:
            return pointed_at(self._root, reference)
        except (LookupError, ValueError):
            problem = "has a reference that leads nowhere within it"
            raise UnfitSchema(problem) from None
