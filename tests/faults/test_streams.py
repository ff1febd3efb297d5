"""Streams that break before and after their first content, or come in odd pieces."""

import asyncio
import json
from dataclasses import dataclass

import grpc
import pytest

from majordomo.v1.generation_service_pb2 import (
    INTERRUPTION_POLICY_RESTART,
    Call,
    ChainOptions,
    StreamRequest,
)
from testkit.servers import prompt, text_of
from testkit.upstream import (
    CHUNKED,
    DONE,
    LAST_CHUNK,
    answer,
    chunk,
    completion,
    event,
    serve,
)
from tests.faults.matrix import fault
from tests.faults.scene import (
    ended,
    got,
    outline,
    plays,
    read_text,
    rescued,
    scene,
)

pytestmark = pytest.mark.usefixtures("transport")
INTERRUPTED = (grpc.StatusCode.ABORTED, "STREAM_INTERRUPTED")
SAID = "0 1 2 3 4 "
DELTAS = b"".join(event(f"{number} ") for number in range(5))
CLOSING = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
SHORT = b"HTTP/1.1 200 OK\r\ncontent-length: 90000\r\n\r\n"


def messages(*events: dict[str, object]) -> bytes:
    """Events of Anthropic's Messages API."""
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (str(it["type"]).encode(), json.dumps(it).encode())
        for it in events
    )


OVERLOADED = messages(
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
)
BEGUN = messages(
    {"type": "message_start", "message": {"id": "msg_1", "model": "m-1"}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
)
BLOCK = messages(
    *(
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": f"{number} "},
        }
        for number in range(5)
    )
)


@dataclass(frozen=True)
class Break:
    """How a stream goes until it breaks: what comes, what is content, how it ends."""

    begin: bytes
    content: bytes
    reason: str
    last: bytes = b""
    end: str = ""
    kind: str = "openai-compatible"


RESET = Break(
    CHUNKED + chunk(event()), chunk(DELTAS), "MALFORMED_RESPONSE", end="reset"
)
CUT = {
    "within a chunk": Break(
        CHUNKED + chunk(event()),
        chunk(DELTAS),
        "MALFORMED_RESPONSE",
        last=b"400\r\ndata: {",
        end="closed",
    ),
    "between chunks": Break(
        CHUNKED + chunk(event()), chunk(DELTAS), "MALFORMED_RESPONSE", end="closed"
    ),
    "short": Break(SHORT + event(), DELTAS, "MALFORMED_RESPONSE", end="closed"),
}
UNFINISHED = {
    "connection: close": Break(
        CLOSING + event(), DELTAS, "MALFORMED_RESPONSE", end="closed"
    ),
    "chunked": Break(
        CHUNKED + chunk(event()), chunk(DELTAS), "MALFORMED_RESPONSE", last=LAST_CHUNK
    ),
}
ERROR = Break(
    CHUNKED + chunk(BEGUN),
    chunk(BLOCK),
    "OVERLOADED",
    last=chunk(OVERLOADED),
    kind="anthropic",
)
BEFORE = [
    pytest.param(RESET, id="reset", marks=fault(8)),
    *(pytest.param(it, id=id_, marks=fault(10)) for id_, it in CUT.items()),
    *(pytest.param(it, id=id_, marks=fault(11)) for id_, it in UNFINISHED.items()),
    pytest.param(ERROR, id="error event", marks=fault(15)),
]
AFTER = [
    pytest.param(RESET, id="reset", marks=fault(9)),
    *(pytest.param(it, id=id_, marks=fault(10)) for id_, it in CUT.items()),
    *(pytest.param(it, id=id_, marks=fault(11)) for id_, it in UNFINISHED.items()),
    pytest.param(ERROR, id="error event", marks=fault(15)),
]


@pytest.mark.parametrize("how", BEFORE)
async def test_a_stream_that_breaks_before_content(how: Break) -> None:
    """The caller sees one whole answer, of the next target."""
    script = plays(how.begin, how.last, end=how.end)
    async with scene(script, kind=how.kind) as it:
        seen = await it.ask("Stream")

        assert "rescued" == seen.text
        assert 2 == len(seen.attempts)
        assert seen.attempts in (rescued(how.reason), rescued("CONNECTION"))
        assert 1 == (await it.health()).consecutive_failures
        assert (1, 1) == (len(it.bad.requests), len(it.good.requests))


