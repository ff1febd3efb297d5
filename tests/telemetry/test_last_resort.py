"""An attempt out of rotation is reported wherever attempts are shown."""

import io

import pytest

from majordomo.cli.render import describe
from majordomo.telemetry import semconv
from testkit.collector import Collector, attributes
from testkit.servers import failed, generate, running
from tests.telemetry.test_page import lines

CONFIG = """
    [health]
    failure_threshold = 1
    [providers.acme]
    kind = "scripted"
    models.flaky.script = ["status:503", "echo"]
"""


@pytest.mark.rule("4.10")
async def test_it_is_told_in_the_log_the_span_and_the_terminal(
    log: io.StringIO, collector: Collector
) -> None:
    """With a link to the attempt that benched the target."""
    async with running(CONFIG) as it:
        request = generate("acme/flaky", "hi")
        request.call.options.transient_retries = 0
        await failed(it.generation.Generate(request))
        answer = await it.generation.Generate(request)

    skipped, made = answer.completion.attempts
    assert made.last_resort
    assert "as the last resort" in describe(made)
    assert "as the last resort" not in describe(skipped)
    attempts = [line["attempts"] for line in lines(log.getvalue(), "call")]
    assert [None, True] == [attempt.get("last_resort") for attempt in attempts[-1]]
    resorts = [
        span
        for span in collector.spans()
        if attributes(span.attributes).get(semconv.ATTEMPT_LAST_RESORT)
    ]
    assert [1] == [len(span.links) for span in resorts]
