"""HTTP/1.1 responses as they come off one connection, one after another; no I/O.

llhttp, by httptools, knows the framing. Here is what it leaves open: which message
answers the request that was sent, where one without a length ends, how long a head may
be, and how much of a body may lie unread. Source: RFC 9112, 6.3 and 8.
"""

import asyncio
from math import frexp, ldexp

import httptools
import httpx

LONGEST_HEAD = 64 << 10
"""Bytes that may come in a row without any of a body, as a head does, or a trailer."""

LONGEST_HEADER = 8 << 10
"""Bytes of one header, name and value."""

MOST_HEADERS = 128

_LEFT_SHARE = 4
_SHORTEST_LEFT, _LONGEST_LEFT = 2**-10, 2**-3
"""How long what comes of a body may lie unseen, its end too, where nobody waits for its
pieces: a quarter of the time since the request, in seconds within these."""

_PAUSE = 0.25
"""Seconds without a byte after which no more is gathered."""

MOST_UNREAD = 64 << 10
"""Bytes of a body that may lie unread before its socket is read no further."""


class Disconnected(httpx.RemoteProtocolError):
    """The connection ended in good order before the head of a response."""


class CutShort(httpx.RemoteProtocolError):
    """The connection ended, in whatever way, within a response's body."""


class Responses:
    """The responses on one connection, and the reader that waits for the one asked for.

    `feed` and `end` receive what the socket does and raise nothing: what is wrong with
    a response is raised to anyone who waits for it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.asked = 0.0
        """When the request went out, by the event loop's clock."""

        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        # Some servers write them; to nobody else does the size then mean another one.
        self._parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
        self._socket: asyncio.ReadTransport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._body: list[bytes] = []
        self._unread = 0
        self._paused = False
        self._resting = False
        self._tick: asyncio.TimerHandle | None = None
        self._complete = True
        self._keeps = False
        self._forget()

    def _forget(self) -> None:
        self.begun = False
        """A byte has come since the request."""

        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        """Of the last head that came: names as they were sent, and values."""

        self.batch = 0.0
        """Seconds in which what comes of the body is gathered, to be read at once."""

        self._read = 0  # bytes, the last time
        self._idle = 0  # bytes since the last of a body
        self._headed = False
        self._trailers = 0
        self._interim = False
        self._framed = False
        self._error: Exception | None = None

    @property
    def reusable(self) -> bool:
        """The connection may be asked again: all came and was read, and no more."""
        return self._complete and self._keeps and not self._body

    @property
    def _ready(self) -> bool:
        """There is a reason to read on now."""
        return self._complete or self._paused or self._error is not None

    def expect(self, socket: asyncio.ReadTransport) -> None:
        """A request is sent on `socket`: the next message answers it."""
        self._forget()
        self.asked = self._loop.time()
        self._socket = socket
        self._complete = False
        self._keeps = False

    def feed(self, data: bytes) -> None:
        """`data` has come."""
        self.begun = True
        unread = self._unread
        try:
            self._parser.feed_data(data)
            self._idle = 0 if self._unread > unread else self._idle + len(data)
            if self._idle > LONGEST_HEAD and not self._complete:
                raise _Refused("a head without an end")
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, _Refused):
            self._stop(httpx.RemoteProtocolError("no HTTP"))
        if self._unread > MOST_UNREAD and not self._paused and self._socket:
            self._paused = True
            self._socket.pause_reading()
        if self._socket and self._resting and not self._ready:
            self._leave(self._socket)
        else:
            self._wake()

    def end(self, error: Exception | None) -> None:
        """The connection is gone, by `error` or in good order."""
        if self._headed and error is None and not self._framed:
            self._complete = True
        if self._headed:
            self._stop(CutShort("before its end"))
        else:
            self._stop(error or Disconnected("before an answer"))
        self._wake()

    async def head(self) -> None:
        """Wait until `status` and `headers` are those of the answer.

        Raises Disconnected, httpx.RemoteProtocolError, and what the socket raised.
        """
        while not self._headed:
            await self._more()

    async def read(self) -> bytes:
        """What has come of the body since the last call; empty at its end.

        Raises CutShort and httpx.RemoteProtocolError, after all that came before.
        """
        if self.batch and not self._body and self._read < MOST_UNREAD:
            await self._rest()
        while not self._body:
            if self._complete:
                return b""
            await self._more()
        body = self._body
        data = body[0] if len(body) == 1 else b"".join(body)
        body.clear()
        self._read = self._unread
        self._unread = 0
        if self._paused and self._socket:
            self._paused = False
            self._socket.resume_reading()
        return data

    async def _rest(self) -> None:
        """Gather the body, until its end, a pause in it, or for `batch` seconds."""
        if self._ready or self._socket is None:
            return
        self._resting = True
        timer = self._loop.call_later(self.batch, self._wake)
        self._leave(self._socket)
        try:
            await self._more()
        finally:
            timer.cancel()
            self._next(None)
            self._resting = False
            if not self._paused:
                self._socket.resume_reading()

    def _leave(self, socket: asyncio.ReadTransport) -> None:
        """Leave what comes to the system for a part of the time since the request.

        Until moments that all share, so that one wake-up serves many connections.
        """
        now = self._loop.time()
        longest = min(_LONGEST_LEFT, (now - self.asked) / _LEFT_SHARE)
        length = ldexp(0.5, frexp(max(longest, _SHORTEST_LEFT))[1])  # a power of two
        socket.pause_reading()
        end = (now // length + 1) * length
        self._next(self._loop.call_at(end, self._look, socket))

    def _look(self, socket: asyncio.ReadTransport) -> None:
        """See what has come; where nothing comes for long, wait for no more of it."""
        socket.resume_reading()
        self._next(self._loop.call_later(_PAUSE, self._wake))

    def _next(self, tick: asyncio.TimerHandle | None) -> None:
        """`tick` is what comes next, and nothing else."""
        if self._tick is not None:
            self._tick.cancel()
        self._tick = tick

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _stop(self, error: Exception) -> None:
        """Nothing more that comes is of use."""
        self._keeps = False
        if not self._complete and self._error is None:
            self._error = error

    # What the parser calls; what these raise, it raises as HttpParserError.

    def on_message_begin(self) -> None:
        if self._complete:
            raise _Refused("nobody asked for it")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._headed:
            # A trailer: read to be counted, and no header (RFC 9110, 6.5.1).
            self._trailers += 1
            if self._trailers > MOST_HEADERS:
                raise _Refused("too much of a trailer")
            return
        headers = self.headers
        if len(headers) == MOST_HEADERS or len(name) + len(value) > LONGEST_HEADER:
            raise _Refused("too much of a head")
        headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._interim = True
            return
        self.status = status
        self._headed = True
        self._keeps = self._parser.should_keep_alive()
        self._framed = self._keeps or any(map(_frames, self.headers))

    def on_body(self, data: bytes) -> None:
        self._body.append(data)
        self._unread += len(data)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            self.headers = []
        else:
            self._complete = True


class _Refused(Exception):
    """By us, though it may be HTTP."""


def _frames(header: tuple[bytes, bytes]) -> bool:
    """Whether it shows where the body ends."""
    name, value = header
    match name.lower():
        case b"content-length":
            return True
        case b"transfer-encoding":
            return value.lower().rstrip().endswith(b"chunked")
        case _:
            return False
