"""Failing over on the answer: what is wrong with one, and what comes of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majordomo.chain.answers import fault
from majordomo.chain.call import Call, Policy
from majordomo.chain.events import Content, Restarted
from majordomo.chain.failure import Failure
from majordomo.chain.target import Target
from majordomo.v1.attempt_pb2 import (
    ANSWER_FAULT_EMPTY,
    ANSWER_FAULT_LENGTH,
    ANSWER_FAULT_NOT_JSON,
    ANSWER_FAULT_REFUSED,
    ANSWER_FAULT_SCHEMA,
    ATTEMPT_OUTCOME_SUCCEEDED,
    FAILURE_REASON_CONNECTION,
    FAILURE_REASON_MODEL_NOT_FOUND,
    AnswerFault,
)
from majordomo.v1.content_pb2 import Part, ToolCall
from majordomo.v1.errors_pb2 import ERROR_REASON_STREAM_INTERRUPTED
from majordomo.v1.generation_service_pb2 import (
    ALL_BENCHED_POLICY_FAIL,
    FINISH_REASON_CONTENT_FILTER,
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    INTERRUPTION_POLICY_FAIL,
    INTERRUPTION_POLICY_RESTART,
    FinishReason,
    JsonFormat,
    JsonSchemaFormat,
    Prompt,
    ResponseFormat,
)
from tests.chain import answer_oracle, fakes
from tests.chain.fakes import Stops, engine, target, virtual_time

SCHEMA = """
{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
"""
ASKED = Prompt(
    response_format=ResponseFormat(json_schema=JsonSchemaFormat(schema_json=SCHEMA))
)
ANY_JSON = Prompt(response_format=ResponseFormat(json=JsonFormat()))
ALL = frozenset(
    {
        ANSWER_FAULT_EMPTY,
        ANSWER_FAULT_LENGTH,
        ANSWER_FAULT_REFUSED,
        ANSWER_FAULT_NOT_JSON,
        ANSWER_FAULT_SCHEMA,
    }
)
NAMES = ["EMPTY", "LENGTH", "REFUSED", "NOT_JSON", "SCHEMA"]
CALLS = [Part(text="so"), Part(tool_call=ToolCall(name="f"))]


@pytest.mark.rule("3.17")
@pytest.mark.parametrize(
    ("text", "why", "prompt", "expected"),
    [
        ('{"n": 1}', FINISH_REASON_STOP, ASKED, None),
        ('{"n": 1.5}', FINISH_REASON_STOP, ASKED, ANSWER_FAULT_SCHEMA),
        ("[]", FINISH_REASON_STOP, ASKED, ANSWER_FAULT_SCHEMA),
        ('{"n": 1} ', FINISH_REASON_STOP, ASKED, None),
        ('{"n": 1', FINISH_REASON_STOP, ASKED, ANSWER_FAULT_NOT_JSON),
        ('```json\n{"n": 1}\n```', FINISH_REASON_STOP, ASKED, ANSWER_FAULT_NOT_JSON),
        ("[" * 100_000, FINISH_REASON_STOP, ASKED, ANSWER_FAULT_NOT_JSON),
        ('{"n": 1', FINISH_REASON_LENGTH, ASKED, ANSWER_FAULT_LENGTH),
        ("no", FINISH_REASON_CONTENT_FILTER, ASKED, ANSWER_FAULT_REFUSED),
        ("", FINISH_REASON_STOP, ASKED, ANSWER_FAULT_EMPTY),
        ("hello", FINISH_REASON_STOP, Prompt(), None),
        ("hello", FINISH_REASON_STOP, ANY_JSON, ANSWER_FAULT_NOT_JSON),
        ("[1]", FINISH_REASON_STOP, ANY_JSON, ANSWER_FAULT_NOT_JSON),
        ("{}", FINISH_REASON_STOP, ANY_JSON, None),
    ],
)
def test_what_is_wrong(
    text: str, why: FinishReason, prompt: Prompt, expected: AnswerFault | None
) -> None:
    """The first thing, of those that the walk goes on after."""
    found = fault([Part(text=text)], why, prompt, ALL)

    assert expected == (found and found.kind)
    assert fault([Part(text=text)], why, prompt, frozenset()) is None


@pytest.mark.rule("3.17")
def test_a_call_of_a_tool_is_not_yet_an_answer() -> None:
    """The form is asked of what the model says at last."""
    assert fault(CALLS, FINISH_REASON_TOOL_CALLS, ASKED, ALL) is None


@pytest.mark.rule("3.17")
def test_the_words_have_a_place_and_no_content() -> None:
    """Of what breaks the schema."""
    found = fault([Part(text='{"n": "Bob"}')], FINISH_REASON_STOP, ASKED, ALL)

    assert found is not None
    assert "/n" in found.words
    assert "Bob" not in found.words


def _scripted(place: int, kind: str) -> Target:
    reported = answer_oracle.KINDS[kind]
    steps: list[fakes.Step] = [reported.text] if reported.text else []
    if reported.fails:
        reason = (
            FAILURE_REASON_CONNECTION
            if reported.text
            else FAILURE_REASON_MODEL_NOT_FOUND
        )
        steps.append(Failure(reason, "scripted"))
    elif "LENGTH" in reported.faults:
        steps.append(Stops(FINISH_REASON_LENGTH))
    elif "REFUSED" in reported.faults:
        steps.append(Stops(FINISH_REASON_CONTENT_FILTER))
    else:
        steps.append(None)
    return target(f"p{place}/m", steps)


def _screen(result: fakes.Result) -> str:
    screen = ""
    for event in result.events:
        if isinstance(event, Restarted):
            screen = ""
        elif isinstance(event, Content):
            screen += "".join(delta.text for delta in event.deltas)
    return screen


def _name(kind: int) -> str:
    return AnswerFault.Name(cast("AnswerFault", kind)).removeprefix("ANSWER_FAULT_")


def _wrong(result: fakes.Result) -> list[str]:
    return [
        ("" if not attempt.answer_fault else _name(attempt.answer_fault))
        if attempt.outcome == ATTEMPT_OUTCOME_SUCCEEDED
        else "fails"
        for attempt in result.attempts
    ]


def _call(chain: Sequence[str], **options: object) -> Call:
    targets = [_scripted(place, kind) for place, kind in enumerate(chain)]
    return fakes.call(*targets, prompt=ASKED, **options)  # type: ignore[arg-type]


def _policy(wanted: Sequence[str] | set[str], *, restart: bool) -> Policy:
    kinds = [AnswerFault.Value(f"ANSWER_FAULT_{name}") for name in wanted]
    return Policy(
        transient_retries=0,
        all_benched=ALL_BENCHED_POLICY_FAIL,
        interruption=(
            INTERRUPTION_POLICY_RESTART if restart else INTERRUPTION_POLICY_FAIL
        ),
        advance_on_answer=frozenset(cast("list[AnswerFault]", kinds)),
    )


@pytest.mark.rule("3.3", "3.4", "3.17")
@settings(max_examples=600, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(answer_oracle.KINDS)), min_size=1, max_size=5),
    st.sets(st.sampled_from(NAMES)),
    st.booleans(),
    st.booleans(),
)
def test_the_walk_does_what_the_rule_says(
    chain: list[str], wanted: set[str], stream: bool, restart: bool
) -> None:
    """Who answers, with what fault, what is on the screen, and each attempt's fault."""

    async def run() -> tuple[fakes.Result, bool]:
        walker, tracker = engine()
        policy = _policy(wanted, restart=restart)
        result = await fakes.walk(walker, _call(chain, stream=stream, policy=policy))
        idle = all(health.active_attempts == 0 for health in tracker.snapshot())
        return result, idle

    with asyncio.Runner(loop_factory=fakes.VirtualLoop) as runner:
        result, idle = runner.run(run())

    end = answer_oracle.walk(chain, wanted, stream=stream, restart=restart)
    assert idle
    assert end.attempts == _wrong(result)[: len(end.attempts)]
    if end.target is None:
        assert result.failed is not None
        interrupted = result.failed.reason == ERROR_REASON_STREAM_INTERRUPTED
        assert end.broke_off == interrupted
        return
    completion = result.answer.completion
    assert f"p{end.target}/m" == completion.target
    assert end.fault == (
        (completion.answer_fault and _name(completion.answer_fault)) or ""
    )
    if stream:
        assert end.screen == _screen(result)
        wiped = [event for event in result.events if isinstance(event, Restarted)]
        assert end.restarts == len(wiped)
        assert restart or not wiped
    else:
        assert result.answer.message is not None
        assert end.screen == "".join(p.text for p in result.answer.message.parts)


@dataclass
class Counted:
    """Memory that has an end."""

    most: int
    held: int = 0
    peak: int = 0

    def try_take(self, amount: int) -> bool:
        if self.held + amount > self.most:
            return False
        self.held += amount
        self.peak = max(self.peak, self.held)
        return True

    def give(self, amount: int) -> None:
        self.held -= amount


@pytest.mark.rule("3.17", "6.1")
@pytest.mark.parametrize("stream", [False, True])
@virtual_time
async def test_without_room_the_first_answer_is_the_answer(stream: bool) -> None:
    """Nothing is kept beyond what the caller may hold; a fault seen is reported."""
    walker, _ = engine()
    call = _call(["chatty", "good"], stream=stream, policy=_policy(NAMES, restart=True))
    call.memory = memory = Counted(most=3)

    result = await fakes.walk(walker, call)

    assert "p0/m" == result.answer.completion.target
    expected = 0 if stream else ANSWER_FAULT_NOT_JSON
    assert expected == result.answer.completion.answer_fault
    assert memory.held <= 3


@pytest.mark.rule("3.17", "6.1")
@pytest.mark.parametrize("stream", [False, True])
@virtual_time
async def test_one_answer_is_kept(stream: bool) -> None:
    """However many are faulty: the memory is that of the first, and of one running."""
    walker, _ = engine()
    chain = ["chatty"] * 20
    call = _call(chain, stream=stream, policy=_policy(NAMES, restart=True))
    call.memory = memory = Counted(most=1000)

    result = await fakes.walk(walker, call)

    assert "p0/m" == result.answer.completion.target
    one = len("Sure! 1")
    assert one < memory.peak < 8 * one


@pytest.mark.rule("3.17", "4.3")
@virtual_time
async def test_a_faulty_answer_has_no_effect_on_health() -> None:
    """Neither a failure, nor an answer that heals."""
    walker, tracker = engine()
    policy = _policy(NAMES, restart=False)
    failing = target("p/m", [Failure(FAILURE_REASON_CONNECTION, "x")], ["hm", None])
    await fakes.walk(walker, fakes.call(failing, policy=policy, prompt=ASKED))
    assert 1 == tracker.snapshot(["p/m"])[0].consecutive_failures

    result = await fakes.walk(walker, fakes.call(failing, policy=policy, prompt=ASKED))

    assert ANSWER_FAULT_NOT_JSON == result.answer.completion.answer_fault
    assert 1 == tracker.snapshot(["p/m"])[0].consecutive_failures
