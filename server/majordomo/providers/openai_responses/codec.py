"""The Responses API, OpenAI's format after Chat Completions."""

from majordomo.codec.wire import WireCodec
from majordomo.providers.openai_responses.answer import (
    ResponsesReader,
    decode_responses,
)
from majordomo.providers.openai_responses.request import encode_responses


class OpenAIResponses(WireCodec):
    """The Responses API."""

    encoder = staticmethod(encode_responses)
    decode = staticmethod(decode_responses)
    reader = ResponsesReader
