"""Nulls that stand for absent keys, taken out of JSON again while it comes in.

A strict mode wants every key of an object: one that the caller's schema leaves optional
may then be null instead. Which keys of which objects these are is known from the schema
that was sent, by place: a state for each, and the next one by key or for the items of a
list. What is taken out is held from the comma before it to the end of the null, nothing
else; what turns out to be no such JSON passes as it is.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from majordomo.schemas.fitting import ABSENT
from majordomo.schemas.keywords import Schema
from majordomo.schemas.reading import UnfitSchema

_MOST_STATES = 5000


@dataclass(slots=True, eq=False)
class Place:
    """Where in an answer: which of its keys are absent if null, and what follows."""

    absent: frozenset[str] = frozenset()
    members: dict[str, "Place"] = field(default_factory=dict)
    items: "Place | None" = None


_ANYWHERE = Place()
"""Where nothing is taken out."""


class _Places:
    """The places of one schema, those of a union's branches together."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._known: dict[frozenset[int], Place] = {}

    def of(self, schemas: list[Any]) -> Place:
        objects: dict[int, Schema] = {}
        for schema in schemas:
            self._spread(schema, objects)
        key = frozenset(objects)
        found = self._known.get(key)
        if found is None:
            if len(self._known) > _MOST_STATES:
                raise UnfitSchema("has too many unions")
            found = self._known[key] = Place()
            self._fill(found, [*objects.values()])
        return found

    def _spread(self, schema: Any, objects: dict[int, Schema]) -> None:
        if not isinstance(schema, dict) or id(schema) in objects:
            return
        objects[id(schema)] = schema
        reference = schema.get("$ref")
        if reference == "#":
            self._spread(self._root, objects)
        elif reference:
            name = reference.removeprefix("#/$defs/")
            self._spread(self._root["$defs"][name], objects)
        for branch in schema.get("anyOf", ()):
            self._spread(branch, objects)

    def _fill(self, place: Place, schemas: list[Schema]) -> None:
        absent: frozenset[str] = frozenset().union(
            *(schema.get(ABSENT, ()) for schema in schemas)
        )
        members: dict[str, list[Any]] = {}
        for schema in schemas:
            for name, value in schema.get("properties", {}).items():
                members.setdefault(name, []).append(value)
                if name in absent and name not in schema.get(ABSENT, ()):
                    raise UnfitSchema("has a union whose branches differ in a null")
        place.absent = absent
        place.members = {name: self.of(values) for name, values in members.items()}
        if items := [schema["items"] for schema in schemas if "items" in schema]:
            place.items = self.of(items)


def places(schema: Schema) -> Place | None:
    """The root's place; None where there is nothing to take out.

    `schema` has the marks of Fitting. Raises UnfitSchema where a union's branches do
    not agree.
    """
    if not _marked(schema):
        return None
    try:
        return _Places(schema).of([schema])
    except RecursionError:
        raise UnfitSchema("is nested too deeply") from None


def unmarked(schema: Any) -> Any:
    """`schema` as it is sent."""
    if isinstance(schema, dict):
        return {key: unmarked(schema[key]) for key in schema if key != ABSENT}
    return [*map(unmarked, schema)] if isinstance(schema, list) else schema


def _marked(schema: Any) -> bool:
    if isinstance(schema, dict):
        return ABSENT in schema or any(map(_marked, schema.values()))
    return isinstance(schema, list) and any(map(_marked, schema))


_TOKEN = re.compile(r'\s+|"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+', re.DOTALL)
_STRING_GOES_ON = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)
_LITERAL = re.compile(r'[^\s"{}\[\],:]+')
_LONGEST_KEY = 4096
_NULL = "null"


@dataclass(slots=True)
class _Level:
    """An object or a list that is open."""

    place: Place
    is_object: bool
    shown: bool = False
    """Some member of it was."""

    at_key: bool = True
    key: str = ""


