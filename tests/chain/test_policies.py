"""What a walk does beyond its last target, and after an answer that broke off."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from majordomo.chain.call import Policy
from majordomo.chain.events import Answered, AttemptEnded, Content, Restarted
from majordomo.chain.failure import Failure
from majordomo.chain.health import Bench, HealthSettings
from majordomo.chain.target import ConcurrencyLimit, Target, Timeouts
from majordomo.chain.tracker import Tracker
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_FAILED,
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SKIPPED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    FAILURE_REASON_BENCHED,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_MODEL_NOT_FOUND,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_QUOTA_EXHAUSTED,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_TIMEOUT,
    FAILURE_REASON_UNSPECIFIED,
    Attempt,
    AttemptOutcome,
    FailureReason,
)
from majordomo.v1.errors_pb2 import (
    ERROR_REASON_ALL_BENCHED,
    ERROR_REASON_CHAIN_EXHAUSTED,
    ERROR_REASON_STREAM_INTERRUPTED,
)
from majordomo.v1.generation_service_pb2 import (
    ALL_BENCHED_POLICY_TRY_SOONEST,
    ALL_BENCHED_POLICY_WAIT,
    INTERRUPTION_POLICY_RESTART,
    TargetPlan,
)
from tests.chain.fakes import (
    OK,
    Result,
    Step,
    Wait,
    call,
    engine,
    exchanges,
    target,
    virtual_time,
    walk,
)

RESTART = Policy(interruption=INTERRUPTION_POLICY_RESTART)
WAIT = Policy(all_benched=ALL_BENCHED_POLICY_WAIT)
SOONEST = Policy(all_benched=ALL_BENCHED_POLICY_TRY_SOONEST)

BROKEN = Failure(FAILURE_REASON_MALFORMED_RESPONSE, "no end")
BUSY = Failure(FAILURE_REASON_OVERLOADED, "busy")


def outcomes(result: Result) -> list[tuple[str, AttemptOutcome]]:
    return [(a.target, a.outcome) for a in result.attempts]


def kinds(result: Result) -> list[type]:
    return [type(event) for event in result.events]


def bench(
    tracker: Tracker,
    name: str,
    reason: FailureReason = FAILURE_REASON_OVERLOADED,
    delay: float | None = None,
) -> None:
    """Fail `name` until it is out of rotation: for 4 s, if nothing longer is asked."""
    attempt = Attempt(failure_reason=reason)
    if delay is not None:
        attempt.retry_delay.FromSeconds(int(delay))
    while tracker.out_of_rotation(name) is None:
        lease = tracker.begin(name)
        assert not isinstance(lease, Bench)
        tracker.fail(lease, attempt, counts=True)


# Restart.


@pytest.mark.rule("3.3")
@virtual_time
async def test_a_broken_stream_is_started_again_at_the_next_target() -> None:
    """The Restart comes with the new content, names both, and voids what was sent."""
    walker, _ = engine()
    a, b = target("a/1", ["one", BROKEN]), target("b/1", [Wait(3), "two", None])

    result = await walk(walker, call(a, b, stream=True, policy=RESTART))

    assert [Content, AttemptEnded, Restarted, Content, Answered] == kinds(result)
    restart = result.events[2]
    assert isinstance(restart, Restarted)
    assert ("b/1", "a/1") == (restart.target, restart.interrupted.target)
    assert ATTEMPT_OUTCOME_INTERRUPTED == restart.interrupted.outcome
    assert "b/1" == result.answer.completion.target
    assert [
        ("a/1", ATTEMPT_OUTCOME_INTERRUPTED),
        ("b/1", ATTEMPT_OUTCOME_SUCCEEDED),
    ] == [(a.target, a.outcome) for a in result.answer.completion.attempts]


@pytest.mark.rule("3.3")
@virtual_time
async def test_nothing_is_voided_when_nobody_else_answers() -> None:
    """The next target fails before its content: ABORTED, and no Restart was sent."""
    walker, _ = engine()
    a, b = target("a/1", ["one", BROKEN]), target("b/1", [BUSY])

    result = await walk(walker, call(a, b, stream=True, policy=RESTART))

    assert Restarted not in kinds(result)
    assert ERROR_REASON_STREAM_INTERRUPTED == result.call.error
    assert 1 == len(exchanges(a))
    assert 2 == len(exchanges(b))


@pytest.mark.rule("3.3")
@virtual_time
async def test_each_break_has_its_restart() -> None:
    """Two targets break one after the other; the third answers, though with nothing."""
    walker, _ = engine()
    targets = [
        target("a/1", ["one", BROKEN]),
        target("b/1", ["two", BROKEN]),
        target("c/1", [None]),
    ]

    result = await walk(walker, call(*targets, stream=True, policy=RESTART))

    restarts = [event for event in result.events if isinstance(event, Restarted)]
    assert [("a/1", "b/1"), ("b/1", "c/1")] == [
        (restart.interrupted.target, restart.target) for restart in restarts
    ]
    assert isinstance(result.events[-1], Answered)


@pytest.mark.rule("3.3", "4.12")
@virtual_time
async def test_a_broken_target_is_not_waited_for() -> None:
    """Not under WAIT either: never the same target again."""
    walker, _ = engine()
    a = target("a/1", ["one", BROKEN])
    policy = replace(WAIT, interruption=INTERRUPTION_POLICY_RESTART)

    result = await walk(walker, call(a, stream=True, policy=policy))

    assert [("a/1", ATTEMPT_OUTCOME_INTERRUPTED)] == outcomes(result)
    assert ERROR_REASON_STREAM_INTERRUPTED == result.call.error


@pytest.mark.rule("3.3")
@virtual_time
async def test_a_reader_that_goes_while_the_answer_starts_again() -> None:
    """Whatever event it stops at, the exchange in hand is closed."""
    for steps in range(1, 5):
        walker, tracker = engine()
        a, b = target("a/1", ["one", BROKEN]), target("b/1", ["two", "three", None])
        async with aclosing(
            walker.walk(call(a, b, stream=True, policy=RESTART))
        ) as events:
            for _ in range(steps):
                await anext(events)

        assert all(exchange.closed for exchange in exchanges(a) + exchanges(b))
        assert all(0 == health.active_attempts for health in tracker.snapshot())


# Wait.


@pytest.mark.rule("4.12")
@virtual_time
async def test_waiting_for_the_first_to_return() -> None:
    """The one that returns first is tried, as soon as it returns."""
    loop = asyncio.get_running_loop()
    walker, tracker = engine()
    bench(tracker, "a/1", FAILURE_REASON_RATE_LIMITED, 30)
    bench(tracker, "b/1")

    result = await walk(walker, call(target("a/1"), target("b/1"), policy=WAIT))

    assert [
        ("a/1", ATTEMPT_OUTCOME_SKIPPED),
        ("b/1", ATTEMPT_OUTCOME_SKIPPED),
        ("b/1", ATTEMPT_OUTCOME_SUCCEEDED),
    ] == outcomes(result)
    assert result.attempts[-1].probe
    assert 4 == pytest.approx(loop.time(), abs=0.01)
    assert [1, 2, 3] == [attempt.number for attempt in result.attempts]


@pytest.mark.rule("4.12")
@virtual_time
async def test_waiting_after_attempts_that_failed() -> None:
    """The walk that benched its only target waits for it, and again if it must."""
    loop = asyncio.get_running_loop()
    walker, _ = engine()
    a = target("a/1", [BUSY], [BUSY], [BUSY], OK)

    result = await walk(walker, call(a, policy=WAIT))

    assert [ATTEMPT_OUTCOME_FAILED] * 3 + [ATTEMPT_OUTCOME_SUCCEEDED] == [
        attempt.outcome for attempt in result.attempts
    ]
    # A backoff of 0.1 s, benches of 4 and 8.
    assert 12.1 == pytest.approx(loop.time(), abs=0.01)


@pytest.mark.rule("4.12")
@pytest.mark.parametrize("remaining", [None, 5.0])
@virtual_time
async def test_no_use_waiting(remaining: float | None) -> None:
    """Anyone who returns beyond 60 s, or the deadline, is not waited for at all."""
    loop = asyncio.get_running_loop()
    walker, tracker = engine()
    bench(tracker, "a/1", FAILURE_REASON_RATE_LIMITED, 70 if remaining is None else 4)
    tracker.bench("b/*", None, "maintenance")

    result = await walk(
        walker,
        call(target("a/1"), target("b/1"), policy=WAIT, time_remaining=remaining),
    )

    assert ERROR_REASON_ALL_BENCHED == result.call.error
    assert 0 == pytest.approx(loop.time(), abs=0.01)


@pytest.mark.rule("4.12")
@virtual_time
async def test_waits_add_up_to_a_minute() -> None:
    """A target that fails at every return is not waited for for ever."""
    loop = asyncio.get_running_loop()
    walker, _ = engine()

    result = await walk(walker, call(target("a/1", [BUSY]), policy=WAIT))

    assert ERROR_REASON_CHAIN_EXHAUSTED == result.call.error
    # 0.1 s, then 4, 8, and 15 thrice; the next would end after 72.
    assert 57.1 == pytest.approx(loop.time(), abs=0.01)
    assert 7 == len(result.attempts)


@pytest.mark.rule("4.12")
@virtual_time
async def test_an_operator_ends_the_wait() -> None:
    """A change of state wakes anyone who waits."""
    loop = asyncio.get_running_loop()
    walker, tracker = engine()
    bench(tracker, "a/1", FAILURE_REASON_RATE_LIMITED, 50)
    waiting = asyncio.create_task(walk(walker, call(target("a/1"), policy=WAIT)))
    await asyncio.sleep(2)

    tracker.unbench("a/1")
    result = await waiting

    assert "a/1" == result.answer.completion.target
    assert 2 == pytest.approx(loop.time(), abs=0.01)
    assert 0 == tracker.changes.listeners


@pytest.mark.rule("4.8", "4.12")
@virtual_time
async def test_of_many_that_wait_one_probes() -> None:
    """The others wait on, for what the probe finds."""
    loop = asyncio.get_running_loop()
    walker, tracker = engine()
    bench(tracker, "a/1")
    a = target("a/1", [Wait(2), BUSY], [Wait(2), *OK])

    results = await asyncio.gather(
        *(walk(walker, call(a, policy=WAIT)) for _ in range(20))
    )

    assert all(isinstance(result.events[-1], Answered) for result in results)
    probes = [at for result in results for at in result.attempts if at.probe]
    assert [ATTEMPT_OUTCOME_FAILED, ATTEMPT_OUTCOME_SUCCEEDED] == [
        probe.outcome for probe in sorted(probes, key=lambda p: p.start_time.seconds)
    ]
    # Benched for 4 s, then for 8 from the start of a probe, a probe of 2, answers in 2.
    assert 16 == pytest.approx(loop.time(), abs=0.01)
    assert 0 == tracker.changes.listeners


@pytest.mark.rule("4.12", "5.6")
@virtual_time
async def test_a_call_cancelled_while_it_waits() -> None:
    """It listens no longer, and the probe is another's."""
    walker, tracker = engine()
    bench(tracker, "a/1")
    a = target("a/1")
    waiting = asyncio.create_task(walk(walker, call(a, policy=WAIT)))
    await asyncio.sleep(1)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert 0 == tracker.changes.listeners
    assert [] == exchanges(a)


