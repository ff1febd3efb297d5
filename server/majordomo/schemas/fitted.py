"""Schemas made to fit, kept by their text: the same come with every call."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock, local

import msgspec

from majordomo.schemas.absence import Place, places, unmarked
from majordomo.schemas.dialects import Dialect
from majordomo.schemas.fitting import Fitting
from majordomo.schemas.reading import NotASchema, UnfitSchema, read

MOST_KEPT = 8 << 20
"""Characters of schemas, and of what was made of them."""

_LONGEST_TOLD = 200
"""Characters."""

_LEAST_SIZE = 512
"""Characters that an entry counts as, however short."""


class LargeSchemas(Exception):
    """More would have to be made to fit than is allowed in this thread now."""


_here = local()


def allow(characters: int | None) -> None:
    """How much may be made to fit from now on in this thread; None: anything."""
    _here.left = characters


def _take(characters: int) -> None:
    left = getattr(_here, "left", None)
    if left is None:
        return
    if characters > left:
        raise LargeSchemas
    _here.left = left - characters


@dataclass(frozen=True, slots=True)
class Fitted:
    """A schema in the form that one dialect takes."""

    json: msgspec.Raw
    reported: str = ""
    """What it no longer rules out, or rules out as well; "" if it means the same."""

    absent: Place | None = None
    """Where null stands for a key that is absent."""


class _Kept:
    """Those used last, as many as there is room for; also those that do not fit."""

    def __init__(self) -> None:
        self.size = 0
        self._lock = Lock()
        self._entries: OrderedDict[tuple[str, str], Fitted | UnfitSchema]
        self._entries = OrderedDict()

    def get(self, text: str, dialect: Dialect) -> Fitted | UnfitSchema:
        key = (text, dialect.name)
        found = self._entries.get(key)
        if found is not None:
            try:
                self._entries.move_to_end(key)
            except KeyError:
                return found  # another thread has just dropped it
            return found
        _take(len(text))
        found = _fit(text, dialect)
        with self._lock:
            self._keep(key, found)
        return found

    def _keep(self, key: tuple[str, str], made: Fitted | UnfitSchema) -> None:
        if key in self._entries:
            return
        self._entries[key] = made
        self.size += _size(key[0], made)
        while self.size > MOST_KEPT:
            (old, _), entry = self._entries.popitem(last=False)
            self.size -= _size(old, entry)


_kept = _Kept()


def fitted(text: str, dialect: Dialect) -> Fitted:
    """The JSON Schema in `text` as `dialect` takes it.

    Raises UnfitSchema where there is no such form, NotASchema for what is none, and
    LargeSchemas for one that is not kept, and longer than is allowed; see allow().
    """
    found = _kept.get(text, dialect)
    if isinstance(found, UnfitSchema):
        raise type(found)(*found.args)
    return found


def _fit(text: str, dialect: Dialect) -> Fitted | UnfitSchema:
    try:
        schema = read(text)
        if isinstance(schema, bool):
            schema = {} if schema else {"not": {}}
        fitting = Fitting(schema, dialect)
        absent = places(fitting.schema)
        made = unmarked(fitting.schema)
    except UnfitSchema as unfit:
        return type(unfit)(*unfit.args)
    except RecursionError:
        return NotASchema("is nested too deeply")
    except (ValueError, TypeError, AttributeError, LookupError):
        return NotASchema("is no JSON Schema")
    encoded = text.encode() if made == schema else msgspec.json.encode(made)
    return Fitted(msgspec.Raw(encoded), _reported(fitting, absent), absent)


def _reported(fitting: Fitting, absent: Place | None) -> str:
    reported = []
    if fitting.lost:
        reported.append(f"not enforced: {', '.join(sorted(fitting.lost))}")
    if fitting.closed:
        reported.append("objects take no keys but those listed")
    if absent is not None:
        reported.append("null stood for absent keys")
    return "; ".join(reported)[:_LONGEST_TOLD]


def _size(text: str, entry: Fitted | UnfitSchema) -> int:
    made = len(bytes(entry.json)) if isinstance(entry, Fitted) else 0
    return max(_LEAST_SIZE, len(text) + made)
