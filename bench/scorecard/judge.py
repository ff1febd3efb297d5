"""What a call came to, by the rules of RULES.md."""

from dataclasses import dataclass
from typing import Any

from bench.scorecard.provider import USAGE, words

LIMIT = 32.0
"""Seconds: the budget of a call, and what everybody may take on top of it."""

ROWS = {
    "rate-limited-once": "rate-limited once",
    "rate-limited": "rate-limited",
    "error-once": "error once",
    "down": "down",
    "reset": "reset",
    "silent": "silent",
    "slow-start": "slow start",
    "cut": "cut",
    "stalls": "stalls",
    "malformed-chunk": "malformed chunk",
    "no-done": "no [DONE]",
    "no-end": "no end",
    "too-long": "too long",
    "refused": "refused",
    "cut-no-prefill": "cut, no prefill",
    "accounting": "accounting",
    "outage": "outage",
}
"""By the name in paths, the name in the table."""


@dataclass
class Came:
    """What a caller got."""

    text: str = ""
    """All words that were not voided."""

    complete: bool = False
    """It was presented as the whole answer."""

    error: str = ""
    """What the caller received a failure."""

    usage: dict[str, Any] | None = None
    seconds: float = 0.0
    hung: bool = False


def verdict(row: str, came: Came) -> str:
    """One of the verdicts, as it stands in the table."""
    if came.hung or came.seconds > LIMIT:
        return "FAILED: hang"
    if not came.complete:
        if row == "refused" and "content" not in came.error.lower():
            return "error, no reason"
        return "error"
    by = next((r for r in ("primary", "fallback") if came.text == _whole(r)), None)
    if by is None:
        return "FAILED: cut"
    if row == "refused" and by != "fallback":
        return "FAILED: cut"
    if row == "accounting" and not _counted(came.usage):
        return "FAILED: count"
    return "rescued"


def _whole(role: str) -> str:
    return "".join(words(role))


def _counted(usage: dict[str, Any] | None) -> bool:
    keys = ("prompt_tokens", "completion_tokens")
    return usage is not None and all(usage.get(key) == USAGE[key] for key in keys)