@pytest.mark.rule("4.12")
@virtual_time
async def test_what_benches_do_not_keep_is_not_waited_for() -> None:
    """A failure that benched nobody, a full room and an unsupported request end the
    walk."""
    loop = asyncio.get_running_loop()
    walker, _ = engine()
    targets = [
        target("a/1", [BUSY]),
        target("b/1", concurrency_limits=(ConcurrencyLimit(limit=1, used=1),)),
        target("c/1", unsupported=BROKEN),
    ]
    policy = replace(WAIT, transient_retries=0)

    result = await walk(walker, call(*targets, policy=policy))

    assert ERROR_REASON_CHAIN_EXHAUSTED == result.call.error
    assert 0 == pytest.approx(loop.time(), abs=0.01)


# Try the soonest.


@pytest.mark.rule("4.12")
@virtual_time
async def test_the_soonest_is_tried_before_its_time() -> None:
    """All are benched: the one that returns first is asked now, as a probe."""
    walker, tracker = engine()
    bench(tracker, "a/1")
    await asyncio.sleep(1)
    bench(tracker, "b/1")

    result = await walk(walker, call(target("b/1"), target("a/1"), policy=SOONEST))

    assert [
        ("b/1", ATTEMPT_OUTCOME_SKIPPED),
        ("a/1", ATTEMPT_OUTCOME_SKIPPED),
        ("a/1", ATTEMPT_OUTCOME_SUCCEEDED),
    ] == outcomes(result)
    assert result.attempts[-1].probe
    assert tracker.out_of_rotation("a/1") is None


