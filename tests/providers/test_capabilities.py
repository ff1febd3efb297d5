"""What is known of models, and where it is from."""

from urllib.parse import urlsplit

import pytest

from majordomo.codec.capabilities import _TABLE, capabilities
from majordomo.v1.generation_service_pb2 import ReasoningConfig

MINIMAL = ReasoningConfig.EFFORT_MINIMAL


def test_every_row_names_its_source() -> None:
    """A page, by https."""
    for pattern, _, source in _TABLE:
        url = urlsplit(source)
        assert (pattern, "https") == (pattern, url.scheme)
        assert url.hostname
        assert url.path.strip("/")


@pytest.mark.rule("5.4")
@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        ("deepseek-v4-pro", True),
        ("x-ai/grok-4-fast-non-reasoning", False),
        ("grok-4.1-fast-non-reasoning", False),
        ("grok-4-fast-reasoning", None),
        ("kimi-k2.6", True),
        ("claude-haiku-5-5", True),
        ("claude-sonnet-4-6", False),
        ("gemini-3.8-flash", True),
        ("gemini-2.0-flash", False),
        ("gpt-4o-mini", False),
        ("gpt-5.6-luna", True),
    ],
)
def test_which_models_reason(model: str, reasons: bool | None) -> None:
    """Unless they are asked not to; None where nobody knows."""
    assert reasons is capabilities(model).reasons


@pytest.mark.parametrize(
    ("model", "minimal"),
    [
        ("gemini-3.8-flash", False),
        ("gemini-3.7-flash", False),
        ("gemini-3.5-flash", True),
        ("gemini-3.1-flash-lite", True),
        ("gemini-3-flash-preview", True),
        ("gemini-flash-latest", False),
        ("gemini-3.1-pro-preview", False),
    ],
)
def test_which_geminis_think_minimally(model: str, minimal: bool) -> None:
    """Flash, as far as 3.6, and Flash-Lite."""
    efforts = capabilities(model).efforts

    assert efforts
    assert minimal is (MINIMAL in efforts)
