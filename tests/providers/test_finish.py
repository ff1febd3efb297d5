"""Why models stop: one vocabulary for all wires."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo.chain.failure import Failure
from majordomo.codec.base import Codec
from majordomo.codec.finish import failed, finish_reason
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.v1.attempt_pb2 import FailureReason
from majordomo.v1.generation_service_pb2 import Completion, FinishReason, Prompt
from tests.providers.test_interleaving import sse

Json = dict[str, Any]


def chat(word: str) -> list[Json]:
    return [
        {"choices": [{"index": 0, "delta": {"content": "x"}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": word}]},
    ]


def anthropic(word: str) -> list[Json]:
    text = {"type": "text", "text": "x"}
    return [
        {"type": "content_block_start", "index": 0, "content_block": text},
        {"type": "message_delta", "delta": {"stop_reason": word}},
        {"type": "message_stop"},
    ]


def gemini(word: str) -> list[Json]:
    content = {"parts": [{"text": "x"}]}
    return [{"candidates": [{"content": content, "finishReason": word}]}]


def responses(word: str) -> list[Json]:
    content = [{"type": "output_text", "text": "x"}]
    response = {
        "status": "incomplete",
        "incomplete_details": {"reason": word},
        "output": [{"type": "message", "content": content}],
    }
    return [{"type": "response.incomplete", "response": response}]


def read(codec: Codec, events: list[Json]) -> Completion:
    decoder = codec.decoder(Prompt())
    for event in events:
        decoder.feed(sse(event))
    if not decoder.complete:
        decoder.close()
    return decoder.finish().completion


WIRES = [
    pytest.param(OpenAICompatible("p"), chat, id="chat"),
    pytest.param(Anthropic("p"), anthropic, id="anthropic"),
    pytest.param(Gemini("p"), gemini, id="gemini"),
    pytest.param(OpenAIResponses("p"), responses, id="responses"),
]

WORDS = {
    "stop": "STOP",
    "STOP": "STOP",
    "end_turn": "STOP",
    "COMPLETE": "STOP",
    "max_tokens": "LENGTH",
    "MAX_TOKENS": "LENGTH",
    "model_context_window_exceeded": "LENGTH",
    "tool_call": "TOOL_CALLS",
    "tool-calls": "TOOL_CALLS",
    "tool_use": "TOOL_CALLS",
    "SAFETY": "CONTENT_FILTER",
    "content-filter": "CONTENT_FILTER",
    "RECITATION": "CONTENT_FILTER",
    "PROHIBITED_CONTENT": "CONTENT_FILTER",
    "guardrail_intervened": "CONTENT_FILTER",
    "FINISH_REASON_SAFETY": "CONTENT_FILTER",
    "pause_turn": "OTHER",
    "because": "OTHER",
}
FAILED = {
    "abort": "MALFORMED_RESPONSE",
    "error": "MALFORMED_RESPONSE",
    "ERROR": "MALFORMED_RESPONSE",
    "MALFORMED_FUNCTION_CALL": "MALFORMED_RESPONSE",
    "function_call_filter: MALFORMED_FUNCTION_CALL": "MALFORMED_RESPONSE",
    "malformed_tool_use": "MALFORMED_RESPONSE",
    "network_error": "PROVIDER_ERROR",
    "LANGUAGE": "PROVIDER_ERROR",
    "insufficient_system_resource": "OVERLOADED",
    "MISSING_THOUGHT_SIGNATURE": "UNSUPPORTED",
}


@pytest.mark.rule("3.9")
@pytest.mark.parametrize(("codec", "events"), WIRES)
@pytest.mark.parametrize(("word", "reason"), WORDS.items())
def test_words_mean_the_same_on_every_wire(
    codec: Codec, events: Any, word: str, reason: str
) -> None:
    """Whichever API it comes from; the provider's word is reported as it is."""
    completion = read(codec, events(word))
    reported = FinishReason.Name(completion.finish_reason)
    if reason == "TOOL_CALLS" and codec.__class__ is Anthropic:
        reason = "STOP"  # no tool was called: it was the form of the answer
    assert f"FINISH_REASON_{reason}" == reported
    assert word == completion.provider_finish_reason


@pytest.mark.rule("3.9", "8.1")
@pytest.mark.parametrize(("codec", "events"), WIRES)
@pytest.mark.parametrize(("word", "reason"), FAILED.items())
def test_words_for_what_went_wrong_are_failures(
    codec: Codec, events: Any, word: str, reason: str
) -> None:
    """What was written before is no answer, and is not taken for one."""
    with pytest.raises(Failure) as caught:
        read(codec, events(word))

    assert f"FAILURE_REASON_{reason}" == FailureReason.Name(caught.value.reason)
    assert word == caught.value.code


@pytest.mark.rule("3.9")
@given(st.text())
def test_any_word_has_one_meaning(word: str) -> None:
    """A failure or a reason, never both, and nothing raises."""
    assert failed(word) is None or FinishReason.Name(finish_reason(word)).endswith(
        "OTHER"
    )
