"""The order in which a walk comes to its targets.

From head to tail first. What follows where benches left nobody to ask is the call's
policy: the end, one early attempt, or waiting for the first target to return
(rule 4.12).
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from majordomo.chain import budget
from majordomo.chain.call import Call
from majordomo.chain.clock import Clock
from majordomo.chain.failure import PERMANENT
from majordomo.chain.target import Target
from majordomo.chain.tracker import Tracker
from majordomo.chain.verdict import last_words
from majordomo.v1 import generation_service_pb2
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SKIPPED,
    FAILURE_REASON_BENCHED,
    Attempt,
)

LONGEST_WAIT = 60.0
"""Seconds that a call may wait for targets to return."""

_TICK = 0.001
"""Seconds after a bench's end: timers may be early by the clock's resolution."""


class Turn(NamedTuple):
    """Whose turn it is."""

    target: Target
    to_come: Sequence[Target] = ()
    early: bool = False
    """It is benched, and may be tried before its time."""


class Course:
    """One call's way along its targets. `end` is a monotonic moment."""

    def __init__(self, call: Call, tracker: Tracker, clock: Clock, end: float) -> None:
        self._call = call
        self._tracker = tracker
        self._clock = clock
        self._end = end
        self._place = 0
        self._early = False
        self._waiting_ends: float | None = None

    async def next(self) -> Turn | None:
        """The next target to come to; None: nobody is left."""
        targets = self._call.targets
        if self._place < len(targets):
            self._place += 1
            return Turn(targets[self._place - 1], targets[self._place :])
        match self._call.policy.all_benched:
            case generation_service_pb2.ALL_BENCHED_POLICY_TRY_SOONEST:
                return self._soonest()
            case generation_service_pb2.ALL_BENCHED_POLICY_WAIT:
                return await self._first_to_return()
            case _:
                return None

    def _soonest(self) -> Turn | None:
        last = last_words(self._call.attempts)
        if self._early or any(_tried(attempt) for attempt in last.values()):
            return None
        self._early = True
        skipped = {
            target.name: target
            for target in self._call.targets
            if last[target.name].failure_reason == FAILURE_REASON_BENCHED
        }
        name = self._tracker.soonest(skipped)
        return None if name is None else Turn(skipped[name], early=True)

    async def _first_to_return(self) -> Turn | None:
        if self._waiting_ends is None:
            longest = self._clock.monotonic() + LONGEST_WAIT
            self._waiting_ends = min(longest, self._end - budget.LEAST_ATTEMPT)
        changed = asyncio.Event()
        listeners = self._tracker.changes.listeners
        listeners.add(changed.set)
        try:
            while self._clock.monotonic() < self._waiting_ends:
                changed.clear()
                candidates = self._candidates()
                for target in candidates:
                    if self._tracker.out_of_rotation(target.name) is None:
                        return Turn(target)
                moment = self._next_return(candidates)
                if moment is None or moment > self._waiting_ends:
                    return None
                try:
                    async with asyncio.timeout_at(moment + _TICK):
                        await changed.wait()
                except TimeoutError:
                    pass  # the moment has come: look again
            return None
        finally:
            listeners.discard(changed.set)

    def _candidates(self) -> list[Target]:
        """Those that a bench kept, or took, from answering, and nothing else did."""
        last = last_words(self._call.attempts)
        return [
            target
            for target in self._call.targets
            if _may_answer(last[target.name])
            and (
                last[target.name].benched
                or last[target.name].failure_reason == FAILURE_REASON_BENCHED
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


def _tried(attempt: Attempt) -> bool:
    return attempt.outcome != ATTEMPT_OUTCOME_SKIPPED


def _may_answer(last: Attempt) -> bool:
    """Whether another attempt could go better, and is allowed (rule 3.3)."""
    return (
        last.outcome != ATTEMPT_OUTCOME_INTERRUPTED
        and last.failure_reason not in PERMANENT
    )
