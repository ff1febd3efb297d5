"""JSON as providers write it, which is not always JSON.

msgspec reads what is well-formed, and fast. Models write byte by byte, and some
servers cut a character in two or print a NaN; then the standard library's more
forgiving reader has a second look.
"""

import json
from typing import TypeVar

import msgspec

T = TypeVar("T")

WHITESPACE = b"\xef\xbb\xbf \t\r\n"
"""What may stand before a body: a byte order mark, blank lines of a queue."""


def read_broken(data: bytes, shape: type[T]) -> T:
    """Read `data`, which msgspec refused, as forgivingly as can be.

    Lone surrogates stay in the strings as they are; see mend(). Raises ValueError.
    """
    try:
        value = json.loads(
            data.strip(WHITESPACE).decode(errors="replace"), strict=False
        )
        return msgspec.convert(value, shape)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def mend(text: str) -> str:
    """`text` with its surrogate pairs joined and lone surrogates as U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
