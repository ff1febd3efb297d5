"""Whole answers that are asked for as streams, where it pays (rules 5.7 and 5.8)."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from majordomo.v1.generation_service_pb2 import Call, ExplainRequest, GenerateRequest
from majordomo.v1.operator_service_pb2 import TargetHealth
from testkit.servers import generate, prompt, running
from testkit.upstream import Connection, Request, Upstream, answer, completion, streamed
from tests.faults.scene import got, rescued, scene

Refuses = Callable[[dict[str, Any]], str]
"""The parameter of a request that is refused; "": none."""


def asked(upstream: Upstream) -> list[tuple[bool, bool]]:
    """Of each request whether it asked for a stream, and for its usage."""
    bodies = [json.loads(request.body) for request in upstream.requests]
    return [("stream" in body, "stream_options" in body) for body in bodies]


def refuses(which: Refuses, status: int = 400) -> Callable[[Connection], Any]:
    """A provider that answers, whole or streamed, what it does not refuse."""

    def reply(request: Request) -> bytes:
        body = json.loads(request.body)
        if param := which(body):
            error = {"message": f"not with {param}", "param": param, "type": "x"}
            return answer(status, json.dumps({"error": error}).encode())
        return streamed(["a", "b"]) if body.get("stream") else completion("ab")

    async def script(connection: Connection) -> None:
        while request := await connection.request():
            await connection.send(reply(request))

    return script


def no_stream(body: dict[str, Any]) -> str:
    return "stream" if body.get("stream") else ""


def no_options(body: dict[str, Any]) -> str:
    return "stream_options" if "stream_options" in body else ""


WHOLE, STREAMED, BARE = (False, False), (True, True), (True, False)


@pytest.mark.rule("5.7")
@pytest.mark.parametrize(
    ("via", "tokens", "expected"),
    [
        ("", None, STREAMED),
        ("auto", 257, STREAMED),
        ("auto", 256, WHOLE),
        ("stream", 1, STREAMED),
        ("unary", None, WHOLE),
    ],
)
async def test_where_a_stream_is_asked_for(
    via: str, tokens: int | None, expected: tuple[bool, bool]
) -> None:
    """As installed where the answer may be long; else as the configuration says."""
    chain = f'generate_via = "{via}"' if via else ""
    request = GenerateRequest(call=Call(prompt=prompt()))
    if tokens is not None:
        request.call.prompt.config.max_output_tokens = tokens
    async with scene(refuses(lambda _: ""), chain=chain) as it:
        seen = await got(it.it.generation.Generate(request))

        assert ("ab", [expected]) == (seen.text, asked(it.bad))


@pytest.mark.rule("5.7")
async def test_the_limit_that_is_sent_counts() -> None:
    """Not that of the prompt: a model's own, or the one that a wire wants."""
    models = """
    [providers.p]
    kind = "anthropic"
    base_url = "{url}"
    [providers.p.models.short]
    max_output_tokens = 100
    """
    body = {"content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"}

    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(answer(200, json.dumps(body).encode()))

    async with Upstream(script) as upstream:
        async with running(models.replace("{url}", upstream.url)) as it:
            await it.generation.Generate(generate("p/short"))

        (sent,) = [json.loads(request.body) for request in upstream.requests]
        assert (100, False) == (sent["max_tokens"], "stream" in sent)


@pytest.mark.rule("5.7", "5.4")
async def test_the_limits_as_installed() -> None:
    """Silence is noticed after 30 s; models that are not known may reason."""
    config = """
    [providers.p]
    kind = "openai-compatible"
    base_url = "http://127.0.0.1:1"
    [providers.q]
    kind = "scripted"
    """
    async with running(config) as it:
        request = ExplainRequest(
            call=Call(chain="p/gpt-4o-mini,p/m,q/echo", prompt=prompt())
        )
        plans = (await it.generation.Explain(request)).targets

    limits = [
        (plan.first_content_timeout.seconds, plan.stall_timeout.seconds)
        for plan in plans
    ]
    assert [(30, 30), (180, 30), (600, 30)] == limits


@pytest.mark.rule("5.8")
@pytest.mark.parametrize("status", [400, 403, 404, 422])
@pytest.mark.parametrize("which", [no_stream, no_options], ids=["stream", "options"])
async def test_a_refused_stream_is_asked_for_whole(which: Refuses, status: int) -> None:
    """At once, without a penalty or a retry; then always, and reported each time."""
    script = refuses(which, status)
    async with scene(script, chain="transient_retries = 0") as it:
        first, second = await it.ask(), await it.ask()

        assert ["ab", "ab"] == [first.text, second.text]
        assert ["bad/m FAILED UNSUPPORTED", "bad/m SUCCEEDED"] == first.attempts
        assert ["bad/m SUCCEEDED"] == second.attempts
        assert [STREAMED, WHOLE, WHOLE] == asked(it.bad)
        for seen in (first, second):
            assert seen.completion is not None
            (reported,) = seen.completion.adaptations
            assert which({"stream": True, "stream_options": {}}) == reported.field
            assert "asked for whole: the target has refused it" == reported.description
        assert 0 == (await it.health()).consecutive_failures
        assert TargetHealth.STATE_ACTIVE == (await it.health()).state


@pytest.mark.rule("5.8")
async def test_a_stream_without_what_is_refused_beside_it() -> None:
    """Stream: the option is left out; where streams are refused, the next target."""
    async with scene(refuses(no_options)) as it:
        first, second = await it.ask("Stream"), await it.ask("Stream")

        assert ["ab", "ab"] == [first.text, second.text]
        assert ["bad/m FAILED UNSUPPORTED", "bad/m SUCCEEDED"] == first.attempts
        assert [STREAMED, BARE, BARE] == asked(it.bad)
        assert second.completion is not None
        (reported,) = second.completion.adaptations
        assert "stream_options" == reported.field

    async with scene(refuses(no_stream)) as it:
        seen = await it.ask("Stream")

        assert ("rescued", rescued("UNSUPPORTED")) == (seen.text, seen.attempts)


@pytest.mark.rule("5.8")
async def test_nobody_turns_streams_off_for_others() -> None:
    """A request that is refused in any form says nothing of streams."""

    def which(body: dict[str, Any]) -> str:
        return "stream" if "poison" in json.dumps(body) else ""

    async with scene(refuses(which)) as it:
        poison = await it.ask(text="poison", advance_on_permanent=True)
        after = await it.ask()

        assert ["bad/m FAILED UNSUPPORTED", "bad/m FAILED UNSUPPORTED"] == (
            poison.attempts[:2]
        )
        assert "ab" == after.text
        assert [STREAMED, WHOLE, STREAMED] == asked(it.bad)


@pytest.mark.rule("5.8")
async def test_a_turn_is_asked_anew_once() -> None:
    """Whatever a provider refuses, it is not asked for ever."""
    async with scene(refuses(lambda _: "stream")) as it:
        for rpc, requests in (("Generate", 2), ("Stream", 1)):
            before = len(it.bad.requests)
            await it.ask(rpc, advance_on_permanent=True)
            assert requests == len(it.bad.requests) - before
