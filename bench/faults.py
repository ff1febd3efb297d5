"""What goes wrong between a client and a provider, on real sockets of the loopback.

Each of `FAULTS` is a coroutine that plays one fault to a `Client` and returns what
became of it, in a few words; an exception is what the transport reported.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial

import httpx
import trustme

from majordomo.transport.base import Head, Response, Transport
from testkit.upstream import (
    CHUNKED,
    LAST_CHUNK,
    Connection,
    Script,
    Upstream,
    answer,
    chunk,
)

CONNECT_TIMEOUT = 1.0
"""Seconds until a connection must stand."""

_PROMPTLY = 0.5
"""Seconds within which something that is done at once is seen to be done."""

_LARGE = 20_000_000
"""Bytes: more than the kernel's buffers hold."""

_OK = answer(200, b"asked for")


@dataclass(frozen=True)
class Client:
    """A transport on trial."""

    transport: Transport

    async def send(self, url: str, content: bytes = b"{}") -> Response:
        """Post `content`; the response is to be closed."""
        return await self.transport.post(Head(httpx.URL(url), {}), content)

    async def read(self, url: str, content: bytes = b"{}") -> bytes:
        """Post `content` and read the answer to its end."""
        response = await self.send(url, content)
        try:
            return b"".join([data async for data in chunks(response)])
        finally:
            await response.aclose()


async def chunks(response: Response) -> AsyncGenerator[bytes]:
    """The body's bytes as they arrive."""
    async for data in response:
        yield data


@cache
def authority() -> trustme.CA:
    """The authority that the clients are to trust."""
    return trustme.CA()


def _tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


# No connection.


async def _refused(client: Client) -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return _words(await client.read(f"http://127.0.0.1:{port}"))


async def _full_backlog(client: Client) -> str:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.settimeout(0)
                filler.connect_ex(("127.0.0.1", port))
            return _words(await client.read(f"http://127.0.0.1:{port}"))
        finally:
            for filler in fillers:
                filler.close()


async def _no_such_name(client: Client) -> str:
    return _words(await client.read("http://nope.invalid"))


async def _over_tls(certificate: Callable[[], trustme.LeafCert], client: Client) -> str:
    async with Upstream(_answering(_OK), _tls(certificate())) as upstream:
        return _words(await client.read(upstream.url))


def _untrusted() -> trustme.LeafCert:
    return trustme.CA().issue_cert("127.0.0.1")


def _expired() -> trustme.LeafCert:
    return authority().issue_cert(
        "127.0.0.1",
        not_before=datetime(2019, 1, 1, tzinfo=UTC),
        not_after=datetime(2020, 1, 1, tzinfo=UTC),
    )


def _of_another_host() -> trustme.LeafCert:
    return authority().issue_cert("other.example")


async def _plain_on_a_tls_port(client: Client) -> str:
    async with Upstream(_plain) as upstream:
        return _words(await client.read(upstream.url.replace("http:", "https:")))


async def _plain(connection: Connection) -> None:
    await connection.send(answer(400, b"this is plain HTTP"))
    await connection.closed()


# One request, and an end.


def _ending(data: bytes, how: Callable[[Connection], None]) -> Script:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(data)
        how(connection)

    return script


async def _played(script: Script, client: Client) -> str:
    async with Upstream(script) as upstream:
        return _words(await client.read(upstream.url))


async def _piece_by_piece(client: Client) -> str:
    """The second piece is sent when the first has come, or a while later."""
    received, held_back = asyncio.Event(), False

    async def script(connection: Connection) -> None:
        nonlocal held_back
        await connection.request()
        await connection.send(CHUNKED + chunk(b"first"))
        try:
            async with asyncio.timeout(_PROMPTLY):
                await received.wait()
        except TimeoutError:
            held_back = True
        await connection.send(chunk(b"second") + LAST_CHUNK)

    async with Upstream(script) as upstream:
        response = await client.send(upstream.url)
        async for _ in chunks(response):
            received.set()
        await response.aclose()
    return "held back" if held_back else "as they come"


async def _broken_after_a_piece(client: Client) -> str:
    received = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(CHUNKED + chunk(b"a piece"))
        await received.wait()
        connection.reset()

    async with Upstream(script) as upstream:
        response = await client.send(upstream.url)
        try:
            async for _ in chunks(response):
                received.set()
        finally:
            await response.aclose()
    return "read to its end"


async def _sent_and_kept(data: bytes, client: Client) -> str:
    """Bytes after which the provider waits: a client must see for itself."""

    async def script(connection: Connection) -> None:
        await connection.request()
        with suppress(ConnectionError):
            await connection.send(data)
        await connection.closed()

    async with Upstream(script) as upstream:
        return _words(await client.read(upstream.url))


# Connections that serve again.


async def _twice(script: Script, client: Client) -> str:
    """What became of the second request, and what it took."""
    async with Upstream(script) as upstream:
        await client.read(upstream.url)
        answered = _words(await client.read(upstream.url))
        return (
            f"{answered} ({len(upstream.requests)} requests, "
            f"{len(upstream.connections)} connections)"
        )


def _ending_at_the_second(how: Callable[[Connection], None]) -> Script:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(_OK)
        if await connection.request():
            how(connection)

    return script


async def _half_a_head_at_the_second(connection: Connection) -> None:
    await connection.request()
    await connection.send(_OK)
    if await connection.request():
        await connection.send(b"HTTP/1.1 2")
        connection.close()