@pytest.mark.rule("4.12")
@virtual_time
async def test_one_early_attempt_a_second() -> None:
    """However many call: the target that was tried is left alone for a second."""
    walker, tracker = engine()
    bench(tracker, "a/1")
    a = target("a/1", [BUSY])
    made = []
    for _ in range(30):
        result = await walk(walker, call(a, policy=SOONEST))
        assert result.call.error in (
            ERROR_REASON_ALL_BENCHED,
            ERROR_REASON_CHAIN_EXHAUSTED,
        )
        made.append(len(exchanges(a)))
        await asyncio.sleep(0.1)

    assert 3 == len(exchanges(a))
    assert [1] * 10 + [2] * 10 + [3] * 10 == made


@pytest.mark.rule("4.12")
@virtual_time
async def test_an_attempt_in_its_time_is_no_early_one() -> None:
    """Right after a probe whose turn it was, the target may be tried early."""
    walker, tracker = engine()
    bench(tracker, "a/1")
    a = target("a/1", [BUSY])
    await asyncio.sleep(5)

    probed = await walk(walker, call(a, policy=SOONEST))
    early = await walk(walker, call(a, policy=SOONEST))
    none = await walk(walker, call(a, policy=SOONEST))

    assert [True, True] == [probed.attempts[0].probe, early.attempts[-1].probe]
    assert ERROR_REASON_ALL_BENCHED == none.call.error
    assert 2 == len(exchanges(a))


