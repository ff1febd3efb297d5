"""What known models take, by family: the first pattern that a model's id matches.

A model that is not listed is allowed all that its wire can say: a provider's refusal
is clearer than a guess. Gateways name models with their maker in front
("anthropic/claude-opus-4-5"), so a pattern may begin after a slash or a dot.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from majordomo.v1.generation_service_pb2 import ReasoningConfig

Effort = ReasoningConfig.Effort

IMAGE, PDF, AUDIO, VIDEO = "image", "pdf", "audio", "video"
"""Kinds of media."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one model takes. None: all that its wire can say."""

    media: frozenset[str] | None = None
    tools: bool = True
    forced_tools: bool = True
    """A tool choice that some tool must be called."""

    schema: bool = True
    """Answers by JSON Schema, natively."""

    sampling: bool = True
    """temperature, top_p, top_k."""

    stop: bool = True
    prefill: bool = True
    """A conversation that ends with a turn of the model's own."""

    reasons: bool | None = None
    """It reasons unless it is told not to. None: not known."""

    efforts: tuple[Effort, ...] | None = None
    """Efforts that it knows; the nearest of them is sent."""

    budgets: bool = True
    """It takes a budget of reasoning tokens."""

    max_output_tokens: int | None = None


_TABLE: list[tuple[str, Capabilities]] = []
"""Patterns of model ids, the more special first."""


@lru_cache(maxsize=1024)
def capabilities(model: str) -> Capabilities:
    """What `model`, as its provider calls it, takes."""
    for pattern, known in _PATTERNS:
        if pattern.search(model.lower()):
            return known
    return Capabilities()


_PATTERNS = [(re.compile(rf"(?:^|[/.]){pattern}"), known) for pattern, known in _TABLE]
