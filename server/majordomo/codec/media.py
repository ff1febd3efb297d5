"""Media that models write, as providers send it."""

import re
from base64 import b64decode
from binascii import Error
from typing import NamedTuple

from majordomo.v1.content_pb2 import Message, Part

MOVED = "moved to a message of the user"
SPOKEN = "left out: its words are in the text beside it"
"""What is informed of media in a model's own turn, where it may hold none."""

MOVED_TEXT = "Attachments of the answer above:"
"""What stands before media that were moved."""

_SIGNATURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"RIFF.{4}WAVE", re.DOTALL), "audio/wav"),
    (re.compile(rb"ID3|\xff[\xfb\xf3\xf2]"), "audio/mpeg"),
    (re.compile(rb"\xff[\xf1\xf9]"), "audio/aac"),
    (re.compile(rb"fLaC"), "audio/flac"),
    (re.compile(rb"OggS"), "audio/ogg"),
)
"""How the media that models write begin. Source: the formats' own specifications."""

_DATA_URL = re.compile(r"data:([^,]*?)(;base64)?,", re.IGNORECASE)
_TYPE = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(?:;[ -~]{1,127})?"
)
PCM = "audio/pcm;rate=24000"
"""Sound without a head: 16 bits, little-endian, one channel, as OpenAI streams it."""


class Media(NamedTuple):
    """Media as bytes."""

    media_type: str
    data: bytes


def from_base64(text: object, media_type: object = "", default: str = "") -> Media:
    """The media in `text`; its type is reported, or by its first bytes, else `default`.

    Raises ValueError for what is no base64, is empty, or has no type.
    """
    if not isinstance(text, str):
        raise ValueError("no text")
    try:
        data = b64decode(text)
    except Error as error:
        raise ValueError("no base64") from error
    if not isinstance(media_type, str) or not _TYPE.fullmatch(media_type):
        media_type = signed(data) or default
    if not data or not media_type:
        raise ValueError("no media")
    return Media(media_type, data)


def from_data_url(url: str) -> Media | None:
    """The media in a data URL; None for any other URL. Raises ValueError."""
    head = _DATA_URL.match(url)
    if not head:
        return None
    if not head[2]:
        raise ValueError("no base64")
    return from_base64(url[head.end() :], head[1])


def signed(data: bytes) -> str:
    """The media type that the first bytes of `data` tell; "" if none."""
    return next((type_ for sign, type_ in _SIGNATURES if sign.match(data)), "")


def is_spoken(part: Part, message: Message) -> bool:
    """Whether `part` is audio whose words the turn has as text beside it."""
    return part.blob.media_type.startswith("audio/") and any(
        other.text for other in message.parts
    )
