"""Content that only its provider can read, as an opaque part and back.

A search that the provider made, code that it ran, the calls of its MCP servers, what is
newer than this server: such a block goes out whole in provider_state, with a few words
for people, and comes back by way of the caller to its author alone. There it is
untrusted: what has a form of its own in the contract, or would have the provider fetch
or read something, is not taken out of a state.
"""

import re
from collections.abc import Iterator, Set
from typing import Any

import msgspec

from majordomo.codec.json_text import read_broken, repaired
from majordomo.codec.state import pack, unpack
from majordomo.v1.content_pb2 import OpaquePart, Part

LEFT_OUT = "left out: content that this target cannot read"
"""What is informed of opaque parts that do not go back."""

_LONGEST_TYPE = 64
_LONGEST_DESCRIPTION = 200
_KEY = "block"

_NAMES = ("name", "action", "language", "toolType", "outcome", "error_code")
_CONTAINERS = ("input", "args", "action", "content", "response")
_WORDS = (
    "query",
    "queries",
    "url",
    "pattern",
    "code",
    "command",
    "output",
    "stdout",
    "logs",
    "title",
    "arguments",
    "text",
    "content",
)
"""Where blocks say what was done, the most telling first."""

_FETCHED = frozenset(
    {"image_url", "file_url", "fileUri", "file_uri", "fileData", "file_data"}
)
"""Keys of what a provider would fetch, or read, for a request."""

_SPACE = re.compile(r"\s+")


def described(kind: str, block: dict[str, Any]) -> OpaquePart:
    """The part that stands for `block`; `kind` is the provider's word for it."""
    words = [*_names(block), *_details(block)]
    text = _SPACE.sub(" ", repaired(": ".join(words))).strip()
    if len(text) > _LONGEST_DESCRIPTION:
        text = text[: _LONGEST_DESCRIPTION - 1] + "…"
    return OpaquePart(type=repaired(kind)[:_LONGEST_TYPE], description=text)


def kept(wire: str, block: dict[str, Any]) -> bytes:
    """`block` as provider_state."""
    text = msgspec.json.encode(repaired(block)).decode()
    return pack(wire, **{_KEY: text})


def given_back(wire: str, part: Part, refused: Set[str]) -> dict[str, Any] | None:
    """The block that `part` was; None if its state holds none that may go back.

    `refused` are types of blocks, and keys of those without a type, that have a form of
    their own in the contract.
    """
    try:
        block = _decode(unpack(wire, part.provider_state).get(_KEY, ""))
    except (ValueError, RecursionError):
        return None
    kind = block.get("type")
    if (kind is not None and not isinstance(kind, str)) or kind in refused:
        return None
    if not refused.isdisjoint(block) or _is_fetched(block):
        return None
    return block


def again(data: bytes) -> Any:
    """What `data` holds, whole, where more is wanted than was read of it."""
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return read_broken(data, Any)


def _is_fetched(value: object) -> bool:
    """Whether a provider might fetch something for `value`, at any depth."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            if value.get("type") == "url" or not _FETCHED.isdisjoint(value):
                return True
            waiting += value.values()
    return False


def _names(block: dict[str, Any]) -> Iterator[str]:
    for key in _NAMES:
        value = block.get(key)
        if isinstance(value, dict):
            value = value.get("type")
        if isinstance(value, str) and value:
            yield value
            return


def _details(block: dict[str, Any]) -> Iterator[str]:
    """What was asked or came out, in the words of the block."""
    if isinstance(results := block.get("content"), list):
        yield f"{len(results)} results" if len(results) != 1 else "1 result"
        return
    inner = [block.get(key) for key in _CONTAINERS]
    for holder in (*(value for value in inner if isinstance(value, dict)), block):
        for key in _WORDS:
            value = holder.get(key)
            if isinstance(value, list):
                value = "; ".join(entry for entry in value if isinstance(entry, str))
            if isinstance(value, str) and value:
                yield value[: 4 * _LONGEST_DESCRIPTION]
                return


_decode = msgspec.json.Decoder(dict[str, Any]).decode
