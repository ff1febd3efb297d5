"""The scripted provider does by a script."""

import asyncio

import pytest

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer, Piece
from majordomo.deltas import message
from majordomo.providers.scripted.provider import Script, Scripted, ScriptError
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONNECTION,
    FAILURE_REASON_CREDENTIALS,
    FAILURE_REASON_MODEL_NOT_FOUND,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_QUOTA_EXHAUSTED,
    FAILURE_REASON_RATE_LIMITED,
    FailureReason,
)
from testkit.servers import prompt
from tests.chain.fakes import virtual_time


async def run(
    provider: Scripted, model: str, text: str = "one two three", *, stream: bool = True
) -> list[Piece]:
    exchange = await provider.prepare(model, prompt(text), stream=stream)
    return [piece async for piece in exchange.run()]


def text_of(pieces: list[Piece]) -> str:
    return "".join(d.text for p in pieces if isinstance(p, list) for d in p)


async def test_echo_is_the_default() -> None:
    """Streamed word by word, or whole, with usage."""
    pieces = await run(Scripted({"plain": []}), "plain")
    (whole,) = await run(Scripted(), "echo", stream=False)

    assert 4 == len(pieces)
    assert "one two three" == text_of(pieces)
    assert isinstance(whole, Answer)
    assert whole.message is not None
    assert "one two three" == whole.message.parts[0].text
    usage = whole.completion.usage
    assert (3, 3) == (usage.input_tokens, usage.output_tokens)


async def test_sources_are_named() -> None:
    """Whole and streamed alike."""
    script = "text:Yes [1][2].+source:https://a.b/c+source:http://d.e"
    (whole,) = await run(Scripted(), script, stream=False)
    pieces = await run(Scripted(), script)
    deltas = [delta for piece in pieces if isinstance(piece, list) for delta in piece]

    assert isinstance(whole, Answer)
    assert whole.message == message(deltas)
    cited = [one.uri for one in message(deltas).parts[0].citations]
    assert ["https://a.b/c", "http://d.e"] == cited


@pytest.mark.parametrize(
    ("script", "reason", "delay"),
    [
        ("status:503", FAILURE_REASON_OVERLOADED, None),
        ("status:429+retry-after:7", FAILURE_REASON_RATE_LIMITED, 7),
        ("status:429+code:insufficient_quota", FAILURE_REASON_QUOTA_EXHAUSTED, None),
        ("status:401", FAILURE_REASON_CREDENTIALS, None),
        ("status:404", FAILURE_REASON_MODEL_NOT_FOUND, None),
        ("cut:2", FAILURE_REASON_CONNECTION, None),
        ("no-such-step", FAILURE_REASON_MODEL_NOT_FOUND, None),
    ],
)
async def test_failures_are_those_of_real_providers(
    script: str, reason: FailureReason, delay: float | None
) -> None:
    """Status, code and Retry-After go through the real classification."""
    with pytest.raises(Failure) as failed:
        await run(Scripted(), script)

    assert (reason, delay) == (failed.value.reason, failed.value.retry_delay)


async def test_scripts_of_a_model_follow_each_other() -> None:
    """One an attempt, the last one for all that follow."""
    provider = Scripted({"flaky": ["status:503", "text:well then"]})
    with pytest.raises(Failure):
        await run(provider, "flaky")

    assert "well then" == text_of(await run(provider, "flaky"))
    assert "well then" == text_of(await run(provider, "flaky"))


@virtual_time
async def test_delay_pace_and_stall() -> None:
    """Time passes as reported, and a stall has no end of its own."""
    loop = asyncio.get_running_loop()
    await run(Scripted(), "delay:2s+pace:500ms")
    assert 3.5 == pytest.approx(loop.time(), abs=0.01)

    stalled = asyncio.ensure_future(run(Scripted(), "stall:1"))
    await asyncio.sleep(3600)
    assert not stalled.done()
    stalled.cancel()


def test_a_step_that_is_none_is_named() -> None:
    """With the steps that there are."""
    with pytest.raises(ScriptError, match=r"'status:99'.*retry-after"):
        Script.parse("echo+status:99")
