"""The arguments of one tool call while they come in: one JSON object.

What some servers write around the object is left out: an empty object or a null before
it, and at the end the whole of it once more. What cannot be taken back is held until it
is known to belong to the object; after the object nothing else goes out.
"""

import re
from typing import Any

import msgspec

from majordomo.codec.json_text import repair

_LEADING = re.compile(r"(?:\s|null|\{\s*\})*")
"""What may stand before the object, or instead of it where there are no arguments."""

_SHORTEST = len('{"":0}')
_BEGINNING = re.compile(r'\{\s*"')
_MARKS = re.compile(r'\\.?|["{}\[\]]', re.DOTALL)

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_decode_text = msgspec.json.Decoder(str).decode


class Arguments:
    """Reads the arguments of one call."""

    whole = False
    """They may end here."""

    _begun = False
    _done = False
    """The object has ended: what still comes can only repeat it."""

    _valid = False
    """That what has ended is an object was looked at."""

    _depth = 0
    _in_string = False
    _escaped = False

    def __init__(self) -> None:
        self._text: list[str] = []
        self._rest: list[str] = []
        """What was held: before the object has begun, or after its end."""

    def add(self, text: str) -> str:
        """Take the next piece; what of the object may go out by now."""
        if self._begun:
            return self._go_on(text)
        if self._at_once(text):
            return text
        if self._rest:
            self._rest.append(text)
            if text.isspace():
                return ""
            text = "".join(self._rest)
            self._rest.clear()
        empty = _leading(text)
        self.whole = self.whole or bool(text[:empty].strip())
        text = text[empty:]
        if not _BEGINNING.match(text):
            self._rest.append(text)
            return ""
        if self._at_once(text):
            return text
        self._begun = True
        self.whole = False
        return self._go_on(text)

    def end(self) -> tuple[str, bool]:
        """What goes out last, and whether all of it is one object."""
        if self._valid and not self._rest:
            return "", True
        rest = "".join(self._rest).strip()
        if not self._begun:
            return _instead(rest)
        text = "".join(self._text)
        if not self._done or not (self._valid or _is_object(text)):
            return "", False
        rest = rest[_leading(rest) :]
        return "", not rest or _same(text, rest)

    def _at_once(self, text: str) -> bool:
        """Whether `text` is the whole object."""
        if len(text) < _SHORTEST or text[0] != "{" or text[-1] != "}":
            return False
        self._valid = not self._rest and _is_object(text)
        if self._valid:
            self._begun = self._done = self.whole = True
            self._text.append(text)
        return self._valid

    def _go_on(self, text: str) -> str:
        if not self._done:
            end = self._end_in(text)
            if end < len(text):
                self._rest.append(text[end:])
                text = text[:end]
            self._text.append(text)
            return text
        self._rest.append(text)
        return ""

    def _end_in(self, text: str) -> int:
        """Where in `text` the object ends, or its length."""
        start = 1 if self._escaped and text else 0
        self._escaped = self._escaped and not text
        for found in _MARKS.finditer(text, start):
            mark = found[0]
            if mark[0] == "\\":
                self._escaped = len(mark) == 1
            elif mark == '"':
                self._in_string = not self._in_string
            elif self._in_string:
                continue
            elif mark in "{[":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth == 0:
                    self.whole = self._done = True
                    return found.end()
        return len(text)


def _leading(text: str) -> int:
    found = _LEADING.match(text)
    return found.end() if found else 0


def _instead(text: str) -> tuple[str, bool]:
    """The arguments where no object has begun: none, or an object in a string."""
    if not text:
        return "{}", True
    try:
        inner = _decode_text(text)
    except (ValueError, RecursionError):
        return text, False
    if not inner.strip():
        return "{}", True
    return (inner, True) if _is_object(inner) else (text, False)


def _is_object(text: str) -> bool:
    try:
        _decode(repair(text))
    except (ValueError, RecursionError):
        return False
    return True


def _same(text: str, again: str) -> bool:
    try:
        return text == again or _decode(repair(text)) == _decode(repair(again))
    except (ValueError, RecursionError):
        return False
