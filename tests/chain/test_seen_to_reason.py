"""A model that reasons before it answers, though nobody knew and nothing is shown."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from majordomo.chain.call import Policy
from majordomo.chain.target import Answer, Exchange, Peer, Piece, Target
from majordomo.v1.attempt_pb2 import FAILURE_REASON_TIMEOUT
from majordomo.v1.generation_service_pb2 import Completion, PartDelta, Prompt
from tests.chain.fakes import call, engine, virtual_time, walk


class Thinker(Exchange):
    """Reasons unseen at once, then thinks for so many seconds, and answers."""

    def __init__(self, seconds: float) -> None:
        super().__init__([], streamed=True)
        self._seconds = seconds

    async def run(self) -> AsyncGenerator[Piece]:
        yield []
        await asyncio.sleep(self._seconds)
        yield [PartDelta(text="42")]
        yield Answer(Completion())


class Thinkers:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def fit(self, model: str, prompt: Prompt, *, stream: bool | None) -> Exchange:
        return Thinker(self._seconds)

    async def aclose(self) -> None:
        """Nothing to let go of."""


def thinks(seconds: float) -> Target:
    return Target("a/m", "a", "m", Thinkers(seconds), Peer("a"), streams=None)


@pytest.mark.rule("5.4")
@pytest.mark.parametrize(
    ("seconds", "policy", "answers"),
    [
        (170.0, Policy(), True),
        (190.0, Policy(), False),
        (170.0, Policy(first_content_timeout=60.0), False),
    ],
    ids=["in time", "too long", "longer than the caller wants"],
)
@virtual_time
async def test_a_model_that_is_seen_to_reason_has_the_time_for_it(
    seconds: float, policy: Policy, answers: bool
) -> None:
    """180 s until its first content, unless somebody has set a limit."""
    walker, _ = engine()
    for stream in (False, True):
        result = await walk(walker, call(thinks(seconds), stream=stream, policy=policy))

        assert (result.failed is None) == answers
        if answers:
            assert 170 == result.attempts[0].first_content_latency.seconds
        else:
            assert FAILURE_REASON_TIMEOUT == result.attempts[0].failure_reason
        walker, _ = engine()
