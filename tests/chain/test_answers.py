"""Answers that say nothing, and what comes of them."""

import pytest

from majordomo.chain.answers import fault
from majordomo.chain.call import Policy
from majordomo.chain.events import AttemptEnded
from majordomo.chain.failure import Failure
from majordomo.v1.attempt_pb2 import (
    ANSWER_FAULT_EMPTY,
    ATTEMPT_OUTCOME_FAILED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    FAILURE_REASON_INVALID_REQUEST,
    FAILURE_REASON_OVERLOADED,
)
from majordomo.v1.content_pb2 import Blob, Part, Reasoning, ToolCall
from majordomo.v1.errors_pb2 import ERROR_REASON_STREAM_INTERRUPTED
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    INTERRUPTION_POLICY_RESTART,
    PartDelta,
    Prompt,
)
from tests.chain.fakes import call, engine, target, virtual_time, walk

EMPTY = (None,)
OVERLOADED = (Failure(FAILURE_REASON_OVERLOADED, "busy"),)
REFUSED = (Failure(FAILURE_REASON_INVALID_REQUEST, "no"),)


@pytest.mark.rule("3.4")
@pytest.mark.parametrize("stream", [False, True])
@virtual_time
async def test_after_an_empty_answer_the_walk_goes_on(stream: bool) -> None:
    """The next target answers; the record shows what was wrong with the first."""
    walker, _ = engine()
    a, b = target("a/1", EMPTY), target("b/1")

    result = await walk(walker, call(a, b, stream=stream))

    assert "b/1" == result.answer.completion.target
    kept, answered = result.attempts
    assert ("a/1", ATTEMPT_OUTCOME_SUCCEEDED) == (kept.target, kept.outcome)
    assert (ANSWER_FAULT_EMPTY, "the answer was empty") == (
        kept.answer_fault,
        kept.message,
    )
    assert 0 == result.answer.completion.answer_fault
    assert "" == answered.message
    assert result.attempts == list(result.answer.completion.attempts)
    ended = [event for event in result.events if isinstance(event, AttemptEnded)]
    assert [AttemptEnded(kept)] == ended


@pytest.mark.rule("3.4")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("then", [EMPTY, OVERLOADED, REFUSED])
@virtual_time
async def test_the_first_empty_answer_is_the_answer_if_nobody_says_more(
    stream: bool, then: tuple[Failure | None]
) -> None:
    """Whatever the others come to, also where they end the call."""
    walker, _ = engine()
    a, b = target("a/1", EMPTY), target("b/1", then)

    result = await walk(walker, call(a, b, stream=stream))

    assert result.failed is None
    assert "a/1" == result.answer.completion.target
    assert ANSWER_FAULT_EMPTY == result.answer.completion.answer_fault
    assert result.answer.completion == result.call.completion
    assert not result.call.error
    assert "" == result.text


@pytest.mark.rule("3.4", "4.3")
@virtual_time
async def test_an_empty_answer_has_no_effect_on_health() -> None:
    """It neither counts as a failure nor heals what failed before."""
    walker, tracker = engine()
    a = target("a/1", OVERLOADED, EMPTY)

    await walk(walker, call(a, policy=Policy(transient_retries=0)))
    assert 1 == tracker.snapshot(["a/1"])[0].consecutive_failures
    result = await walk(walker, call(a, target("b/1")))

    assert "b/1" == result.answer.completion.target
    assert 1 == tracker.snapshot(["a/1"])[0].consecutive_failures


@pytest.mark.rule("3.4")
@virtual_time
async def test_the_policy_turns_it_off() -> None:
    """Without the fault in it the empty answer is the answer at once."""
    walker, _ = engine()
    policy = Policy(advance_on_answer=frozenset())

    result = await walk(
        walker, call(target("a/1", EMPTY), target("b/1"), policy=policy)
    )

    assert ["a/1"] == [attempt.target for attempt in result.attempts]
    assert "" == result.attempts[0].message


@pytest.mark.rule("3.3", "3.4")
@virtual_time
async def test_an_empty_answer_does_not_void_what_was_shown() -> None:
    """Nothing, and then a stream that broke off: it was interrupted."""
    walker, _ = engine()
    b = target("b/1", ("half", *OVERLOADED))
    policy = Policy(interruption=INTERRUPTION_POLICY_RESTART)

    result = await walk(
        walker, call(target("a/1", EMPTY), b, stream=True, policy=policy)
    )

    assert result.failed is not None
    assert ERROR_REASON_STREAM_INTERRUPTED == result.failed.reason
    assert "half" == result.text


SAYS_NOTHING = [
    [],
    [Part(text=" \n\u00a0")],
    [Part(reasoning=Reasoning(text="hm"))],
    [Part(reasoning=Reasoning(), provider_state=b"s"), Part(text="")],
]
SAYS_SOMETHING = [
    [Part(text=" x")],
    [Part(tool_call=ToolCall(name="f"))],
    [Part(blob=Blob(data=b"x"))],
]


@pytest.mark.rule("3.4")
@pytest.mark.parametrize("parts", SAYS_NOTHING + SAYS_SOMETHING)
def test_what_is_empty(parts: list[Part]) -> None:
    """Text, calls and media say something, white space and reasoning do not."""
    found = fault(parts, FINISH_REASON_STOP, Prompt(), {ANSWER_FAULT_EMPTY})

    assert (parts in SAYS_NOTHING) == (found is not None)
    assert fault(parts, FINISH_REASON_LENGTH, Prompt(), {ANSWER_FAULT_EMPTY}) is None


@pytest.mark.rule("3.4")
def test_what_of_a_stream_is_empty() -> None:
    """What it held back is looked at as a message is."""
    white, black = ([PartDelta(text=text)] for text in (" ", "x"))
    empty = fault(white, FINISH_REASON_STOP, Prompt(), {ANSWER_FAULT_EMPTY})

    assert empty is not None
    assert ANSWER_FAULT_EMPTY == empty.kind
    assert fault(black, FINISH_REASON_STOP, Prompt(), {ANSWER_FAULT_EMPTY}) is None


@pytest.mark.rule("2.6", "3.4")
@virtual_time
async def test_an_empty_answer_is_not_asked_for_again() -> None:
    """No retry at the target: only the next one may know better."""
    walker, _ = engine()

    result = await walk(walker, call(target("a/1", EMPTY), target("b/1", OVERLOADED)))

    outcomes = [(attempt.target, attempt.outcome) for attempt in result.attempts]
    assert [
        ("a/1", ATTEMPT_OUTCOME_SUCCEEDED),
        ("b/1", ATTEMPT_OUTCOME_FAILED),
        ("b/1", ATTEMPT_OUTCOME_FAILED),
    ] == outcomes
