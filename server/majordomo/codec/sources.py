"""Sources that providers name, as citations of the contract.

Ranges are bytes of the UTF-8 of a part's text. Providers count code points or bytes,
from the start of a part or of all text; what lies beyond the text ends with it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

from majordomo.codec.json_text import repair
from majordomo.codec.pieces import Block
from majordomo.v1.content_pb2 import Citation, TextRange

_LONGEST = 4096
"""Code points of a title or a quotation."""

_LONGEST_URI = 8192


def citation(
    source: dict[str, Any], *, uri: str = "url", title: str = "title", quoted: str = ""
) -> Citation:
    """The source that an object names, by the keys of its texts."""
    made = Citation(
        title=_text(source.get(title))[:_LONGEST],
        quoted_text=_text(source.get(quoted))[:_LONGEST],
    )
    where = _text(source.get(uri))
    if where and len(where) <= _LONGEST_URI:
        made.uri = where
    return made


def file_citation(file: object, name: object) -> Citation:
    """A file that the provider holds, by its id and its name."""
    made = Citation(title=_text(name)[:_LONGEST])
    if known := _text(file)[:_LONGEST]:
        made.provider_file = known
    return made


def annotations(block: Block, said: Sequence[Any]) -> tuple[list[Citation], set[str]]:
    """The sources that OpenAI's annotations name, and the types that name none.

    Their indexes are code points of the text of `block`, as far as it has come.
    """
    found: list[tuple[Citation, object, object]] = []
    others: set[str] = set()
    for entry in said:
        kind, one = _annotation(entry)
        match kind:
            case "url_citation":
                made = citation(one, quoted="content")
                found.append((made, one.get("start_index"), one.get("end_index")))
            case "container_file_citation":
                made = file_citation(one.get("file_id"), one.get("filename"))
                found.append((made, one.get("start_index"), one.get("end_index")))
            case "file_citation":
                made = file_citation(one.get("file_id"), one.get("filename"))
                found.append((made, one.get("index"), one.get("index")))
            case "file_path":
                made = file_citation(one.get("file_id"), one.get("filename"))
                found.append((made, None, None))
            case _:
                others.add(kind)
    return ranged(block, found), others


def _annotation(said: Any) -> tuple[str, dict[str, Any]]:
    """An annotation's type and what it says; Chat's are nested."""
    if not isinstance(said, dict):
        return "annotation", {}
    kind = str(said.get("type"))
    inner = said.get(kind)
    return kind, inner if isinstance(inner, dict) else said


def ranged(
    block: Block, found: Sequence[tuple[Citation, object, object]]
) -> list[Citation]:
    """Citations with their ranges, which are reported in code points of a text's."""
    points = {point for _, *ends in found for point in ends if _is_index(point)}
    offsets = code_point_offsets(block, points)
    for made, start, end in found:
        if start in offsets and end in offsets:
            _set_range(made, offsets[start], offsets[end])
    return in_order(made for made, _, _ in found)


def listed(urls: object, results: object) -> list[Citation]:
    """Sources of an answer that numbers them: the first is its [1]."""
    known = [entry for entry in _list(results) if isinstance(entry, dict)]
    by_url = {entry.get("url"): entry for entry in reversed(known)}
    said = [url for url in _list(urls) if isinstance(url, str)]
    found = [by_url.pop(url, {"url": url}) for url in said]
    found += [entry for entry in known if entry.get("url") in by_url]
    return [citation(entry, quoted="snippet") for entry in found]


def placed(
    blocks: Sequence[Block], found: Iterable[tuple[Citation, object, object]]
) -> list[tuple[Block, list[Citation]]]:
    """Citations by the texts that they are of.

    Their ranges are reported in bytes of all texts, one after the other.
    """
    starts, total = [], 0
    for block in blocks:
        starts.append(total)
        total += size(block)
    of: dict[int, list[Citation]] = {}
    for made, start, end in found:
        first = start if isinstance(start, int) and start > 0 else 0
        index = bisect_right(starts, first) - 1
        if isinstance(end, int):
            most = size(blocks[index])
            first, last = (min(n - starts[index], most) for n in (first, end))
            _set_range(made, first, last)
        of.setdefault(index, []).append(made)
    return [(blocks[index], in_order(citations)) for index, citations in of.items()]


def in_order(citations: Iterable[Citation]) -> list[Citation]:
    """Those with ranges in the order of these, and then the others."""
    return sorted(citations, key=_order)


def size(block: Block) -> int:
    """Bytes of the UTF-8 of a text, as far as it has come."""
    return block.length + sum(_more(text) for _, text in block.wide or ())


def code_point_offsets(block: Block, points: Iterable[Any]) -> dict[Any, int]:
    """Where code points of a text are in its UTF-8; those beyond it are at its end."""
    wide = block.wide or []
    offsets = {}
    at = within = more = 0
    for point in sorted(points):
        place = min(max(point, 0), block.length)
        while at < len(wide) and wide[at][0] + len(wide[at][1]) <= place:
            more += _more(wide[at][1][within:])
            at, within = at + 1, 0
        if at < len(wide) and wide[at][0] + within < place:
            start, text = wide[at]
            more += _more(text[within : place - start])
            within = place - start
        offsets[point] = place + more
    return offsets


def _more(text: str) -> int:
    """How many more bytes than code points `text` has."""
    return len(text.encode()) - len(text)


def _set_range(made: Citation, start: int, end: int) -> None:
    made.range.CopyFrom(TextRange(start=start, end=max(start, end)))


def _order(made: Citation) -> tuple[bool, int, int]:
    return not made.HasField("range"), made.range.start, made.range.end


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return repair(value) if isinstance(value, str) else ""
