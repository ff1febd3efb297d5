"""What Chat Completions answers have beside text, reasoning and calls; and back.

Sources: OpenAI's and OpenRouter's annotations, the lists of Perplexity and xAI,
Mistral's references. Media: OpenRouter's images, OpenAI's audio. What servers did: the
tools that Groq ran, the files that OpenRouter has read.
"""

from collections.abc import Callable
from typing import Any

from majordomo.codec.json_text import repair
from majordomo.codec.media import PCM, Media, from_base64, from_data_url
from majordomo.codec.opaque import described, given_back, kept
from majordomo.codec.pieces import OTHER, Block, Pieces
from majordomo.codec.sources import annotations, citation, listed, ranged
from majordomo.providers.openai_chat.shapes import Chunk, ContentPart, Delta
from majordomo.v1.content_pb2 import Citation, Part

WIRE = "openai-chat"
"""The name of this wire in provider_state."""

_FILE = "file"
"""The type of an annotation that is a file as OpenRouter has read it."""

_BESIDE_SOURCES = ("related_questions", "images", "videos")
"""What Perplexity adds to answers."""


class Beside:
    """What one answer has beside its text, while it comes in.

    `text` gives its text, begun if it has not yet.
    """

    def __init__(self, pieces: Pieces, text: Callable[[], Block]) -> None:
        self._pieces = pieces
        self._text = text
        self._audio = Block(OTHER)
        self._coded = ""
        self._urls: object = None
        self._results: object = None
        self._referred = 0

    def read(self, delta: Delta) -> None:
        """Read what `delta` has."""
        if isinstance(delta.annotations, list) and delta.annotations:
            self._annotate(delta.annotations)
        if delta.audio:
            self._read_audio(delta.audio)
        for image in _objects(delta.images):
            self.image(image.get("image_url"))
        for tool in _objects(delta.executed_tools):
            self._keep(str(tool.get("type") or "executed_tool"), tool)

    def sources(self, chunk: Chunk) -> None:
        """Note the sources of the whole answer; the last list of them holds."""
        self._urls = chunk.citations or self._urls
        self._results = chunk.search_results or self._results
        for key in _BESIDE_SOURCES:
            if getattr(chunk, key):
                self._pieces.omit(key, "what the provider adds to its answer")

    def part(self, part: ContentPart) -> None:
        """Read a part of the content that is neither text nor reasoning."""
        match part.type:
            case "reference":
                self._refer(part.reference_ids)
            case "tool_reference":
                made = citation({"url": part.url, "title": part.title})
                self._pieces.cite(self._text(), [made])
            case "image_url":
                self.image(part.image_url)
            case "text" | "thinking":
                pass
            case _:
                self._pieces.omit(str(part.type), "a part of the content")

    def image(self, said: object) -> None:
        """Read an image: its URL, or an object that holds it."""
        url = said.get("url") if isinstance(said, dict) else said
        media = None
        try:
            media = from_data_url(url if isinstance(url, str) else "")
        except ValueError as error:
            self._pieces.omit("image_url", f"an image that cannot be read: {error}")
            return
        if media is not None:
            self._pieces.media(Block(OTHER), *media)
        elif isinstance(url, str) and url.startswith("https://"):
            self._pieces.reference(Block(OTHER), "", repair(url))
        else:
            self._pieces.omit("image_url", "an image without a URL")

    def finish(self) -> None:
        """Nothing more comes: name the sources of the whole answer."""
        if self._urls or self._results:
            self._pieces.cite(self._text(), listed(self._urls, self._results))
        if self._coded:
            self._pieces.omit("audio", "audio that broke off")

    def _read_audio(self, said: object) -> None:
        """Audio, and what is stated in it as text."""
        if not isinstance(said, dict):
            return
        if isinstance(data := said.get("data"), str) and data:
            self._add_audio(data)
        if isinstance(words := said.get("transcript"), str) and words:
            self._pieces.add(self._text(), words)

    def _add_audio(self, data: str) -> None:
        """Base64, of which a piece may end within a group of four."""
        data = self._coded + data
        whole = len(data) - len(data) % 4
        data, self._coded = data[:whole], data[whole:]
        if not data:
            return
        try:
            media: Media = from_base64(data, default=PCM)
        except ValueError as error:
            self._pieces.omit("audio", f"audio that cannot be read: {error}")
            return
        self._pieces.media(self._audio, *media)

    def _annotate(self, said: list[Any]) -> None:
        text = self._text()
        self._pieces.begin(text)
        self._pieces.flush()
        for one in _objects(said):
            if one.get("type") == _FILE:
                self._keep(_FILE, one)
        citations, others = annotations(text, said)
        if citations:
            self._pieces.cite(text, citations)
        for kind in others - {_FILE}:
            self._pieces.omit(kind, "an annotation of a type that is not known")

    def _refer(self, ids: object) -> None:
        """Sources of the text since the ones before, known by their ids alone."""
        text = self._text()
        self._pieces.begin(text)
        self._pieces.flush()
        start, self._referred = self._referred, text.length
        found: list[tuple[Citation, object, object]] = [
            (Citation(title=repair(str(one))[:64]), start, text.length)
            for one in (ids if isinstance(ids, list) else [])
        ]
        if found:
            self._pieces.cite(text, ranged(text, found))

    def _keep(self, kind: str, block: dict[str, Any]) -> None:
        part = described(kind, _words(block))
        self._pieces.opaque(Block(OTHER), part, kept(WIRE, block))


def own_annotation(part: Part) -> dict[str, Any] | None:
    """The annotation that an opaque part was, if that is a file which was read."""
    block = given_back(WIRE, part, frozenset())
    return block if block and block.get("type") == _FILE else None


def _words(block: dict[str, Any]) -> dict[str, Any]:
    """What of a block is asked to people."""
    file = block.get("file")
    return {"name": file.get("name")} if isinstance(file, dict) else block


def _objects(value: object) -> list[dict[str, Any]]:
    entries = value if isinstance(value, list) else []
    return [entry for entry in entries if isinstance(entry, dict)]
