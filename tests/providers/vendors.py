"""Targets of every API, and what each would refuse of a request."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from majordomo.codec.base import Codec, Encoded
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.providers.profiles import COMMON, PROFILES
from majordomo.v1.generation_service_pb2 import Prompt
from tests.providers import vendor_rules
from tests.providers.test_matrix import (
    anthropic_problems,
    chat_problems,
    gemini_problems,
    responses_problems,
)

Json = dict[str, Any]


@dataclass(frozen=True)
class Vendor:
    """A target: its API and a model there."""

    api: str
    codec: Codec
    target: str
    refusals: Callable[[Json], list[str]]
    """Of a body: what the vendor documents."""

    problems: Callable[[Json], list[str]]
    """Of a body: what its official types do not have."""

    def encode(self, prompt: Prompt) -> Encoded:
        """The request; the prompt is not changed by it."""
        before = prompt.SerializeToString(deterministic=True)
        model = self.target.partition("/")[2]
        request = self.codec.encode(model, prompt, stream=False)
        assert before == prompt.SerializeToString(deterministic=True)
        return request

    def wrong(self, request: Encoded) -> list[str]:
        """What the vendor would refuse."""
        found = self.refusals(json.loads(request.body))
        return found + self.problems(json.loads(request.body))


def _chat(name: str, model: str) -> Vendor:
    codec = OpenAICompatible(name, profile=PROFILES.get(name, COMMON))
    return Vendor(
        "chat",
        codec,
        f"{name}/{model}",
        lambda body: vendor_rules.chat(body, name),
        chat_problems,
    )


def _gemini(model: str) -> Vendor:
    return Vendor(
        "gemini",
        Gemini("gemini"),
        f"gemini/{model}",
        lambda body: vendor_rules.gemini(body, model),
        gemini_problems,
    )


def _anthropic(model: str) -> Vendor:
    return Vendor(
        "anthropic",
        Anthropic("anthropic"),
        f"anthropic/{model}",
        vendor_rules.anthropic,
        anthropic_problems,
    )


def _responses(model: str) -> Vendor:
    return Vendor(
        "responses",
        OpenAIResponses("openai"),
        f"openai/{model}",
        vendor_rules.responses,
        responses_problems,
    )


VENDORS = {
    vendor.target: vendor
    for vendor in (
        _anthropic("claude-sonnet-4-5"),
        _anthropic("claude-opus-4-8"),
        _gemini("gemini-3-pro"),
        _gemini("gemini-2.5-flash"),
        _responses("gpt-5-mini"),
        _chat("openai", "gpt-4o"),
        _chat("mistral", "magistral-medium"),
        _chat("deepseek", "deepseek-v4"),
        _chat("moonshot", "kimi-k2.6"),
        _chat("mimo", "mimo-v2-flash"),
        _chat("zai", "glm-5"),
        _chat("openrouter", "x/thinker"),
        _chat("groq", "openai/gpt-oss-120b"),
        _chat("cerebras", "qwen-3"),
        _chat("vllm", "qwen3"),
        _chat("server", "some-model"),
    )
}
"""By their targets; "server" is one of which nothing is known."""

BLIND = frozenset({"deepseek/deepseek-v4", "groq/openai/gpt-oss-120b"})
"""Models that are known to take no pictures."""


def reported(request: Encoded) -> dict[str, str]:
    """What was changed, by its path."""
    told: dict[str, str] = {}
    for one in request.adaptations:
        told[one.field] = f"{told.get(one.field, '')}; {one.description}"
    return told
