"""How much time a call and its attempts have (docs/semantics.md, section 5).

All values are seconds. Moments are on the monotonic clock.
"""

from typing import NamedTuple

from majordomo.chain.call import Policy
from majordomo.chain.target import Timeouts

LONGEST_CALL = 600.0
"""For callers that set no deadline."""

LEAST_ATTEMPT = 1.0
"""With less left, no attempt but the first of a call is begun."""

FIRST_CONTENT = 30.0
FIRST_CONTENT_REASONING = 180.0
ATTEMPT_UNARY = 120.0
ATTEMPT_REASONING = 600.0
ATTEMPT_STREAM = 600.0

_RESERVE_A_TARGET = 10.0


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
    gRPC tells servers deadlines that are up to 4 % too long: it rounds them up by 1 %
    and sends the last one again where it was up to 3 % longer.
    """
    if remaining is None:
        return LONGEST_CALL
    return remaining - min(0.25 + 0.04 * remaining, remaining / 10)


def reserve(left: float, targets_to_come: int) -> float:
    """What of `left` is kept for the targets still to come in rotation."""
    return min(left / 2, _RESERVE_A_TARGET * targets_to_come)


def limits(
    policy: Policy, timeouts: Timeouts, *, reasons: bool, stream: bool
) -> Limits:
    """The call's wish, else the target's configuration, else the defaults."""
    told = (policy.first_content_timeout, timeouts.first_content)
    reasoning = _first(*told, FIRST_CONTENT_REASONING)
    first_content = reasoning if reasons else _first(*told, FIRST_CONTENT)
    unary = ATTEMPT_REASONING if reasons else ATTEMPT_UNARY
    attempt = _first(
        policy.attempt_timeout,
        timeouts.attempt,
        ATTEMPT_STREAM if stream else unary,
    )
    stall = _first(policy.stall_timeout, timeouts.stall)
    return Limits(
        first_content if stream else attempt, stall, max(stall, reasoning), attempt
    )


def _first(*values: float | None) -> float:
    for value in values:
        if value is not None:
            return value
    raise ValueError("one of them must be set")
