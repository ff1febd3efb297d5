"""Every answer that was recorded goes back, at its author and at each other API."""

import pytest

from majordomo.chain.failure import Failure
from majordomo.codec.base import Codec
from majordomo.deltas import message as message_of
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.providers.profiles import COMMON, PROFILES
from majordomo.rpc.validation import check
from majordomo.v1.content_pb2 import ROLE_TOOL, ROLE_USER, Message, Part
from majordomo.v1.generation_service_pb2 import Call, Prompt
from tests.providers import vendor_rules
from tests.providers.prompts import result
from tests.providers.test_matrix import (
    anthropic_problems,
    chat_problems,
    gemini_problems,
    responses_problems,
)
from tests.providers.vendors import VENDORS, Vendor
from tests.recordings.corpus import Recording, recordings

HI = Message(role=ROLE_USER, parts=[Part(text="Hi.")])
AND_NOW = Message(role=ROLE_USER, parts=[Part(text="And now?")])


def author(recording: Recording) -> Vendor:
    """Who has answered, as a target of its own."""
    api, _, name = recording.provider.partition(":")
    name = name or api
    model = "some-model"
    if isinstance(recording.request, dict):
        model = str(recording.request.get("model") or model)
    target = f"{name}/{model}"
    match api:
        case "anthropic":
            return Vendor(
                api,
                Anthropic(name),
                target,
                vendor_rules.anthropic,
                anthropic_problems,
            )
        case "gemini":
            return Vendor(
                api,
                Gemini(name),
                target,
                lambda body: vendor_rules.gemini(body, model),
                gemini_problems,
            )
        case "openai-responses":
            return Vendor(
                api,
                OpenAIResponses(name),
                target,
                vendor_rules.responses,
                responses_problems,
            )
    server = "openai" if api == "openai-chat" else name.removeprefix("openai-")
    return Vendor(
        api,
        OpenAICompatible(name, profile=PROFILES.get(server, COMMON)),
        target,
        lambda body: vendor_rules.chat(body, "openai" if server == "azure" else server),
        chat_problems,
    )


def read(codec: Codec, recording: Recording, prompt: Prompt) -> Message | None:
    """The turn that is handed out; None where the answer is an error."""
    try:
        if recording.kind == "unary":
            return codec.decode(prompt, recording.body).message
        decoder = codec.decoder(prompt)
        deltas = [*decoder.feed(recording.body), *decoder.close()]
        return decoder.finish().message or message_of(deltas)
    except Failure:
        return None


API_SOURCE = "openai-responses-stream-c68abee3f4"
"""It names a source of a type that OpenAI's own package does not know."""

RECORDINGS = [one for one in recordings("") if one.kind != "error"]


@pytest.mark.rule("2.13")
@pytest.mark.parametrize("include_text", [True, False])
@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda one: one.id)
def test_recorded_answers_are_taken_back(
    recording: Recording, include_text: bool
) -> None:
    """As a turn of the next call: by validation and by everybody."""
    own = author(recording)
    asked = Prompt()
    asked.config.reasoning.include_text = include_text
    answer = read(own.codec, recording, asked)
    if answer is None:
        pytest.skip("an error within a 200")
    answer.origin = own.target
    calls = [part.tool_call for part in answer.parts if part.HasField("tool_call")]
    reported = Message(
        role=ROLE_TOOL, parts=[result(call.id, "seen") for call in calls]
    )
    answered = [reported] if calls else []

    for messages in ([HI, answer, AND_NOW], [HI, answer, *answered, AND_NOW]):
        prompt = Prompt(messages=messages)
        check(Call(prompt=prompt))
        for vendor in (own, *VENDORS.values()):
            request = vendor.encode(prompt)

            if vendor is own and recording.id == API_SOURCE:
                continue
            assert [] == vendor.wrong(request), vendor.target


def test_most_recordings_are_answers() -> None:
    """So few are errors that the others show something."""
    read_ = [read(author(one).codec, one, Prompt()) for one in RECORDINGS]

    assert len([one for one in read_ if one]) > 0.9 * len(RECORDINGS)