@pytest.mark.parametrize("how", AFTER)
async def test_a_stream_that_breaks_after_content(how: Break) -> None:
    """The caller has what came, and receives that it broke; nobody else is asked."""
    received = asyncio.Event()
    script = plays(how.begin + how.content, received.wait, how.last, end=how.end)
    async with scene(script, kind=how.kind) as it:
        call = it.it.generation.Stream(StreamRequest(call=Call(prompt=prompt())))
        read = await read_text(call, SAID)
        received.set()
        seen = await got(call, read)

        assert INTERRUPTED == seen.status
        assert SAID == seen.text
        assert "completion" not in [one.WhichOneof("event") for one in seen.events]
        assert seen.attempts in (
            ended(f"INTERRUPTED {how.reason}"),
            ended("INTERRUPTED CONNECTION"),
        )
        assert 1 == (await it.health()).consecutive_failures
        assert [] == it.good.requests


@pytest.mark.parametrize("how", AFTER)
async def test_a_stream_that_is_started_again(how: Break) -> None:
    """RESTART: what came is void from the moment that the next target answers."""
    received = asyncio.Event()
    script = plays(how.begin + how.content, received.wait, how.last, end=how.end)
    options = ChainOptions(interruption_policy=INTERRUPTION_POLICY_RESTART)
    async with scene(script, kind=how.kind) as it:
        request = StreamRequest(call=Call(prompt=prompt(), options=options))
        call = it.it.generation.Stream(request)
        read = await read_text(call, SAID)
        received.set()
        seen = await got(call, read)

        kinds = [one.WhichOneof("event") for one in seen.events]
        place = kinds.index("restart")
        restart = seen.events[place].restart
        assert "part_delta" == kinds[place + 1]
        assert "rescued" == text_of(seen.events[place:])
        assert "good/m" == restart.target
        assert seen.attempts[:1] == outline([restart.interrupted])
        assert "good/m SUCCEEDED" == seen.attempts[1]
        assert 1 == (await it.health()).consecutive_failures


@pytest.mark.parametrize("how", AFTER)
async def test_a_broken_stream_behind_a_whole_answer(how: Break) -> None:
    """Generate by streams: what came was seen by nobody, so the next target answers."""
    script = plays(how.begin + how.content, how.last, end=how.end)
    async with scene(script, kind=how.kind) as it:
        seen = await it.ask("Generate")

        assert "rescued" == seen.text
        assert seen.attempts in (rescued(how.reason), rescued("CONNECTION"))
        assert 1 == (await it.health()).consecutive_failures


@fault(10)
@pytest.mark.parametrize("head", [SHORT, CHUNKED + b"400\r\n", CHUNKED])
async def test_a_whole_answer_that_is_cut_short(head: bytes) -> None:
    """Generate: even where what came could be read as an answer, and none streamed."""
    body = completion("half an answer").partition(b"\r\n\r\n")[2]
    data = head + (chunk(body) if head == CHUNKED else body)
    async with scene(plays(data, end="closed")) as it:
        seen = await it.ask("Generate")

        assert "rescued" == seen.text
        assert rescued("MALFORMED_RESPONSE") == seen.attempts
        assert 1 == (await it.health()).consecutive_failures


@fault(64)
@pytest.mark.parametrize("sliced", [False, True], ids=["in one", "in bytes"])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r", b"mixed"])
async def test_events_framed_in_every_way(line_end: bytes, sliced: bool) -> None:
    """The same text, whatever the lines end with and wherever the bytes are cut."""
    ping, unknown = b": ping\n\n", b"event: ping\nid: 7\nretry: 10\ndata:\n\n"
    events = [event(), event("Zwölf "), ping, event("Bären 🐻"), unknown]
    events += [event("!"), event("", "stop"), event("", "stop"), DONE]
    ends = [b"\n", b"\r\n", b"\r"] if line_end == b"mixed" else [line_end]
    body = b"\xef\xbb\xbf" + b"".join(
        one.replace(b"\n", ends[number % len(ends)])
        for number, one in enumerate(events)
    )
    pieces = [bytes([byte]) for byte in body] if sliced else [body]
    reply = CHUNKED + b"".join(map(chunk, pieces)) + LAST_CHUNK
    async with scene(serve(reply)) as it:
        seen = await it.ask("Stream")

        assert "Zwölf Bären 🐻!" == seen.text
        assert ["bad/m SUCCEEDED"] == seen.attempts


@fault(14)
async def test_a_stream_that_is_no_stream() -> None:
    """An error in a whole body, where events were asked for, fails over too."""
    body = b'{"error": {"message": "Too busy", "type": "overloaded_error"}}'
    async with scene(serve(answer(200, body))) as it:
        seen = await it.ask("Stream")

        assert rescued("OVERLOADED") == seen.attempts
