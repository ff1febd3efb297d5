"""What an answer rests on, and holds beside text, as lines for people."""

from collections.abc import Iterator

from majordomo.v1.content_pb2 import Citation, Message, Part

_LONGEST = 72
"""Characters that are shown of the text that rests on a source."""


def sources(message: Message) -> Iterator[str]:
    """A numbered line for each source, and what of the text rests on it.

    In the order of the text; where an answer numbers its sources, by its numbers.
    """
    alone = sum(part.HasField("text") for part in message.parts) == 1
    supported: dict[str, list[str]] = {}
    for part in message.parts:
        for citation in part.citations:
            texts = supported.setdefault(_named(citation), [])
            text = _text(part, citation, alone=alone)
            if text and text not in texts:
                texts.append(text)
    for number, (name, texts) in enumerate(supported.items(), start=1):
        yield f"[{number}] {name}"
        yield from (f'    "{text}"' for text in texts)


def beside(message: Message) -> Iterator[str]:
    """A line for each medium, and for each thing that only its provider can read."""
    for part in message.parts:
        match part.WhichOneof("kind"):
            case "blob":
                size = f"{len(part.blob.data):,} bytes"
                yield f"   wrote: {part.blob.media_type}, {size}; --json has them"
            case "media_reference":
                yield f"   wrote: {part.media_reference.uri}"
            case "opaque":
                words = (part.opaque.type, part.opaque.description)
                yield f"   did: {': '.join(filter(None, words))}"


def _named(citation: Citation) -> str:
    """A source's title and place."""
    match citation.WhichOneof("source"):
        case "uri":
            where = citation.uri
        case "provider_file":
            where = citation.provider_file
        case "request":
            where = _place(citation)
        case _:
            where = ""
    return " - ".join(dict.fromkeys(filter(None, (citation.title, where)))) or "?"


def _place(citation: Citation) -> str:
    place = citation.request
    if not place.first_page:
        return "in the request"
    if place.last_page == place.first_page:
        return f"page {place.first_page}"
    return f"pages {place.first_page} to {place.last_page}"


def _text(part: Part, citation: Citation, *, alone: bool) -> str:
    """The words that rest on a source; "" where these are the whole answer."""
    text = part.text
    if citation.HasField("range"):
        encoded = text.encode()[citation.range.start : citation.range.end]
        text = encoded.decode(errors="replace")
    elif alone:
        return ""
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"