@pytest.mark.rule("4.12")
@pytest.mark.parametrize(
    ("reason", "delay", "operator"),
    [
        (FAILURE_REASON_QUOTA_EXHAUSTED, None, False),
        (FAILURE_REASON_RATE_LIMITED, 7, False),
        (FAILURE_REASON_OVERLOADED, 7, False),
        (FAILURE_REASON_UNSPECIFIED, None, True),
    ],
)
@virtual_time
async def test_whom_never_to_try_early(
    reason: FailureReason, delay: float | None, operator: bool
) -> None:
    """An operator's bench, a quota, and the quiet that a provider asked for."""
    walker, tracker = engine()
    a = target("a/1")
    if operator:
        tracker.bench("a/*", 30, "maintenance")
    else:
        bench(tracker, "a/1", reason, delay)

    result = await walk(walker, call(a, policy=SOONEST))

    assert [] == exchanges(a)
    assert ERROR_REASON_ALL_BENCHED == result.call.error


@pytest.mark.rule("4.12")
@virtual_time
async def test_nobody_is_tried_early_where_somebody_was_tried() -> None:
    """TRY_SOONEST is for the walk that would end without an attempt."""
    walker, tracker = engine()
    bench(tracker, "a/1")
    a, b = target("a/1"), target("b/1", [BUSY])

    result = await walk(walker, call(a, b, policy=SOONEST))

    assert [] == exchanges(a)
    assert ERROR_REASON_CHAIN_EXHAUSTED == result.call.error


@pytest.mark.rule("4.12")
@virtual_time
async def test_an_early_attempt_is_explained() -> None:
    """Explain shows the probe that the walk then makes."""
    walker, tracker = engine()
    bench(tracker, "a/1")
    asked = call(target("a/1"), policy=SOONEST)

    plans = await walker.explain(asked)
    result = await walk(walker, asked)

    assert [(TargetPlan.ACTION_TRY, True)] == [(p.action, p.probe) for p in plans]
    assert [FAILURE_REASON_BENCHED, FAILURE_REASON_UNSPECIFIED] == [
        attempt.failure_reason for attempt in result.attempts
    ]


# The last resort.


@pytest.mark.rule("4.10")
@virtual_time
async def test_the_last_resort_answers() -> None:
    """A benched target is tried when nobody else is left, and is back by its answer."""
    walker, tracker = engine()
    bench(tracker, "a/1")
    a, b = target("a/1"), target("b/1", [BUSY])

    result = await walk(walker, call(a, b))

    assert [
        ("a/1", ATTEMPT_OUTCOME_SKIPPED),
        ("b/1", ATTEMPT_OUTCOME_FAILED),
        ("b/1", ATTEMPT_OUTCOME_FAILED),
        ("a/1", ATTEMPT_OUTCOME_SUCCEEDED),
    ] == outcomes(result)
    assert [False, False, False, True] == [a.last_resort for a in result.attempts]
    assert not result.attempts[-1].probe
    assert tracker.out_of_rotation("a/1") is None


