"""At its plainest the product does what the chain that it grew from does.

That is: `all_benched_policy = "fail"`, `bench_failure_share = 0`, `advance_on = []`,
`generate_via = "unary"`, and one call at a time. What no setting turns off is in
test_departures.py.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majordomo.chain.call import Call, Policy
from majordomo.chain.engine import Engine
from majordomo.chain.failure import Failure
from majordomo.chain.health import HealthSettings
from majordomo.chain.tracker import Tracker
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_SUCCEEDED,
    FAILURE_CLASS_PERMANENT,
    FAILURE_CLASS_TRANSIENT,
    FAILURE_REASON_BENCHED,
    FAILURE_REASON_CONNECTION,
    FAILURE_REASON_CONTENT_REFUSED,
    FAILURE_REASON_CREDENTIALS,
    FAILURE_REASON_INVALID_REQUEST,
    FAILURE_REASON_MODEL_NOT_FOUND,
    FAILURE_REASON_NOT_REACHED,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_UNSUPPORTED,
    Attempt,
    FailureReason,
)
from majordomo.v1.errors_pb2 import ErrorReason
from majordomo.v1.generation_service_pb2 import (
    ALL_BENCHED_POLICY_FAIL,
    ALL_BENCHED_POLICY_LAST_RESORT,
)
from tests.chain import fakes, reference
from tests.chain.reference import Outcome, Statement, Step

TARGETS = ("a/1", "b/1", "b/2")
SETTINGS = HealthSettings(bench_failure_share=0.0, cooldown_base=5.0, cooldown_cap=60.0)
POLICY = Policy(
    all_benched=ALL_BENCHED_POLICY_FAIL,
    advance_on=frozenset(),
    advance_on_answer=frozenset(),
)

REASONS: dict[Outcome, tuple[FailureReason, ...]] = {
    "transient": (
        FAILURE_REASON_OVERLOADED,
        FAILURE_REASON_CONNECTION,
        FAILURE_REASON_RATE_LIMITED,
    ),
    "permanent": (
        FAILURE_REASON_INVALID_REQUEST,
        FAILURE_REASON_CREDENTIALS,
        FAILURE_REASON_CONTENT_REFUSED,
    ),
    "no such model": (FAILURE_REASON_MODEL_NOT_FOUND,),
    "unsupported": (FAILURE_REASON_UNSUPPORTED,),
}
"""The product's words for the reference's classes."""

CLASSES = {reason: kind for kind, reasons in REASONS.items() for reason in reasons}
REFUSED = {"REQUEST_REFUSED", "PROVIDER_CREDENTIALS", "CONTENT_REFUSED"}
EXHAUSTED = {
    *("CHAIN_EXHAUSTED", "CHAIN_RATE_LIMITED", "ALL_BENCHED"),
    *("MODEL_NOT_FOUND", "REQUEST_UNSUPPORTED", "PROVIDER_CREDENTIALS"),
}


class Ask(NamedTuple):
    """A call, some time after the last one; by target what its attempts come to."""

    after: float
    targets: Mapping[str, Sequence[Outcome] | None]
    retries: int = 1
    advance_on_permanent: bool = False
    stream: bool = False
    which: int = 0
    """Which of the product's words is used."""


outcomes = st.sampled_from(
    # What benches and what heals more often than the rest: histories that matter.
    ["transient"] * 4 + ["answer"] * 2 + ["permanent", "no such model", "unsupported"]
)
asks = st.builds(
    Ask,
    st.sampled_from([0.0, 0.1, 4.9, 5.1, 9.9, 10.1, SETTINGS.cooldown_cap, 300.0]),
    st.dictionaries(
        st.sampled_from(TARGETS),
        # As many as there can be attempts.
        st.lists(outcomes, min_size=6, max_size=6) | st.none(),
        min_size=1,
    ),
    st.integers(0, 5),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2),
)


def _script(outcome: Outcome, which: int) -> Sequence[fakes.Step]:
    if outcome == "answer":
        return fakes.OK
    reasons = REASONS[outcome]
    return [Failure(reasons[which % len(reasons)], "scripted")]


