"""The log of a real server's calls, line by line."""

import io
import json
import logging
from typing import Any

import pytest

from majordomo import secrets
from majordomo.telemetry import logs
from majordomo.v1.operator_service_pb2 import (
    BenchRequest,
    HealthChange,
    UnbenchRequest,
    WatchHealthRequest,
)
from testkit.collector import Collector
from testkit.servers import SCRIPTED, failed, generate, rest_of, running, stream

DOWN = "acme/status:503"
KEY = "sk-canary-0123456789"


def lines(log: io.StringIO, event: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in found if line["event"] == event]


async def test_a_line_a_call(log: io.StringIO, collector: Collector) -> None:
    """What was asked, every attempt, and the ids that lead to the trace."""
    request = generate(f"{DOWN},acme/echo", "one two")
    request.call.labels["team"] = "search"
    async with running() as it:
        response = await it.generation.Generate(request)

    (line,) = lines(log, "call")
    (root,) = (span for span in collector.spans() if not span.parent_span_id)
    assert {
        "method": "Generate",
        "code": "OK",
        "outcome": "recovered",
        "chain": f"{DOWN},acme/echo",
        "target": "acme/echo",
        "generation_id": response.completion.generation_id,
        "trace_id": root.trace_id.hex(),
        "span_id": root.span_id.hex(),
        "labels": {"team": "search"},
        "usage": {"input_tokens": 2, "output_tokens": 2},
        "level": "info",
    }.items() <= line.items()
    assert line["timestamp"].endswith("Z")
    reported = [(a["target"], a["outcome"], a.get("reason")) for a in line["attempts"]]
    assert [
        (DOWN, "failed", "overloaded"),
        (DOWN, "failed", "overloaded"),
        ("acme/echo", "succeeded", None),
    ] == reported
    assert (503, True) == (
        line["attempts"][1]["http_status"],
        line["attempts"][1]["benched"],
    )


async def test_a_call_that_fails(log: io.StringIO) -> None:
    """By the reason that the caller was reported, whether or not a chain was walked."""
    async with running() as it:
        await failed(it.generation.Generate(generate("nope")))
        await failed(it.generation.Stream(stream("acme/cut:1", "one two")))

    assert [("unknown_tier", "NOT_FOUND"), ("stream_interrupted", "ABORTED")] == [
        (line["outcome"], line["code"]) for line in lines(log, "call")
    ]


async def test_changes_of_health(log: io.StringIO, collector: Collector) -> None:
    """Since when, until when, why, and by which call."""
    async with running() as it:
        await rest_of(it.generation.Stream(stream(f"{DOWN},acme/echo")))
        await it.operator.Bench(BenchRequest(target="acme/echo", reason="a secret"))
        await it.operator.Unbench(UnbenchRequest(target="acme/echo"))

    benched, by_hand, back = lines(log, "health")
    (call,) = lines(log, "call")
    assert {
        "target": DOWN,
        "state": "benched",
        "cause": "failures",
        "reason": "overloaded",
        "consecutive_benches": 1,
        "level": "warning",
        "trace_id": call["trace_id"],
        "generation_id": call["generation_id"],
    }.items() <= benched.items()
    assert benched["since"] < benched["until"]
    assert ("operator_bench", "operator_unbench", "active") == (
        by_hand["cause"],
        back["cause"],
        back["state"],
    )
    assert "a secret" not in log.getvalue()


async def test_a_bench_that_is_over_is_logged(log: io.StringIO) -> None:
    """Also when nobody watches and nobody calls."""
    config = """
        [chain]
        all_benched_policy = "fail"
        [health]
        failure_threshold = 1
        cooldown_base = "100ms"
        [providers.acme]
        kind = "scripted"
    """
    async with running(config) as it:
        await failed(it.generation.Generate(generate(DOWN)))
        watch: Any = it.operator.WatchHealth(WatchHealthRequest())
        while (await watch.read()).change.cause != HealthChange.CAUSE_EXPIRED:
            pass
        watch.cancel()

    causes = [line["cause"] for line in lines(log, "health")]
    assert ["failures", "expired"] == causes


async def test_no_prompt_and_no_answer(log: io.StringIO) -> None:
    """The log is no place for what callers say."""
    async with running() as it:
        response = await it.generation.Generate(generate("acme/echo", "canary words"))

    assert "canary words" == response.message.parts[0].text
    assert len(lines(log, "call")) == 1
    assert "canary" not in log.getvalue()


@pytest.mark.parametrize(
    "words",
    [f"got {KEY}", "header Authorization: Bearer abcdef0123456789", "my-own-key"],
)
def test_a_key_in_a_text_is_taken_out(log: io.StringIO, words: str) -> None:
    """Whether it looks like one, or is one of the configuration's."""
    secrets.hide(["my-own-key"])
    logging.getLogger("somebody").warning("told us: %s", words)

    (line,) = (json.loads(line) for line in log.getvalue().splitlines())
    assert secrets.MASK in line["event"]
    assert not any(key in log.getvalue() for key in (KEY, "abcdef", "my-own-key"))


async def test_the_configuration_s_keys_are_known(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the start of the server, whatever they look like."""
    monkeypatch.setenv("ODD_KEY", "correct horse battery")
    config = """
        [providers.acme]
        kind = "openai-compatible"
        base_url = "http://127.0.0.1:1/v1"
        api_key = "env:ODD_KEY"
    """
    async with running(config):
        logging.getLogger("somebody").error("a correct horse battery staple")

    assert "horse" not in log.getvalue()
    assert secrets.MASK in log.getvalue()


async def test_a_key_that_a_caller_puts_in_the_wrong_place(log: io.StringIO) -> None:
    """A label, or a model's id: taken out of the call's line and of the target's."""
    asked = generate(f"acme/status:503+code:{KEY}")
    asked.call.labels["team"] = KEY
    async with running(f"[health]\nfailure_threshold = 1\n{SCRIPTED}") as it:
        await failed(it.generation.Generate(asked))

    (call,) = lines(log, "call")
    (health,) = lines(log, "health")
    assert {"team": secrets.MASK} == call["labels"]
    assert secrets.MASK in health["target"]
    assert KEY not in log.getvalue()


def test_an_exception_is_told_without_its_text(log: io.StringIO) -> None:
    """Its type and the places that it passed."""
    try:
        raise RuntimeError("canary")
    except RuntimeError:
        logging.getLogger("somebody").exception("something broke")

    (line,) = (json.loads(line) for line in log.getvalue().splitlines())
    assert line["exception"].startswith("RuntimeError | ")
    assert __file__ in line["exception"]
    assert "canary" not in log.getvalue()


def test_a_terminal_gets_lines_for_people(log: io.StringIO) -> None:
    """The same words, not in JSON."""
    terminal = io.StringIO()
    logs.configure(terminal, terminal=True)
    logging.getLogger("somebody").warning("told %s", KEY)

    assert secrets.MASK in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
