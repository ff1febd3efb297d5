"""Responses as they come off a connection, bytes only."""

import asyncio
from typing import Any

import httpx
import pytest

from majordomo.transport import http11 as responses
from majordomo.transport.http11 import CutShort, Disconnected, Responses
from tests.chain.fakes import virtual_time

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"
CHUNKS = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-a: b\r\n\r\n"
    b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
)
ENDLESS = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc"


class Socket(asyncio.ReadTransport):
    """Tells whether it is read."""

    reading = True

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True


def asked() -> Responses:
    """A request was just sent."""
    made = Responses(asyncio.get_running_loop())
    made.expect(Socket())
    return made


async def whole(reader: Responses) -> tuple[int, bytes]:
    """The status, and the body to its end."""
    await reader.head()
    pieces = []
    while data := await reader.read():
        pieces.append(data)
    return reader.status, b"".join(pieces)


@pytest.mark.parametrize("data", [OK, CHUNKS, ENDLESS], ids=["length", "chunks", "end"])
async def test_whatever_the_pieces_it_is_the_same(data: bytes) -> None:
    """Cut in two at every byte, and byte by byte."""
    cuts = [[data[:at], data[at:]] for at in range(1, len(data))]
    for pieces in [*cuts, [data[at : at + 1] for at in range(len(data))]]:
        reader = asked()
        answer = asyncio.ensure_future(whole(reader))
        for piece in pieces:
            reader.feed(piece)
            await asyncio.sleep(0)
        if data == ENDLESS:
            reader.end(None)

        assert (200, b"abc") == await answer
        assert (data != ENDLESS) == reader.reusable


async def test_one_after_another() -> None:
    """Each request gets its own, with nothing left of the one before."""
    reader = asked()
    reader.feed(CHUNKS)
    first = await whole(reader)
    reader.expect(Socket())
    reader.feed(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")
    second = await whole(reader)

    assert [(200, b"abc"), (404, b"")] == [first, second]
    assert [(b"content-length", b"0")] == reader.headers


async def test_what_is_unread_is_not_left_to_the_next() -> None:
    """An answer that came to its end and was not read: the connection is done with."""
    reader = asked()
    reader.feed(OK)
    await reader.head()
    before = reader.reusable
    await reader.read()

    assert not before
    assert reader.reusable


async def test_interim_responses_are_passed_over() -> None:
    """100 and 103 come before the answer and are none."""
    reader = asked()
    reader.feed(b"HTTP/1.1 100 Continue\r\n\r\n")
    reader.feed(b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + OK)

    assert (200, b"abc") == await whole(reader)
    assert [(b"content-length", b"3")] == reader.headers
    assert reader.reusable


async def test_no_other_protocol_is_spoken() -> None:
    """An upgrade was not asked for."""
    reader = asked()
    reader.feed(b"HTTP/1.1 101 Go\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")

    with pytest.raises(httpx.RemoteProtocolError):
        await reader.head()
    assert not reader.reusable


@pytest.mark.parametrize("more", [OK, b"HTTP", b"\0"], ids=["whole", "begun", "stray"])
@pytest.mark.parametrize("together", [True, False])
async def test_what_nobody_asked_for_spoils_the_connection(
    more: bytes, together: bool
) -> None:
    """The answer before it stands."""
    reader = asked()
    if together:
        reader.feed(OK + more)
    else:
        reader.feed(OK)
        reader.feed(more)

    assert (200, b"abc") == await whole(reader)
    assert not reader.reusable


@pytest.mark.parametrize(
    "head",
    [b"connection: close\r\n", b"proxy-connection: x\r\nconnection: CLOSE\r\n"],
)
async def test_a_connection_that_closes_is_not_reused(head: bytes) -> None:
    """Even where the body's length is known."""
    reader = asked()
    reader.feed(OK.replace(b"content", head + b"content"))

    assert (200, b"abc") == await whole(reader)
    assert not reader.reusable


@pytest.mark.parametrize(
    ("data", "error", "expected"),
    [
        (b"", None, Disconnected),
        (b"HTTP/1.1 2", None, Disconnected),
        (b"", ConnectionResetError(), ConnectionResetError),
        (OK[:-1], None, CutShort),
        (OK[:-1], ConnectionResetError(), CutShort),
        (CHUNKS[:-5], None, CutShort),
        (ENDLESS, ConnectionResetError(), CutShort),
    ],
)
async def test_an_end_too_soon(
    data: bytes, error: Exception | None, expected: type[Exception]
) -> None:
    """Reported after what had come."""
    reader = asked()
    reader.feed(data)
    reader.end(error)

    with pytest.raises(expected):
        await whole(reader)
    assert not reader.reusable


async def test_what_came_is_read_before_the_error() -> None:
    """The error is for what is missing."""
    reader = asked()
    reader.feed(OK[:-1])
    reader.end(None)
    await reader.head()

    assert b"ab" == await reader.read()
    with pytest.raises(CutShort):
        await reader.read()


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * (responses.MOST_HEADERS + 1) + b"\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * responses.LONGEST_HEADER + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * responses.LONGEST_HEAD,
        b"HTTP/1.1 100 OK\r\n\r\n" * (responses.LONGEST_HEAD // 10),
    ],
    ids=[
        "two framings",
        "two lengths",
        "folded",
        "version",
        "many headers",
        "long header",
        "no end",
        "interim for ever",
    ],
)
async def test_a_head_that_is_refused(data: bytes) -> None:
    """At once, without waiting for more."""
    reader = asked()
    for at in range(0, len(data), 1000):
        reader.feed(data[at : at + 1000])

    with pytest.raises(httpx.RemoteProtocolError):
        await reader.head()


