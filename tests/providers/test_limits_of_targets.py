"""Settings and forms that one target takes and another does not."""

import json
from typing import Any

import pytest

from majordomo.codec.base import Codec
from majordomo.config import parse
from majordomo.deltas import message as message_of
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.providers.profiles import COMMON, PROFILES
from majordomo.transport.provider import HttpProvider
from majordomo.v1.content_pb2 import ROLE_ASSISTANT, ROLE_TOOL, Blob, Part
from majordomo.v1.generation_service_pb2 import (
    CachePolicy,
    GenerationConfig,
    Prompt,
    ReasoningConfig,
)
from tests.providers.prompts import call, reasoning, result, turn, user

Json = dict[str, Any]


def sent(codec: Codec, model: str, prompt: Prompt) -> tuple[Json, dict[str, str]]:
    """The body, and what was changed by its path."""
    request = codec.encode(model, prompt, stream=False)
    reported = {a.field: a.description for a in request.adaptations}
    return json.loads(request.body), reported


def asking(**config: Any) -> Prompt:
    return Prompt(messages=[user("Hi.")], config=GenerationConfig(**config))


def chat(name: str) -> OpenAICompatible:
    return OpenAICompatible("p", profile=PROFILES.get(name, COMMON))


@pytest.mark.rule("2.17")
@pytest.mark.parametrize(
    ("codec", "model", "key", "most"),
    [
        (Anthropic("p"), "claude-sonnet-4-6", "max_tokens", 128_000),
        (Anthropic("p"), "claude-opus-4-6", "max_tokens", 128_000),
        (OpenAIResponses("p"), "gpt-4o", "max_output_tokens", 16_384),
        (OpenAIResponses("p"), "gpt-4.1-mini", "max_output_tokens", 32_768),
        (OpenAIResponses("p"), "gpt-5.2", "max_output_tokens", 128_000),
        (chat("openai"), "o3", "max_completion_tokens", 100_000),
        (chat("openrouter"), "openai/gpt-4o", "max_tokens", 16_384),
    ],
)
def test_the_longest_answer(codec: Codec, model: str, key: str, most: int) -> None:
    """As many tokens as the model writes, and no more."""
    path = "prompt.config.max_output_tokens"
    body, reported = sent(codec, model, asking(max_output_tokens=most))
    assert (most, False) == (body[key], path in reported)

    body, reported = sent(codec, model, asking(max_output_tokens=most + 1))
    assert (most, True) == (body[key], path in reported)


@pytest.mark.rule("2.17")
@pytest.mark.parametrize(
    ("codec", "most"),
    [
        (Anthropic("p"), 1.0),
        (chat("mistral"), 1.5),
        (chat("zai"), 1.0),
        (chat("moonshot"), 1.0),
        (chat("openai"), 2.0),
        (Gemini("p"), 2.0),
    ],
)
def test_the_temperature(codec: Codec, most: float) -> None:
    """As high as it is taken."""
    body, reported = sent(codec, "some-model", asking(temperature=2.0))
    temperature = body.get("generationConfig", body)["temperature"]

    assert most == temperature
    assert (most < 2) == ("prompt.config.temperature" in reported)


@pytest.mark.rule("2.17")
@pytest.mark.parametrize(
    ("codec", "most"),
    [(chat("openai"), 4), (chat("zai"), 1), (chat("mistral"), 6), (Gemini("p"), 5)],
)
def test_stop_sequences(codec: Codec, most: int) -> None:
    """The first ones, as many as are taken."""
    asked = list("abcdef")
    body, reported = sent(codec, "some-model", asking(stop_sequences=asked))
    stops = (
        body["stop"] if "stop" in body else body["generationConfig"]["stopSequences"]
    )

    assert asked[:most] == stops
    assert (most < 6) == ("prompt.config.stop_sequences" in reported)


@pytest.mark.rule("2.17")
def test_stop_sequences_of_white_space() -> None:
    """Claude refuses them; others take them."""
    prompt = asking(stop_sequences=["\n", "END"])

    assert ["END"] == sent(Anthropic("p"), "m", prompt)[0]["stop_sequences"]
    assert "prompt.config.stop_sequences[0]" in sent(Anthropic("p"), "m", prompt)[1]
    assert ["\n", "END"] == sent(chat(""), "m", prompt)[0]["stop"]


@pytest.mark.rule("2.17")
@pytest.mark.parametrize("seed", [-1, 7, 2**31 - 1, 2**31, -(2**63), 2**63 - 1])
def test_seeds(seed: int) -> None:
    """One within what is taken stands for another, always the same."""
    for codec, key in ((Gemini("p"), "seed"), (chat("mistral"), "random_seed")):
        body, reported = sent(codec, "m", asking(seed=seed))
        again, _ = sent(codec, "m", asking(seed=seed))
        found = body.get("generationConfig", body)[key]

        assert 0 <= found < 2**31
        assert (found == seed) == ("prompt.config.seed" not in reported)
        assert body == again
    assert seed == sent(chat("openai"), "m", asking(seed=seed))[0]["seed"]


@pytest.mark.parametrize(
    ("model", "taken"),
    [("o3-mini", True), ("o1", True), ("o3", False), ("gpt-5", False)],
)
def test_stop_at_models_that_reason(model: str, taken: bool) -> None:
    """The first of them take it."""
    body, reported = sent(chat("openai"), model, asking(stop_sequences=["END"]))

    assert taken == ("stop" in body) == ("prompt.config.stop_sequences" not in reported)


