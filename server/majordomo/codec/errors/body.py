"""What an error body says, whatever its shape, and how much of it may be reported.

The shapes are those that providers and gateways were seen to send: nested, flat,
in an array of one, as a bare text, as a list of details, as JSON within a text. A
gateway relays the shapes of those behind it, so that any shape may come from any
provider, and one may be wrapped in another. What is innermost comes first: who was
there knows best.
"""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from majordomo import secrets
from majordomo.codec.json_text import WHITESPACE, mapping, read_broken, repair
from majordomo.text import cut

_MESSAGE_BYTES = 200
_LONGEST_TEXT = 2048
_TELLING = 1024
_DEEPEST = 8
_MOST_LAYERS = 24
_MOST_WORDS = 4
_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9_.:/-]{0,63}|[0-9]{1,10}")

_WITHIN = (
    *("error", "errors", "message", "detail", "details", "innererror", "inner_error"),
    *("metadata", "raw", "base_resp", "provider_specific_fields", "response"),
    *("upstream_error", "upstreamBody", "cause"),
)
"""Where a layer holds another one. What is at any other key is not read: it may be
what the caller reported (pydantic's `input`, OpenRouter's `flagged_input`)."""

_WORDS = (
    *("message", "error", "detail", "msg", "status_msg", "error_message", "raw"),
    *("error_description", "title"),
)
_CODES = ("error_code", "status_code", "code", "status", "type", "error_type", "reason")
_STATUSES = ("status_code", "code", "status", "http_status", "http_code")

_STATUS_IN_WORDS = re.compile(
    r"\b(?:status(?: code)?|http|error code)[ :=(]{1,3}([45][0-9]{2})\b", re.IGNORECASE
)

_QUOTED = re.compile(
    "(?<!\\w)(?:\"[^\"\n]{1,400}\"|'[^'\n]{1,400}'|`[^`\n]{1,400}`"
    "|\u201c[^\u201d\n]{1,400}\u201d|\u2018[^\u2019\n]{1,400}\u2019)(?!\\w)"
)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """An error, flattened; of each the innermost first."""

    texts: tuple[str, ...] = ()
    """The words, not yet scrubbed."""

    codes: tuple[str, ...] = ()
    """Codes and types."""

    param: str = ""
    """The name of what was refused in the request, or words about it."""

    status: int = 0
    """The HTTP status that the body itself names, 0 if none."""

    details: tuple[object, ...] = ()
    """Details of a google.rpc.Status."""

    headers: dict[str, str] = field(default_factory=dict)
    """Headers of a response behind this one, in lower case."""

    fields: dict[str, object] = field(default_factory=dict)
    """Numbers and texts that stand beside the words."""

    @property
    def message(self) -> str:
        """The most telling words."""
        return self.texts[0] if self.texts else ""

    @property
    def text(self) -> str:
        """All words, each text on a line of its own."""
        return "\n".join(self.texts)


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


def parse_any(body: bytes) -> ErrorBody | None:
    """As parse(), and beyond it an event of a stream, and words that are no JSON.

    Not markup: that is a page of something between here and the provider.
    """
    error = parse(body)
    if error is not None:
        return error
    loose = _loose(body)
    if loose is not None:
        return loose
    text = body[: 4 * _LONGEST_TEXT].decode(errors="replace").strip()
    if text.startswith(("event:", "data:", ":")):
        lines = (line for line in text.splitlines() if line.startswith("data:"))
        return parse("\n".join(line[5:] for line in lines).encode())
    if not text or text[0] in "<[{":
        return None
    return ErrorBody(texts=(text[:_LONGEST_TEXT],))


def _loose(body: bytes) -> ErrorBody | None:
    """JSON that is a text, or a few of them under keys of its own."""
    try:
        value: object = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, str):
        return ErrorBody(texts=(repair(value[:_LONGEST_TEXT]),))
    said = [f"{k}: {v}" for k, v in mapping(value).items() if isinstance(v, str)]
    if not 0 < len(said) == len(mapping(value)) <= _MOST_WORDS:
        return None
    return ErrorBody(texts=tuple(repair(text[:_LONGEST_TEXT]) for text in said))


def find(value: object) -> ErrorBody | None:
    """The error in parsed JSON, None where no known shape of one is found."""
    for _ in range(_DEEPEST):
        if isinstance(value, list):
            value = value[0] if value else None
    if not isinstance(value, dict):
        return None
    return _flatten(value) if _is_error(value) else None


def _is_error(value: dict[str, object]) -> bool:
    error = value.get("error")
    if (isinstance(error, dict | str) and error) or value.get("detail"):
        return True
    if isinstance(value.get("errors"), list) and value["errors"]:
        return True
    if mapping(value.get("base_resp")).get("status_code"):
        return True
    if mapping(value.get("response")).get("error"):
        return True
    if "choices" in value:
        return False
    if value.get("title"):
        return bool(_status(value.get("status")))
    return bool(value.get("message") or (value.get("code") and value.get("msg")))


