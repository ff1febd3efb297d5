"""Blocks that Claude alone can read, and the sources that its texts name; and back.

Such are the calls of tools that Anthropic runs and their results, compactions, and
whatever is newer than this server.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from majordomo.codec.json_text import repaired
from majordomo.codec.opaque import given_back
from majordomo.codec.sources import citation
from majordomo.codec.state import unpack
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    Citation,
    Message,
    Part,
    RequestSource,
)
from majordomo.v1.generation_service_pb2 import Prompt

WIRE = "anthropic"
"""The name of this wire in provider_state."""

_REFUSED = frozenset(
    {
        "text",
        "image",
        "document",
        "search_result",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "tool_result",
        "container_upload",
        "tool_addition",
        "tool_removal",
        "mid_conv_system",
        "system",
    }
)
"""Types of blocks that are of the contract's own kinds, or that only callers send."""


class Writing:
    """A block while it is written."""

    def __init__(self, block: dict[str, Any]) -> None:
        self._block = block
        self._input: list[str] = []

    def add(self, delta: dict[str, Any]) -> None:
        """Take a piece in: of its input, or of any field that the piece has."""
        if isinstance(delta.get("partial_json"), str):
            self._input.append(delta["partial_json"])
            return
        for key, piece in delta.items():
            before = self._block.get(key)
            joined = isinstance(before, str) and isinstance(piece, str)
            if key != "type":
                self._block[key] = before + piece if joined else piece

    def done(self) -> dict[str, Any]:
        """The whole block."""
        if text := "".join(self._input):
            try:
                self._block["input"] = msgspec.json.decode(text)
            except (ValueError, RecursionError):
                self._block["input"] = {}  # cut within it
        return self._block


def sources(said: Iterable[dict[str, Any]], prompt: Prompt) -> list[Citation]:
    """The citations of a text, each of the whole of it."""
    return [_source(one, prompt) for one in said]


def citations_state(said: Iterable[Any]) -> str:
    """Citations as they are kept for the model, which wants its own ones back."""
    return msgspec.json.encode(repaired(list(said))).decode()


def text_block(text: str, state: bytes) -> dict[str, object]:
    """A text, with the citations that its state holds if it is the model's own."""
    block: dict[str, object] = {"type": "text", "text": text}
    if not state:
        return block
    try:
        said = _decode_list(unpack(WIRE, state).get("citations", ""))
    except (ValueError, RecursionError):
        return block
    if all(str(one.get("type")).endswith("_location") for one in said):
        block["citations"] = said
    return block


def is_paused(message: Message, target: str) -> bool:
    """Whether a turn is one of the target's that it may have paused.

    Such a turn has blocks of its own tools; sent back as the last, it is gone on with.
    """
    own = message.role == ROLE_ASSISTANT and message.origin == target
    return own and any(part.HasField("opaque") for part in message.parts)


def with_moved(
    blocks: list[dict[str, object]], moved: list[dict[str, object]]
) -> list[dict[str, object]]:
    """A turn of the user with media before all but the results of tools."""
    results = [block for block in blocks if block["type"] == "tool_result"]
    others = [block for block in blocks if block["type"] != "tool_result"]
    return [*results, *moved, *others]


def own_block(part: Part) -> dict[str, Any] | None:
    """The block that an opaque part was; None if it may not go back."""
    return given_back(WIRE, part, _REFUSED)


def _source(said: dict[str, Any], prompt: Prompt) -> Citation:
    if "url" in said:
        return citation(said, quoted="cited_text")
    if "source" in said:
        return citation(said, uri="source", quoted="cited_text")
    made = citation(said, title="document_title", quoted="cited_text")
    place = _document(prompt, said.get("document_index"))
    if place is not None:
        made.request.CopyFrom(place)
        first, end = said.get("start_page_number"), said.get("end_page_number")
        if isinstance(first, int) and isinstance(end, int):
            made.request.first_page, made.request.last_page = first, max(first, end - 1)
    return made


def _document(prompt: Prompt, index: object) -> RequestSource | None:
    """The part of the request that is the document of that number."""
    for number, place in enumerate(_documents(prompt)):
        if number == index:
            return place
    return None


def _documents(prompt: Prompt) -> Iterator[RequestSource]:
    """The parts of the request that were sent as documents, in order."""
    for i, message in enumerate(prompt.messages):
        for j, part in enumerate(message.parts):
            for inner in (part, *part.tool_result.parts):
                if _is_document(inner):
                    yield RequestSource(message_index=i, part_index=j)


def _is_document(part: Part) -> bool:
    if part.HasField("blob"):
        return part.blob.media_type in ("application/pdf", "text/plain")
    if not part.HasField("media_reference"):
        return False
    reference = part.media_reference
    if reference.media_type:
        return reference.media_type == "application/pdf"
    return reference.uri.lower().partition("?")[0].endswith(".pdf")


_decode_list = msgspec.json.Decoder(list[dict[str, Any]]).decode
