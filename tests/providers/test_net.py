"""A bug that somebody else's bytes find: it costs an attempt, and the log has it."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from majordomo.chain.failure import Failure
from majordomo.codec.request_json import SCHEMA_PATH
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_UNSUPPORTED,
    FailureReason,
)
from testkit.servers import Running, generate, prompt, rest_of, running, stream, text_of
from testkit.upstream import Upstream, completion, serve, streamed

CONFIG = """
[chain]
generate_via = "unary"
    [health]
    failure_threshold = 100
    [providers.bad]
    kind = "openai-compatible"
    base_url = "{url}/v1"
    [providers.good]
    kind = "scripted"
"""
CHAIN = "bad/m,good/echo"
CANARY = "canary of the prompt"


def breaks(*_: object, **__: object) -> Any:
    raise KeyError(CANARY)


class BrokenDecoder:
    """Reads one piece well, and breaks where it is asked to."""

    def __init__(self, where: str) -> None:
        self.complete = where == "finish"
        self.finished = False
        self.life = None
        for name in ("feed", "close", "finish"):
            setattr(self, name, breaks if name == where else lambda *_: [])

    @property
    def usage(self) -> None:
        breaks()


async def failed_over(it: Running, reason: FailureReason) -> None:
    """Both RPCs are answered by the second target: the first failed for `reason`."""
    for rpc in ("Generate", "Stream"):
        if rpc == "Generate":
            response = await it.generation.Generate(generate(CHAIN))
            text, completion_ = response.message.parts[0].text, response.completion
        else:
            events = await rest_of(it.generation.Stream(stream(CHAIN)))
            text, completion_ = text_of(events), events[-1].completion
        assert "hello" == text
        first, *_ = completion_.attempts
        assert FailureReason.Name(reason) == FailureReason.Name(first.failure_reason)
        assert CANARY not in first.message


def reported(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """The log has the bug, with its place, and not the text of the exception."""
    lines = [record.getMessage() for record in caplog.records]
    bugs = [line for line in lines if line.startswith(f"a bug in {words}: KeyError | ")]
    assert len(bugs) >= 2
    assert all(__file__ in line for line in bugs)
    assert CANARY not in caplog.text


@pytest.mark.rule("3.12")
@pytest.mark.parametrize("where", ["feed", "close", "finish"])
async def test_a_decoder_that_breaks(
    where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever an answer makes it raise is a malformed answer: the walk goes on."""
    monkeypatch.setattr(OpenAICompatible, "decode", breaks)
    broken: Callable[..., BrokenDecoder] = lambda *_: BrokenDecoder(where)  # noqa: E731
    monkeypatch.setattr(OpenAICompatible, "decoder", broken)
    both = serve(completion("no"), streamed(["no"]), completion("no"), streamed(["no"]))
    async with Upstream(both) as upstream:
        with caplog.at_level(logging.ERROR, "majordomo"):
            async with running(CONFIG.format(url=upstream.url)) as it:
                await failed_over(it, FAILURE_REASON_MALFORMED_RESPONSE)

    reported(caplog, "reading an answer")


@pytest.mark.rule("2.11")
async def test_an_encoder_that_breaks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a request makes it raise: the target is passed over."""
    monkeypatch.setattr(OpenAICompatible, "encode", breaks)
    with caplog.at_level(logging.ERROR, "majordomo"):
        async with running(CONFIG.format(url="http://127.0.0.1:1")) as it:
            await failed_over(it, FAILURE_REASON_UNSUPPORTED)

    reported(caplog, "encoding a request")


@pytest.mark.rule("2.11")
@pytest.mark.parametrize("schema", ['{"maximum":1e999}', '{"type":5,"items":[1]}'])
async def test_a_schema_that_is_none(schema: str) -> None:
    """It is JSON, and no schema: reported with its field, and no bug."""
    prompt_ = prompt()
    prompt_.response_format.json_schema.schema_json = schema

    for codec in (OpenAICompatible("p"), OpenAIResponses("p")):
        with pytest.raises(Failure, match=rf"{SCHEMA_PATH} is no JSON"):
            codec.encode("m", prompt_, stream=False)
