"""A JSON Schema made to fit a dialect.

Where the dialect enforces what it is given, the schema made takes nothing that the
original does not, once the nulls that stand for absent keys are out again; or there is
none (UnfitSchema). Elsewhere it takes all that the original does, but for keys that no
object lists where the dialect wants objects closed, and what it no longer rules out is
named.
"""

from typing import Any

from majordomo.schemas.composing import Composing
from majordomo.schemas.dialects import Dialect
from majordomo.schemas.keeping import Keeping, null_apart, remarks
from majordomo.schemas.keywords import (
    ASSERTIONS,
    BY_TYPE,
    LISTS,
    MAPS,
    REMARKS,
    SINGLE,
    Schema,
    type_of,
    types,
)
from majordomo.schemas.limits import require_limits
from majordomo.schemas.merging import Unmergeable
from majordomo.schemas.modern import modern, or_null
from majordomo.schemas.reading import UnfitSchema
from majordomo.schemas.roots import object_root

ABSENT = "\0absent"
"""Key of an object's schema, not to be sent: those of its keys for whose absence null
stands."""

_MOST_NODES = 20_000
"""Schemas in what is made; references that are written out could multiply them."""


class Fitting:
    """One schema in a dialect; raises UnfitSchema where there is no such form."""

    def __init__(self, schema: Schema, dialect: Dialect) -> None:
        self.lost: set[str] = set()
        """Keywords that no longer rule anything out."""

        self.closed = False
        """Some object takes no keys but its own, and the original says nothing of it.
        """

        self._dialect = dialect
        self._keeping = Keeping(dialect, self._lose, self.lost)
        self._nodes = 0
        self._open: set[str] = set()
        self._made: Schema = {}
        self._null: dict[str, bool] = {}
        """Whether what a reference leads to takes null."""

        original, lost = modern(schema)
        for key in lost:
            self._lose(key)
        self._composing = Composing(original, self._lose)
        self.schema = self._root(original)

    def _root(self, original: Schema) -> Schema:
        dialect = self._dialect
        if dialect.object_root:
            original = self._object_root(original)
        if dialect.keys:
            for key in original.get("properties", {}):
                if not dialect.keys.fullmatch(key):
                    raise UnfitSchema(f"has a key that is not taken: {key[:80]!r}")
        made = self._node(original)
        if self._made:
            made = {**made, "$defs": self._made}
        require_limits(made, dialect)
        return dict(made)

    def _object_root(self, original: Schema) -> Schema:
        try:
            return object_root(original, self._count_and_follow, self._lose)
        except Unmergeable:
            raise UnfitSchema("is no object at its root") from None

    def _count_and_follow(self, schema: Any) -> Any:
        self._count()
        return self._composing.follow(schema)

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise UnfitSchema("becomes too large where its references are written out")

    def _node(self, schema: Any) -> Any:
        self._count()
        if isinstance(schema, bool):
            return self._anything(schema)
        schema = self._composing.without(schema, self._dialect.keywords)
        if "$ref" in schema and self._dialect.lone_references:
            return self._reference(schema)
        if self._dialect.typed:
            if "anyOf" not in schema:
                schema = self._typed(schema)
            if "anyOf" in schema:
                return self._union(schema)
        scalars = self._dialect.scalar_options
        if scalars is not None and "null" not in scalars:
            schema = null_apart(schema)
        made = self._within(self._keeping.kept(schema))
        if self._dialect.optional_recursion and "required" in made:
            self._require_no_recursion(made)
        said = made.get("type")
        listed = said if isinstance(said, list) else [said]
        if "object" in listed and self._dialect.closed:
            self._close(made, schema)
        if "array" in listed:
            self._list(made)
        return made

    def _within(self, made: Schema) -> Schema:
        if isinstance(properties := made.get("properties"), dict):
            made["properties"] = self._members(properties, made.get("required", ()))
        if "$ref" in made:
            made.update(self._lone_reference(made["$ref"]))
        for key, value in made.items():
            if key in MAPS and key != "properties" and isinstance(value, dict):
                made[key] = {name: self._node(each) for name, each in value.items()}
            elif key in LISTS and isinstance(value, list):
                made[key] = [*map(self._node, value)]
            elif key in SINGLE and isinstance(value, dict):
                made[key] = self._node(value)
        return made

    def _members(self, properties: Schema, needed: Any) -> Schema:
        dialect = self._dialect
        members = {}
        for name, value in properties.items():
            member = value
            if name not in needed:
                if value is False and dialect.typed:
                    continue
                if isinstance(value, dict) and dialect.all_required:
                    # Null is taken out again in any case.
                    member = {key: value[key] for key in value if key != "nullable"}
            members[name] = self._node(member)
        return members

    # What is left out.

    def _lose(self, keyword: str) -> None:
        if self._dialect.enforced:
            raise UnfitSchema(f"has {keyword}")
        self.lost.add(keyword)

    def _anything(self, schema: bool) -> Any:
        if self._dialect.typed:
            raise UnfitSchema("takes any value somewhere" if schema else "takes none")
        return schema

    def _require_no_recursion(self, made: Schema) -> None:
        properties = made.get("properties", {})
        names = [
            name
            for name in made["required"]
            if not self._leads_back(properties.get(name))
        ]
        if len(names) < len(made["required"]):
            self._lose("required")
            made["required"] = names

    def _leads_back(self, made: Any) -> bool:
        if not isinstance(made, dict):
            return False
        if "$ref" in made:
            return self._is_recursive(made["$ref"])
        within = [*made.get("anyOf", ()), *made.get("prefixItems", ())]
        return any(map(self._leads_back, [*within, made.get("items")]))

    # References and unions.

    def _reference(self, schema: Schema) -> Any:
        """One that nothing may stand beside."""
        reference = schema["$ref"]
        if not self._dialect.recursive and self._is_recursive(reference):
            raise UnfitSchema("is recursive")
        limits = [key for key in schema if key in ASSERTIONS and key != "$ref"]
        if limits:
            try:
                return self._node(self._composing.written_out(schema))
            except Unmergeable:
                for key in limits:
                    self._lose(key)
        lone = self._lone_reference(reference)
        beside = remarks(schema)
        if not beside or self._dialect.most_unions is not None:
            return lone
        return {**beside, "anyOf": [lone]}

    def _lone_reference(self, reference: str) -> Schema:
        name = reference.removeprefix("#/$defs/")
        if reference != "#" and name not in self._made:
            self._made[name] = {}  # keeps its place
            self._open.add(name)
            self._made[name] = self._node(self._composing.definitions[name])
            self._open.remove(name)
        return {"$ref": reference}

    def _is_recursive(self, reference: str) -> bool:
        return reference == "#" or reference.removeprefix("#/$defs/") in self._open

    def _union(self, schema: Schema) -> Any:
        """One whose branches say their types: with no limits beside it."""
        branches = schema["anyOf"]
        limits = {
            key: schema[key] for key in schema if key in ASSERTIONS and key != "anyOf"
        }
        if limits:
            branches = [*self._composing.distributed(limits, branches)]
        if not branches:
            raise UnfitSchema("takes nothing somewhere")
        if len(branches) == 1 and isinstance(branches[0], dict):
            return self._node({**branches[0], **remarks(schema)})
        if self._dialect.branches_apart and not self._composing.begin_apart(branches):
            raise UnfitSchema("has a union of objects that begin alike")
        return {**remarks(schema), "anyOf": [*map(self._node, branches)]}

    # Types.

    def _typed(self, schema: Schema) -> Schema:
        """With a type; a union where there are several that the dialect wants apart."""
        said = schema.get("type") or _told_type(schema)
        listed = [said] if isinstance(said, str) else said
        several = len([each for each in listed if each != "null"]) > 1
        if several and not self._dialect.listed_types:
            branches = [_of_type(schema, each) for each in listed]
            return {**remarks(schema), "anyOf": branches}
        made = {**schema, "type": said}
        if isinstance(options := made.get("enum"), list):
            made["enum"] = _options_of(listed, options)
            if not made["enum"]:
                raise UnfitSchema("takes nothing somewhere")
        return made

    def _close(self, made: Schema, schema: Schema) -> None:
        properties = made.setdefault("properties", {})
        if schema.get("additionalProperties", False) is not False:
            raise UnfitSchema("has objects with keys that it does not list")
        if not properties and "additionalProperties" not in schema:
            raise UnfitSchema("has objects whose keys it does not list")
        if missing := {*made.get("required", ())} - properties.keys():
            name = min(missing)[:80]
            raise UnfitSchema(f"requires a key that it does not list: {name!r}")
        self.closed = self.closed or "additionalProperties" not in schema
        made["additionalProperties"] = False
        if self._dialect.all_required:
            self._require_all(made, schema.get("properties", {}))

    def _require_all(self, made: Schema, originals: Schema) -> None:
        properties = made["properties"]
        needed = made.get("required", ())
        absent = [
            name
            for name in properties
            if name not in needed and not self._takes_null(originals[name])
        ]
        for name in absent:
            properties[name] = or_null(properties[name])
        made["required"] = [*properties]
        if absent:
            made[ABSENT] = frozenset(absent)

    def _takes_null(self, schema: Any) -> bool:
        if not isinstance(schema, dict):
            return bool(schema)
        if "$ref" in schema:
            return self._reference_takes_null(schema["$ref"])
        if "null" not in types(schema):
            return False
        for key, judge in (("anyOf", any), ("oneOf", any), ("allOf", all)):
            if key in schema:
                return judge(map(self._takes_null, schema[key]))
        return True

    def _reference_takes_null(self, reference: str) -> bool:
        if reference not in self._null:
            self._null[reference] = False  # as far as it leads back here
            target = self._composing.target(reference)
            self._null[reference] = self._takes_null(target)
        return self._null[reference]

    def _list(self, made: Schema) -> None:
        if "items" in made or "prefixItems" in made:
            return
        if self._dialect.typed:
            raise UnfitSchema("has lists of any values")
        if self._dialect.object_root:
            made["items"] = {}


def _told_type(schema: Schema) -> Any:
    """The type of a schema that does not say it, as far as it is plain to see."""
    options = [schema["const"]] if "const" in schema else schema.get("enum")
    if options:
        kinds = [*dict.fromkeys(map(type_of, options))]
        return kinds[0] if len(kinds) == 1 else kinds
    groups = [kind for kind, group in BY_TYPE.items() if group & schema.keys()]
    if len(groups) == 1:
        return groups[0]
    raise UnfitSchema("takes any value somewhere")


def _of_type(schema: Schema, kind: str) -> Schema:
    """What of a schema says something of values of one type."""
    group = BY_TYPE.get("number" if kind == "integer" else kind, frozenset())
    others = frozenset[str]().union(*BY_TYPE.values()) - group - {"format"}
    left = {
        key: value
        for key, value in schema.items()
        if key not in others and key not in REMARKS
    }
    if isinstance(options := left.get("enum"), list):
        left["enum"] = _options_of([kind], options)
    return {**left, "type": kind}


def _options_of(kinds: list[str], options: list[Any]) -> list[Any]:
    wanted = {*kinds, *(["integer"] if "number" in kinds else ())}
    return [each for each in options if type_of(each) in wanted]
