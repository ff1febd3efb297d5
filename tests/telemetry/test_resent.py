"""A request that was sent twice is reported wherever attempts are shown."""

import io

import pytest

from majordomo.cli.render import describe
from majordomo.telemetry import semconv
from testkit.collector import Collector, attributes
from testkit.servers import generate, running
from testkit.upstream import Connection, Upstream, completion
from tests.telemetry.test_page import lines


@pytest.mark.rule("2.7")
async def test_it_is_told_in_the_log_the_span_and_the_terminal(
    log: io.StringIO, collector: Collector
) -> None:
    """Of the second call alone, whose kept connection had ended."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(completion("good"))
        if await connection.request():
            connection.close()

    async with Upstream(script) as upstream:
        config = f"""
        [providers.p]
        kind = "openai-compatible"
        base_url = "{upstream.url}"
        """
        async with running(config) as it:
            answers = [await it.generation.Generate(generate("p/m")) for _ in "12"]

    reported = [describe(answer.completion.attempts[0]) for answer in answers]
    logged = [line["attempts"][0] for line in lines(log.getvalue(), "call")]
    spans = [attributes(span.attributes) for span in collector.spans()]
    assert [False, True] == ["sent twice" in line for line in reported]
    assert [None, True] == [attempt.get("resent") for attempt in logged]
    assert 1 == sum(span.get(semconv.ATTEMPT_RESENT) is True for span in spans)
