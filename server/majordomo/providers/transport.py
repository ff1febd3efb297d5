"""Connections to providers: aiohttp's pool behind httpx's seam, made safe to share.

aiohttp's connector makes and keeps the connections: names, addresses, TLS. What is said
on them is read by `Responses`, at a third of what aiohttp's client costs
(docs/transport.md). Bytes that arrive on an idle connection are never taken for the
next caller's answer, a connection given up is closed at once even with much unsent, and
the pool's own failures stay the pool's (rule 2.7).
"""

import asyncio
import errno
import select
import socket
import ssl
from collections.abc import Callable
from functools import lru_cache, partial

import aiohttp
import httpx
import yarl
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from majordomo.chain.failure import Failure
from majordomo.providers.responses import CutShort, Disconnected, Responses
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONCURRENCY_LIMIT,
    FAILURE_REASON_CONNECTION,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_TIMEOUT,
    FailureReason,
)

ERRORS = (httpx.HTTPError, aiohttp.ClientError, OSError)
"""What transports raise; `failure` tells what it means."""


class PooledTransport(httpx.AsyncBaseTransport):
    """Keeps connections for the next request, as many as there were at once.

    A request's body has the length that its headers say. Follows no redirect, keeps no
    cookie, reads no proxy from the environment, and trusts certifi's authorities, or
    those that SSL_CERT_FILE names. What goes wrong is raised as it came about:
    `failure` tells what it means.
    """

    def __init__(self) -> None:
        self._trust = httpx.create_ssl_context()
        self._connector: _Connector | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it; the response's body is still to be read, and to be closed.

        A connection that the provider closed while it lay idle is not the
        provider's failure: the request goes out once more on a new one (rule 2.7).
        """
        if self._connector is None:
            self._connector = _Connector(self._trust)
        if isinstance(request.stream, httpx.SyncByteStream):
            body = request.read()
        else:
            body = await request.aread()
        message = (_head(request), body)
        try:
            answered = await self._ask(self._connector, request, message)
        except _Stale:
            answered = await self._ask(self._connector, request, message, new=True)
        responses = answered.responses
        return httpx.Response(
            responses.status, headers=responses.headers, stream=answered
        )

    async def aclose(self) -> None:
        """Close every connection."""
        if self._connector is not None:
            await self._connector.close()

    async def _ask(
        self,
        connector: "_Connector",
        request: httpx.Request,
        message: tuple[bytes, bytes],
        *,
        new: bool = False,
    ) -> "_Body":
        """Send `message` and wait for the head of what answers it."""
        connection, protocol = await connector.lend(request, new=new)
        try:
            protocol.ask(message)
            await protocol.responses.head()
        except BaseException as error:
            stale = protocol.reused and not protocol.responses.begun
            connection.close()
            if stale and isinstance(error, ERRORS):
                raise _Stale from error
            raise
        return _Body(connection, protocol.responses)


class _Stale(Exception):
    """A connection that had served before ended before a byte of an answer came."""


class _Body(httpx.AsyncByteStream):
    """What is still to be read of a response."""

    def __init__(self, connection: Connection, responses: Responses) -> None:
        self.responses = responses
        self._connection = connection

    def __aiter__(self) -> "_Body":
        return self

    async def __anext__(self) -> bytes:
        if data := await self.responses.read():
            return data
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give the connection back, or close it where something is unread."""
        self._connection.release()


def _head(request: httpx.Request) -> bytes:
    """The lines before the body. Raises httpx.LocalProtocolError."""
    headers = request.headers.raw
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%b: %b" % header for header in headers]
    head = b"\r\n".join((*lines, b"", b""))
    ends = len(headers) + 2
    if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head:
        raise httpx.LocalProtocolError("a header's value has more than one line")
    return head


@lru_cache
def _timeout(connect: float | None, pool: float | None) -> aiohttp.ClientTimeout:
    """Of connecting alone: the rest is the walk's (rules 5.4 and 5.5)."""
    return aiohttp.ClientTimeout(sock_connect=connect, connect=pool)


