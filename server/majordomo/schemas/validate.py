"""Answers held against the JSON Schema that was asked for.

Of the draft that the schema names, else 2020-12. Nothing is ever fetched: a reference
beyond the schema makes it unfit. The validator holds the interpreter's lock, so its
work is bounded before it begins; a thread of its own would help nobody.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
import msgspec

from majordomo.schemas.effort import Effort
from majordomo.schemas.reading import UnfitSchema, read

_MOST_LOOKS = 5_000_000
"""Looks at values, about 20 ns each; an answer that would take more is not checked."""

_BACKTRACKING = 10_000
"""Steps of a pattern that has to backtrack, for one text."""

_PATTERN_SIZE = 128 << 10
"""Bytes of a compiled pattern."""

MOST_KEPT = 32 << 20
"""Bytes of schemas that are kept compiled, as far as we can tell."""

_LONGEST_PLACE = 80
"""Characters of where in an answer something is wrong."""

_COMPILED = 32
"""Bytes for each character of a schema's text."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    validator: jsonschema_rs.Validator
    effort: Effort
    size: int


class _Kept:
    """Compiled schemas by their text, those used last, as many as there is room for."""

    def __init__(self) -> None:
        self.size = 0
        self._entries: OrderedDict[str, _Compiled] = OrderedDict()

    def __contains__(self, text: str) -> bool:
        return text in self._entries

    def get(self, text: str) -> _Compiled:
        found = self._entries.get(text)
        if found is None:
            found = self._entries[text] = _compile(text)
            self.size += found.size
            while self.size > MOST_KEPT:
                self.size -= self._entries.popitem(last=False)[1].size
        else:
            self._entries.move_to_end(text)
        return found


_kept = _Kept()


def require_checkable(schema_json: str) -> None:
    """Raises UnfitSchema, with what is wrong, if no answer can be held against it."""
    _kept.get(schema_json)


def faults_of(schema_json: str, answer_text: str) -> str | None:
    """What is wrong with an answer: a few words, with a place and no content. None: it
    follows the schema.

    Raises UnfitSchema; see require_checkable().
    """
    compiled = _kept.get(schema_json)
    try:
        answer = msgspec.json.decode(answer_text)
    except (ValueError, RecursionError):
        return "is no JSON"
    looks = compiled.effort.ways * _values(answer_text)
    if looks > _MOST_LOOKS:
        return "is too large to be held against the schema"
    try:
        if compiled.validator.is_valid(answer):
            return None
        # Only is_valid() remembers what it has seen of a recursive schema.
        if compiled.effort.recursive:
            return "does not follow the schema"
        return _described(next(compiled.validator.iter_errors(answer)))
    except (ValueError, RecursionError):
        return "cannot be held against the schema"


def _described(error: jsonschema_rs.ValidationError) -> str:
    place = "/".join(map(str, error.instance_path))[:_LONGEST_PLACE]
    return f"does not follow the schema: {error.kind.name} at /{place}"


def _values(text: str) -> int:
    """At most as many values are in a JSON text."""
    return 1 + text.count(",") + text.count("[") + text.count("{")


def _compile(text: str) -> _Compiled:
    schema = read(text)
    effort = Effort(schema)
    return _Compiled(
        _validator(schema),
        effort,
        _COMPILED * len(text) + 2 * _PATTERN_SIZE * effort.patterns,
    )


def _validator(schema: Any) -> jsonschema_rs.Validator:
    patterns = jsonschema_rs.FancyRegexOptions(
        backtrack_limit=_BACKTRACKING,
        size_limit=_PATTERN_SIZE,
        dfa_size_limit=_PATTERN_SIZE,
    )
    try:
        return jsonschema_rs.validator_for(
            schema, pattern_options=patterns, offline=True
        )
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise UnfitSchema(f"is no JSON Schema: {_place(error)}") from None


def _place(error: Exception) -> str:
    """Where in the schema something is wrong, as a JSON pointer."""
    if isinstance(error, jsonschema_rs.ValidationError) and error.instance_path:
        path = "/".join(map(str, error.instance_path))
        return f"see /{path}"[:200]
    return "see its references and $schema"
