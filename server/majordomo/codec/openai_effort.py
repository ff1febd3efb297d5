"""How hard a model shall think, in the words of OpenAI's two wires."""

from collections.abc import Callable

from majordomo.codec.capabilities import Capabilities
from majordomo.v1.generation_service_pb2 import GenerationConfig, ReasoningConfig

_WORDS = {
    ReasoningConfig.EFFORT_NONE: "none",
    ReasoningConfig.EFFORT_MINIMAL: "minimal",
    ReasoningConfig.EFFORT_LOW: "low",
    ReasoningConfig.EFFORT_MEDIUM: "medium",
    ReasoningConfig.EFFORT_HIGH: "high",
}

_USUAL = (
    ReasoningConfig.EFFORT_NONE,
    ReasoningConfig.EFFORT_LOW,
    ReasoningConfig.EFFORT_MEDIUM,
    ReasoningConfig.EFFORT_HIGH,
)
"""What most models know; "minimal" and "max" only some do."""

Adapted = Callable[[str, str], None]
"""Reported the path and in few words what was changed."""


def effort_word(
    config: GenerationConfig, known: Capabilities, adapted: Adapted
) -> str | None:
    """The effort to ask for: the nearest that the model knows; None to ask for none."""
    path = "prompt.config.reasoning"
    reasoning = config.reasoning
    if reasoning.WhichOneof("amount") == "budget_tokens":
        adapted(f"{path}.budget_tokens", "left out: not in this wire")
    asked = reasoning.effort
    if not asked:
        return None
    efforts = _USUAL if known.efforts is None else known.efforts
    if not efforts:
        if asked != ReasoningConfig.EFFORT_NONE:
            adapted(f"{path}.effort", "left out: the model does not reason")
        return None
    # Of two as near the higher: anyone who asks for a little is not given none.
    effort = min(efforts, key=lambda known: (abs(known - asked), -known))
    word = _WORDS.get(effort, known.max_effort)
    if effort != asked:
        adapted(f"{path}.effort", f"sent as {word}")
    return word


def takes_sampling(known: Capabilities, effort: str | None) -> bool:
    """Whether the model takes sampling parameters while it thinks with `effort`.

    OpenAI's models refuse them unless reasoning is off, asked for or by default.
    """
    off = effort == "none" or (effort is None and known.reasons is False)
    return known.sampling or off