def _call(ask: Ask, policy: Policy) -> Call:
    unsupported = Failure(FAILURE_REASON_UNSUPPORTED, "it cannot be made to fit")
    return fakes.call(
        *(
            fakes.target(name, unsupported=unsupported)
            if outcomes is None
            else fakes.target(name, *(_script(o, ask.which) for o in outcomes))
            for name, outcomes in ask.targets.items()
        ),
        stream=ask.stream,
        policy=replace(
            policy,
            transient_retries=ask.retries,
            advance_on_permanent=ask.advance_on_permanent,
        ),
    )


def _step(attempt: Attempt, ask: Ask) -> Step:
    """An attempt or skip in the reference's words."""
    name = attempt.target
    if attempt.outcome == ATTEMPT_OUTCOME_SUCCEEDED:
        return Step(name, "answer")
    if attempt.failure_reason == FAILURE_REASON_BENCHED:
        return Step(name, "backed off")
    if ask.targets[name] is None:
        return Step(name, "unsupported")
    kind = CLASSES[attempt.failure_reason]
    passes = kind == "transient"
    expected = FAILURE_CLASS_TRANSIENT if passes else FAILURE_CLASS_PERMANENT
    assert expected == attempt.failure_class
    return Step(name, kind, attempt.benched)


def _end(result: fakes.Result) -> set[str]:
    """What the end may be called by the reference."""
    if result.call.error is None:
        return {"answered"}
    reason = ErrorReason.Name(result.call.error).removeprefix("ERROR_REASON_")
    ends = set()
    if reason in REFUSED:
        ends.add("refused")
    if reason in EXHAUSTED:
        ends.add("exhausted")
    return ends


async def _compare(
    history: Sequence[Ask], health: HealthSettings, policy: Policy
) -> set[Statement]:
    clock = fakes.loop_clock()
    tracker = Tracker(health, clock, lambda: 1.0)  # cooldowns are not jittered
    engine = Engine(tracker, clock, lambda: 0.0)  # retries come at once
    model = reference.Tracker(
        health.failure_threshold, health.cooldown_base, health.cooldown_cap
    )
    passed: set[Statement] = set()
    for ask in history:
        await asyncio.sleep(ask.after)
        now = clock.monotonic()
        result = await fakes.walk(engine, _call(ask, policy))
        expected = reference.walk(
            model,
            now,
            ask.targets,
            retries=ask.retries,
            advance_on_permanent=ask.advance_on_permanent,
        )
        passed |= expected.passed
        reached = [
            _step(attempt, ask)
            for attempt in result.attempts
            if attempt.failure_reason != FAILURE_REASON_NOT_REACHED
        ]
        assert expected.steps == reached
        assert expected.end in _end(result)
        for name in TARGETS:
            out = tracker.returns_in(name)
            assert out is not None
            assert max(0.0, model.of(name).until - now) == pytest.approx(out)
    return passed


def compare(
    history: Sequence[Ask], health: HealthSettings = SETTINGS, policy: Policy = POLICY
) -> set[Statement]:
    """Make the calls of `history` on both; the statements that they came by."""
    with asyncio.Runner(loop_factory=fakes.VirtualLoop) as runner:
        return runner.run(_compare(history, health, policy))


@pytest.mark.rule("2.1", "2.2", "2.4", "2.5", "2.6", "2.8", "2.9", "4.1", "4.4")
@settings(max_examples=500, deadline=None)
@given(st.lists(asks, min_size=1, max_size=20))
def test_any_history(history: list[Ask]) -> None:
    """Attempts, skips, benches, and what ends the call are those of the reference."""
    compare(history)


