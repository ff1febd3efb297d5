"""What the walk does at one target, decided before anything is sent.

The walk acts on a plan at once; `Explain` only shows it. Both ask here, so that they
cannot come to different ends.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from majordomo.chain import budget
from majordomo.chain.call import Call
from majordomo.chain.clock import Clock
from majordomo.chain.failure import Failure
from majordomo.chain.health import Bench
from majordomo.chain.target import Exchange, Target
from majordomo.chain.tracker import Tracker
from majordomo.durations import duration
from majordomo.v1 import generation_service_pb2
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_BENCHED,
    FAILURE_REASON_CONCURRENCY_LIMIT,
    FAILURE_REASON_DEADLINE,
    FailureReason,
)
from majordomo.v1.generation_service_pb2 import TargetPlan


class Skip(NamedTuple):
    """No attempt is made, and why."""

    reason: FailureReason
    message: str
    code: str = ""
    """The provider's own, if the reason came from one."""

    bench: Bench | None = None
    unsupported: bool = False
    """The request cannot be made to fit; no other time will do."""


class Plan(NamedTuple):
    """An attempt that may begin now."""

    exchange: Exchange
    limits: budget.Limits
    own: budget.Limits
    """What the target's settings allow, whatever the caller asks for."""

    left: float
    """Seconds that the call may still take."""

    reserve: float
    """Seconds of them that are kept for the targets still to come."""

    bench: Bench | None = None
    """It is out of rotation, and is tried all the same."""


async def plan(
    call: Call,
    target: Target,
    to_come: Sequence[Target],
    tracker: Tracker,
    left: float,
    *,
    tried: bool,
    benched: bool = False,
) -> Plan | Skip:
    """Decide by health, time, fit and room (rules 2.1 to 2.3).

    `left` is in seconds; `tried` tells whether the call has made an attempt, `benched`
    that the target may be tried though it is out of rotation.
    """
    bench = tracker.out_of_rotation(target.name)
    if bench is not None and not benched:
        return skip_benched(bench, tracker)
    if tried and left < budget.LEAST_ATTEMPT:
        message = f"too little time: {max(left, 0):.1f} s"
        return Skip(FAILURE_REASON_DEADLINE, message)
    stream = call.stream or target.streams
    try:
        exchange = await target.provider.prepare(
            target.model,
            call.prompt,
            stream=stream,
            caller=call.caller,
            kept=call.kept,
        )
    except Failure as failure:
        return Skip(failure.reason, failure.message, failure.code, unsupported=True)
    if any(concurrency.full for concurrency in target.concurrency_limits):
        message = "this server's limit of attempts there is reached"
        return Skip(FAILURE_REASON_CONCURRENCY_LIMIT, message)
    in_rotation = sum(tracker.out_of_rotation(other.name) is None for other in to_come)
    reasons = target.reasons or _asked_to_reason(call)
    own = budget.limits(target.timeouts, reasons=reasons, stream=exchange.streamed)
    return Plan(
        exchange,
        budget.wished(own, call.policy, stream=exchange.streamed),
        own,
        left,
        budget.reserve(left, in_rotation),
        bench,
    )


def skip_benched(bench: Bench, tracker: Tracker) -> Skip:
    """The skip of a target that `bench` keeps out of rotation."""
    if bench.probing:
        message = "benched; another call is the probe"
    elif bench.until is None:
        message = "benched until unbenched"
    else:
        message = f"benched for another {tracker.seconds_to(bench.until):.1f} s"
    return Skip(FAILURE_REASON_BENCHED, message, bench=bench)


async def explain(call: Call, tracker: Tracker, clock: Clock) -> list[TargetPlan]:
    """What the walk of `call` would do now, if every attempt failed at once.

    Nothing is sent and no health is touched.
    """
    left = budget.usable(call.time_remaining)
    decisions: dict[str, Plan | Skip] = {}
    tried = False
    for place, target in enumerate(call.targets, start=1):
        to_come = call.targets[place:]
        decision = await plan(call, target, to_come, tracker, left, tried=tried)
        decisions[target.name] = decision
        tried = tried or isinstance(decision, Plan)
    all_the_same = _tried_all_the_same(call, decisions, tracker, tried=tried)
    for target in call.targets:
        if target.name in all_the_same:
            decisions[target.name] = await plan(
                call, target, (), tracker, left, tried=tried, benched=True
            )
    return [
        _tell(call, target, decisions[target.name], tracker, clock)
        for target in call.targets
    ]


def _tried_all_the_same(
    call: Call, decisions: Mapping[str, Plan | Skip], tracker: Tracker, *, tried: bool
) -> Collection[str]:
    """Of the targets that are benched those that the call's policy lets it try."""
    skipped = [
        name
        for name, decision in decisions.items()
        if isinstance(decision, Skip) and decision.bench is not None
    ]
    match call.policy.all_benched:
        case generation_service_pb2.ALL_BENCHED_POLICY_LAST_RESORT:
            return tracker.last_resorts(skipped)
        case generation_service_pb2.ALL_BENCHED_POLICY_TRY_SOONEST if not tried:
            soonest = tracker.soonest(skipped)
            return () if soonest is None else (soonest,)
        case _:
            return ()


def _tell(
    call: Call, target: Target, decision: Plan | Skip, tracker: Tracker, clock: Clock
) -> TargetPlan:
    if isinstance(decision, Skip):
        reported = TargetPlan(
            target=target.name,
            action=(
                TargetPlan.ACTION_REFUSE
                if decision.unsupported
                else TargetPlan.ACTION_SKIP
            ),
            reason=decision.reason,
            message=decision.message,
        )
        if decision.bench is not None:
            decision.bench.write(reported.bench, clock)
        return reported
    limits = decision.limits
    left = decision.left
    first_content = min(limits.first_content, left - decision.reserve)
    resort = decision.bench is not None and (
        call.policy.all_benched == generation_service_pb2.ALL_BENCHED_POLICY_LAST_RESORT
    )
    reported = TargetPlan(
        target=target.name,
        action=TargetPlan.ACTION_TRY,
        probe=not resort and tracker.next_is_probe(target.name),
        last_resort=resort,
        first_content_timeout=duration(first_content),
        stall_timeout=duration(min(limits.stall, left)),
        attempt_timeout=duration(min(limits.attempt, left)),
        adaptations=decision.exchange.adaptations,
    )
    if decision.bench is not None:
        decision.bench.write(reported.bench, clock)
    return reported


def _asked_to_reason(call: Call) -> bool:
    reasoning = call.prompt.config.reasoning
    match reasoning.WhichOneof("amount"):
        case "effort":
            return reasoning.effort > reasoning.EFFORT_NONE
        case "budget_tokens":
            return reasoning.budget_tokens > 0
        case _:
            return False