class AbsentKeys:
    """Takes the nulls out of one text, piece by piece."""

    def __init__(self, root: Place) -> None:
        self._root = root
        self._levels: list[_Level] = []
        self._rest = ""
        """Not read yet: a token may go on."""

        self._held = ""
        """Read and not passed on: a comma, a key, a colon."""

        self._in_string = False
        self._passing = False
        """What follows is as it is: the JSON has ended, or is none."""

    def feed(self, text: str) -> str:
        """What of the text so far can be passed on now."""
        if self._passing:
            return text
        out: list[str] = []
        text = self._rest + text
        self._rest = ""
        at = 0
        while at < len(text) and not self._passing:
            end = self._token(text, at, out)
            if end == at:
                self._rest = text[at:]
                return "".join(out)
            at = end
        out.append(text[at:])
        return "".join(out)

    def end(self) -> str:
        """What was held: the text has ended before its JSON did."""
        left = self._held + self._rest
        self._held = self._rest = ""
        self._passing = True
        return left

    def _token(self, text: str, at: int, out: list[str]) -> int:
        """Read one token, or what is there of a string; where the next begins."""
        if self._in_string:
            return self._string(text, at, out)
        level = self._levels[-1] if self._levels else None
        at_key = level is not None and level.is_object and level.at_key
        if text[at] == '"' and not at_key:
            self._value(out)
            out.append('"')
            self._in_string = True
            return at + 1
        found = _TOKEN.match(text, at)
        if found is None:  # a key that goes on
            if len(text) - at > _LONGEST_KEY:
                self._pass(out)
            return at
        token = found[0]
        goes_on = found.end() == len(text) and _LITERAL.fullmatch(token)
        if goes_on and level is not None and len(token) < _LONGEST_KEY:
            return at
        self._read(token, level, out)
        return found.end()

    def _string(self, text: str, at: int, out: list[str]) -> int:
        found = _STRING_GOES_ON.match(text, at)
        end = found.end() if found else at
        if end < len(text) and text[end] == '"':
            end += 1
            self._in_string = False
            self._after_value()
        out.append(text[at:end])
        return end

    def _read(self, token: str, level: _Level | None, out: list[str]) -> None:
        first = token[0]
        if first.isspace():
            self._keep_or_show(token, out)
        elif first in "{[":
            place = self._value(out)
            out.append(token)
            self._levels.append(_Level(place, first == "{"))
        elif level is None:
            self._held += token
            self._pass(out)
        elif first in "}]":
            out.append(self._held + token)
            self._held = ""
            self._levels.pop()
            self._after_value()
        elif first == ",":
            self._held += token
            level.at_key = True
        elif first == '"':
            self._held += token
            level.key = _decoded(token)
            level.at_key = False
        elif first == ":":
            self._held += token
        elif token == _NULL and level.is_object and level.key in level.place.absent:
            self._held = ""
        else:
            self._value(out)
            out.append(token)
            self._after_value()

    def _value(self, out: list[str]) -> Place:
        """A value begins that is shown, and with it what was held; its place."""
        if not self._levels:
            out.append(self._held)
            self._held = ""
            return self._root
        level = self._levels[-1]
        held = self._held
        if not level.shown:
            # The member before it, and its comma, may have been taken out.
            held = held.replace(",", "", 1) if held.lstrip()[:1] == "," else held
        out.append(held)
        self._held = ""
        level.shown = True
        if level.is_object:
            return level.place.members.get(level.key, _ANYWHERE)
        return level.place.items or _ANYWHERE

    def _keep_or_show(self, space: str, out: list[str]) -> None:
        if self._held:
            self._held += space
        else:
            out.append(space)

    def _after_value(self) -> None:
        if not self._levels:
            self._passing = True

    def _pass(self, out: list[str]) -> None:
        out.append(self._held)
        self._held = ""
        self._passing = True


def _decoded(token: str) -> str:
    try:
        return msgspec.json.decode(token, type=str)
    except ValueError:
        return ""
