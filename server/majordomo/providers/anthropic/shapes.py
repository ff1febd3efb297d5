"""The shapes of answers of the Messages API, as far as they are read.

Everything is optional: what servers leave out, or send as null, ends no answer.
"""

from typing import Any

import msgspec

NOTHING = msgspec.Raw(b"")


class Written(msgspec.Struct):
    """A block of content, of those types that are read."""

    type: Any = None
    text: Any = None
    citations: Any = None
    thinking: Any = None
    signature: Any = None
    data: Any = None
    id: Any = None
    name: Any = None
    input: msgspec.Raw = NOTHING
    to: Any = None


class Delta(msgspec.Struct):
    """What is added to a block, or, at the end, to the answer."""

    type: Any = None
    text: Any = None
    partial_json: Any = None
    thinking: Any = None
    signature: Any = None
    citation: Any = None
    stop_reason: Any = None
    stop_details: Any = None


class Whole(msgspec.Struct):
    """A whole answer, as far as it is read."""

    id: Any = None
    model: Any = None
    content: list[Written] | None = None
    stop_reason: Any = None
    stop_details: Any = None
    usage: Any = None


class Event(msgspec.Struct):
    """An event of a stream, as far as it is read."""

    type: Any = None
    index: Any = None
    content_block: Written | None = None
    delta: Delta | None = None
    message: Whole | None = None
    usage: Any = None


decode_event = msgspec.json.Decoder(Event).decode
decode_whole = msgspec.json.Decoder(Whole).decode
