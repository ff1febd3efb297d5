"""The order in which a walk comes to its targets.

From head to tail first. What follows where benches left a call without an answer is its
policy: the end, the last resort, one early attempt, or waiting for the first target to
return (rules 4.10 and 4.12).
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from majordomo.chain import budget
from majordomo.chain.call import Call
from majordomo.chain.clock import Clock
from majordomo.chain.failure import LASTING, PERMANENT, TRANSIENT
from majordomo.chain.target import Target
from majordomo.chain.tracker import Tracker
from majordomo.chain.verdict import last_words
from majordomo.v1 import generation_service_pb2
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SKIPPED,
    FAILURE_REASON_BENCHED,
    FAILURE_REASON_QUOTA_EXHAUSTED,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_TIMEOUT,
    Attempt,
)

LONGEST_WAIT = 60.0
"""Seconds that a call may wait for targets to return."""

_LONGEST_PATIENCE = 5.0
"""Seconds in all that a call waits before, or within, its last resort."""

_RETRIED = TRANSIENT - {
    # A second wait would only be as long as the first, and money does not come back.
    FAILURE_REASON_TIMEOUT,
    FAILURE_REASON_QUOTA_EXHAUSTED,
}

_TICK = 0.001
"""Seconds after a bench's end: timers may be early by the clock's resolution."""


class Pick(NamedTuple):
    """Whose turn it is."""

    target: Target
    to_come: Sequence[Target] = ()
    early: bool = False
    """It is benched, and may be tried before its time."""

    last_resort: bool = False
    """It may be tried out of rotation, once, since nobody has answered."""


class TargetSelector:
    """One call's way along its targets. `end` is a monotonic moment."""

    def __init__(
        self,
        call: Call,
        tracker: Tracker,
        clock: Clock,
        random: Callable[[], float],
        end: float,
    ) -> None:
        self._call = call
        self._tracker = tracker
        self._clock = clock
        self._random = random
        self._end = end
        self._place = 0
        self._early = False
        self._waiting_ends: float | None = None
        self._resorts: dict[str, Target] | None = None
        self._patience = _LONGEST_PATIENCE

    async def next(self) -> Pick | None:
        """The next target to come to; None: nobody is left."""
        targets = self._call.targets
        if self._place < len(targets):
            self._place += 1
            return Pick(targets[self._place - 1], targets[self._place :])
        match self._call.policy.all_benched:
            case generation_service_pb2.ALL_BENCHED_POLICY_LAST_RESORT:
                return await self._last_resort()
            case generation_service_pb2.ALL_BENCHED_POLICY_TRY_SOONEST:
                return self._soonest()
            case generation_service_pb2.ALL_BENCHED_POLICY_WAIT:
                return await self._first_to_return()
            case _:
                return None

    async def _last_resort(self) -> Pick | None:
        """The best of those that may still be tried, whatever we think of them."""
        if self._resorts is None:
            self._resorts = {target.name: target for target in self._call.targets}
            for target in self._call.targets:
                self._tracker.ask_last_resort(target.name)
        while True:
            left = [name for name in self._resorts if self._attempts_left(name)]
            for name in self._tracker.last_resorts(left):
                if self._tracker.draw(name, self._call.caller):
                    return await self._resort(self._resorts[name])
                if not self._tracker.may_return(name):
                    del self._resorts[name]
            if not await self._time_helps(left):
                return None

    async def _resort(self, target: Target) -> Pick:
        """Another attempt at `target`, after the backoff that it would have had."""
        if made := self._made(target.name):
            wait = budget.backoff(len(made) - 1, self._random())
            left = self._end - self._clock.monotonic()
            await asyncio.sleep(max(0.0, min(wait, left)))
        return Pick(target, last_resort=True)

    def _attempts_left(self, name: str) -> int:
        """How many the call would still make there if nothing were remembered."""
        last = last_words(self._call.attempts)[name]
        made = self._made(name)
        if not _may_answer(last) or not (_tried(last) or _skipped_as_benched(last)):
            return 0
        if made and not retriable(made[-1]):
            return 0
        return self._call.policy.transient_retries + 1 - len(made)

    def _made(self, name: str) -> list[Attempt]:
        return [a for a in self._call.attempts if a.target == name and _tried(a)]

    async def _time_helps(self, names: Sequence[str]) -> bool:
        """Wait for the end of a quiet that was asked for, or of others' attempts.

        False if neither comes soon enough.
        """
        began = self._clock.monotonic()
        latest = min(began + self._patience, self._end - budget.LEAST_ATTEMPT)
        moments = [
            moment if moment > began else latest
            for name in names
            if name in (self._resorts or ())
            and (moment := self._tracker.quiet_until(name)) is not None
        ]
        moment = min(moments, default=budget.NEVER)
        if moment > latest or latest <= began:
            return False
        await self._change_or(moment)
        self._patience -= self._clock.monotonic() - began
        return True

    async def _change_or(self, moment: float) -> None:
        """Wait until any target has changed, or until `moment`."""
        changed = asyncio.Event()
        stop = self._tracker.changes.listen(changed.set)
        try:
            async with asyncio.timeout_at(moment + _TICK):
                await changed.wait()
        except TimeoutError:
            pass  # the moment has come
        finally:
            stop()

    def _soonest(self) -> Pick | None:
        last = last_words(self._call.attempts)
        if self._early or any(_tried(attempt) for attempt in last.values()):
            return None
        self._early = True
        skipped = {
            target.name: target
            for target in self._call.targets
            if _skipped_as_benched(last[target.name])
        }
        name = self._tracker.soonest(skipped)
        return None if name is None else Pick(skipped[name], early=True)

    async def _first_to_return(self) -> Pick | None:
        if self._waiting_ends is None:
            longest = self._clock.monotonic() + LONGEST_WAIT
            self._waiting_ends = min(longest, self._end - budget.LEAST_ATTEMPT)
        while self._clock.monotonic() < self._waiting_ends:
            candidates = self._candidates()
            for target in candidates:
                if self._tracker.out_of_rotation(target.name) is None:
                    return Pick(target)
            moment = self._next_return(candidates)
            if moment is None or moment > self._waiting_ends:
                return None
            await self._change_or(moment)
        return None

    def _candidates(self) -> list[Target]:
        """Those that a bench kept, or took, from answering, and nothing else did."""
        last = last_words(self._call.attempts)
        return [
            target
            for target in self._call.targets
            if _may_answer(last[target.name])
            and (
                last[target.name].benched
                or _skipped_as_benched(last[target.name])
                or self._tracker.out_of_rotation(target.name) is not None
            )
        ]

    def _next_return(self, targets: Sequence[Target]) -> float | None:
        """The moment to look again if nothing changes; None: nothing will."""
        moments: list[float | None] = []
        for target in targets:
            bench = self._tracker.out_of_rotation(target.name)
            if bench is None:
                moments.append(self._clock.monotonic())
            elif bench.probing:
                moments.append(self._waiting_ends)  # another call will tell
            else:
                moments.append(bench.until)
        return min((moment for moment in moments if moment is not None), default=None)


def retriable(attempt: Attempt) -> bool:
    """Whether the same target may be tried again after `attempt` (rule 2.6)."""
    reason = attempt.failure_reason
    limited = reason == FAILURE_REASON_RATE_LIMITED and attempt.HasField("retry_delay")
    return (
        reason in _RETRIED
        and not limited
        and attempt.provider_error_code not in LASTING
    )


def _skipped_as_benched(attempt: Attempt) -> bool:
    return attempt.failure_reason == FAILURE_REASON_BENCHED


def _tried(attempt: Attempt) -> bool:
    return attempt.outcome != ATTEMPT_OUTCOME_SKIPPED


def _may_answer(last: Attempt) -> bool:
    """Whether another attempt could go better, and is allowed (rule 3.3)."""
    return (
        last.outcome != ATTEMPT_OUTCOME_INTERRUPTED
        and last.failure_reason not in PERMANENT
    )
