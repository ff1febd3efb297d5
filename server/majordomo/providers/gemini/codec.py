"""Google's generateContent, at the Gemini API and at Vertex AI."""

from majordomo.codec.wire import WireCodec
from majordomo.media.images import ImageLimits
from majordomo.providers.gemini.answer import GeminiReader, decode_gemini
from majordomo.providers.gemini.request import encode_gemini


class Gemini(WireCodec):
    """generateContent and streamGenerateContent."""

    images = ImageLimits(
        formats=frozenset(
            {"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"}
        )
    )
    encoder = staticmethod(encode_gemini)
    decode = staticmethod(decode_gemini)
    reader = GeminiReader