def test_effort_at_snowflake() -> None:
    """It is an object's there."""
    prompt = asking(reasoning=ReasoningConfig(effort=ReasoningConfig.EFFORT_LOW))
    body, _ = sent(chat("snowflake"), "some-model", prompt)

    assert {"effort": "low"} == body["reasoning"]
    assert "reasoning_effort" not in body


async def test_openai_elsewhere_is_openai() -> None:
    """By the kind: a base URL of its own changes nothing of the form."""
    config = parse(
        '[providers.p]\nkind = "openai"\napi = "chat"\nbase_url = "http://127.0.0.1:1/v1"'
    )
    provider = config.providers["p"].connect("p")
    assert isinstance(provider, HttpProvider)
    prompt = asking(max_output_tokens=100)
    prompt.cache_policy.CopyFrom(CachePolicy(cache_instructions=True))
    for kind, data in (("application/pdf", b"%PDF-1"), ("audio/wav", b"RIFF")):
        prompt.messages[0].parts.append(Part(blob=Blob(media_type=kind, data=data)))
    body, _ = sent(provider.codec, "my-model", prompt)

    assert 100 == body["max_completion_tokens"]
    assert "max_tokens" not in body
    assert "prompt_cache_key" in body
    kinds = [part["type"] for part in body["messages"][0]["content"]]
    assert ["text", "file", "input_audio"] == kinds
    await provider.aclose()


def test_items_keep_their_order() -> None:
    """Also where a call is done before its reasoning, as at OpenRouter."""
    thought = {"type": "reasoning", "id": "rs_1", "summary": []}
    whole = {**thought, "encrypted_content": "enc"}
    called = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f"}
    called["arguments"] = "{}"
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": thought},
        {"type": "response.output_item.added", "output_index": 1, "item": called},
        {"type": "response.output_item.done", "output_index": 1, "item": called},
        {"type": "response.output_item.done", "output_index": 0, "item": whole},
        {
            "type": "response.completed",
            "response": {"status": "completed", "output": [whole, called]},
        },
    ]
    codec = OpenAIResponses("p")
    decoder = codec.decoder(Prompt())
    deltas = [
        delta
        for event in events
        for delta in decoder.feed(f"data: {json.dumps(event)}\n\n".encode())
    ]
    decoder.finish()
    message = message_of(deltas)
    message.origin = "p/m"
    prompt = Prompt(
        messages=[user("Look."), message, turn(ROLE_TOOL, result("c", "1"))]
    )

    kinds = [item.get("type") for item in sent(codec, "m", prompt)[0]["input"]]
    assert [None, "reasoning", "function_call", "function_call_output"] == kinds


@pytest.mark.rule("2.15")
@pytest.mark.parametrize(
    ("model", "thinks"), [("claude-sonnet-4-5", False), ("claude-opus-4-8", True)]
)
def test_a_turn_that_began_without_thinking(model: str, thinks: bool) -> None:
    """Claude goes on with it without a budget; those that think adaptively may."""
    prompt = asking(reasoning=ReasoningConfig(effort=ReasoningConfig.EFFORT_HIGH))
    prompt.messages.append(turn(ROLE_ASSISTANT, call("c"), origin="other/model"))
    prompt.messages.append(turn(ROLE_TOOL, result("c", "seen")))
    body, reported = sent(Anthropic("p"), model, prompt)

    assert thinks == ("thinking" in body)
    assert thinks == ("prompt.config.reasoning.effort" not in reported)
    # The next turn of the user's begins again.
    prompt.messages.append(turn(ROLE_ASSISTANT, "It is there."))
    prompt.messages.append(user("And now?"))
    assert "thinking" in sent(Anthropic("p"), model, prompt)[0]


@pytest.mark.rule("2.15")
@pytest.mark.parametrize(
    ("name", "model", "expected"),
    [
        ("moonshot", "kimi-k2.6", " "),
        ("mimo", "mimo-v2-flash", " "),
        ("deepseek", "deepseek-v4", " "),
        ("", "kimi-k2-thinking", " "),
        ("", "some-model", None),
        ("openai", "kimi-k2.6", None),
        ("groq", "moonshotai/kimi-k2.6", None),
        ("zai", "glm-5", None),
    ],
)
def test_turns_without_reasoning(name: str, model: str, expected: str | None) -> None:
    """Where it is missed something stands for it; where it is refused, nothing."""
    messages = [
        user("Look."),
        turn(ROLE_ASSISTANT, reasoning("hm"), call("c"), origin="other/model"),
        turn(ROLE_TOOL, result("c", "seen")),
    ]
    body, reported = sent(chat(name), model, Prompt(messages=messages))

    assert expected == body["messages"][1].get("reasoning_content")
    assert "hm" not in json.dumps(body)
    assert "prompt.messages[1].parts[0]" in reported


@pytest.mark.rule("2.14")
@pytest.mark.parametrize(
    ("name", "mark"), [("mistral", "prefix"), ("moonshot", "partial"), ("", None)]
)
def test_a_turn_to_go_on_with(name: str, mark: str | None) -> None:
    """Servers that want to be reported that the last turn is one are informed."""
    prompt = Prompt(messages=[user("A poem."), turn(ROLE_ASSISTANT, "Roses")])
    last = sent(chat(name), "some-model", prompt)[0]["messages"][-1]

    assert {"role", "content"} | ({mark} if mark else set()) == last.keys()


def test_results_are_looked_for_in_linear_time() -> None:
    """However many calls wait in vain for one."""
    turns = [turn(ROLE_ASSISTANT, call("c")), user("Go on.")] * 2000
    body, reported = sent(chat(""), "m", Prompt(messages=[user("Hi."), *turns]))

    assert 2000 == sum(m["role"] == "tool" for m in body["messages"])
    assert 2000 == len(reported)
