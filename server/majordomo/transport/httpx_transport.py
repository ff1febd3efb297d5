"""httpx as a transport: for what the pool has not (docs/transport.md).

Proxies, SOCKS, HTTP/2, and the embedded model's Unix socket. What goes wrong is raised
as the pool raises it, or as a ProxyFailed that names the proxy.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any

import httpcore
import httpx

from majordomo.proxies import proxy_name
from majordomo.transport.base import ERRORS, Head, ProxyFailed, Response, never
from majordomo.transport.http11 import CutShort, Disconnected
from majordomo.transport.trust import Trust

_RESENT_WITHIN = 1.0
"""Seconds after the first byte of a request in which it may go out once more."""

_KEPT = 15.0
"""Seconds for which an idle connection is kept, one of HTTP/2."""

_AUTHENTICATION_REQUIRED = 407


class HttpxTransport:
    """A transport of httpx's; `extensions` go with each request, such as timeouts."""

    def __init__(
        self, inner: httpx.AsyncBaseTransport, extensions: Mapping[str, Any] = {}
    ) -> None:
        self._inner = inner
        self._extensions = dict(extensions)

    async def post(
        self,
        head: Head,
        body: bytes,
        resend: Callable[[], bool] = never,  # noqa: ARG002 - it is sent once
    ) -> Response:
        """Send it, and wait for the head of what answers it."""
        return await exchange(self._inner, head, body, self._extensions)

    async def aclose(self) -> None:
        await self._inner.aclose()


