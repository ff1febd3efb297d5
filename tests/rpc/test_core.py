"""Frames that no library would send, and the server that goes on."""

import asyncio
from contextlib import suppress
from typing import Any

import grpc
import pytest

from testkit.servers import Running, generate, running
from tests.fuzz.frames import PREFACE, SETTINGS, frame, request
from tests.rpc.test_access import services

PATH = b"/majordomo.v1.GenerationService/Generate"


async def say(it: Running, data: bytes) -> bytes:
    """What the server answers to a client that says `data` and goes."""
    host, _, port = it.server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    writer.write_eof()
    answer = b""
    with suppress(ConnectionError):
        async with asyncio.timeout(20):
            answer = await reader.read()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return answer


@pytest.mark.rule("6.7")
@pytest.mark.parametrize(
    "path",
    [
        b"/majordomo.v1.\x99/Generate",
        b"/\xff\xfe",
        PATH + b"\x80",
        b"\xed\xa0\x80",
    ],
    ids=range(4),
)
async def test_a_path_that_is_no_text(path: bytes) -> None:
    """Its call is not answered well; all others are, before and after."""
    begin = PREFACE + frame(SETTINGS, 0, 0, b"")
    message = generate("acme/echo").SerializeToString()
    async with running() as it:
        running_call = it.generation.Generate(generate("acme/delay:300ms+text:late"))
        for _ in range(3):
            await say(it, begin + request(1, path, message) + request(3, PATH, message))
        after = await it.generation.Generate(generate("acme/echo"))
        before = await running_call

    assert "hello" == after.message.parts[0].text
    assert before.message.parts


async def test_methods_that_there_are_not() -> None:
    """UNIMPLEMENTED, at once; those of reflection are found in both versions."""
    async with running() as it:
        codes = []
        for path in ("/majordomo.v1.GenerationService/Nope", "/nope", "/a.B/C"):
            ask: Any = it.channel.unary_unary(path)
            codes.append(await ask(b"", timeout=20).code())
        listed = await services(it)
        v1: Any = it.channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        )(timeout=20)
        await v1.write(b"\x3a\x00")
        answered = await v1.read()
        await v1.done_writing()

    assert [grpc.StatusCode.UNIMPLEMENTED] * 3 == codes
    assert "majordomo.v1.GenerationService" in listed
    assert b"majordomo.v1.GenerationService" in answered
