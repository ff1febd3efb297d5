"""Anthropic's Messages API."""

from majordomo.codec.wire import WireCodec
from majordomo.media.images import ImageLimits
from majordomo.providers.anthropic.answer import MessagesReader, decode_message
from majordomo.providers.anthropic.request import encode_messages

VERSION = "2023-06-01"
"""What the header anthropic-version says. The next one, 2026-10-21, takes less."""


class Anthropic(WireCodec):
    """The Messages API."""

    images = ImageLimits(most_bytes=5 << 20)
    encoder = staticmethod(encode_messages)
    decode = staticmethod(decode_message)
    reader = MessagesReader
