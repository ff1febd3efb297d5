"""References and compositions (allOf, oneOf) of a schema, written in other words."""

from collections.abc import Callable, Iterator
from typing import Any

from majordomo.schemas.keywords import ASSERTIONS, Schema
from majordomo.schemas.merging import Unmergeable, exclude, merged
from majordomo.schemas.reading import UnfitSchema

_MOST_BRANCHES = 50
"""Of a union whose branches are looked at for whether they exclude each other."""

_MOST_MERGED = 5000
"""Members of allOf in all; references could multiply them."""


class Composing:
    """What is composed in one schema; `lose` receives what cannot be kept."""

    def __init__(self, root: Schema, lose: Callable[[str], None]) -> None:
        self.definitions: Schema = root.pop("$defs", {})
        self.root = root
        self._lose = lose
        self._merged_members = 0

    def follow(self, schema: Any) -> Any:
        """What a schema that is a reference refers to, in the end."""
        for _ in range(len(self.definitions) + 1):
            if not isinstance(schema, dict) or "$ref" not in schema:
                break
            schema = self.target(schema["$ref"])
        return schema

    def target(self, reference: str) -> Any:
        """What `reference` refers to."""
        if reference == "#":
            return self.root
        return self.definitions[reference.removeprefix("#/$defs/")]

    def without(self, schema: Schema, keywords: frozenset[str]) -> Schema:
        """`schema` without allOf and oneOf, unless these are among `keywords`."""
        if "allOf" in schema and "allOf" not in keywords:
            schema = self._without_all_of(schema)
        if "oneOf" in schema and "oneOf" not in keywords:
            schema = self._without_one_of(schema)
        return schema

    def written_out(self, schema: Any) -> Any:
        """`schema` with what it refers to in place of the reference, and no allOf.

        Raises Unmergeable where that is not to be had.
        """
        seen: set[str] = set()
        while isinstance(schema, dict) and "$ref" in schema:
            reference = schema["$ref"]
            if reference in seen or reference == "#":
                raise Unmergeable("$ref")
            seen.add(reference)
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = merged(beside, self.target(reference))
        if isinstance(schema, dict) and "allOf" in schema:
            return self._without_all_of(schema)
        return schema

    def distributed(self, limits: Schema, branches: list[Any]) -> Iterator[Any]:
        """The branches of a union, each with the limits that stand beside it."""
        for branch in branches:
            try:
                yield merged(limits, self.written_out(branch))
            except Unmergeable as unmergeable:
                if str(unmergeable) != "type":  # else no value is of this branch
                    raise UnfitSchema("has a union beside other limits") from None

    def begin_apart(self, branches: list[Any]) -> bool:
        """Whether objects among the branches begin with a key that tells them apart."""
        seen: dict[str, list[Any]] = {}
        for branch in map(self.follow, branches):
            if isinstance(branch, dict) and branch.get("properties"):
                first = next(iter(branch["properties"]))
                known = seen.setdefault(first, [])
                value = branch["properties"][first]
                if not all(exclude(value, other, self.follow) for other in known):
                    return False
                known.append(value)
        return True

    def _without_all_of(self, schema: Schema) -> Schema:
        made: Any = {key: value for key, value in schema.items() if key != "allOf"}
        members = schema["allOf"]
        self._merged_members += len(members)
        if self._merged_members > _MOST_MERGED:
            raise UnfitSchema("becomes too large where its references are written out")
        lone = len(members) == 1 and not ASSERTIONS & made.keys()
        if lone and isinstance(members[0], dict):
            return {**members[0], **made}
        for member in members:
            try:
                made = merged(made, self.written_out(member))
            except Unmergeable:
                self._lose("allOf")
        if isinstance(made, dict):
            return made
        self._lose("allOf")
        return {}

    def _without_one_of(self, schema: Schema) -> Schema:
        made = {key: value for key, value in schema.items() if key != "oneOf"}
        branches = schema["oneOf"]
        apart = len(branches) <= _MOST_BRANCHES and all(
            exclude(one, other, self.follow)
            for i, one in enumerate(branches)
            for other in branches[i + 1 :]
        )
        if not apart or "anyOf" in made:
            self._lose("oneOf")
        return {"anyOf": branches, **made}
