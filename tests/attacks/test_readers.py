"""Callers that do not read what they asked for."""

import asyncio
import logging
from typing import Any

import grpc
import pytest

import majordomo.rpc.leaving
import majordomo.rpc.memory
from majordomo.rpc.interceptors.admission import AdmissionInterceptor
from majordomo.rpc.terms import Caller
from testkit.h2 import GENERATE, Connection, message
from testkit.servers import SCRIPTED, failed, generate, running, stream

STREAM = GENERATE.replace("Generate", "Stream")
ONE_PLACE = f'[server]\nlisten = "127.0.0.1:0"\nmax_calls = 1\n{SCRIPTED}'


@pytest.mark.rule("5.5")
@pytest.mark.parametrize(
    ("path", "request_"),
    [
        pytest.param(GENERATE, generate("acme/echo", "x" * 500_000), id="whole"),
        pytest.param(GENERATE, generate("acme/text:ok"), id="small"),
        pytest.param(STREAM, stream("acme/echo", "word " * 50_000), id="streamed"),
    ],
)
async def test_a_window_of_nothing(
    path: str, request_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call keeps its place for as long as it may, and then its stream is reset."""
    monkeypatch.setattr(majordomo.rpc.memory, "PATIENCE", 0.3)
    monkeypatch.setattr(majordomo.rpc.leaving, "PATIENCE", 1.5)
    placed = asyncio.Event()
    take_place = AdmissionInterceptor._take_place

    def watched(admission: AdmissionInterceptor, caller: Caller) -> None:
        take_place(admission, caller)
        placed.set()

    monkeypatch.setattr(AdmissionInterceptor, "_take_place", watched)
    async with (
        running(ONE_PLACE) as it,
        Connection.to(it.server.address, window=0) as connection,
    ):
        call = connection.begin(path)
        body = message(request_.SerializeToString())
        await connection.send(call, body, end=True)
        async with asyncio.timeout(20):
            await placed.wait()
        before = await failed(it.generation.Generate(generate("acme/text:ok")))
        async with asyncio.timeout(20):
            await connection.until_ended(call)
        after = await it.generation.Generate(generate("acme/text:ok"))

    assert not connection.closed
    assert "SERVER_OVERLOADED" == before.reason
    assert "ok" == after.message.parts[0].text


@pytest.mark.rule("6.2")
@pytest.mark.parametrize("rpc", ["Generate", "Stream"])
async def test_an_answer_that_is_too_large(
    rpc: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the server that says so, to its log as well; nobody pays for it twice."""
    async with running() as it:
        request = generate if rpc == "Generate" else stream
        call = getattr(it.generation, rpc)(request("acme/echo", "x" * (17 << 20)))
        reported = await failed(call)

    assert grpc.StatusCode.RESOURCE_EXHAUSTED == reported.code
    assert "ANSWER_TOO_LARGE" == reported.reason
    assert "-1" == reported.trailers["grpc-retry-pushback-ms"]
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert 1 == len(said)
    assert "bytes; at most 16777216 are sent" in said[0]
