"""Turns and parts of the contract, made and read with few words."""

import mimetypes
import re
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from majordomo.v1.content_pb2 import (
    ROLE_USER,
    Blob,
    CodeExecutionTool,
    Message,
    Part,
    Tool,
    UrlReadingTool,
    UserLocation,
    WebSearchTool,
)

_SIGNATURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"RIFF.{4}WAVE", re.DOTALL), "audio/wav"),
    (re.compile(rb"ID3|\xff[\xfb\xf3\xf2]"), "audio/mpeg"),
    (re.compile(rb"fLaC"), "audio/flac"),
    (re.compile(rb"OggS"), "audio/ogg"),
    (re.compile(rb"%PDF-"), "application/pdf"),
)
"""How the media that models take begin. Source: the formats' own specifications."""


def user(*parts: str | Part) -> Message:
    """A turn of the person who asks: texts, and parts such as `media` makes."""
    return Message(
        role=ROLE_USER,
        parts=[Part(text=part) if isinstance(part, str) else part for part in parts],
    )


def media(source: str | PathLike[str] | bytes, media_type: str = "") -> Part:
    """An image or another file, from its path or its bytes.

    Without `media_type` ("image/png") the first bytes show it, else the file's name.

    Raises:
        ValueError: neither tells the media type.
        OSError: the file cannot be read.
    """
    name, data = "", source
    if not isinstance(data, bytes):
        path = Path(data)
        name, data = path.name, path.read_bytes()
    media_type = media_type or _signed(data) or mimetypes.guess_type(name)[0] or ""
    if not media_type:
        raise ValueError(
            f"cannot tell the media type of {name or 'these bytes'}; give media_type"
        )
    return Part(blob=Blob(media_type=media_type, data=data))


def web_search(
    *,
    allowed_domains: Iterable[str] = (),
    blocked_domains: Iterable[str] = (),
    max_uses: int | None = None,
    user_location: UserLocation | None = None,
) -> Tool:
    """A search of the web, run by the provider; domains as "example.org"."""
    search = WebSearchTool(
        allowed_domains=allowed_domains,
        blocked_domains=blocked_domains,
        max_uses=max_uses,
        user_location=user_location,
    )
    return Tool(web_search=search)


def code_execution() -> Tool:
    """Code that the model writes, run by the provider."""
    return Tool(code_execution=CodeExecutionTool())


def url_reading(
    *,
    allowed_domains: Iterable[str] = (),
    blocked_domains: Iterable[str] = (),
    max_uses: int | None = None,
) -> Tool:
    """Pages at URLs of the conversation, read by the provider."""
    reading = UrlReadingTool(
        allowed_domains=allowed_domains,
        blocked_domains=blocked_domains,
        max_uses=max_uses,
    )
    return Tool(url_reading=reading)


def text_of(message: Message) -> str:
    """The text of a turn, without its reasoning, tool calls and media."""
    return "".join(part.text for part in message.parts)


def _signed(data: bytes) -> str:
    """The media type that the first bytes of `data` tell; "" if none."""
    return next((type_ for sign, type_ in _SIGNATURES if sign.match(data)), "")