FAIL: Sequence[Outcome] = ["transient"] * 6
WELL: Sequence[Outcome] = ["answer"]
EXAMPLES: dict[Statement, list[Ask]] = {
    "skip what is backed off": [
        Ask(0.0, {"a/1": FAIL, "b/1": WELL}),
        Ask(4.9, {"a/1": WELL, "b/1": WELL}),
    ],
    "advance from an unsupported request": [Ask(0.0, {"a/1": None, "b/1": WELL})],
    "answer, and reset the target's health": [
        Ask(0.0, {"a/1": ["transient", "answer"]}),
        Ask(0.0, {"a/1": ["transient", "answer"]}),
    ],
    "retry a transient failure": [Ask(0.0, {"a/1": ["transient", "answer"]})],
    "advance when retries are used up": [
        Ask(0.0, {"a/1": FAIL, "b/1": WELL}, retries=0)
    ],
    "advance when benched": [Ask(0.0, {"a/1": FAIL, "b/1": WELL}, retries=5)],
    "advance where the model is missing": [
        Ask(0.0, {"a/1": ["no such model"], "b/1": WELL})
    ],
    "advance where it is unsupported": [
        Ask(0.0, {"a/1": ["unsupported"], "b/1": WELL})
    ],
    "advance on a permanent failure, if told so": [
        Ask(0.0, {"a/1": ["permanent"], "b/1": WELL}, advance_on_permanent=True)
    ],
    "end at a permanent failure": [Ask(0.0, {"a/1": ["permanent"], "b/1": WELL})],
    "fail when every target did": [Ask(0.0, {"a/1": FAIL, "b/1": FAIL})],
}
"""The shortest history that comes by each statement."""


def test_every_statement_has_an_example() -> None:
    assert set(get_args(Statement)) == EXAMPLES.keys()


@pytest.mark.parametrize("statement", EXAMPLES)
def test_each_statement(statement: Statement) -> None:
    """The product does it too, and the history really comes by it."""
    assert statement in compare(EXAMPLES[statement])


@pytest.mark.rule("4.4", "4.8")
def test_each_bench_is_twice_as_long_until_an_answer() -> None:
    """Up to the cap; an answer makes the next bench a first one."""
    again = [Ask(wait, {"a/1": FAIL}) for wait in (5.1, 10.1, 20.1, 40.1, 60.1)]
    well = Ask(60.1, {"a/1": WELL})

    compare([Ask(0.0, {"a/1": FAIL}), *again, well, Ask(0.0, {"a/1": FAIL})])


@fakes.virtual_time
async def test_for_a_caller_who_has_gone_nobody_is_asked() -> None:
    """Neither again nor the next one; and nothing is held against the target."""
    engine, tracker = fakes.engine(SETTINGS)
    busy = Failure(FAILURE_REASON_OVERLOADED, "busy")
    a, b = fakes.target("a/1", [fakes.Wait(1.0), busy]), fakes.target("b/1")
    waiting = asyncio.ensure_future(fakes.walk(engine, fakes.call(a, b, policy=POLICY)))
    await asyncio.sleep(0.5)
    waiting.cancel()
    await asyncio.wait({waiting})

    assert (1, 0) == (len(fakes.exchanges(a)), len(fakes.exchanges(b)))
    assert 0 == tracker.snapshot(["a/1"])[0].consecutive_failures


ANSWERED = Ask(0.0, {"a/1": WELL})
FAILED = Ask(0.0, {"a/1": FAIL})
CREDENTIALS = Ask(0.0, {"a/1": ["permanent"], "b/1": WELL}, which=1)


@pytest.mark.parametrize(
    ("health", "policy", "history"),
    [
        pytest.param(
            SETTINGS,
            replace(POLICY, all_benched=ALL_BENCHED_POLICY_LAST_RESORT),
            [FAILED, ANSWERED],
            id="all_benched_policy",
        ),
        pytest.param(
            replace(SETTINGS, bench_failure_share=0.5),
            POLICY,
            [ANSWERED] * 3 + [FAILED],
            id="bench_failure_share",
        ),
        pytest.param(
            SETTINGS,
            replace(POLICY, advance_on=frozenset({FAILURE_REASON_CREDENTIALS})),
            [CREDENTIALS],
            id="advance_on",
        ),
    ],
)
def test_each_key_turns_something_off(
    health: HealthSettings, policy: Policy, history: list[Ask]
) -> None:
    """With any one of them set otherwise the product does more than the reference."""
    compare(history)
    with pytest.raises(AssertionError):
        compare(history, health, policy)
