"""Spans by the thousand: none is lost on the way to a collector."""

import asyncio

import pytest

from testkit.collector import Collector
from testkit.servers import Running, generate, running

CALLS = 6_667
SPANS_A_CALL = 3
SPANS_A_SECOND = 500


async def at_a_pace(it: Running) -> None:
    """Call at even distances, whether or not earlier calls have ended."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(CALLS):
            moment = begin + number * SPANS_A_CALL / SPANS_A_SECOND
            await asyncio.sleep(moment - loop.time())
            group.create_task(call(it))


async def call(it: Running) -> None:
    await it.generation.Generate(generate("acme/echo"))


@pytest.mark.timeout(180)
async def test_twenty_thousand_spans_at_five_hundred_a_second(
    collector: Collector,
) -> None:
    """Every span of every call, each of them once."""
    async with running() as it:
        await at_a_pace(it)

    spans = collector.spans()
    assert CALLS * SPANS_A_CALL == len(spans)
    assert len(spans) == len({span.span_id for span in spans})
