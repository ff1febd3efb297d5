"""A recorded answer as majordomo reads it, whatever its wire."""

import json
from typing import Any

from majordomo.codec.base import Codec
from majordomo.codec.state import unpack
from majordomo.deltas import message as message_of
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.providers.profiles import COMMON, PROFILES
from majordomo.v1.content_pb2 import Message, Part
from majordomo.v1.generation_service_pb2 import Completion, Prompt
from tests.recordings.corpus import Recording

TARGET = "author/some-model"


def wire(recording: Recording) -> str:
    """anthropic, gemini, responses or chat."""
    api = recording.provider.partition(":")[0]
    if api in ("anthropic", "gemini"):
        return api
    return "responses" if api == "openai-responses" else "chat"


def codec(recording: Recording) -> Codec:
    """That of the provider, by the name "author"."""
    match wire(recording):
        case "anthropic":
            return Anthropic("author")
        case "gemini":
            return Gemini("author")
        case "responses":
            return OpenAIResponses("author")
    name = recording.provider.partition(":")[2]
    return OpenAICompatible("author", profile=PROFILES.get(name, COMMON))


def read(recording: Recording, prompt: Prompt) -> tuple[Message, Completion]:
    """The answer; raises Failure where it is none."""
    reading = codec(recording)
    if recording.kind == "unary":
        answer = reading.decode(prompt, recording.body)
        assert answer.message is not None
        return answer.message, answer.completion
    decoder = reading.decoder(prompt)
    deltas = decoder.feed(recording.body)
    if not decoder.complete:
        deltas += decoder.close()
    ended = decoder.finish()
    return message_of([*deltas, *ended.rest]), ended.completion


def states(part: Part) -> dict[str, str]:
    """The strings in the state of a part, no matter who wrote it."""
    names = ("anthropic", "gemini", "openai-responses", "openai-chat")
    found = (unpack(name, part.provider_state) for name in names)
    return next((strings for strings in found if strings), {})


def blocks(message: Message) -> list[Any]:
    """What only the author can read, as it is kept."""
    kept = (states(part).get("block") for part in message.parts)
    return [json.loads(block) for block in kept if block]


def events(recording: Recording) -> list[Any]:
    """What was received: the whole answer, or the data of each event."""
    text = recording.body.decode()
    if not text.lstrip().startswith(("{", "[")):
        lines = text.replace("\r\n", "\n").split("\n")
        datas = (
            line.removeprefix("data:").strip() for line in lines if "data:" in line
        )
        return [json.loads(data) for data in datas if data[:1] == "{"]
    value = json.loads(text)
    return value if isinstance(value, list) else [value]
