"""httpx as a transport: for what the pool has not (docs/transport.md).

Proxies, SOCKS, HTTP/2, and the embedded model's Unix socket. What goes wrong is raised
as the pool raises it, or as a ProxyFailed that names the proxy.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from majordomo.transport.base import ERRORS, Head, ProxyFailed, Response, never
from majordomo.transport.http11 import CutShort, Disconnected
from majordomo.transport.proxies import proxy_name
from majordomo.transport.trust import Trust

_RESENT_WITHIN = 1.0
"""Seconds after the first byte of a request in which it may go out once more."""

_KEPT = 15.0
"""Seconds for which an idle connection is kept, one of HTTP/2."""

MOST_STREAMS = 100
"""Requests at once on a connection of HTTP/2; httpx lets further ones wait."""

_AUTHENTICATION_REQUIRED = 407


class HttpxTransport:
    """A transport of httpx's; `extensions` go with each request, such as timeouts.

    A connection of HTTP/1.1 serves one request: httpx would take what a provider sends
    unasked, in the bytes of one answer, for the next one.
    """

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

    `connect_timeout`, in seconds, bounds the time until a connection stands, what is
    said to the proxy included. `proxy` is its URL, with its credentials.
    """

    def __init__(
        self, trust: Trust, connect_timeout: float, proxy: str | None = None
    ) -> None:
        self._trust = trust
        self._connect_timeout = connect_timeout
        self._proxy = proxy
        self._name = "" if proxy is None else proxy_name(proxy)
        self._shares = [_Share(self._connections())]

    async def post(
        self, head: Head, body: bytes, resend: Callable[[], bool] = never
    ) -> Response:
        """Send a request and wait for the head of what answers it.

        A connection of HTTP/2 that the provider closed while it lay idle is not the
        provider's failure: within a second the request goes out once more, if `resend`
        agrees (rule 2.7). Raises ProxyFailed too.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + _RESENT_WITHIN
        way = _Way()
        try:
            return await self._post(head, body, way)
        except ERRORS:
            if not way.stale or loop.time() >= end or not resend():
                raise
        return await self._post(head, body, _Way())

    async def aclose(self) -> None:
        """Close every connection."""
        for share in self._shares:
            await share.inner.aclose()

    async def _post(self, head: Head, body: bytes, way: "_Way") -> Response:
        share = self._share()
        share.running += 1
        try:
            async with asyncio.timeout(self._connect_timeout) as limit:
                way.limit = limit
                response = await exchange(share.inner, head, body, {"trace": way})
            if self._refused_by_proxy(head, response):
                await response.aclose()
                raise ProxyFailed(self._name, response.status)
        except BaseException as error:
            share.running -= 1
            await way.abandon()
            if isinstance(error, Exception) and self._proxy and not way.connected:
                raise ProxyFailed(self._name, way.proxy_status) from error
            raise
        return _Shared(response, share)

    def _refused_by_proxy(self, head: Head, response: Response) -> bool:
        """A request in plain text, which the proxy reads and answers itself."""
        return (
            self._proxy is not None
            and head.url.scheme == "http"
            and response.status == _AUTHENTICATION_REQUIRED
        )

    def _share(self) -> "_Share":
        """One with room for a request."""
        if not self._trust.http2:
            return self._shares[0]
        for share in self._shares:
            if share.running < MOST_STREAMS:
                return share
        self._shares.append(_Share(self._connections()))
        return self._shares[-1]

    def _connections(self) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(
            verify=self._trust.context,
            proxy=None if self._proxy is None else httpx.Proxy(self._proxy),
            http2=self._trust.http2,
            trust_env=False,
            limits=httpx.Limits(
                max_connections=None,
                max_keepalive_connections=None,
                keepalive_expiry=_KEPT,
            ),
        )


@dataclass
class _Share:
    """Connections, and the requests that they carry."""

    inner: httpx.AsyncHTTPTransport
    running: int = 0


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


class _Shared:
    """A response that counts on its share until it is closed."""

    def __init__(self, response: Response, share: _Share) -> None:
        self.status = response.status
        self.headers = response.headers
        self.batch = response.batch
        self._response = response
        self._share: _Share | None = share

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._response)

    async def aclose(self) -> None:
        share, self._share = self._share, None
        if share is not None:
            share.running -= 1
        await self._response.aclose()


async def exchange(
    inner: httpx.AsyncBaseTransport,
    head: Head,
    body: bytes,
    extensions: Mapping[str, Any],
) -> Response:
    """Send a request by `inner`. Raises httpx.HTTPError, Disconnected among them."""
    request = httpx.Request(
        "POST",
        head.url,
        headers=head.headers,
        content=body,
        extensions=dict(extensions),
    )
    try:
        return _HttpxResponse(await inner.handle_async_request(request))
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


class _HttpxResponse:
    def __init__(self, response: httpx.Response) -> None:
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous transport gave a synchronous body")
        self.status = response.status_code
        self.headers = response.headers.raw
        self._extensions = response.extensions
        self._stream = response.stream
        self._chunks = aiter(response.stream)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except (httpx.RemoteProtocolError, httpx.NetworkError):
            raise CutShort("before its end") from None

    def batch(self, seconds: float) -> None:
        """It is read as it comes."""

    async def aclose(self) -> None:
        connection = self._extensions.get("network_stream")
        if connection is not None and self._extensions["http_version"] != b"HTTP/2":
            await connection.aclose()
        if isinstance(self._chunks, AsyncGenerator):
            # Left to the garbage collector it would be a task of its own.
            await self._chunks.aclose()
        await self._stream.aclose()
