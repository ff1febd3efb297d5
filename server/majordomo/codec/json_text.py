"""JSON as providers write it, which is not always JSON.

msgspec reads what is well-formed, and fast. Models write byte by byte, and some
servers cut a character in two or print a NaN; then the standard library's more
forgiving reader has a second look.
"""

import json
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

WHITESPACE = b"\xef\xbb\xbf \t\r\n"
"""What may stand before a body: a byte order mark, blank lines of a queue."""


def read_broken(data: bytes, shape: type[T], raw: str = "") -> T:
    """Read `data`, which msgspec refused, as forgivingly as can be.

    Lone surrogates stay in the strings as they are; see repair(). What is at the key
    `raw`, anywhere, becomes msgspec.Raw, repaired. Raises ValueError.
    """
    try:
        value = json.loads(
            data.strip(WHITESPACE).decode(errors="replace"), strict=False
        )
        return msgspec.convert(_with_raw(value, raw) if raw else value, shape)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def repair(text: str) -> str:
    """`text` with its surrogate pairs joined and lone surrogates as U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def repaired(value: Any) -> Any:
    """`value`, as JSON holds it, with all of its texts repaired."""
    if isinstance(value, str):
        return repair(value)
    if isinstance(value, list):
        return [repaired(entry) for entry in value]
    if isinstance(value, dict):
        return {repair(key): repaired(entry) for key, entry in value.items()}
    return value


def _with_raw(value: object, raw: str) -> object:
    if isinstance(value, list):
        return [_with_raw(entry, raw) for entry in value]
    if isinstance(value, dict):
        return {
            key: _raw(entry) if key == raw else _with_raw(entry, raw)
            for key, entry in value.items()
        }
    return value


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(repaired(value)))


def mapping(value: object) -> dict[str, object]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}
