"""Connections to providers: aiohttp's pool behind httpx's seam, made safe to share.

Of three candidates aiohttp was taken for its speed and for what it lets its user
mend (docs/transport.md). Mended here: bytes that arrive on an idle connection are
never taken for the next caller's answer, a connection given up is closed at once
even with much unsent, and the pool's own failures stay the pool's (rule 2.7).
"""

import asyncio
import errno
import select
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import aiohttp
import httpx
import yarl
from aiohttp.client_proto import ResponseHandler

from majordomo.chain.failure import Failure
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONCURRENCY_LIMIT,
    FAILURE_REASON_CONNECTION,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_TIMEOUT,
    FailureReason,
)

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientTimeout
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

ERRORS = (httpx.HTTPError, aiohttp.ClientError, OSError)
"""What transports raise; `failure` tells what it means."""


class PooledTransport(httpx.AsyncBaseTransport):
    """Keeps connections for the next request, as many as there were at once.

    Follows no redirect, keeps no cookie, reads no proxy from the environment, and
    trusts certifi's authorities, or those that SSL_CERT_FILE names. What goes wrong is
    raised as aiohttp has it: `failure` tells what it means.
    """

    def __init__(self) -> None:
        self._trust = httpx.create_ssl_context()
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it; the response's body is still to be read, and to be closed.

        A connection that the provider closed while it lay idle is not the
        provider's failure: the request goes out once more on a new one (rule 2.7).
        """
        use = _Use()
        token = _use.set(use)
        try:
            return await self._send(request)
        except aiohttp.ClientError:
            if use.connection is None or not use.connection.was_stale:
                raise
        finally:
            _use.reset(token)
        token = _use.set(_Use(new=True))
        try:
            return await self._send(request)
        finally:
            _use.reset(token)

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        if self._session is None:
            self._session = _session(self._trust)
        timeout = request.extensions.get("timeout", {})
        response = await self._session.request(
            request.method,
            _url(str(request.url)),
            headers=request.headers.multi_items(),
            data=await request.aread(),
            allow_redirects=False,
            timeout=_timeout(timeout.get("connect"), timeout.get("pool")),
        )
        return httpx.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Body(response),
            request=request,
        )


class _Body(httpx.AsyncByteStream):
    """What is still to be read of a response."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._response.content.iter_any():
            yield data

    async def aclose(self) -> None:
        """Give the connection back, or close it where something is unread."""
        self._response.release()


@lru_cache
def _url(url: str) -> yarl.URL:
    return yarl.URL(url, encoded=True)


@lru_cache
def _timeout(connect: float | None, pool: float | None) -> aiohttp.ClientTimeout:
    """Of connecting alone: the rest is the walk's (rules 5.4 and 5.5)."""
    return aiohttp.ClientTimeout(sock_connect=connect, connect=pool)


class _Use:
    """What a request asks of the connector, and what it was given."""

    __slots__ = ("connection", "new")

    def __init__(self, *, new: bool = False) -> None:
        self.new = new
        self.connection: _Protocol | None = None


_use: ContextVar[_Use] = ContextVar("use")


class _Protocol(ResponseHandler):
    """A connection that knows whether it has served before, and if bytes came."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._requests = 0
        self._received = False

    def begin(self) -> bool:
        """Take it for a request; False if it is in no state to serve one."""
        if self._requests and (self.should_close or self._readable()):
            return False
        self._requests += 1
        self._received = False
        return True

    @property
    def reused(self) -> bool:
        """It has served a request before this one."""
        return self._requests > 1

    @property
    def was_stale(self) -> bool:
        """It had served before, and no byte of an answer came this time."""
        return self.reused and not self._received

    def data_received(self, data: bytes) -> None:
        self._received = True
        super().data_received(data)

    def close(self) -> None:
        """Without sending what is still to be sent, or a farewell over TLS."""
        self.abort()

    def _readable(self) -> bool:
        """Something came while it lay idle that the event loop has not read yet."""
        if self.transport is None:
            return True
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))


class _Connector(aiohttp.TCPConnector):
    def __init__(self, trust: ssl.SSLContext) -> None:
        super().__init__(limit=0, ssl=trust)
        make: Callable[..., ResponseHandler] = _Protocol
        self._factory = partial(make, loop=asyncio.get_running_loop())

    async def connect(
        self,
        req: "ClientRequest",
        traces: list["Trace"],
        timeout: "ClientTimeout",  # noqa: ASYNC109 - as aiohttp has it
    ) -> "Connection":
        use = _use.get()
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if not isinstance(protocol, _Protocol):
                raise TypeError("the connector makes connections of another kind")
            if protocol.begin() and not (use.new and protocol.reused):
                use.connection = protocol
                return connection
            connection.close()


def _session(trust: ssl.SSLContext) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=_Connector(trust),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
    )


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
    aiohttp.ServerDisconnectedError: (
        FAILURE_REASON_CONNECTION,
        "connection closed before an answer",
    ),
    aiohttp.ClientPayloadError: (
        FAILURE_REASON_MALFORMED_RESPONSE,
        "answer cut short",
    ),
    aiohttp.ClientResponseError: (FAILURE_REASON_MALFORMED_RESPONSE, "protocol error"),
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