async def test_a_trailer_is_no_head() -> None:
    """What may follow the last chunk changes nothing; the connection serves again."""
    reader = asked()
    reader.feed(CHUNKS.removesuffix(b"\r\n") + b"x: y\r\n\r\n")

    assert (200, b"abc") == await whole(reader)
    assert reader.reusable


@pytest.mark.parametrize("blanks", [b" ", b"  ", b"\t", b" ;name=value", b";name"])
async def test_blanks_after_a_chunk_s_size(blanks: bytes) -> None:
    """Some servers write them, and extensions that nobody knows: RFC 9112, 7.1.1."""
    data = CHUNKS.replace(b"2\r\n", b"2" + blanks + b"\r\n")
    data = data.replace(b"0\r\n", b"0" + blanks + b"\r\n")
    reader = asked()
    for at in range(len(data)):
        reader.feed(data[at : at + 1])

    assert (200, b"abc") == await whole(reader)
    assert reader.reusable


async def test_a_trailer_is_no_header() -> None:
    """It adds nothing to what was reported before the body, and is bounded alike."""
    trailer = b"x-request-id: late\r\ncontent-encoding: gzip\r\n"
    reader, long = asked(), asked()
    reader.feed(CHUNKS[:-2] + trailer + b"\r\n")
    long.feed(CHUNKS[:-2] + b"a: b\r\n" * (responses.MOST_HEADERS + 1) + b"\r\n")

    assert (200, b"abc") == await whole(reader)
    assert [(b"transfer-encoding", b"chunked"), (b"x-a", b"b")] == reader.headers
    assert reader.reusable
    with pytest.raises(httpx.RemoteProtocolError):
        await whole(long)
    assert not long.reusable