async def _closed_while_idle(client: Client) -> str:
    gone = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(_OK)
        connection.close()
        gone.set()

    async with Upstream(script) as upstream:
        await client.read(upstream.url)
        await gone.wait()
        answered = _words(await client.read(upstream.url))
        return f"{answered} ({len(upstream.requests)} requests)"


async def _unasked_in_one(client: Client) -> str:
    """A second answer in the very bytes of the first."""
    first = iter([_OK + answer(200, b"NOT asked for")])

    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(next(first, _OK))

    async with Upstream(script) as upstream:
        await client.read(upstream.url)
        return _words(await client.read(upstream.url))


async def _unasked(pause: float, client: Client) -> str:
    """Bytes on an idle connection, `pause` seconds before the next request."""
    async with Upstream(_answering(_OK)) as upstream:
        await client.read(upstream.url)
        await upstream.connections[0].send(answer(200, b"NOT asked for"))
        if pause:
            await asyncio.sleep(pause)
        return _words(await client.read(upstream.url))


# Calls that are given up.


async def _cancelled(head: bytes, client: Client) -> str:
    waiting = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(head)
        waiting.set()
        await connection.closed()

    async with Upstream(script) as upstream:
        call = asyncio.ensure_future(client.read(upstream.url))
        await waiting.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        return await _seen_closed(upstream)


async def _closed_between_pieces(client: Client) -> str:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(CHUNKED + chunk(b"a piece"))
        await connection.closed()

    async with Upstream(script) as upstream:
        response = await client.send(upstream.url)
        body = chunks(response)
        await anext(body)
        await body.aclose()
        await response.aclose()
        return await _seen_closed(upstream)


async def _cancelled_half_sent(client: Client) -> str:
    begun, given_up = asyncio.Event(), asyncio.Event()
    received = 0

    async def script(connection: Connection) -> None:
        nonlocal received
        await connection.head()
        begun.set()
        await given_up.wait()
        received = len(await connection.closed())

    async with Upstream(script) as upstream:
        call = asyncio.ensure_future(client.read(upstream.url, b"x" * _LARGE))
        await begun.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        given_up.set()
        seen = await _seen_closed(upstream)
    return f"{seen}, {'all' if received == _LARGE else 'not all'} was sent"


async def _seen_closed(upstream: Upstream) -> str:
    _, open_still = await asyncio.wait(upstream.plays, timeout=_PROMPTLY)
    return "left open" if open_still else "closed at once"


# What a client must leave alone.


async def _redirected(client: Client) -> str:
    async with Upstream(_answering(_OK)) as elsewhere:
        redirect = answer(307, b"", location=elsewhere.url)
        async with Upstream(_answering(redirect)) as upstream:
            await client.read(upstream.url)
        return "followed" if elsewhere.connections else "not followed"


def _answering(data: bytes) -> Script:
    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(data)

    return script


def _words(body: bytes) -> str:
    """A body, as what a client that noticed nothing would hand on."""
    return f"answered `{body[:20].decode('latin-1')}`"


_KNOWN_LENGTH = b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\nhalf"
_UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhalf"
_LONG_HEADER = answer(200, b"", x="x" * 200_000)
_MANY_HEADERS = _OK.replace(b"\r\n", b"\r\n" + b"x: y\r\n" * 30_000, 1)
_REFUSAL = answer(503, b'{"error": "busy"}')
_reset, _close = Connection.reset, Connection.close

FAULTS: dict[str, Callable[[Client], Awaitable[str]]] = {
    "connection refused": _refused,
    "connect: backlog full": _full_backlog,
    "name unknown": _no_such_name,
    "certificate untrusted": partial(_over_tls, _untrusted),
    "certificate expired": partial(_over_tls, _expired),
    "certificate of another host": partial(_over_tls, _of_another_host),
    "plain HTTP on a TLS port": _plain_on_a_tls_port,
    "new connection closed, no answer": partial(_played, _ending(b"", _close)),
    "new connection reset, no answer": partial(_played, _ending(b"", _reset)),
    "pieces of a stream": _piece_by_piece,
    "reset after a piece": _broken_after_a_piece,
    "content-length cut": partial(_played, _ending(_KNOWN_LENGTH, _close)),
    "chunked cut": partial(_played, _ending(CHUNKED + chunk(b"half"), _close)),
    "connection: close, clean end": partial(_played, _ending(_UNTIL_CLOSED, _close)),
    "garbage": partial(_sent_and_kept, b"\x00\x01 garbage\r\n\r\n"),
    "HTTP/0.9": partial(_sent_and_kept, b"<html>no head</html>"),
    "200 KB in one header": partial(_sent_and_kept, _LONG_HEADER),
    "30 000 headers": partial(_sent_and_kept, _MANY_HEADERS),
    "reused connection closed, no answer": partial(
        _twice, _ending_at_the_second(_close)
    ),
    "reused connection reset, no answer": partial(
        _twice, _ending_at_the_second(_reset)
    ),
    "reused connection closed within the head": partial(
        _twice, _half_a_head_at_the_second
    ),
    "closed just before a request": _closed_while_idle,
    "unasked answer behind an answer": _unasked_in_one,
    "unasked answer while idle": partial(_unasked, 0.1),
    "unasked answer just before a request": partial(_unasked, 0),
    "503 with its body read, then another": partial(_twice, _answering(_REFUSAL)),
    "redirect": _redirected,
    "cancelled before the head": partial(_cancelled, b""),
    "cancelled within the body": partial(_cancelled, CHUNKED + chunk(b"a piece")),
    "closed between pieces": _closed_between_pieces,
    "cancelled, 20 MB half sent": _cancelled_half_sent,
}
