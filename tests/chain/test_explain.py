"""Explain shows what the walk then does."""

import asyncio
import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majordomo.chain.call import Policy
from majordomo.chain.failure import Failure
from majordomo.chain.health import Bench
from majordomo.chain.target import ConcurrencyLimit, Target, Timeouts
from majordomo.chain.tracker import Tracker
from majordomo.durations import duration, seconds
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_SKIPPED,
    FAILURE_REASON_MODEL_NOT_FOUND,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_UNSPECIFIED,
    FAILURE_REASON_UNSUPPORTED,
    Attempt,
    BenchRecord,
    FailureReason,
)
from majordomo.v1.generation_service_pb2 import (
    ALL_BENCHED_POLICY_FAIL,
    GenerationConfig,
    Prompt,
    ReasoningConfig,
    TargetPlan,
)
from tests.chain import fakes

GONE = Failure(FAILURE_REASON_MODEL_NOT_FOUND, "no such model")
"""Advances at once and touches no health."""

LONG = 100_000.0

limits = st.none() | st.floats(0.1, 700)
lengths = st.none() | st.floats(0.1, 100)


@dataclass(frozen=True)
class State:
    """What a target is like when the call comes."""

    failures: int = 0
    reason: FailureReason = FAILURE_REASON_OVERLOADED
    waited: float = 0.0
    operator: bool = False
    operator_length: float | None = None
    concurrency_limits: tuple[tuple[int | None, int], ...] = ()
    unsupported: bool = False
    reasons: bool = False
    timeouts: Timeouts = field(default_factory=Timeouts)


# Clear of every limit: between the explanation and the walk some microseconds pass.
remaining = st.none() | st.integers(2, 9000).map(lambda n: n / 10 + 0.013)

states = st.builds(
    State,
    failures=st.integers(0, 3),
    reason=st.sampled_from([FAILURE_REASON_OVERLOADED, FAILURE_REASON_RATE_LIMITED]),
    waited=st.integers(0, 12).map(lambda n: n + 0.3),
    operator=st.booleans(),
    operator_length=lengths,
    concurrency_limits=st.lists(
        st.tuples(st.none() | st.integers(1, 3), st.integers(0, 3)), max_size=2
    ).map(tuple),
    unsupported=st.booleans(),
    reasons=st.booleans(),
    timeouts=st.builds(
        Timeouts, first_content=limits, stall=st.floats(0.1, 700), attempt=limits
    ),
)
policies = st.builds(
    Policy,
    transient_retries=st.just(0),
    all_benched=st.just(ALL_BENCHED_POLICY_FAIL),
    attempt_timeout=limits,
    first_content_timeout=limits,
    stall_timeout=limits,
)
prompts = st.builds(
    lambda effort: Prompt(
        config=GenerationConfig(reasoning=ReasoningConfig(effort=effort))
    ),
    st.sampled_from([ReasoningConfig.EFFORT_NONE, ReasoningConfig.EFFORT_HIGH]),
)


def _bring_about(tracker: Tracker, name: str, state: State) -> None:
    attempt = Attempt(failure_reason=state.reason)
    if state.reason == FAILURE_REASON_RATE_LIMITED:
        attempt.retry_delay.CopyFrom(duration(6.0))
    for _ in range(state.failures):
        lease = tracker.begin(name)
        if isinstance(lease, Bench):
            break
        tracker.fail(lease, attempt, counts=True)


def _target(name: str, state: State, step: fakes.Step) -> Target:
    return fakes.target(
        name,
        [step],
        unsupported=Failure(FAILURE_REASON_UNSUPPORTED, "too large")
        if state.unsupported
        else None,
        timeouts=state.timeouts,
        reasons=state.reasons,
        concurrency_limits=tuple(
            ConcurrencyLimit(limit, used) for limit, used in state.concurrency_limits
        ),
    )


def _words(message: str) -> str:
    """Without the seconds in it, which may be rounded otherwise a moment later."""
    return re.sub(r"\d+\.\d", "N", message)


