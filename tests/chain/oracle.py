"""What a walk over scripted targets must do, written from docs/semantics.md alone.

No time passes and every target is fresh or benched: what is left of sections 2, 3,
4.1, 4.6, 4.7 and 7 is plain enough to be read off in one go. The tests hold the
engine against it.
"""

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

ALWAYS_ADVANCE = {"MODEL_NOT_FOUND", "UNSUPPORTED", "CONTEXT_TOO_LONG"}
ONCE_A_CALL = "MALFORMED_RESPONSE"
PERMANENT = ALWAYS_ADVANCE | {"INVALID_REQUEST", "CREDENTIALS", "CONTENT_REFUSED"}
ENDED_BY = {
    "INVALID_REQUEST": "REQUEST_REFUSED",
    "CREDENTIALS": "PROVIDER_CREDENTIALS",
    "CONTENT_REFUSED": "CONTENT_REFUSED",
}


class Outcome(NamedTuple):
    """What one attempt comes to: its reason, or None for an answer."""

    reason: str | None
    delay: bool = False  # the provider asked for a time of quiet
    after_content: bool = False  # content had reached the caller


def walk(
    scripts: Mapping[str, Sequence[Outcome]],
    benched: Mapping[str, str],  # at the start: target -> cause, "" an operator
    retries: int,
    advance_on: Set[str],
) -> tuple[list[tuple[str, str | None]], str | None, set[str]]:
    """(attempts and skips, error reason or None, targets benched at the end)."""
    attempts: list[tuple[str, str | None]] = []
    out = set(benched)
    for target, script in scripts.items():
        if target in benched:
            attempts.append((target, "BENCHED"))
            continue
        counted: list[str | None] = []
        for outcome in script[: retries + 1]:
            attempts.append((target, outcome.reason))
            if outcome.reason is None:
                return attempts, None, out
            if outcome.reason in PERMANENT and not outcome.after_content:
                if outcome.reason not in ALWAYS_ADVANCE | advance_on:
                    return attempts, ENDED_BY[outcome.reason], out
                break
            paid = outcome.delay and outcome.reason == "RATE_LIMITED"
            if paid or outcome.reason == "QUOTA_EXHAUSTED":
                out.add(target)
            if outcome.reason != ONCE_A_CALL or ONCE_A_CALL not in counted:
                counted.append(outcome.reason)
                if len(counted) == 2:
                    out.add(target)
            if outcome.after_content:
                return attempts, "STREAM_INTERRUPTED", out
            if target in out or outcome.reason == "TIMEOUT":
                break
    return attempts, _exhausted(dict(attempts), benched), out


def _exhausted(last: Mapping[str, str | None], benched: Mapping[str, str]) -> str:
    """Rows 4 to 7 of section 7, from each target's last word."""
    if set(last.values()) == {"BENCHED"}:
        return "ALL_BENCHED"
    passing = {
        benched[target] if reason == "BENCHED" else reason
        for target, reason in last.items()
        if reason not in PERMANENT
    }
    if passing:
        limited = passing <= {"RATE_LIMITED", "QUOTA_EXHAUSTED"}
        return "CHAIN_RATE_LIMITED" if limited else "CHAIN_EXHAUSTED"
    if "CREDENTIALS" in last.values():
        return "PROVIDER_CREDENTIALS"
    gone = set(last.values()) == {"MODEL_NOT_FOUND"}
    return "MODEL_NOT_FOUND" if gone else "REQUEST_UNSUPPORTED"
