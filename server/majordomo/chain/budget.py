"""How much time a call and its attempts have (docs/semantics.md, section 5).

All values are seconds. Moments are on the monotonic clock.
"""

from typing import NamedTuple

from majordomo.chain.call import Policy
from majordomo.chain.target import Timeouts

LONGEST_CALL = 600.0
"""For callers that set no deadline."""

NEVER = float("inf")
"""A moment that does not come."""

LEAST_ATTEMPT = 1.0
"""With less left, no attempt but the first of a call is begun."""

FIRST_CONTENT = 30.0
FIRST_CONTENT_REASONING = 180.0
ATTEMPT_UNARY = 120.0
ATTEMPT_REASONING = 600.0
ATTEMPT_STREAM = 600.0

_RESERVE_A_TARGET = 10.0

_BACKOFF_BASE = 0.1
_BACKOFF_CAP = 1.0


class Limits(NamedTuple):
    """What one attempt may take."""

    first_content: float
    stall: float
    silence: float
    """Of a model that has begun to reason, instead of `stall`."""

    attempt: float


def usable(remaining: float | None) -> float:
    """What of a caller's `remaining` time the walk may use.

    Our own error has to reach the caller before the transport's bare one does, and
    gRPC gives servers deadlines that are up to 4 % too long: it rounds them up by 1 %
    and sends the last one again where it was up to 3 % longer.
    """
    if remaining is None:
        return LONGEST_CALL
    return remaining - min(0.25 + 0.04 * remaining, remaining / 10)


def reserve(left: float, targets_to_come: int) -> float:
    """What of `left` is kept for the targets still to come in rotation."""
    return min(left / 2, _RESERVE_A_TARGET * targets_to_come)


def backoff(retries: int, random: float) -> float:
    """How long to wait before another attempt, after `retries` of them.

    `random` is from 0 to 1: full jitter.
    """
    return random * min(_BACKOFF_CAP, _BACKOFF_BASE * float(1 << retries))


def limits(timeouts: Timeouts, *, reasons: bool, stream: bool) -> Limits:
    """What a target's configuration says, else the defaults."""
    if not stream:
        known = ATTEMPT_REASONING if reasons else ATTEMPT_UNARY
        attempt = _first(timeouts.attempt, known)
        return Limits(attempt, timeouts.stall, attempt, attempt)
    known = FIRST_CONTENT_REASONING if reasons else FIRST_CONTENT
    silence = _first(timeouts.first_content, FIRST_CONTENT_REASONING)
    return Limits(
        _first(timeouts.first_content, known),
        timeouts.stall,
        max(timeouts.stall, silence),
        _first(timeouts.attempt, ATTEMPT_STREAM),
    )


def wished(own: Limits, policy: Policy, *, stream: bool) -> Limits:
    """The limits of an attempt: the call's wish, else the target's `own`."""
    attempt = _first(policy.attempt_timeout, own.attempt)
    stall = _first(policy.stall_timeout, own.stall)
    if not stream:
        return Limits(attempt, stall, attempt, attempt)
    return Limits(
        _first(policy.first_content_timeout, own.first_content),
        stall,
        max(stall, _first(policy.first_content_timeout, own.silence)),
        attempt,
    )


def _first(wish: float | None, otherwise: float) -> float:
    return otherwise if wish is None else wish
