"""The walk of a failover chain (docs/semantics.md, sections 2 and 3).

Unary and streamed calls share it: what differs is the attempt.
"""

import asyncio
import random as _random
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

from majordomo.chain import budget
from majordomo.chain.answers import Fault, Parts, fault
from majordomo.chain.attempt import MOST_MESSAGE_BYTES, RunningAttempt
from majordomo.chain.call import Call, CallFailed, Policy
from majordomo.chain.clock import CLOCK, Clock
from majordomo.chain.events import Answered, AttemptEnded, Content, Event, Restarted
from majordomo.chain.failure import PERMANENT
from majordomo.chain.health import Bench
from majordomo.chain.keeping import Kept, Shown
from majordomo.chain.plan import Skip, explain, plan, skip_benched
from majordomo.chain.selector import Pick, TargetSelector, retriable
from majordomo.chain.target import Answer, Target
from majordomo.chain.tracker import Tracker
from majordomo.chain.usage import add_up
from majordomo.chain.verdict import ALWAYS_ADVANCE, may_come_back, verdict
from majordomo.deltas import message
from majordomo.text import cut
from majordomo.v1.attempt_pb2 import (
    ANSWER_FAULT_EMPTY,
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SKIPPED,
    FAILURE_REASON_NOT_REACHED,
    Attempt,
    FailureReason,
)
from majordomo.v1.generation_service_pb2 import (
    INTERRUPTION_POLICY_RESTART,
    PartDelta,
    TargetPlan,
)

_UNSHOWN = frozenset({ANSWER_FAULT_EMPTY})
"""Faults of answers that show nothing."""