def _run(
    world: list[State],
    policy: Policy,
    prompt: Prompt,
    remaining: float | None,
    step: fakes.Step,
    *,
    stream: bool,
) -> tuple[list[TargetPlan], list[Attempt]]:
    """Explain a call, then walk it: targets do `step` when they are called."""

    async def run() -> tuple[list[TargetPlan], list[Attempt]]:
        engine, tracker = fakes.engine()
        names = [f"p{number}/m" for number in range(len(world))]
        for name, state in zip(names, world, strict=True):
            _bring_about(tracker, name, state)
        await asyncio.sleep(max(state.waited for state in world))
        for name, state in zip(names, world, strict=True):
            if state.operator:
                tracker.bench(name, state.operator_length, "maintenance")
        call = fakes.call(
            *(_target(n, s, step) for n, s in zip(names, world, strict=True)),
            stream=stream,
            policy=policy,
            time_remaining=remaining,
            prompt=prompt,
        )
        before = tracker.snapshot(names)
        plans = await engine.explain(call)
        assert before == tracker.snapshot(names)
        return plans, (await fakes.walk(engine, call)).attempts

    with asyncio.Runner(loop_factory=fakes.VirtualLoop) as runner:
        return runner.run(run())


@pytest.mark.rule("2.1", "2.2", "2.3", "4.8", "5.3")
@settings(max_examples=300, deadline=None)
@given(
    st.lists(states, min_size=1, max_size=5),
    policies,
    prompts,
    remaining,
    st.booleans(),
)
def test_the_walk_does_what_was_explained(
    world: list[State],
    policy: Policy,
    prompt: Prompt,
    remaining: float | None,
    stream: bool,
) -> None:
    """Tried, skipped and refused, with the reasons, the benches and the probes."""
    plans, attempts = _run(world, policy, prompt, remaining, GONE, stream=stream)

    def done(attempt: Attempt) -> tuple[object, ...]:
        skipped = attempt.outcome == ATTEMPT_OUTCOME_SKIPPED
        reason = attempt.failure_reason if skipped else FAILURE_REASON_UNSPECIFIED
        message = _words(attempt.message) if skipped else ""
        return (attempt.target, not skipped, reason, message, attempt.probe)

    assert [
        (
            plan.target,
            plan.action == TargetPlan.ACTION_TRY,
            plan.reason,
            _words(plan.message),
            plan.probe,
        )
        for plan in plans
    ] == [done(attempt) for attempt in attempts]
    assert [plan.bench for plan in plans] == [
        attempt.bench if attempt.HasField("bench") else BenchRecord()
        for attempt in attempts
    ]
    refused = {p.target for p in plans if p.action == TargetPlan.ACTION_REFUSE}
    assert refused == {
        a.target for a in attempts if a.failure_reason == FAILURE_REASON_UNSUPPORTED
    }


@pytest.mark.rule("5.2", "5.4")
@settings(max_examples=300, deadline=None)
@given(
    st.lists(states, min_size=1, max_size=5),
    policies,
    prompts,
    remaining,
    st.booleans(),
)
def test_a_silent_target_is_left_after_the_time_that_was_explained(
    world: list[State],
    policy: Policy,
    prompt: Prompt,
    remaining: float | None,
    stream: bool,
) -> None:
    """The first attempt waits for its content as long as reported, and no longer."""
    silence = fakes.Wait(LONG)
    plans, attempts = _run(world, policy, prompt, remaining, silence, stream=stream)
    reported = next((p for p in plans if p.action == TargetPlan.ACTION_TRY), None)
    made = next((a for a in attempts if a.outcome != ATTEMPT_OUTCOME_SKIPPED), None)

    assert (reported is None) == (made is None)
    if reported is not None and made is not None:
        limit = min(
            seconds(reported.first_content_timeout), seconds(reported.attempt_timeout)
        )
        assert pytest.approx(limit, abs=0.002) == seconds(made.duration)