@pytest.mark.rule("4.10")
@virtual_time
async def test_each_has_the_attempts_that_it_would_have_had() -> None:
    """Less those that the call has made: what a bench has cut is made up for."""
    walker, tracker = engine(HealthSettings(failure_threshold=1))
    bench(tracker, "b/1")
    a, b = target("a/1", [BUSY]), target("b/1", [BUSY])

    result = await walk(walker, call(a, b, policy=Policy(transient_retries=2)))

    assert [3, 3] == [len(exchanges(a)), len(exchanges(b))]
    assert ERROR_REASON_CHAIN_EXHAUSTED == result.call.error
    assert 1 == tracker.show("b/1").bench.consecutive_benches


@pytest.mark.rule("4.10", "2.6")
@pytest.mark.parametrize(
    "failure",
    [
        Failure(FAILURE_REASON_TIMEOUT, "slow"),
        Failure(FAILURE_REASON_QUOTA_EXHAUSTED, "no money"),
        Failure(FAILURE_REASON_RATE_LIMITED, "later", retry_delay=1),
        Failure(FAILURE_REASON_MODEL_NOT_FOUND, "no such model"),
    ],
)
@virtual_time
async def test_what_is_not_retried_is_no_last_resort(failure: Failure) -> None:
    """The call knows what the target says."""
    walker, _ = engine(HealthSettings(failure_threshold=1))
    a = target("a/1", [failure])

    await walk(walker, call(a))

    assert 1 == len(exchanges(a))


@pytest.mark.rule("4.10")
@virtual_time
async def test_a_delay_that_a_provider_asked_for_is_waited_for() -> None:
    """Up to five seconds in all, and only while the deadline leaves room."""
    loop = asyncio.get_running_loop()
    for delay, remaining, answered in [(3, None, 1), (6, None, 0), (3, 3.5, 0)]:
        walker, tracker = engine()
        bench(tracker, "a/1", FAILURE_REASON_RATE_LIMITED, delay)
        began = loop.time()

        result = await walk(walker, call(target("a/1"), time_remaining=remaining))

        assert answered == (result.call.completion is not None)
        waited = delay * 1.1 if answered else 0
        assert waited == pytest.approx(loop.time() - began, abs=0.01)
        assert 0 == tracker.changes.listeners


@pytest.mark.rule("4.10")
@virtual_time
async def test_without_a_token_a_call_waits_for_those_that_have_one() -> None:
    """Of many calls at once some try; their answer lets the others in."""
    walker, tracker = engine()
    bench(tracker, "a/1")
    a = target("a/1", [Wait(2), *OK])

    results = await asyncio.gather(*(walk(walker, call(a)) for _ in range(50)))

    assert all(isinstance(result.events[-1], Answered) for result in results)
    early = [at for r in results for at in r.attempts if at.last_resort]
    assert 15 == len(early)
    assert 0 == tracker.changes.listeners


@pytest.mark.rule("4.10")
@virtual_time
async def test_a_dead_target_is_spared() -> None:
    """Of many calls at once only those with a token reach it."""
    walker, tracker = engine()
    bench(tracker, "a/1")
    a = target("a/1", [Wait(0.1), BUSY])

    results = await asyncio.gather(*(walk(walker, call(a)) for _ in range(50)))

    assert not any(isinstance(result.events[-1], Answered) for result in results)
    assert 15 == len(exchanges(a))
    assert {ERROR_REASON_ALL_BENCHED, ERROR_REASON_CHAIN_EXHAUSTED} == {
        result.call.error for result in results
    }


@pytest.mark.rule("4.10")
@virtual_time
async def test_a_last_resort_is_explained() -> None:
    """Explain shows what keeps the target out and that it would be tried at last."""
    walker, tracker = engine()
    bench(tracker, "a/1")
    tracker.bench("b/1", None, "maintenance")

    plans = await walker.explain(call(target("a/1"), target("b/1"), target("c/1")))

    assert [
        (TargetPlan.ACTION_TRY, True, False),
        (TargetPlan.ACTION_SKIP, False, False),
        (TargetPlan.ACTION_TRY, False, False),
    ] == [(p.action, p.last_resort, p.probe) for p in plans]
    assert FAILURE_REASON_OVERLOADED == plans[0].bench.failure_reason


