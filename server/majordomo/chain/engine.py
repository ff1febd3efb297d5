"""The walk of a failover chain (docs/semantics.md, sections 2 and 3).

Unary and streamed calls share it: what differs is the attempt.
"""

import asyncio
import random as _random
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NamedTuple

from majordomo.chain import budget
from majordomo.chain.answers import fault
from majordomo.chain.attempt import RunningAttempt, bounded
from majordomo.chain.call import Call, CallFailed, Policy
from majordomo.chain.clock import CLOCK, Clock
from majordomo.chain.course import Course, Turn, retriable
from majordomo.chain.deltas import message
from majordomo.chain.failure import PERMANENT, Failure
from majordomo.chain.health import Bench
from majordomo.chain.plan import Skip, explain, plan, skip_benched
from majordomo.chain.target import Answer, Target
from majordomo.chain.tracker import Tracker
from majordomo.chain.verdict import ALWAYS_ADVANCE, may_come_back, verdict
from majordomo.v1.attempt_pb2 import (
    ANSWER_FAULT_UNSPECIFIED,
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SKIPPED,
    FAILURE_REASON_NOT_REACHED,
    Attempt,
    FailureReason,
)
from majordomo.v1.generation_service_pb2 import (
    INTERRUPTION_POLICY_RESTART,
    PartDelta,
    Restart,
    TargetPlan,
)

Event = list[PartDelta] | Restart | Attempt | Answer
"""Content; that all content so far is void; an attempt or skip that did not answer;
and, last, the answer."""


_LEAST_RETRY_DELAY = 1.0
"""Seconds that a caller is told to wait at least."""


class _Kept(NamedTuple):
    """An answer that the walk went on after."""

    target: Target
    running: RunningAttempt
    answer: Answer


