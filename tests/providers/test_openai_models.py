"""What the table says of OpenAI's models, under the names that providers give them."""

import pytest

from majordomo.codec.capabilities import AUDIO, IMAGE, PDF, capabilities
from majordomo.v1.generation_service_pb2 import ReasoningConfig

NONE, MINIMAL, LOW, MEDIUM, HIGH, MAX = (
    ReasoningConfig.EFFORT_NONE,
    ReasoningConfig.EFFORT_MINIMAL,
    ReasoningConfig.EFFORT_LOW,
    ReasoningConfig.EFFORT_MEDIUM,
    ReasoningConfig.EFFORT_HIGH,
    ReasoningConfig.EFFORT_MAX,
)


@pytest.mark.parametrize(
    ("model", "efforts", "reasons"),
    [
        ("gpt-4o-mini-2024-07-18", (), False),
        ("gpt-4.1", (), False),
        ("chatgpt-4o-latest", (), False),
        ("ft:gpt-4o-mini:acme::x", (), False),
        ("gpt-5-chat-latest", (), False),
        ("o1", (LOW, MEDIUM, HIGH), True),
        ("openai/o3-mini-high", (LOW, MEDIUM, HIGH), True),
        ("o4-mini-deep-research", (MEDIUM,), True),
        ("openai/gpt-5-mini", (MINIMAL, LOW, MEDIUM, HIGH), True),
        ("GPT-5-Pro", (HIGH,), True),
        ("gpt-5.1", (NONE, LOW, MEDIUM, HIGH), False),
        ("gpt-5.1-codex-max", (LOW, MEDIUM, HIGH, MAX), True),
        ("gpt-5.3-chat-latest", (MEDIUM,), True),
        ("gpt-5.4-pro", (MEDIUM, HIGH, MAX), True),
        ("gpt-5.4-mini", (NONE, LOW, MEDIUM, HIGH, MAX), False),
        ("gpt-5.5", (NONE, LOW, MEDIUM, HIGH, MAX), True),
        ("gpt-5.6-terra", (NONE, LOW, MEDIUM, HIGH, MAX), True),
        ("gpt-6-astra", (LOW, MEDIUM, HIGH, MAX), True),
        ("openai.gpt-oss-120b-1:0", (LOW, MEDIUM, HIGH), True),
        ("my-deployment", None, None),
        ("meta-llama/llama-4", None, None),
    ],
)
def test_reasoning(
    model: str, efforts: tuple[ReasoningConfig.Effort, ...] | None, reasons: bool | None
) -> None:
    """Which efforts a model knows, and whether it thinks without being asked to."""
    known = capabilities(model)

    assert (efforts, reasons) == (known.efforts, known.reasons)


@pytest.mark.parametrize(
    ("model", "media"),
    [
        ("gpt-4o", {IMAGE, PDF}),
        ("gpt-5.2", {IMAGE, PDF}),
        ("gpt-4-turbo", {IMAGE}),
        ("gpt-4o-mini-audio-preview", {AUDIO}),
        ("gpt-audio", {AUDIO}),
        ("o3-mini", set()),
        ("gpt-4-0613", set()),
        ("gpt-3.5-turbo", set()),
        ("gpt-oss:20b", set()),
        ("deepseek-chat", set()),
        ("deepseek-vl2", None),
        ("my-deployment", None),
    ],
)
def test_media(model: str, media: set[str] | None) -> None:
    """What it can see and hear; what is not known is not forbidden."""
    assert media == capabilities(model).media