class _Protocol(ResponseHandler):
    """A connection that is asked once or more.

    What aiohttp does on one itself, at a proxy, it does before that.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.responses = Responses(loop)
        self._requests = 0

    @property
    def ready(self) -> bool:
        """Nothing speaks against asking on it now."""
        return not self.used or (
            self.is_connected() and self.responses.reusable and not self._poll.poll(0)
        )

    @property
    def used(self) -> bool:
        """It was asked before."""
        return self._requests > 0

    @property
    def reused(self) -> bool:
        """It was asked before the last time as well."""
        return self._requests > 1

    @property
    def should_close(self) -> bool:
        """Once it is given back: it serves nobody else."""
        return not self.responses.reusable

    def ask(self, message: tuple[bytes, bytes]) -> None:
        """Send a request, head and body."""
        if self.transport is None:
            raise Disconnected("before it was asked")
        self._requests += 1
        self.responses.expect(self.transport)
        self.transport.writelines(message)
        if self._tail:  # it came before anybody asked
            early, self._tail = self._tail, b""
            self.responses.feed(early)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # Tells of what came while it lay idle, and the event loop has not read yet.
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket"), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if self.used:
            self.responses.feed(data)
        else:
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.responses.end(exc if isinstance(exc, Exception) else None)

    def close(self) -> None:
        """Without sending what is still to be sent, or a farewell over TLS."""
        self.abort()


class _Connector(aiohttp.TCPConnector):
    def __init__(self, trust: ssl.SSLContext) -> None:
        super().__init__(limit=0, ssl=trust)
        make: Callable[..., ResponseHandler] = _Protocol
        self._factory = partial(make, loop=asyncio.get_running_loop())
        self._routes: dict[tuple[bytes, bytes], aiohttp.ClientRequest] = {}

    async def lend(
        self, request: httpx.Request, *, new: bool
    ) -> tuple[Connection, _Protocol]:
        """A connection for `request`: one that lay idle, unless it has to be `new`."""
        limits = request.extensions.get("timeout", {})
        timeout = _timeout(limits.get("connect"), limits.get("pool"))
        route = self._route(request.url)
        while True:
            connection = await self.connect(route, [], timeout)
            protocol = connection.protocol
            if not isinstance(protocol, _Protocol):
                raise TypeError("the connector makes connections of another kind")
            if protocol.ready and not (new and protocol.used):
                return connection, protocol
            connection.close()

    def _route(self, url: httpx.URL) -> aiohttp.ClientRequest:
        """What the connector wants to know of where a request goes."""
        where = (url.raw_scheme, url.netloc)
        route = self._routes.get(where)
        if route is None:
            origin = yarl.URL(str(url.copy_with(raw_path=b"/")), encoded=True)
            route = aiohttp.ClientRequest("POST", origin, loop=self._loop)
            self._routes[where] = route
        return route


_MEANINGS: dict[type[BaseException], tuple[FailureReason, str]] = {
    socket.gaierror: (FAILURE_REASON_CONNECTION, "name not resolved"),
    aiohttp.ClientConnectorDNSError: (FAILURE_REASON_CONNECTION, "name not resolved"),
    ConnectionRefusedError: (FAILURE_REASON_CONNECTION, "connection refused"),
    ssl.SSLCertVerificationError: (FAILURE_REASON_CONNECTION, "certificate not valid"),
    ssl.SSLError: (FAILURE_REASON_CONNECTION, "TLS failed"),
    aiohttp.ClientConnectorError: (FAILURE_REASON_CONNECTION, "no connection"),
    httpx.ConnectError: (FAILURE_REASON_CONNECTION, "no connection"),
    TimeoutError: (FAILURE_REASON_TIMEOUT, "connect timed out"),
    httpx.TimeoutException: (FAILURE_REASON_TIMEOUT, "connect timed out"),
    ConnectionError: (FAILURE_REASON_CONNECTION, "connection reset"),
    Disconnected: (FAILURE_REASON_CONNECTION, "connection closed before an answer"),
    CutShort: (FAILURE_REASON_MALFORMED_RESPONSE, "answer cut short"),
    httpx.ProtocolError: (FAILURE_REASON_MALFORMED_RESPONSE, "protocol error"),
}
"""Reasons are told by type and never by text; the words are ours."""

_OUR_OWN_WANT = {"EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"}
"""No provider is to be blamed for these (rule 4.3)."""


def failure(error: BaseException) -> Failure:
    """What a transport's exception means. Total; tells nothing that it quotes.

    What it came from tells more than what it was made into, so that goes first.
    """
    causes = _causes(error)
    code = _errno(causes)
    if code in _OUR_OWN_WANT:
        short = "this server is out of descriptors or memory"
        return Failure(FAILURE_REASON_CONCURRENCY_LIMIT, short, code=code)
    for cause in reversed(causes):
        for kind in type(cause).__mro__:
            if meaning := _MEANINGS.get(kind):
                return Failure(*meaning, code=code)
    return Failure(FAILURE_REASON_CONNECTION, "connection failed", code=code)


def _causes(error: BaseException) -> list[BaseException]:
    """`error` and what it came from."""
    causes = []
    current: BaseException | None = error
    while current is not None and current not in causes:
        causes.append(current)
        current = current.__cause__
    return causes


def _errno(causes: list[BaseException]) -> str:
    """The name of the system's error, such as ECONNRESET, if that is the root."""
    root = causes[-1]
    if isinstance(root, ssl.SSLError | socket.gaierror):
        return ""  # their numbers are not the system's
    number = root.errno if isinstance(root, OSError) else None
    return errno.errorcode.get(number, "") if number else ""