async def test_a_trailer_without_an_end_is_refused() -> None:
    """It is bounded as a head is."""
    reader = asked()
    reader.feed(CHUNKS.removesuffix(b"\r\n") + b"x: ")
    for _ in range(responses.LONGEST_HEAD // 1000 + 1):
        reader.feed(b"y" * 1000)

    with pytest.raises(httpx.RemoteProtocolError):
        await whole(reader)


async def test_a_body_that_nobody_reads_stops_the_socket() -> None:
    """And goes on with it once it is read."""
    socket: Any = Socket()
    reader = Responses(asyncio.get_running_loop())
    reader.expect(socket)
    size = responses.MOST_UNREAD + 1
    reader.feed(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (size + 1))
    reader.feed(b"x" * size)
    stopped = not socket.reading
    await reader.read()

    assert stopped
    assert socket.reading


class Looked(Socket):
    """Shows when it is read again; may be informed twice."""

    def __init__(self) -> None:
        self.looks = asyncio.Event()

    def pause_reading(self) -> None:
        super().pause_reading()
        self.looks.clear()

    def resume_reading(self) -> None:
        self.reading = True
        self.looks.set()


class Gathering:
    """A body whose pieces are gathered, four seconds after its request."""

    HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n-\r\n"

    async def begin(self) -> "asyncio.Future[bytes]":
        self.socket = Looked()
        self.reader = Responses(asyncio.get_running_loop())
        self.reader.expect(self.socket)
        self.reader.feed(self.HEAD)
        await self.reader.head()
        assert b"-" == await self.reader.read()
        self.reader.batch = 5.0
        await asyncio.sleep(4)
        reading = asyncio.ensure_future(self.reader.read())
        await asyncio.sleep(0)
        return reading

    async def come(self, data: bytes) -> None:
        """`data` has come, and is seen at the next look."""
        await asyncio.wait_for(self.socket.looks.wait(), 1)
        self.reader.feed(data)
        await asyncio.sleep(0)


PIECE = b"1\r\nx\r\n"


@pytest.mark.rule("5.7")
@virtual_time
async def test_what_nobody_waits_for_is_gathered() -> None:
    """Few looks a second, one read; the end is handed on at once."""
    it = Gathering()
    reading = await it.begin()
    begun = asyncio.get_running_loop().time()
    for _ in range(8):
        await it.come(PIECE)
        assert (False, False) == (it.socket.reading, reading.done())
    took = asyncio.get_running_loop().time() - begun
    await it.come(b"0\r\n\r\n")

    assert 0.99 < took < 1.01
    assert reading.done()
    assert b"x" * 8 == await reading
    assert it.reader.reusable


@pytest.mark.rule("5.7")
@virtual_time
async def test_a_pause_ends_the_gathering() -> None:
    """So that how long it lasts is known from what came before it."""
    it = Gathering()
    reading = await it.begin()
    await it.come(PIECE)
    begun = asyncio.get_running_loop().time()

    assert b"x" == await reading
    assert 0.25 <= asyncio.get_running_loop().time() - begun < 0.4
    assert it.socket.reading


@pytest.mark.rule("5.7")
@virtual_time
async def test_gathering_is_bounded() -> None:
    """In time and in bytes."""
    many = Gathering()
    reading = await many.begin()
    size = responses.MOST_UNREAD + 1
    await many.come(b"%x\r\n%s\r\n" % (size, b"x" * size))
    assert reading.done()

    it = Gathering()
    reading = await it.begin()
    begun = asyncio.get_running_loop().time()
    for _ in range(100):
        if reading.done():
            break
        await it.come(PIECE)
    took = asyncio.get_running_loop().time() - begun

    assert 5 <= took < 5.2
    assert len(await reading) in (39, 40)


@pytest.mark.rule("5.7")
@virtual_time
async def test_a_failure_ends_the_gathering() -> None:
    """What came before it is read first; a wait that is given up leaves no timer."""
    it = Gathering()
    reading = await it.begin()
    await it.come(PIECE)
    it.reader.end(ConnectionResetError())

    assert b"x" == await reading
    with pytest.raises(CutShort):
        await it.reader.read()
    other = Gathering()
    abandoned = await other.begin()
    abandoned.cancel()
    with pytest.raises(asyncio.CancelledError):
        await abandoned
    assert other.socket.reading