def _flatten(value: dict[str, object]) -> ErrorBody:
    layers = list(islice(_layers(value, 0), _MOST_LAYERS))
    layers.reverse()
    texts = [text for layer in layers for text in _texts(layer)]
    texts += [text for layer in layers for text in _prose(layer)]
    codes = [code for layer in layers for code in _codes(layer)]
    params = (layer["param"] for layer in layers if layer.get("param"))
    return ErrorBody(
        texts=tuple(dict.fromkeys(texts)),
        codes=tuple(dict.fromkeys(codes)),
        param=repair(str(next(params, ""))[:_LONGEST_TEXT]),
        status=next((status for layer in layers for status in _numbers(layer)), 0),
        details=tuple(entry for layer in layers for entry in _details(layer)),
        headers={
            name.lower(): value
            for layer in layers
            for name, value in mapping(layer.get("headers")).items()
            if isinstance(value, str)
        },
        fields={
            name: value
            for layer in reversed(layers)
            for name, value in layer.items()
            if isinstance(value, int | float | str)
        },
    )


def _layers(value: object, depth: int) -> Iterator[dict[str, object]]:
    """`value` and what is in it, the outermost first."""
    if isinstance(value, str):
        value = _embedded(value)
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for entry in value[:4]:
            # What has a @type is a detail of a google.rpc.Status, no error.
            if "@type" not in mapping(entry) and not isinstance(entry, str):
                yield from _layers(entry, depth + 1)
    elif isinstance(value, dict):
        yield value
        for name in _WITHIN:
            if name in value:
                yield from _layers(value[name], depth + 1)


def _embedded(text: str) -> object:
    """The error that `text` quotes, as JSON or as Python writes it; None if none."""
    start = text.find("{")
    if start < 0 or len(text) > 4 * _LONGEST_TEXT:
        return None
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(text, start)
    except (ValueError, RecursionError):
        value = _literal(text[start : text.rfind("}") + 1])
    if not isinstance(value, dict):
        return None
    whole = not text[:start].strip("[ \t\r\n")
    return value if whole or _is_error(value) else None


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None


def _texts(layer: dict[str, object]) -> Iterator[str]:
    """What a layer itself says: not what is in it."""
    if "loc" in layer and "msg" in layer:
        # One of FastAPI's problems.
        loc = layer["loc"]
        where = ".".join(map(str, loc)) if isinstance(loc, list) else str(loc)
        yield repair(f"{where}: {layer['msg']}"[:_LONGEST_TEXT])
        return
    for name in _WORDS:
        text = layer.get(name)
        if isinstance(text, str) and text.strip():
            start = text.find("{")
            outside = text if start < 0 or _embedded(text) is None else text[:start]
            if outside.strip("[ \t\r\n"):
                yield repair(outside[:_LONGEST_TEXT])
        elif isinstance(text, list):
            said = (entry for entry in text[:4] if isinstance(entry, str))
            yield from (repair(entry[:_LONGEST_TEXT]) for entry in said if entry)


def _numbers(layer: dict[str, object]) -> Iterator[int]:
    """The HTTP statuses that a layer names: in its words that of one within it."""
    for text in _texts(layer):
        said = _STATUS_IN_WORDS.search(text)
        if said:
            yield int(said[1])
    yield from filter(None, (_status(layer.get(name)) for name in _STATUSES))


def _prose(layer: dict[str, object]) -> Iterator[str]:
    """Words where others have a code."""
    for name in ("code", "type"):
        value = layer.get(name)
        if isinstance(value, str) and " " in value:
            yield repair(value[:_LONGEST_TEXT])


def _codes(layer: dict[str, object]) -> Iterator[str]:
    for entry in _details(layer):
        yield from _token(mapping(entry).get("reason"))
    for name in _CODES:
        yield from _token(layer.get(name))


def _token(value: object) -> Iterator[str]:
    code = str(value) if isinstance(value, int | str) else ""
    if _TOKEN.fullmatch(code) and not isinstance(value, bool):
        yield code


def _details(layer: dict[str, object]) -> list[object]:
    details = layer.get("details")
    return details[:8] if isinstance(details, list) else []


def _status(value: object) -> int:
    if isinstance(value, str) and re.fullmatch("[0-9]{3}", value, re.ASCII):
        value = int(value)
    if isinstance(value, int) and 400 <= value <= 599:
        return value
    return 0


def unquoted(text: str) -> str:
    """The start of `text` in lower case, without what it quotes.

    That is the request's own. What comes later shows no more.
    """
    return _QUOTED.sub(" ", text[:_TELLING].lower()).replace("\u2019", "'")


def scrub(text: str) -> str:
    """`text` on one line, without what must not be disclosed, at most 200 bytes."""
    line = " ".join(text[:_LONGEST_TEXT].split())
    return cut(secrets.scrub(line), _MESSAGE_BYTES)
