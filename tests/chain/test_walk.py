"""The walk, rule by rule, in virtual time."""

import asyncio
import itertools
import re
from contextlib import aclosing

import pytest

from majordomo.chain.call import Policy
from majordomo.chain.events import Answered, AttemptEnded, Content
from majordomo.chain.failure import Failure
from majordomo.chain.health import HealthSettings
from majordomo.chain.target import ConcurrencyLimit, Timeouts
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_CANCELLED,
    ATTEMPT_OUTCOME_FAILED,
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SKIPPED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    FAILURE_CLASS_TRANSIENT,
    FAILURE_REASON_BENCHED,
    FAILURE_REASON_CANCELLED,
    FAILURE_REASON_CONCURRENCY_LIMIT,
    FAILURE_REASON_CREDENTIALS,
    FAILURE_REASON_DEADLINE,
    FAILURE_REASON_INVALID_REQUEST,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_MODEL_NOT_FOUND,
    FAILURE_REASON_NOT_REACHED,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_TIMEOUT,
    FAILURE_REASON_UNSUPPORTED,
    BenchRecord,
    FailureReason,
)
from majordomo.v1.errors_pb2 import (
    ERROR_REASON_ALL_BENCHED,
    ERROR_REASON_CHAIN_EXHAUSTED,
    ERROR_REASON_CHAIN_RATE_LIMITED,
    ERROR_REASON_DEADLINE_EXCEEDED,
    ERROR_REASON_MODEL_NOT_FOUND,
    ERROR_REASON_PROVIDER_CREDENTIALS,
    ERROR_REASON_REQUEST_UNSUPPORTED,
    ERROR_REASON_STREAM_INTERRUPTED,
)
from majordomo.v1.generation_service_pb2 import (
    GenerationConfig,
    Prompt,
    ReasoningConfig,
)
from tests.chain.fakes import (
    EPOCH,
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


def overloaded() -> Failure:
    return Failure(FAILURE_REASON_OVERLOADED, "busy")


def refused(reason: FailureReason) -> Failure:
    return Failure(reason, "no")


def reasons(result: Result) -> list[tuple[str, FailureReason]]:
    return [(a.target, a.failure_reason) for a in result.attempts]


@pytest.mark.rule("2.4")
@virtual_time
async def test_first_target_answers() -> None:
    """The head's answer goes out whole, and nothing else is called."""
    a, b = target("a/1"), target("b/1")
    walker, tracker = engine()

    result = await walk(walker, call(a, b))

    completion = result.answer.completion
    message = result.answer.message
    assert message is not None
    assert ("hello", "a/1") == (message.parts[0].text, message.origin)
    assert ("g", "a/1") == (completion.generation_id, completion.target)
    assert [(1, ATTEMPT_OUTCOME_SUCCEEDED)] == [
        (at.number, at.outcome) for at in completion.attempts
    ]
    assert [] == exchanges(b)
    assert 0 == tracker.snapshot(["a/1"])[0].active_attempts


@pytest.mark.rule("2.4")
@virtual_time
async def test_success_resets_the_count() -> None:
    """Failures that are not in a row do not bench."""
    a = target("a/1", [overloaded()], OK, [overloaded()], OK)
    walker, tracker = engine()

    await walk(walker, call(a))
    await walk(walker, call(a))

    assert tracker.out_of_rotation("a/1") is None
    assert 0 == tracker.snapshot(["a/1"])[0].consecutive_failures


@pytest.mark.rule("2.1")
@virtual_time
async def test_a_benched_target_is_skipped_with_until_and_why() -> None:
    """The skip tells until when and for which failure the target is out."""
    a, b = target("a/1", [overloaded()]), target("b/1")
    walker, _ = engine()
    await walk(walker, call(a, b))

    result = await walk(walker, call(a, b))

    skip = result.attempts[0]
    assert (ATTEMPT_OUTCOME_SKIPPED, FAILURE_REASON_BENCHED) == (
        skip.outcome,
        skip.failure_reason,
    )
    assert FAILURE_REASON_OVERLOADED == skip.bench.failure_reason
    assert BenchRecord.ORIGIN_AUTOMATIC == skip.bench.origin
    assert EPOCH + 4 == round(skip.bench.expire_time.seconds)
    assert re.fullmatch(r"benched for another \d\.\d s", skip.message)
    assert 2 == len(exchanges(a))


@pytest.mark.rule("2.1")
@virtual_time
async def test_an_operators_bench_is_told_in_the_skip() -> None:
    """An operator's bench without an end says so and carries the reason."""
    a, b = target("a/1"), target("b/1")
    walker, tracker = engine()
    tracker.bench("a/*", None, "maintenance")

    result = await walk(walker, call(a, b))

    skip = result.attempts[0]
    assert "benched until unbenched" == skip.message
    assert (BenchRecord.ORIGIN_OPERATOR, "maintenance") == (
        skip.bench.origin,
        skip.bench.reason,
    )
    assert not skip.bench.HasField("expire_time")


@pytest.mark.rule("2.2")
@virtual_time
async def test_a_request_that_does_not_fit_is_a_skip() -> None:
    """A target that cannot take the request is passed over without a penalty."""
    unsupported = Failure(
        FAILURE_REASON_UNSUPPORTED, "prompt.messages[0]: no audio here"
    )
    a, b = target("a/1", unsupported=unsupported), target("b/1")
    walker, tracker = engine()

    result = await walk(walker, call(a, b))

    assert [("a/1", FAILURE_REASON_UNSUPPORTED), ("b/1", 0)] == reasons(result)
    assert ATTEMPT_OUTCOME_SKIPPED == result.attempts[0].outcome
    assert [] == [t for t in tracker.snapshot() if t.target == "a/1"]


@pytest.mark.rule("2.2")
@pytest.mark.parametrize("stream", [False, True])
def test_what_was_adapted_is_told_of_the_target_that_answered(stream: bool) -> None:
    """And not what had to be adapted for those that failed before it."""

    @virtual_time
    async def run() -> None:
        failed = target("a/1", [overloaded()], adapts="prompt.config.top_k")
        answered = target("b/1", adapts="prompt.config.seed")
        walker, _ = engine()

        result = await walk(walker, call(failed, answered, stream=stream))

        reported = result.answer.completion.adaptations
        assert ["prompt.config.seed"] == [adaptation.field for adaptation in reported]

    run()


@pytest.mark.rule("2.3")
@virtual_time
async def test_a_full_room_is_passed_over() -> None:
    """At the limit of attempts the next target is tried, health untouched."""
    concurrency = ConcurrencyLimit(limit=1)
    a = target("a/1", [Wait(10), *OK], concurrency_limits=(concurrency,))
    b = target("b/1")
    walker, tracker = engine()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(walk(walker, call(a, b)))
        await asyncio.sleep(1)
        second = group.create_task(walk(walker, call(a, b)))

    assert [("a/1", 0)] == reasons(first.result())
    assert [("a/1", FAILURE_REASON_CONCURRENCY_LIMIT), ("b/1", 0)] == reasons(
        second.result()
    )
    assert 0 == concurrency.used
    assert 0 == tracker.snapshot(["a/1"])[0].total_failures


@pytest.mark.rule("2.5")
@pytest.mark.parametrize(
    "policy",
    [
        Policy(advance_on_permanent=True),
        Policy(advance_on=frozenset({FAILURE_REASON_CREDENTIALS})),
    ],
)
@virtual_time
async def test_policy_advances_over_permanent_failures(policy: Policy) -> None:
    """For all reasons or for some, as the policy says; neutral for health."""
    a = target("a/1", [refused(FAILURE_REASON_CREDENTIALS)])
    b = target("b/1")
    walker, tracker = engine()

    result = await walk(walker, call(a, b, policy=policy))

    assert [("a/1", FAILURE_REASON_CREDENTIALS), ("b/1", 0)] == reasons(result)
    assert 0 == tracker.snapshot(["a/1"])[0].consecutive_failures


@pytest.mark.rule("2.6")
@virtual_time
async def test_backoff_doubles_up_to_its_cap() -> None:
    """Retries wait 100 ms, doubling up to 1 s, all of it jittered."""
    a = target("a/1", [overloaded()])
    walker, _ = engine(HealthSettings(failure_threshold=9), random=lambda: 1.0)
    loop = asyncio.get_running_loop()
    begun = loop.time()

    await walk(walker, call(a, policy=Policy(transient_retries=5)))

    assert 0.1 + 0.2 + 0.4 + 0.8 + 1.0 == pytest.approx(loop.time() - begun, abs=0.01)
    assert 6 == len(exchanges(a))

    walker, _ = engine(HealthSettings(failure_threshold=9), random=lambda: 0.0)
    begun = loop.time()
    await walk(walker, call(a, policy=Policy(transient_retries=5)))

    assert loop.time() - begun == pytest.approx(0, abs=0.01)


@pytest.mark.rule("2.6")
@virtual_time
async def test_a_target_benched_during_the_backoff_is_skipped() -> None:
    """The walk looks again after the backoff, no matter who benched the target."""
    a, b = target("a/1", [overloaded()], OK), target("b/1")
    walker, tracker = engine(HealthSettings(failure_threshold=9))
    asyncio.get_running_loop().call_later(0.05, tracker.bench, "a/1", 60, "by hand")

    result = await walk(walker, call(a, b))

    assert [
        ("a/1", FAILURE_REASON_OVERLOADED),
        ("a/1", FAILURE_REASON_BENCHED),
        ("b/1", 0),
    ] == reasons(result)


@pytest.mark.rule("2.8")
@virtual_time
async def test_targets_not_reached_are_named() -> None:
    """The error names every target in order, also those whose turn never came."""
    a = target("a/1", [refused(FAILURE_REASON_INVALID_REQUEST)])
    walker, _ = engine()

    result = await walk(walker, call(a, target("b/1"), target("c/1")))

    assert [
        ("a/1", FAILURE_REASON_INVALID_REQUEST),
        ("b/1", FAILURE_REASON_NOT_REACHED),
        ("c/1", FAILURE_REASON_NOT_REACHED),
    ] == reasons(result)
    assert [1, 2, 3] == [at.number for at in result.attempts]


@pytest.mark.rule("2.9")
@pytest.mark.parametrize("stream", [False, True])
@virtual_time
async def test_unary_and_stream_share_the_walk(stream: bool) -> None:
    """The same script leaves the same attempts either way."""
    a = target("a/1", [overloaded()])
    b = target("b/1", [refused(FAILURE_REASON_UNSUPPORTED)])
    walker, _ = engine()

    result = await walk(walker, call(a, b, target("c/1"), stream=stream))

    assert [
        ("a/1", FAILURE_REASON_OVERLOADED),
        ("a/1", FAILURE_REASON_OVERLOADED),
        ("b/1", FAILURE_REASON_UNSUPPORTED),
        ("c/1", 0),
    ] == reasons(result)
    assert "hello" == (result.text if stream else result.answer.message.parts[0].text)  # type: ignore[union-attr]


@virtual_time
async def test_attempts_are_written_down() -> None:
    """An attempt's record holds its times, its failure and the bench it began."""
    failure = Failure(
        FAILURE_REASON_RATE_LIMITED, "slow\N{EM DASH}" * 100, code="tpm", retry_delay=7
    )
    a, b = target("a/1", [Wait(2), failure]), target("b/1", [Wait(3), *OK])
    walker, _ = engine()

    result = await walk(walker, call(a, b, stream=True))

    first, second = result.attempts
    assert ATTEMPT_OUTCOME_FAILED == first.outcome
    assert FAILURE_CLASS_TRANSIENT == first.failure_class
    assert ("tpm", 7, 2) == (
        first.provider_error_code,
        first.retry_delay.seconds,
        first.duration.seconds,
    )
    assert len(first.message.encode()) <= 200
    assert first.benched
    assert FAILURE_REASON_RATE_LIMITED == first.bench.failure_reason
    assert 7 <= first.bench.expire_time.seconds - EPOCH - 2 <= 8
    assert 3 == second.first_content_latency.seconds
    assert EPOCH + 2 == second.start_time.seconds


@pytest.mark.rule("3.1")
@virtual_time
async def test_failures_before_content_are_invisible_in_the_stream() -> None:
    """Content comes from one target only: the one that answered."""
    a, b = target("a/1", [Wait(1), overloaded()]), target("b/1", ["x", "y", None])
    walker, _ = engine()

    result = await walk(walker, call(a, b, stream=True))

    assert "xy" == result.text
    kinds = [type(event) for event in result.events]
    assert [AttemptEnded, AttemptEnded, Content, Content, Answered] == kinds


@pytest.mark.rule("3.3", "4.2")
@virtual_time
async def test_a_break_after_content_ends_the_call() -> None:
    """No other target is called, and the break counts against health."""
    a, b = target("a/1", ["par", "tial", overloaded()]), target("b/1")
    walker, tracker = engine()

    result = await walk(walker, call(a, b, stream=True))

    assert "partial" == result.text
    assert ERROR_REASON_STREAM_INTERRUPTED == result.call.error
    assert [ATTEMPT_OUTCOME_INTERRUPTED, ATTEMPT_OUTCOME_SKIPPED] == [
        at.outcome for at in result.attempts
    ]
    assert [] == exchanges(b)
    assert 1 == tracker.snapshot(["a/1"])[0].consecutive_failures


@pytest.mark.rule("3.4")
@virtual_time
async def test_an_empty_answer_is_an_answer_and_no_end_is_none() -> None:
    """The provider's end makes an answer, with content or without."""
    walker, _ = engine()

    empty = await walk(walker, call(target("a/1", [None]), stream=True))
    cut = await walk(walker, call(target("b/1", [], OK), stream=True))

    assert ATTEMPT_OUTCOME_SUCCEEDED == empty.attempts[-1].outcome
    assert FAILURE_REASON_MALFORMED_RESPONSE == cut.attempts[0].failure_reason


@pytest.mark.rule("4.12")
@virtual_time
async def test_all_benched_fails_at_once() -> None:
    """Nothing is called, and the error says when the first target returns."""
    a, b = target("a/1"), target("b/1")
    walker, tracker = engine()
    tracker.bench("a/1", 30, "")
    tracker.bench("b/1", 20, "")

    result = await walk(walker, call(a, b))

    assert ERROR_REASON_ALL_BENCHED == result.call.error
    assert result.failed is not None
    assert 20 == pytest.approx(result.failed.retry_delay)
    assert [] == exchanges(a) + exchanges(b)

    tracker.bench("a/*", None, "")
    tracker.bench("b/*", None, "")
    result = await walk(walker, call(a, b))

    assert result.failed is not None
    assert result.failed.retry_delay is None


@pytest.mark.rule("7")
@virtual_time
async def test_the_error_is_told_by_the_attempts() -> None:
    """What may come back decides before what will not."""
    walker, tracker = engine()
    tracker.bench("x/1", None, "")
    limited = Failure(FAILURE_REASON_RATE_LIMITED, "", retry_delay=40)
    unsupported = Failure(FAILURE_REASON_UNSUPPORTED, "")
    fresh = (f"p/{number}" for number in itertools.count())

    async def error(*scripts: Failure | str) -> object:
        targets = [
            target(next(fresh), [s]) if isinstance(s, Failure) else target(s)
            for s in scripts
        ]
        policy = Policy(advance_on_permanent=True)
        return (await walk(walker, call(*targets, policy=policy))).call.error

    absent = refused(FAILURE_REASON_MODEL_NOT_FOUND)
    credentials = refused(FAILURE_REASON_CREDENTIALS)
    assert ERROR_REASON_CHAIN_EXHAUSTED == await error(overloaded(), credentials)
    assert ERROR_REASON_CHAIN_EXHAUSTED == await error("x/1", overloaded())
    assert ERROR_REASON_MODEL_NOT_FOUND == await error(absent, absent)
    assert ERROR_REASON_REQUEST_UNSUPPORTED == await error(absent, unsupported)
    assert ERROR_REASON_PROVIDER_CREDENTIALS == await error(absent, credentials)
    assert ERROR_REASON_CHAIN_RATE_LIMITED == await error(absent, limited)


@pytest.mark.rule("7")
@virtual_time
async def test_retry_delay_is_that_of_the_first_to_return() -> None:
    """A rate limit's bench, or a second for what is not benched."""
    limited = Failure(FAILURE_REASON_RATE_LIMITED, "", retry_delay=40)
    walker, _ = engine(random=lambda: 0.0)

    alone = await walk(walker, call(target("a/1", [limited])))
    beside = await walk(walker, call(target("a/1"), target("b/1", [Wait(9), limited])))
    once = await walk(
        walker, call(target("c/1", [overloaded()]), policy=Policy(transient_retries=0))
    )

    assert [40, 31, 1] == pytest.approx(
        [r.failed and r.failed.retry_delay for r in (alone, beside, once)]
    )


@pytest.mark.rule("5.1")
@virtual_time
async def test_our_error_comes_before_the_deadline() -> None:
    """The walk ends a little before the caller's time does."""
    loop = asyncio.get_running_loop()
    for remaining, left in [(10.0, 9.35), (4.0, 3.6), (1.0, 0.9)]:
        walker, _ = engine()
        begun = loop.time()

        result = await walk(
            walker, call(target("a/1", [Wait(99)]), time_remaining=remaining)
        )

        assert left == pytest.approx(loop.time() - begun, abs=0.01)
        assert ERROR_REASON_DEADLINE_EXCEEDED == result.call.error
        assert (ATTEMPT_OUTCOME_CANCELLED, FAILURE_REASON_DEADLINE) == (
            result.attempts[0].outcome,
            result.attempts[0].failure_reason,
        )


@pytest.mark.rule("5.1")
@virtual_time
async def test_without_a_deadline_the_servers_maximum_rules() -> None:
    """No call runs longer than ten minutes."""
    loop = asyncio.get_running_loop()
    walker, _ = engine()
    policy = Policy(attempt_timeout=3600, first_content_timeout=3600)

    result = await walk(walker, call(target("a/1", [Wait(9999)]), policy=policy))

    assert 600 == pytest.approx(loop.time(), abs=0.01)
    assert ERROR_REASON_DEADLINE_EXCEEDED == result.call.error


@pytest.mark.rule("5.2")
@virtual_time
async def test_time_is_kept_for_the_targets_to_come() -> None:
    """A silent head leaves time for the others; a benched one needs none."""
    loop = asyncio.get_running_loop()
    # Ten seconds for each in rotation, and never more than half of what is left.
    for benched, cut in [(False, 15), (True, 20)]:
        walker, tracker = engine()
        if benched:
            tracker.bench("c/1", None, "")
        begun = loop.time()
        a = target("a/1", [Wait(99)])

        result = await walk(
            walker, call(a, target("b/1"), target("c/1"), time_remaining=30.25 / 0.96)
        )

        assert cut == pytest.approx(loop.time() - begun, abs=0.01)
        assert FAILURE_REASON_TIMEOUT == result.attempts[0].failure_reason
        assert "b/1" == result.answer.completion.target


@pytest.mark.rule("5.2")
@virtual_time
async def test_the_reserve_binds_only_until_the_first_content() -> None:
    """A stream that has begun may use all that is left."""
    walker, _ = engine()
    steps: list[Step] = [x for text in "abcd" for x in (text, Wait(5))]

    result = await walk(
        walker,
        call(
            target("a/1", [*steps, None]), target("b/1"), stream=True, time_remaining=30
        ),
    )

    assert "abcd" == result.text


@pytest.mark.rule("5.3")
@virtual_time
async def test_no_attempt_with_less_than_a_second() -> None:
    """Only the first attempt of a call may begin so late."""
    walker, tracker = engine()
    tracker.bench("a/1", None, "")
    b, c = target("b/1", [Wait(0.3), overloaded()]), target("c/1")

    result = await walk(walker, call(target("a/1"), b, c, time_remaining=0.9))

    assert [
        ("a/1", FAILURE_REASON_BENCHED),
        ("b/1", FAILURE_REASON_OVERLOADED),
        ("b/1", FAILURE_REASON_DEADLINE),
        ("c/1", FAILURE_REASON_DEADLINE),
    ] == reasons(result)
    assert ERROR_REASON_DEADLINE_EXCEEDED == result.call.error
    assert [] == exchanges(c)


REASONING = Prompt(
    config=GenerationConfig(
        reasoning=ReasoningConfig(effort=ReasoningConfig.EFFORT_LOW)
    )
)


@pytest.mark.rule("5.4")
@pytest.mark.parametrize(
    ("stream", "configured", "wish", "prompt", "reasons", "limit"),
    [
        (True, Timeouts(), Policy(), Prompt(), False, 30),
        (True, Timeouts(), Policy(), Prompt(), True, 180),
        (True, Timeouts(), Policy(), REASONING, False, 180),
        (True, Timeouts(first_content=7), Policy(), REASONING, True, 7),
        (
            True,
            Timeouts(first_content=7),
            Policy(first_content_timeout=3),
            None,
            True,
            3,
        ),
        (False, Timeouts(), Policy(), Prompt(), False, 120),
        (False, Timeouts(), Policy(), Prompt(), True, 600),
        (False, Timeouts(attempt=9), Policy(), Prompt(), True, 9),
        (False, Timeouts(attempt=9), Policy(attempt_timeout=4), Prompt(), False, 4),
        (True, Timeouts(), Policy(attempt_timeout=4), Prompt(), False, 4),
    ],
)
@virtual_time
async def test_how_long_a_silent_target_is_waited_for(
    stream: bool,
    configured: Timeouts,
    wish: Policy,
    prompt: Prompt,
    reasons: bool,
    limit: float,
) -> None:
    """The call's wish, else the target's configuration, else the defaults."""
    loop = asyncio.get_running_loop()
    walker, _ = engine()
    a = target("a/1", [Wait(9999)], timeouts=configured, reasons=reasons)

    await walk(walker, call(a, stream=stream, policy=wish, prompt=prompt))

    assert limit == pytest.approx(loop.time(), abs=0.01)
    assert exchanges(a)[0].closed


@pytest.mark.rule("5.4")
@virtual_time
async def test_a_stalled_stream_is_cut() -> None:
    """Silence between two pieces ends the attempt, and counts."""
    loop = asyncio.get_running_loop()
    walker, tracker = engine()
    a = target("a/1", ["x", Wait(29), "y", Wait(31), "z", None])

    result = await walk(walker, call(a, stream=True))

    assert 59 == pytest.approx(loop.time(), abs=0.01)
    assert "xy" == result.text
    assert FAILURE_REASON_TIMEOUT == result.attempts[0].failure_reason
    assert ERROR_REASON_STREAM_INTERRUPTED == result.call.error
    assert 1 == tracker.snapshot(["a/1"])[0].consecutive_failures


@pytest.mark.rule("5.4")
@pytest.mark.parametrize(
    ("configured", "wish", "limit"),
    [
        (Timeouts(stall=9), Policy(), 9),
        (Timeouts(stall=9), Policy(stall_timeout=4), 4),
        (Timeouts(stall=4), Policy(stall_timeout=9), 9),
    ],
)
@virtual_time
async def test_how_long_a_stalled_target_is_waited_for(
    configured: Timeouts, wish: Policy, limit: float
) -> None:
    """The call's wish, else the target's configuration."""
    loop = asyncio.get_running_loop()
    walker, _ = engine()
    a = target("a/1", ["x", Wait(9999)], timeouts=configured)

    await walk(walker, call(a, stream=True, policy=wish))

    assert limit == pytest.approx(loop.time(), abs=0.01)


@pytest.mark.rule("5.4")
@virtual_time
async def test_a_stream_may_take_longer_than_a_whole_answer() -> None:
    """Ten minutes, and not two, while content comes."""
    walker, _ = engine()
    minutes: list[Step] = [step for _ in range(30) for step in ("x", Wait(19))]

    result = await walk(walker, call(target("a/1", [*minutes, None]), stream=True))

    assert 30 * "x" == result.text
    assert isinstance(result.events[-1], Answered)


@pytest.mark.rule("5.5")
@virtual_time
async def test_a_slow_reader_costs_the_attempt_nothing() -> None:
    """The limits stand still while the reader makes us wait."""
    walker, _ = engine()
    a = target("a/1", ["x", Wait(2), "y", Wait(2), "z", None])
    policy = Policy(attempt_timeout=5, stall_timeout=3)
    text = ""

    async with aclosing(walker.walk(call(a, stream=True, policy=policy))) as events:
        async for event in events:
            if isinstance(event, Content):
                text += event.deltas[0].text
                await asyncio.sleep(40)

    assert "xyz" == text


@pytest.mark.rule("5.6")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("steps", [[Wait(99)], ["x", Wait(99)]])
@virtual_time
async def test_a_cancelled_call_cancels_its_attempt(
    stream: bool, steps: list[Wait | str]
) -> None:
    """The exchange is closed, the lease and the room are back, health untouched."""
    concurrency = ConcurrencyLimit()
    walker, tracker = engine()
    a = target("a/1", steps, concurrency_limits=(concurrency,))
    cancelled = call(a, stream=stream)
    task = asyncio.create_task(walk(walker, cancelled))
    await asyncio.sleep(1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert exchanges(a)[0].closed
    assert cancelled.cancelled
    assert [(ATTEMPT_OUTCOME_CANCELLED, FAILURE_REASON_CANCELLED)] == [
        (at.outcome, at.failure_reason) for at in cancelled.attempts
    ]
    assert 0 == concurrency.used
    assert [] == tracker.snapshot()


@pytest.mark.rule("5.6")
@virtual_time
async def test_a_call_cancelled_in_a_backoff_makes_no_other_attempt() -> None:
    """The walk ends where it waits."""
    walker, _ = engine(random=lambda: 1.0)
    a = target("a/1", [overloaded()])
    task = asyncio.create_task(walk(walker, call(a)))
    await asyncio.sleep(0.05)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert 1 == len(exchanges(a))


@virtual_time
async def test_a_closed_walk_closes_its_exchange() -> None:
    """A reader that stops reading is a caller that went away."""
    walker, _ = engine()
    a = target("a/1", ["x", "y", None])
    closed = call(a, stream=True)

    async with aclosing(walker.walk(closed)) as events:
        await anext(events)

    assert exchanges(a)[0].closed
    assert closed.cancelled
    assert FAILURE_REASON_CANCELLED == closed.attempts[0].failure_reason
