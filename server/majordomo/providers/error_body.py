"""What an error body says, whatever its shape, and how much of it may be told.

The shapes are those that providers and gateways were seen to send: nested, flat,
in an array of one, as a bare text, as a list of details. A gateway relays the
shapes of those behind it, so that any shape may come from any provider.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from majordomo import secrets
from majordomo.providers.json_text import WHITESPACE, mend, read_broken

_MESSAGE_BYTES = 200
_LONGEST_TEXT = 2048
_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}|[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """An error object, flattened."""

    message: str = ""
    """The provider's words, not yet scrubbed."""

    text: str = ""
    """All words by which the error may be known, the message among them."""

    codes: tuple[str, ...] = ()
    """Codes and types, the most specific first."""

    status: int = 0
    """The HTTP status that the body itself names, 0 if none."""

    details: list[object] = field(default_factory=list)
    """Details of a google.rpc.Status."""


def parse(body: bytes) -> ErrorBody | None:
    """The error in `body`, None where no known shape of one is found. Total."""
    try:
        value: object = msgspec.json.decode(body.strip(WHITESPACE))
    except (ValueError, RecursionError):
        try:
            value = read_broken(body, object)
        except ValueError:
            return None
    return find(value)


def find(value: object) -> ErrorBody | None:
    """The error in parsed JSON, None where no known shape of one is found."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return None
    response = value.get("response")
    if isinstance(response, dict) and response.get("error"):
        value = response
    error = value.get("error")
    if isinstance(error, dict) and error:
        return _error_body(error, value)
    if isinstance(error, str) and error:
        return _error_body({"message": error}, value)
    if value.get("detail"):
        return _error_body({"message": _detail(value["detail"])}, value)
    if value.get("message") and ("choices" not in value):
        return _error_body(value, {})
    return None


def _error_body(error: dict[str, object], around: dict[str, object]) -> ErrorBody:
    metadata = _mapping(error.get("metadata"))
    message = error.get("message") or error.get("detail") or error.get("msg") or ""
    if not isinstance(message, str):
        message = json.dumps(message)
    message = mend(message[:_LONGEST_TEXT])
    raw = metadata.get("raw")
    raw = mend(raw[:_LONGEST_TEXT]) if isinstance(raw, str) else ""
    details = error.get("details")
    entries = details if isinstance(details, list) else []
    values = list(_codes(error, _mapping(details), entries, around))
    numbers = (
        error.get("status_code"),
        error.get("code"),
        error.get("status"),
        *(around.get(name) for name in ("status_code", "status", "code")),
    )
    return ErrorBody(
        message=message,
        text=f"{message}\n{raw}" if raw else message,
        codes=tuple(dict.fromkeys(values)),
        status=next(filter(None, map(_status, numbers)), 0),
        details=entries,
    )


def _codes(
    error: dict[str, object],
    details: dict[str, object],
    entries: list[object],
    around: dict[str, object],
) -> Iterator[str]:
    candidates = [
        details.get("error_code"),
        *(_mapping(entry).get("reason") for entry in entries),
        _mapping(error.get("innererror")).get("code"),
        error.get("code"),
        error.get("status"),
        error.get("type"),
        around.get("code"),
        around.get("type"),
    ]
    for candidate in candidates:
        code = str(candidate) if isinstance(candidate, int | str) else ""
        if _TOKEN.fullmatch(code) and not isinstance(candidate, bool):
            yield code


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _status(value: object) -> int:
    if isinstance(value, str) and re.fullmatch("[0-9]{3}", value, re.ASCII):
        value = int(value)
    if isinstance(value, int) and 400 <= value <= 599:
        return value
    return 0


def _detail(detail: object) -> object:
    """The words of FastAPI's `detail`: a text, an object, or a list of problems."""
    if isinstance(detail, list):
        problems = [_mapping(problem).get("msg", problem) for problem in detail[:4]]
        return "; ".join(map(str, problems))
    return _mapping(detail).get("message", detail)


def scrub(text: str) -> str:
    """`text` on one line, without what must not be told, at most 200 bytes."""
    line = " ".join(text[:_LONGEST_TEXT].split())
    line = secrets.scrub(line)
    if len(line.encode()) <= _MESSAGE_BYTES:
        return line
    return line.encode()[: _MESSAGE_BYTES - 3].decode(errors="ignore") + "…"