_LEAST_RETRY_DELAY = 1.0
"""Seconds that a caller is asked to wait at least."""


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

        Raises CallFailed. However it ends, `call` shows what was tried and what
        came of it. Closing the generator, or cancelling what awaits it, closes the
        provider's connection at once.
        """
        call.started_nanoseconds = self._clock.wall_nanoseconds()
        walk = _Walk(call, self._tracker, self._clock, self._random)
        try:
            while call.completion is None:
                attempt = await walk.next_attempt()
                if isinstance(attempt, RunningAttempt):
                    async with attempt:
                        while events := await walk.next_events(attempt):
                            for event in events:
                                yield event
                for event in walk.conclude(attempt):
                    yield event
        except CallFailed:
            if walk.kept is None:
                raise
            for event in walk.fall_back(walk.kept):
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            call.cancelled = call.completion is None
            raise
        finally:
            call.ended_nanoseconds = self._clock.wall_nanoseconds()

    async def explain(self, call: Call) -> list[TargetPlan]:
        """What a walk of `call` would do now; nothing is sent."""
        return await explain(call, self._tracker, self._clock)


class _Walk:
    """One call's walk in its steps: which attempt is next, and what is seen of it."""

    def __init__(
        self,
        call: Call,
        tracker: Tracker,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._call = call
        self._tracker = tracker
        self._clock = clock
        self._random = random
        self._end = clock.monotonic() + budget.usable(call.time_remaining)
        self._selector = TargetSelector(call, tracker, clock, random, self._end)
        self._pick: Pick | None = None
        self._retries = 0  # in this turn
        self._refitted = False  # in this turn
        self._failed: RunningAttempt | None = None  # just now
        self._unseen: list[PartDelta] = []  # of the running attempt
        self._shown: Shown | None = None  # of the running attempt; None: not held
        self._void: Attempt | None = None  # what is shown of it has to be taken back
        self.kept: Kept | None = None
        """The call's answer if no target gives a better one."""

    async def next_attempt(self) -> RunningAttempt | Attempt:
        """The next attempt, once it is time, or a skip.

        Raises CallFailed if there is none, or the call ends here.
        """
        if self._pick is None or not await self._again(self._pick):
            self._pick = await self._selector.next()
            self._retries = 0
            self._refitted = False
        if self._pick is None:
            raise self._call_failed(())
        self._failed = None
        self._unseen = []
        if self._shown is not None:
            self._shown.drop()
        self._shown = Shown(self._call.memory) if self._may_void else None
        return await self._enter(self._pick)

    async def next_events(self, running: RunningAttempt) -> Sequence[Event]:
        """What the caller sees next of an attempt; nothing: it has answered.

        Raises Failure.
        """
        call = self._call
        while running.answer is None:
            piece = await running.next_piece()
            if isinstance(piece, Answer):
                if piece.message is None and not call.stream:
                    piece.message = message([*self._unseen, *piece.rest])
                running.kept = self._fault(piece, shown=running.shown)
                if running.kept is not None:
                    break
                return self._restart(running.record.target)
            if call.stream:
                if self._shown is not None:
                    self._shown.add(piece)
                return [*self._restart(running.record.target), Content(piece)]
            self._unseen += piece
        return ()

    def conclude(self, attempt: RunningAttempt | Attempt) -> Iterator[Event]:
        """After an attempt or skip: the answer, or that it did not answer the call."""
        if isinstance(attempt, Attempt):
            self._call.attempts.append(attempt)
            yield AttemptEnded(attempt)
            return
        if attempt.answer is None:
            self._failed = attempt
            if attempt.record.outcome == ATTEMPT_OUTCOME_INTERRUPTED:
                self._interrupted(attempt.record)
        elif attempt.kept is None or not self._keep(attempt, attempt.answer):
            yield from self._restart(attempt.record.target)
            yield from self._answer(attempt, attempt.answer)
            return
        yield AttemptEnded(attempt.record)

    def fall_back(self, kept: Kept) -> Iterator[Event]:
        """The answer that was kept: no target gave a better one."""
        self._call.error = None
        if self._void is not kept.running.record:  # else it is what the caller sees
            yield from self._restart(kept.running.record.target)
            if kept.shown:
                yield Content(list(kept.shown))
        yield from self._answer(kept.running, kept.answer)

    @property
    def _may_void(self) -> bool:
        """Whether what a stream has shown may be taken back for a fault of it."""
        policy = self._call.policy
        return (
            self._call.stream
            and policy.interruption == INTERRUPTION_POLICY_RESTART
            and bool(policy.advance_on_answer - _UNSHOWN)
        )

    def _fault(self, answer: Answer, *, shown: bool) -> Fault | None:
        """What is wrong with an answer for which the walk may still go on."""
        parts: Parts = answer.rest
        if shown:
            if self._shown is None or self._shown.deltas is None:
                return None
            parts = [*self._shown.deltas, *answer.rest]
        elif answer.message is not None:
            parts = answer.message.parts
        why = answer.completion.finish_reason
        return fault(parts, why, self._call.prompt, self._call.policy.advance_on_answer)

    def _keep(self, running: RunningAttempt, answer: Answer) -> bool:
        """Keep a faulty answer; False if there is no room: it is the call's answer."""
        if self.kept is None:
            size = answer.message.ByteSize() if answer.message is not None else 0
            if not self._call.memory.try_take(size):
                return False
            shown: Sequence[PartDelta] = ()
            if self._shown is not None:
                shown, self._shown = self._shown.deltas or (), None
            self.kept = Kept(running, answer, shown)
        if running.shown:
            self._void = running.record
        return True

    def _interrupted(self, attempt: Attempt) -> None:
        """What was shown is to be taken back, and for what: more than nothing."""
        self._void = attempt
        kept = self.kept.running.kept if self.kept is not None else None
        restarts = self._call.policy.interruption == INTERRUPTION_POLICY_RESTART
        if not restarts or kept is None or kept.kind in _UNSHOWN:
            self.kept = None

    def _restart(self, target: str) -> list[Event]:
        """Take back what an interrupted attempt has shown, if one did."""
        interrupted, self._void = self._void, None
        return [] if interrupted is None else [Restarted(interrupted, target)]

    async def _enter(self, pick: Pick) -> RunningAttempt | Attempt:
        """Begin an attempt at the turn's target, or say why it is skipped."""
        call, target = self._call, pick.target
        decision = await plan(
            call,
            target,
            pick.to_come,
            self._tracker,
            self._end - self._clock.monotonic(),
            tried=any(a.outcome != ATTEMPT_OUTCOME_SKIPPED for a in call.attempts),
            benched=pick.early or pick.last_resort,
        )
        if isinstance(decision, Skip):
            return self._skipped(target, decision)
        lease = self._tracker.begin(
            target.name,
            early=pick.early,
            last_resort=pick.last_resort,
            again=call.leases.get(target.name),
            limit=decision.own.first_content,
            streamed=decision.exchange.streamed,
            inert=target.place.left,
        )
        if isinstance(lease, Bench):  # while the request was made to fit
            return self._skipped(target, skip_benched(lease, self._tracker))
        call.leases[target.name] = lease
        return RunningAttempt(
            call,
            target,
            decision,
            lease,
            self._tracker,
            self._clock,
            call_end=self._end,
        )

    async def _again(self, pick: Pick) -> bool:
        """After a failed attempt: True, once it is time, to try the same target again.

        False to go on to the next one. Raises CallFailed where the call ends here
        (rules 2.5, 2.6 and 3.3).
        """
        if self._failed is None:
            return False
        attempt, policy = self._failed.record, self._call.policy
        reason = attempt.failure_reason
        if self._failed.refit and not self._refitted:
            self._refitted = True
            return True
        if attempt.outcome == ATTEMPT_OUTCOME_INTERRUPTED:
            if policy.interruption == INTERRUPTION_POLICY_RESTART:
                return False
            raise self._call_failed(pick.to_come)
        if reason in PERMANENT and not _advances(reason, policy):
            raise self._call_failed(pick.to_come, ended=True)
        if (
            pick.last_resort
            or not retriable(attempt)
            or self._retries == policy.transient_retries
            or self._tracker.out_of_rotation(attempt.target) is not None
        ):
            return False
        left = self._end - self._clock.monotonic()
        wait = budget.backoff(self._retries, self._random())
        await asyncio.sleep(max(0.0, min(wait, left)))
        self._retries += 1
        return True

    def _answer(self, running: RunningAttempt, answer: Answer) -> Iterator[Event]:
        """Answer the call by what `running` gave."""
        call = self._call
        if call.stream and answer.rest:
            yield Content(list(answer.rest))
        completion = call.completion = answer.completion
        completion.generation_id = call.generation_id
        completion.target = running.record.target
        completion.trace_id = call.trace_id
        completion.attempts.extend(call.attempts)
        add_up(call.attempts, completion.total_usage)
        completion.adaptations.extend(running.adaptations)
        if running.kept is not None:
            completion.answer_fault = running.kept.kind
        if answer.message is not None:
            answer.message.origin = running.record.target
        yield Answered(answer)

    def _call_failed(
        self, not_reached: Sequence[Target], *, ended: bool = False
    ) -> CallFailed:
        call = self._call
        for target in not_reached:
            skip = Skip(FAILURE_REASON_NOT_REACHED, "the call had ended")
            call.attempts.append(self._skipped(target, skip))
        call.error = verdict(call.attempts, ended=ended)
        returns = [
            self._tracker.returns_in(attempt.target)
            for attempt in may_come_back(call.attempts)
        ]
        known = [max(wait, _LEAST_RETRY_DELAY) for wait in returns if wait is not None]
        return CallFailed(call, call.error, min(known, default=None))

    def _skipped(self, target: Target, skip: Skip) -> Attempt:
        attempt = Attempt(
            number=len(self._call.attempts) + 1,
            target=target.name,
            outcome=ATTEMPT_OUTCOME_SKIPPED,
            failure_reason=skip.reason,
            message=cut(skip.message, MOST_MESSAGE_BYTES),
            provider_error_code=skip.code,
        )
        self._clock.stamp(attempt.start_time)
        if skip.bench is not None:
            skip.bench.write(attempt.bench, self._clock)
        return attempt


def _advances(reason: FailureReason, policy: Policy) -> bool:
    """Whether the walk goes on after a permanent failure (rule 2.5)."""
    return (
        reason in ALWAYS_ADVANCE
        or policy.advance_on_permanent
        or reason in policy.advance_on
    )
