"""The engine against the reference, over random scripts."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majordomo.chain.call import Policy
from majordomo.chain.failure import Failure
from majordomo.chain.tracker import Tracker
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_SUCCEEDED,
    FAILURE_CLASS_TRANSIENT,
    Attempt,
    FailureReason,
)
from majordomo.v1.errors_pb2 import ErrorReason
from majordomo.v1.generation_service_pb2 import ALL_BENCHED_POLICY_FAIL
from tests.chain import fakes, oracle
from tests.chain.oracle import Outcome

REASONS = [
    "CONNECTION",
    "TIMEOUT",
    "RATE_LIMITED",
    "QUOTA_EXHAUSTED",
    "OVERLOADED",
    "PROVIDER_ERROR",
    "MALFORMED_RESPONSE",
    "CREDENTIALS",
    "MODEL_NOT_FOUND",
    "UNSUPPORTED",
    "CONTEXT_TOO_LONG",
    "INVALID_REQUEST",
    "CONTENT_REFUSED",
]
TARGETS = ["a/1", "b/1", "b/2", "c/1"]

outcomes = st.one_of(
    st.just(Outcome(None)),
    st.builds(Outcome, st.sampled_from(REASONS), st.booleans(), st.booleans()),
)
scripts = st.dictionaries(
    st.sampled_from(TARGETS),
    # As many as there can be attempts: the last one would repeat otherwise.
    st.lists(outcomes, min_size=6, max_size=6),
    min_size=1,
)
benches = st.dictionaries(
    st.sampled_from(TARGETS),
    st.sampled_from(["", "OVERLOADED", "RATE_LIMITED", "QUOTA_EXHAUSTED"]),
)


def _reason(name: str) -> FailureReason:
    return cast("FailureReason", FailureReason.Value(f"FAILURE_REASON_{name}"))


def _steps(outcome: Outcome, *, stream: bool) -> Sequence[fakes.Step]:
    if outcome.reason is None:
        return fakes.OK
    delay = 7.0 if outcome.delay else None
    failure = Failure(_reason(outcome.reason), "scripted", retry_delay=delay)
    return ["partial", failure] if outcome.after_content and stream else [failure]


def _bench(tracker: Tracker, target: str, cause: str) -> None:
    """Bring `target` to the bench by the operator or by failures of `cause`."""
    if not cause:
        tracker.bench(target, None, "maintenance")
        return
    attempt = Attempt(
        failure_reason=_reason(cause), failure_class=FAILURE_CLASS_TRANSIENT
    )
    if cause == "RATE_LIMITED":
        attempt.retry_delay.FromSeconds(30)
    while tracker.out_of_rotation(target) is None:
        lease = tracker.begin(target)
        tracker.fail(lease, attempt, counts=True)  # type: ignore[arg-type]


@pytest.mark.rule("2.1", "2.4", "2.5", "2.6", "2.8", "2.9", "3.3", "4.6", "4.7", "7")
@settings(max_examples=500, deadline=None)
@given(
    scripts,
    benches,
    st.integers(0, 5),
    st.sets(st.sampled_from(["CREDENTIALS", "INVALID_REQUEST", "CONTENT_REFUSED"])),
    st.booleans(),
)
def test_the_walk_does_what_the_rules_say(
    scripts: dict[str, list[Outcome]],
    benched: dict[str, str],
    retries: int,
    advance_on: set[str],
    stream: bool,
) -> None:
    """Attempts, skips, the error and the benches are those of the reference."""
    if not stream:
        scripts = {
            target: [outcome._replace(after_content=False) for outcome in script]
            for target, script in scripts.items()
        }

    async def run() -> tuple[fakes.Result, Tracker]:
        engine, tracker = fakes.engine()
        for target, cause in benched.items():
            _bench(tracker, target, cause)
        call = fakes.call(
            *(
                fakes.target(name, *(_steps(o, stream=stream) for o in script))
                for name, script in scripts.items()
            ),
            stream=stream,
            policy=Policy(
                transient_retries=retries,
                all_benched=ALL_BENCHED_POLICY_FAIL,
                advance_on=frozenset(_reason(name) for name in advance_on),
            ),
        )
        return await fakes.walk(engine, call), tracker

    with asyncio.Runner(loop_factory=fakes.VirtualLoop) as runner:
        result, tracker = runner.run(run())
        expected, error, out = oracle.walk(scripts, benched, retries, advance_on)
        reached = [
            (
                a.target,
                None
                if a.outcome == ATTEMPT_OUTCOME_SUCCEEDED
                else FailureReason.Name(a.failure_reason).removeprefix(
                    "FAILURE_REASON_"
                ),
            )
            for a in result.attempts
        ]
        not_reached = [
            (target, "NOT_REACHED")
            for target in list(scripts)[len({t for t, _ in expected}) :]
            if error is not None
        ]
        assert expected + not_reached == reached
        assert [i + 1 for i in range(len(reached))] == [
            a.number for a in result.attempts
        ]
        name = (
            None if result.call.error is None else ErrorReason.Name(result.call.error)
        )
        assert (error and f"ERROR_REASON_{error}") == name
        assert {t for t in TARGETS if tracker.out_of_rotation(t) is not None} == out
        assert all(health.active_attempts == 0 for health in tracker.snapshot())