class Engine:
    """Walks chains. One for a process: the tracker's health is shared by all calls."""

    def __init__(
        self,
        tracker: Tracker,
        clock: Clock = CLOCK,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self._tracker = tracker
        self._clock = clock
        self._random = random

    async def walk(self, call: Call) -> AsyncGenerator[Event]:
        """Try `call.targets` from head to tail until one answers.

        Raises CallFailed. However it ends, `call` tells what was tried and what
        came of it. Closing the generator, or cancelling what awaits it, closes the
        provider's connection at once.
        """
        call.started_nanoseconds = self._clock.wall_nanoseconds()
        end = self._clock.monotonic() + budget.usable(call.time_remaining)
        course = Course(call, self._tracker, self._clock, self._random, end)
        void: Attempt | None = None
        kept: _Kept | None = None
        try:
            while (turn := await course.next()) is not None:
                retries = 0
                refitted = False
                while True:
                    running = await self._enter(call, turn, end)
                    if isinstance(running, Attempt):
                        call.attempts.append(running)
                        yield running
                        break
                    answer: Answer | None = None
                    shown = False
                    unseen: list[PartDelta] = []
                    try:
                        async with running:
                            while answer is None:
                                piece = await running.next_piece()
                                if isinstance(piece, Answer):
                                    answer = _whole(piece, call, unseen)
                                    if not shown and _advances_on(
                                        answer, call, running
                                    ):
                                        break
                                if void is not None and call.stream:
                                    yield Restart(
                                        interrupted=void, target=turn.target.name
                                    )
                                    void = None
                                if isinstance(piece, Answer):
                                    break
                                if call.stream:
                                    shown = True
                                    yield piece
                                else:
                                    unseen += piece
                    except Failure:
                        pass  # the record says it all
                    finally:
                        call.attempts.append(running.record)
                    if answer is not None and not running.kept:
                        if call.stream and answer.rest:
                            yield list(answer.rest)
                        yield self._complete(call, turn.target, running, answer)
                        return
                    yield running.record
                    if answer is not None:
                        kept = kept or _Kept(turn.target, running, answer)
                        break
                    if running.record.outcome == ATTEMPT_OUTCOME_INTERRUPTED:
                        void = running.record
                        kept = None  # it said less than what was shown
                    if running.refit and not refitted:
                        refitted = True
                        continue
                    if not await self._again(call, running.record, turn, retries, end):
                        break
                    retries += 1
            raise self._failed(call, ())
        except CallFailed:
            if kept is None:
                raise
            call.error = None  # nobody has said more
            if void is not None and call.stream:
                yield Restart(interrupted=void, target=kept.target.name)
            if call.stream and kept.answer.rest:
                yield list(kept.answer.rest)
            yield self._complete(call, *kept)
        except (asyncio.CancelledError, GeneratorExit):
            call.cancelled = call.completion is None
            raise
        finally:
            call.ended_nanoseconds = self._clock.wall_nanoseconds()

    async def explain(self, call: Call) -> list[TargetPlan]:
        """What a walk of `call` would do now; nothing is sent."""
        return await explain(call, self._tracker, self._clock)

    async def _enter(
        self, call: Call, turn: Turn, end: float
    ) -> RunningAttempt | Attempt:
        """Begin an attempt at the turn's target, or say why it is skipped."""
        target = turn.target
        decision = await plan(
            call,
            target,
            turn.to_come,
            self._tracker,
            end - self._clock.monotonic(),
            tried=any(a.outcome != ATTEMPT_OUTCOME_SKIPPED for a in call.attempts),
            benched=turn.early or turn.last_resort,
        )
        if isinstance(decision, Skip):
            return self._skipped(call, target, decision)
        lease = self._tracker.begin(
            target.name,
            early=turn.early,
            last_resort=turn.last_resort,
            again=call.leases.get(target.name),
            limit=decision.own.first_content,
            streamed=decision.exchange.streamed,
            inert=target.place.left,
        )
        if isinstance(lease, Bench):  # while the request was made to fit
            return self._skipped(call, target, skip_benched(lease, self._tracker))
        call.leases[target.name] = lease
        return RunningAttempt(
            call, target, decision, lease, self._tracker, self._clock, call_end=end
        )

    async def _again(
        self,
        call: Call,
        attempt: Attempt,
        turn: Turn,
        retries: int,
        end: float,
    ) -> bool:
        """After a failed attempt: True, once it is time, to try the same target again.

        False to go on to the next one. Raises CallFailed where the call ends here
        (rules 2.5, 2.6 and 3.3).
        """
        reason = attempt.failure_reason
        if attempt.outcome == ATTEMPT_OUTCOME_INTERRUPTED:
            if call.policy.interruption == INTERRUPTION_POLICY_RESTART:
                return False
            raise self._failed(call, turn.to_come)
        if reason in PERMANENT and not _advances(reason, call.policy):
            raise self._failed(call, turn.to_come, ended=True)
        if (
            turn.last_resort
            or not retriable(attempt)
            or retries == call.policy.transient_retries
            or self._tracker.out_of_rotation(attempt.target) is not None
        ):
            return False
        left = end - self._clock.monotonic()
        wait = budget.backoff(retries, self._random())
        await asyncio.sleep(max(0.0, min(wait, left)))
        return True

    def _complete(
        self, call: Call, target: Target, running: RunningAttempt, answer: Answer
    ) -> Answer:
        completion = call.completion = answer.completion
        completion.generation_id = call.generation_id
        completion.target = target.name
        completion.trace_id = call.trace_id
        completion.attempts.extend(call.attempts)
        completion.adaptations.extend(running.adaptations)
        completion.answer_fault = running.kept
        if answer.message is not None:
            answer.message.origin = target.name
        return answer

    def _failed(
        self, call: Call, not_reached: Sequence[Target], *, ended: bool = False
    ) -> CallFailed:
        for target in not_reached:
            skip = Skip(FAILURE_REASON_NOT_REACHED, "the call had ended")
            call.attempts.append(self._skipped(call, target, skip))
        call.error = verdict(call.attempts, ended=ended)
        returns = [
            self._tracker.returns_in(attempt.target)
            for attempt in may_come_back(call.attempts)
        ]
        known = [max(wait, _LEAST_RETRY_DELAY) for wait in returns if wait is not None]
        return CallFailed(call, call.error, min(known, default=None))

    def _skipped(self, call: Call, target: Target, skip: Skip) -> Attempt:
        attempt = Attempt(
            number=len(call.attempts) + 1,
            target=target.name,
            outcome=ATTEMPT_OUTCOME_SKIPPED,
            failure_reason=skip.reason,
            message=bounded(skip.message),
            provider_error_code=skip.code,
        )
        self._clock.stamp(attempt.start_time)
        if skip.bench is not None:
            skip.bench.write(attempt.bench, self._clock)
        return attempt


def _whole(answer: Answer, call: Call, unseen: Sequence[PartDelta]) -> Answer:
    """`answer`, for a whole one with its message, perhaps put together."""
    if answer.message is None and not call.stream:
        answer.message = message([*unseen, *answer.rest])
    return answer


def _advances_on(answer: Answer, call: Call, running: RunningAttempt) -> bool:
    """Whether `answer`, of which nothing was shown, is kept and the walk goes on."""
    found = fault(answer)
    if found in call.policy.advance_on_answer:
        running.kept = found
    return running.kept != ANSWER_FAULT_UNSPECIFIED


def _advances(reason: FailureReason, policy: Policy) -> bool:
    """Whether the walk goes on after a permanent failure (rule 2.5)."""
    return (
        reason in ALWAYS_ADVANCE
        or policy.advance_on_permanent
        or reason in policy.advance_on
    )