class EgressTransport:
    """Providers by way of a proxy, or over HTTP/2.

    A connection has one request at a time: a call that is given up takes its connection
    along, and nobody else's (httpx ends no stream of HTTP/2). It serves again after a
    whole answer over HTTP/2. Over HTTP/1.1 it serves once: httpx would take what comes
    unasked in the bytes of an answer for the next one.

    `connect_timeout`, in seconds, bounds the time until a connection stands, what is
    reported to the proxy included. `proxy` is its URL, with its credentials.
    """

    def __init__(
        self, trust: Trust, connect_timeout: float, proxy: str | None = None
    ) -> None:
        self._trust = trust
        self._connect_timeout = connect_timeout
        self._proxy = proxy
        self._name = "" if proxy is None else proxy_name(proxy)
        self._idle: deque[tuple[float, httpx.AsyncHTTPTransport]] = deque()

    async def post(
        self, head: Head, body: bytes, resend: Callable[[], bool] = never
    ) -> Response:
        """Send a request and wait for the head of what answers it.

        A connection that the provider closed while it lay idle is not the provider's
        failure: within a second the request goes out once more, on a new one, if
        `resend` agrees (rule 2.7). Raises ProxyFailed too.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + _RESENT_WITHIN
        way = _Way()
        try:
            return await self._post(await self._kept() or self._new(), head, body, way)
        except ERRORS:
            if not way.stale or loop.time() >= end or not resend():
                raise
        return await self._post(self._new(), head, body, _Way())

    async def aclose(self) -> None:
        """Close every connection."""
        while self._idle:
            await self._idle.pop()[1].aclose()

    def keep(self, inner: httpx.AsyncHTTPTransport) -> None:
        """Have `inner`, whose answer is whole, for the next request."""
        self._idle.append((asyncio.get_running_loop().time(), inner))

    async def _kept(self) -> httpx.AsyncHTTPTransport | None:
        """The connection that lay idle for the shortest time, if for long by none."""
        now = asyncio.get_running_loop().time()
        while self._idle and self._idle[0][0] < now - _KEPT:
            await self._idle.popleft()[1].aclose()
        return self._idle.pop()[1] if self._idle else None

    async def _post(
        self, inner: httpx.AsyncHTTPTransport, head: Head, body: bytes, way: "_Way"
    ) -> Response:
        try:
            async with asyncio.timeout(self._connect_timeout) as limit:
                way.limit = limit
                response = await exchange(inner, head, body, {"trace": way})
            if self._refused_by_proxy(head, response):
                raise ProxyFailed(self._name, response.status)
        except BaseException as error:
            await way.abandon()
            await inner.aclose()
            if isinstance(error, Exception) and self._proxy and not way.connected:
                raise ProxyFailed(self._name, way.proxy_status) from error
            raise
        return _Lent(response, inner, self)

    def _refused_by_proxy(self, head: Head, response: Response) -> bool:
        """A request in plain text, which the proxy reads and answers itself."""
        return (
            self._proxy is not None
            and head.url.scheme == "http"
            and response.status == _AUTHENTICATION_REQUIRED
        )

    def _new(self) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(
            verify=self._trust.context,
            proxy=None if self._proxy is None else httpx.Proxy(self._proxy),
            http2=self._trust.http2,
            trust_env=False,
        )


class _Way:
    """How far a request has come; httpx calls it at each step ("trace")."""

    def __init__(self) -> None:
        self.limit: asyncio.Timeout | None = None
        self.connected = False
        """The proxy, if there is one, has let it through."""

        self.proxy_status = 0
        """What the proxy answered to CONNECT."""

        self._opened: httpcore.AsyncNetworkStream | None = None
        self._new = self._sent = self._answered = False

    @property
    def stale(self) -> bool:
        """Sent on a connection that had served before, and nothing answers it."""
        return self._sent and not self._new and not self._answered

    async def abandon(self) -> None:
        """Close what was opened, and came no further: httpx leaves one of SOCKS."""
        if self._opened is not None and not self.connected:
            await self._opened.aclose()

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        step = event.partition(".")[2]
        if step == "connect_tcp.complete":
            self._new = True
            self._opened = info["return_value"]
        elif event in ("proxy.start_tls.started", "socks.start_tls.started"):
            self.connected = True
        elif step == "send_request_headers.started":
            if info["request"].method == b"POST":
                self.connected = self._sent = True
                if self.limit is not None:
                    self.limit.reschedule(None)
        elif step == "receive_response_headers.complete":
            self._answered = self.connected
            if not self.connected:
                self.proxy_status = info["return_value"][1]


class _Lent:
    """A response, and the connection that it comes on."""

    def __init__(
        self,
        response: "HttpxResponse",
        inner: httpx.AsyncHTTPTransport,
        transport: EgressTransport,
    ) -> None:
        self.status = response.status
        self.headers = response.headers
        self.batch = response.batch
        self._response = response
        self._inner = inner
        self._transport = transport

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._response)

    async def aclose(self) -> None:
        await self._response.aclose()
        if self._response.reusable:
            self._transport.keep(self._inner)
        else:
            await self._inner.aclose()


async def exchange(
    inner: httpx.AsyncBaseTransport,
    head: Head,
    body: bytes,
    extensions: Mapping[str, Any],
) -> "HttpxResponse":
    """Send a request by `inner`. Raises httpx.HTTPError, Disconnected among them."""
    request = httpx.Request(
        "POST",
        head.url,
        headers=head.headers,
        content=body,
        extensions=dict(extensions),
    )
    try:
        return HttpxResponse(await inner.handle_async_request(request))
    except httpx.RemoteProtocolError as error:
        if _ended(error):
            raise Disconnected("before an answer") from None
        raise


def _ended(error: httpx.RemoteProtocolError) -> bool:
    """Whether the connection ended where an answer should have begun.

    That httpcore finds itself; what is no HTTP it has from its parser.
    """
    below = error.__cause__
    return below is not None and below.__context__ is None


class HttpxResponse:
    """Reads one of httpx's responses."""

    def __init__(self, response: httpx.Response) -> None:
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous transport gave a synchronous body")
        self.status = response.status_code
        self.headers = response.headers.raw
        self._version = response.extensions.get("http_version")
        self._stream = response.stream
        self._chunks = aiter(response.stream)
        self._ended = False

    @property
    def reusable(self) -> bool:
        """Its connection may have another request: all of it was read, by HTTP/2."""
        return self._ended and self._version == b"HTTP/2"

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            self._ended = True
            raise
        except (httpx.RemoteProtocolError, httpx.NetworkError):
            raise CutShort("before its end") from None

    def batch(self, seconds: float) -> None:
        """It is read as it comes."""

    async def aclose(self) -> None:
        """Let go of it; what is unread closes its connection, or its stream."""
        if isinstance(self._chunks, AsyncGenerator):
            # Left to the garbage collector it would be a task of its own.
            await self._chunks.aclose()
        await self._stream.aclose()