# What one request cannot do.


@pytest.mark.rule("4.2")
@virtual_time
async def test_one_request_cannot_bench_a_target() -> None:
    """What the request may have caused counts once a call; two calls bench."""
    walker, tracker = engine()
    a = target("a/1", [BROKEN])

    await walk(walker, call(a, policy=Policy(transient_retries=5)))

    assert 6 == len(exchanges(a))
    assert tracker.out_of_rotation("a/1") is None
    assert 1 == tracker.show("a/1").consecutive_failures

    await walk(walker, call(a))
    assert tracker.out_of_rotation("a/1") is not None


@pytest.mark.rule("4.3")
@pytest.mark.parametrize(
    ("script", "policy"),
    [
        ([Wait(60), *OK], Policy(attempt_timeout=0.1, transient_retries=5)),
        ([Wait(60), *OK], Policy(first_content_timeout=0.1)),
        (["he", Wait(60), "llo", None], Policy(stall_timeout=0.1)),
        (["he", Wait(0.3), "llo", None], Policy(attempt_timeout=0.2)),
    ],
)
@virtual_time
async def test_a_callers_short_limits_bench_nobody(
    script: list[Step], policy: Policy
) -> None:
    """Time that the caller cut short says nothing of the target."""
    walker, tracker = engine()
    a = target("a/1", script)
    for _ in range(5):
        await walk(walker, call(a, policy=policy, stream=True))

    assert 5 == len(exchanges(a))
    assert tracker.out_of_rotation("a/1") is None
    assert 0 == tracker.show("a/1").consecutive_failures


@pytest.mark.rule("4.3")
@virtual_time
async def test_a_stall_of_the_targets_own_limit_counts() -> None:
    """As a silence does."""
    walker, tracker = engine()
    a = target("a/1", ["he", Wait(60), "llo", None])
    for _ in range(2):
        await walk(walker, call(a, stream=True))

    assert tracker.out_of_rotation("a/1") is not None


# Whole answers asked for as streams.


def streaming(name: str, *scripts: list[Step], stall: float = 30) -> Target:
    made = target(name, *scripts, timeouts=Timeouts(stall=stall))
    return replace(made, streams=True)


@pytest.mark.rule("5.2")
@virtual_time
async def test_a_whole_answer_from_a_stream() -> None:
    """It is put together, and nothing of it is shown before."""
    walker, _ = engine()
    a = streaming("a/1", ["hel", "lo", None])

    result = await walk(walker, call(a))

    assert [Answered] == kinds(result)
    message = result.answer.message
    assert message is not None
    assert "hello" == message.parts[0].text
    assert "a/1" == message.origin
    assert exchanges(a)[0].stream


@pytest.mark.rule("5.2", "5.4")
@virtual_time
async def test_a_whole_answer_that_stalls_is_rescued() -> None:
    """Silence is noticed after the stall limit, and the next target answers."""
    loop = asyncio.get_running_loop()
    walker, tracker = engine()
    a = streaming("a/1", ["hel", Wait(999)], stall=4)
    b = target("b/1")

    result = await walk(walker, call(a, b))

    assert [("a/1", ATTEMPT_OUTCOME_FAILED), ("b/1", ATTEMPT_OUTCOME_SUCCEEDED)] == (
        outcomes(result)
    )
    assert FAILURE_REASON_TIMEOUT == result.attempts[0].failure_reason
    assert 4 == pytest.approx(loop.time(), abs=0.01)
    assert 1 == tracker.snapshot(["a/1"])[0].consecutive_failures
    message = result.answer.message
    assert message is not None
    assert "hello" == message.parts[0].text


@pytest.mark.rule("5.2", "2.6")
@virtual_time
async def test_a_whole_answer_that_breaks_is_tried_again() -> None:
    """Nothing of it was shown, so that the retry is as after any other failure."""
    walker, _ = engine()
    a = streaming("a/1", ["hel", BROKEN], ["hello", None])

    result = await walk(walker, call(a))

    assert [ATTEMPT_OUTCOME_FAILED, ATTEMPT_OUTCOME_SUCCEEDED] == [
        attempt.outcome for attempt in result.attempts
    ]
