"""Parts that Gemini alone can read, and what its answers are grounded in; and back.

Such are code and its output, calls of Google's own tools, and whatever is newer than
this server.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from majordomo.codec.json_text import repair
from majordomo.codec.media import Media, from_base64
from majordomo.codec.opaque import given_back
from majordomo.codec.pieces import OTHER, Block, Pieces
from majordomo.codec.sources import citation, file_citation, placed
from majordomo.v1.content_pb2 import Citation, OpaquePart, Part

WIRE = "gemini"
"""The name of this wire in provider_state."""

_REFUSED = frozenset(
    {
        "text",
        "inlineData",
        "inline_data",
        "functionCall",
        "function_call",
        "functionResponse",
        "function_response",
    }
)
"""What of parts is of the contract's own kinds; files are refused everywhere."""

_BESIDE = frozenset(
    {
        "thought",
        "thoughtSignature",
        "videoMetadata",
        "partMetadata",
        "mediaResolution",
        "mediaProcessing",
    }
)
"""What stands in a part beside its content."""

_CHUNKS = ("web", "retrievedContext", "maps", "image")


def kind(part: dict[str, Any]) -> str:
    """What a part holds, in Google's word; "" if nothing."""
    return next((key for key in part if key not in _BESIDE), "")


def inline(data: object) -> Media:
    """Media within a part. Raises ValueError."""
    said = data if isinstance(data, dict) else {}
    return from_base64(said.get("data"), said.get("mimeType"))


def uri(part: dict[str, Any]) -> tuple[str, str] | None:
    """The media type and the URL of media on the web; None for any other part."""
    said = part.get("fileData")
    if not isinstance(said, dict):
        return None
    url, type_ = said.get("fileUri"), said.get("mimeType")
    if not isinstance(url, str) or not url.startswith("https://"):
        return None
    return (type_ if isinstance(type_, str) else ""), url


def own_part(part: Part) -> dict[str, Any] | None:
    """What an opaque part was; None if it may not go back."""
    return given_back(WIRE, part, _REFUSED)


class Grounding:
    """What an answer says that it rests on, as far as it has reported so."""

    def __init__(self) -> None:
        self._said: dict[str, Any] = {}
        self._recited: list[dict[str, Any]] = []
        self._fetched: dict[str, None] = {}
        self._parts: list[int] = []

    def add(self, said: object, texts: Sequence[str], *, streamed: bool) -> None:
        """Take groundingMetadata in: what comes later replaces what came.

        `texts` are those of the parts beside it. In a stream it counts from the start
        of all text, in a whole answer from that of a part.
        """
        if isinstance(said, dict):
            self._said |= {key: value for key, value in said.items() if value}
            sizes = [0] if streamed else [0, *(len(repair(t).encode()) for t in texts)]
            self._parts = [*accumulate(sizes)]

    @property
    def searches(self) -> int:
        """How many searches of the web were made."""
        return len(self._queries("webSearchQueries"))

    def recited(self, said: object) -> None:
        """Take citationMetadata in: what was recited in the text."""
        self._recited += _objects(said, "citations", "citationSources")

    def fetched(self, said: object) -> None:
        """Take urlContextMetadata in: what was read."""
        for one in _objects(said, "urlMetadata"):
            if isinstance(url := one.get("retrievedUrl"), str):
                self._fetched[url] = None

    def settle(self, pieces: Pieces, texts: Sequence[Block]) -> None:
        """Name the sources of the texts, and show what was searched for and read."""
        pieces.flush()
        found = [*self._supported(), *self._of_recitations()]
        if texts:
            for block, citations in placed(texts, found):
                pieces.cite(block, citations)
        elif found:
            pieces.omit("groundingMetadata", "sources of an answer without text")
        for key in ("webSearchQueries", "imageSearchQueries", "retrievalQueries"):
            _tell(pieces, key, self._queries(key))
        _tell(pieces, "urlContextMetadata", list(self._fetched))
        if "searchEntryPoint" in self._said:
            pieces.omit("searchEntryPoint", "search suggestions, as HTML to be shown")

    def _queries(self, key: str) -> list[str]:
        said = self._said.get(key)
        listed = said if isinstance(said, list) else []
        return [query for query in listed if isinstance(query, str) and query]

    def _supported(self) -> Iterator[tuple[Citation, object, object]]:
        """Each source of each piece of text, and then the sources of none."""
        chunks = _objects(self._said, "groundingChunks")
        used = set()
        for support in _objects(self._said, "groundingSupports"):
            segment = support.get("segment")
            segment = segment if isinstance(segment, dict) else {}
            ends = segment.get("startIndex") or 0, segment.get("endIndex")
            start, end = self._shifted(segment.get("partIndex") or 0, *ends)
            for index in support.get("groundingChunkIndices") or ():
                if isinstance(index, int) and 0 <= index < len(chunks):
                    used.add(index)
                    yield _source(chunks[index]), start, end
        for index, chunk in enumerate(chunks):
            if index not in used:
                yield _source(chunk), None, None

    def _shifted(
        self, part: object, start: object, end: object
    ) -> tuple[object, object]:
        """A range of a part, as one of all text."""
        if not (isinstance(start, int) and isinstance(end, int)):
            return None, None
        before = 0
        if isinstance(part, int) and 0 <= part < len(self._parts):
            before = self._parts[part]
        return start + before, end + before

    def _of_recitations(self) -> Iterator[tuple[Citation, object, object]]:
        for one in self._recited:
            start, end = one.get("startIndex") or 0, one.get("endIndex")
            yield citation(one, uri="uri"), start, end


def _source(chunk: dict[str, Any]) -> Citation:
    kinds = (chunk[key] for key in _CHUNKS if isinstance(chunk.get(key), dict))
    said: dict[str, Any] = next(kinds, {})
    if said.get("uri") or said.get("sourceUri"):
        uri = "uri" if said.get("uri") else "sourceUri"
        return citation(said, uri=uri, quoted="text")
    held = said.get("documentName") or said.get("fileSearchStore") or ""
    made = file_citation(held, said.get("title") or "")
    made.quoted_text = citation(said, quoted="text").quoted_text
    return made


def _tell(pieces: Pieces, key: str, words: Sequence[str]) -> None:
    if words:
        part = OpaquePart(type=key, description="; ".join(words)[:200])
        pieces.opaque(Block(OTHER), part)


def _objects(said: object, *keys: str) -> list[dict[str, Any]]:
    """The objects in the list that stands under one of `keys`."""
    if not isinstance(said, dict):
        return []
    lists = (said[key] for key in keys if isinstance(said.get(key), list))
    entries: list[Any] = next(lists, [])
    return [entry for entry in entries if isinstance(entry, dict)]
