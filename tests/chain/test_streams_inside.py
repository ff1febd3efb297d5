"""Whole answers that come as streams: when silence is noticed, by default limits."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from majordomo.chain.target import Exchange, Peer, Piece, Target
from majordomo.v1.attempt_pb2 import FAILURE_REASON_TIMEOUT
from majordomo.v1.generation_service_pb2 import PartDelta, Prompt
from tests.chain.fakes import OK, call, engine, target, virtual_time, walk


class Quiet(Exchange):
    """Says so much at once, and then nothing."""

    def __init__(self, words: int, *, streamed: bool) -> None:
        super().__init__([], streamed=streamed)
        self._words = words

    async def run(self) -> AsyncGenerator[Piece]:
        for _ in range(self._words):
            yield [PartDelta(text="so ")]
        await asyncio.sleep(10_000)


class QuietProvider:
    """Streams where it is asked to, or left to itself."""

    def __init__(self, words: int) -> None:
        self._words = words

    async def prepare(
        self, model: str, prompt: Prompt, *, stream: bool | None, **_: object
    ) -> Exchange:
        return Quiet(self._words, streamed=stream is not False)

    async def aclose(self) -> None:
        """Nothing to let go of."""


@pytest.mark.rule("5.7", "5.4")
@pytest.mark.parametrize(
    ("streams", "words", "seconds"),
    [(None, 0, 30), (None, 3, 30), (True, 0, 30), (False, 0, 120)],
    ids=["auto, silent", "auto, stalled", "stream", "unary"],
)
@virtual_time
async def test_when_silence_is_noticed(
    streams: bool | None, words: int, seconds: int
) -> None:
    """The next target answers; nothing of the first one's words is in it."""
    quiet = Target("a/m", "a", "m", QuietProvider(words), Peer("a"), streams=streams)
    walker, _ = engine()
    result = await walk(walker, call(quiet, target("b/m", OK)))

    assert FAILURE_REASON_TIMEOUT == result.attempts[0].failure_reason
    assert seconds == result.attempts[0].duration.seconds
    assert result.answer.message is not None
    assert "hello" == result.answer.message.parts[0].text
