"""How hard a Gemini shall think: by level from the third generation on, else by tokens.

What each model takes is stated at https://ai.google.dev/gemini-api/docs/thinking.
"""

import re
from collections.abc import Callable

from majordomo.codec.capabilities import Capabilities
from majordomo.codec.request_json import Body
from majordomo.v1.generation_service_pb2 import ReasoningConfig

_LEVELS = {
    ReasoningConfig.EFFORT_MINIMAL: "minimal",
    ReasoningConfig.EFFORT_LOW: "low",
    ReasoningConfig.EFFORT_MEDIUM: "medium",
    ReasoningConfig.EFFORT_HIGH: "high",
}
_BUDGETS = {
    ReasoningConfig.EFFORT_NONE: 0,
    ReasoningConfig.EFFORT_MINIMAL: 512,
    ReasoningConfig.EFFORT_LOW: 2048,
    ReasoningConfig.EFFORT_MEDIUM: 8192,
    ReasoningConfig.EFFORT_HIGH: 16384,
    ReasoningConfig.EFFORT_MAX: 24576,
}
"""Efforts as tokens, for models that take nothing else."""

_BUDGET_LIMITS = [
    (re.compile(r"gemini-2[-.]5-flash-lite"), 512, 24576),
    (re.compile(r"gemini-2[-.]5-flash"), 1, 24576),
    (re.compile(r"gemini-2[-.]5-pro"), 128, 32768),
]
"""The fewest tokens, beside none at all, and the most."""

_ALWAYS_THINKS = re.compile(r"gemini-2[-.]5-pro")
"""Models that cannot be asked not to."""


def thinking_config(
    model: str,
    reasoning: ReasoningConfig,
    known: Capabilities,
    adapted: Callable[[str, str], None],
) -> Body:
    """The thinkingConfig; empty if the model is left alone.

    `adapted` receives what was changed.
    """
    path = "prompt.config.reasoning"
    if known.efforts == ():
        if reasoning.effort > ReasoningConfig.EFFORT_NONE or reasoning.budget_tokens:
            adapted(path, "left out: the model does not reason")
        return {}
    thinking: Body = {}
    match reasoning.WhichOneof("amount"):
        case "effort" if reasoning.effort and known.effort_by_budget:
            budget = _BUDGETS[reasoning.effort]
            at = f"{path}.effort"
            thinking["thinkingBudget"] = _budget(model, budget, at, adapted)
        case "effort" if reasoning.effort:
            thinking["thinkingLevel"] = _level(reasoning.effort, known, adapted)
        case "budget_tokens" if known.budgets:
            budget = reasoning.budget_tokens
            at = f"{path}.budget_tokens"
            thinking["thinkingBudget"] = _budget(model, budget, at, adapted)
        case "budget_tokens":
            adapted(f"{path}.budget_tokens", "left to the model: it takes none")
    if reasoning.include_text:
        thinking["includeThoughts"] = True
    return thinking


def _budget(
    model: str, budget: int, path: str, adapted: Callable[[str, str], None]
) -> int:
    if budget == 0 and not _ALWAYS_THINKS.search(model):
        return 0
    for pattern, fewest, most in _BUDGET_LIMITS:
        if pattern.search(model):
            if budget < fewest:
                adapted(path, f"raised to {fewest}, the fewest of the model")
            elif budget > most:
                adapted(path, f"lowered to {most}, the most of the model")
            return min(max(budget, fewest), most)
    return budget


def _level(
    effort: ReasoningConfig.Effort,
    known: Capabilities,
    adapted: Callable[[str, str], None],
) -> str:
    efforts = [e for e in _LEVELS if known.efforts is None or e in known.efforts]
    nearest = min(efforts or _LEVELS, key=lambda known: (abs(known - effort), -known))
    level = _LEVELS[nearest]
    if nearest != effort:
        adapted("prompt.config.reasoning.effort", f"sent as {level}")
    return level
