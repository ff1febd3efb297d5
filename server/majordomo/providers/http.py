"""HTTP: the one module that talks to providers.

A codec says what to send and what the answer means; this module moves the bytes. Its
seam is httpx's `AsyncBaseTransport`, called directly; docs/transport.md tells why the
transport behind it is aiohttp's. It follows no redirect, keeps no cookie, takes no
proxy from the environment, and never turns certificate checks off.
"""

import asyncio
import errno
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextvars import ContextVar
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from majordomo.chain.failure import Failure
from majordomo.chain.target import Exchange, Piece
from majordomo.providers.codec import Codec, Encoded
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONNECTION,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_TIMEOUT,
    FailureReason,
)
from majordomo.v1.generation_service_pb2 import Prompt

LONGEST_BODY = 64 << 20
"""Bytes of an answer."""

LONGEST_ERROR_BODY = 64 << 10
"""Bytes of a failed answer that are read: enough for its words."""

_LAST_BYTES = 0.05
"""Seconds that the end of a body may come after the answer in it is complete."""

_REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id", "cf-ray")
"""Headers that name a request at its provider, the most telling first."""

_connected: ContextVar[list[bool] | None] = ContextVar("connected", default=None)
"""Where the pool notes that a request gets a new connection."""


class HttpProvider:
    """A provider over HTTP; implements chain.target.Provider.

    `headers` carry the authorization. `connect_timeout`, in seconds, bounds the time
    until a connection stands: name, TCP and TLS. Other limits are the walk's.
    `transport` replaces the pool, for a provider with another way to connect.
    """

    def __init__(
        self,
        codec: Codec,
        base_url: str,
        headers: Mapping[str, str] = {},
        *,
        connect_timeout: float = 5.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.codec = codec
        self._base_url = base_url.rstrip("/")
        self._headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",  # what is not packed cannot be a bomb
            **headers,
        }
        self._timeout = {"connect": connect_timeout, "pool": connect_timeout}
        self._transport = transport or AiohttpTransport(client=_pool)
        self._fresh = transport or AiohttpTransport(client=_no_pool)
        """For what must go over a new connection."""

        self._urls: dict[str, httpx.URL] = {}

    async def fit(self, model: str, prompt: Prompt, *, stream: bool) -> Exchange:
        """Encode `prompt` for `model`; Failure (UNSUPPORTED) if it has no form."""
        encoded = self.codec.encode(model, prompt, stream=stream)
        return _HttpExchange(self, prompt, encoded, stream=stream)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()
        await self._fresh.aclose()

    async def send(self, encoded: Encoded) -> httpx.Response:
        """Post it; the response's body is still to be read, and to be closed.

        A pooled connection that the provider closed while it lay idle is not the
        provider's failure: the request goes out once more on a new one (rule 2.7).
        """
        request = self._request(encoded)
        connected: list[bool] = []
        token = _connected.set(connected)
        try:
            return await self._transport.handle_async_request(request)
        except (httpx.TransportError, aiohttp.ClientError) as error:
            if connected or not _closed_before_answer(error):
                raise
        finally:
            _connected.reset(token)
        return await self._fresh.handle_async_request(request)

    def _request(self, encoded: Encoded) -> httpx.Request:
        url = self._urls.get(encoded.path)
        if url is None:
            url = httpx.URL(self._base_url + encoded.path)
            if len(self._urls) < 1024:
                self._urls[encoded.path] = url
        return httpx.Request(
            "POST",
            url,
            headers={**self._headers, **dict(encoded.headers)},
            content=encoded.body,
            extensions={"timeout": self._timeout},
        )


class _HttpExchange(Exchange):
    def __init__(
        self, provider: HttpProvider, prompt: Prompt, encoded: Encoded, *, stream: bool
    ) -> None:
        super().__init__(encoded.adaptations)
        self._provider = provider
        self._prompt = prompt
        self._encoded = encoded
        self._stream = stream

    async def run(self) -> AsyncGenerator[Piece]:
        try:
            response = await self._provider.send(self._encoded)
            body = response.stream
            if not isinstance(body, httpx.AsyncByteStream):
                raise TypeError("an asynchronous transport gave a synchronous body")
            try:
                self._note(response)
                if not response.is_success:
                    raise await self._refused(response, body)
                if "content-encoding" in response.headers:
                    raise _malformed("packed, though that was not asked for")
                if self._stream:
                    async for piece in self._streamed(body):
                        yield piece
                else:
                    whole = await _read(body, LONGEST_BODY)
                    yield self._provider.codec.decode(self._prompt, whole)
            finally:
                await body.aclose()
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            raise failure(error) from None

    async def _streamed(self, body: httpx.AsyncByteStream) -> AsyncIterator[Piece]:
        decoder = self._provider.codec.decoder(self._prompt)
        received = 0
        chunks = aiter(body)
        try:
            async for data in chunks:
                received += len(data)
                if received > LONGEST_BODY:
                    raise _malformed(f"longer than {LONGEST_BODY} bytes")
                if deltas := decoder.feed(data):
                    yield deltas
                if decoder.complete:
                    break
            else:
                if deltas := decoder.close():
                    yield deltas
            answer = decoder.finish()
        finally:
            self.usage = decoder.usage
        if decoder.complete:
            await _to_the_end(chunks)
        yield answer

    async def _refused(
        self, response: httpx.Response, body: httpx.AsyncByteStream
    ) -> Failure:
        """The failure in a response that is no success; its body is read first.

        A connection whose answer was read to its end can serve again.
        """
        try:
            words = await _read(body, LONGEST_ERROR_BODY, cut=True)
        except (httpx.HTTPError, aiohttp.ClientError, OSError):
            words = b""  # the status says enough
        headers = {name.lower(): value for name, value in response.headers.items()}
        return self._provider.codec.failure(response.status_code, headers, words)

    def _note(self, response: httpx.Response) -> None:
        self.http_status_code = response.status_code
        for name in _REQUEST_IDS:
            if value := response.headers.get(name):
                self.provider_request_id = value[:128]
                break


async def _read(body: httpx.AsyncByteStream, limit: int, *, cut: bool = False) -> bytes:
    """The whole body; beyond `limit` bytes it is cut, or else malformed."""
    pieces = []
    size = 0
    async for data in body:
        pieces.append(data)
        size += len(data)
        if size > limit:
            if cut:
                break
            raise _malformed(f"longer than {limit} bytes")
    return b"".join(pieces)


async def _to_the_end(chunks: AsyncIterator[bytes]) -> None:
    """Read what is left of a body, so that its connection can serve again.

    The answer is complete already: what comes late or broken costs the connection
    and nothing else.
    """
    try:
        async with asyncio.timeout(_LAST_BYTES):
            async for _ in chunks:
                pass
    except (TimeoutError, httpx.HTTPError, aiohttp.ClientError, OSError):
        return


class _Connector(aiohttp.TCPConnector):
    """A pool that notes when a request gets a new connection."""

    async def _create_connection(
        self, req: Any, traces: Any, timeout: aiohttp.ClientTimeout
    ) -> Any:
        noted = _connected.get()
        if noted is not None:
            noted.append(True)
        return await super()._create_connection(req, traces, timeout)


def _pool() -> aiohttp.ClientSession:
    """A session that keeps connections."""
    return _session(_Connector(limit=0, ssl=httpx.create_ssl_context()))


def _no_pool() -> aiohttp.ClientSession:
    """A session in which every request has a connection of its own."""
    return _session(
        _Connector(limit=0, ssl=httpx.create_ssl_context(), force_close=True)
    )


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    )


_REASONS: list[tuple[type[BaseException], FailureReason, str]] = [
    (aiohttp.ClientConnectorDNSError, FAILURE_REASON_CONNECTION, "name not resolved"),
    (aiohttp.ClientSSLError, FAILURE_REASON_CONNECTION, "TLS handshake failed"),
    (ConnectionRefusedError, FAILURE_REASON_CONNECTION, "connection refused"),
    (aiohttp.ServerTimeoutError, FAILURE_REASON_TIMEOUT, "connecting took too long"),
    (httpx.ConnectTimeout, FAILURE_REASON_TIMEOUT, "connecting took too long"),
    (httpx.PoolTimeout, FAILURE_REASON_TIMEOUT, "connecting took too long"),
    (aiohttp.ClientConnectorError, FAILURE_REASON_CONNECTION, "no connection"),
    (httpx.ConnectError, FAILURE_REASON_CONNECTION, "no connection"),
    (ConnectionResetError, FAILURE_REASON_CONNECTION, "connection reset"),
    (
        aiohttp.ServerDisconnectedError,
        FAILURE_REASON_CONNECTION,
        "connection closed before an answer",
    ),
    (aiohttp.ClientOSError, FAILURE_REASON_CONNECTION, "connection broken"),
    (
        aiohttp.ClientPayloadError,
        FAILURE_REASON_MALFORMED_RESPONSE,
        "the answer was cut short",
    ),
    (aiohttp.ClientResponseError, FAILURE_REASON_MALFORMED_RESPONSE, "not HTTP"),
    (httpx.ReadError, FAILURE_REASON_CONNECTION, "connection broken"),
    (
        httpx.RemoteProtocolError,
        FAILURE_REASON_MALFORMED_RESPONSE,
        "the answer was cut short",
    ),
]
"""By type and never by text, the most telling first; texts are ours."""


def failure(error: BaseException) -> Failure:
    """What a transport's exception means. Total; tells nothing that it quotes."""
    causes = _causes(error)
    for kind, reason, message in _REASONS:
        if any(isinstance(cause, kind) for cause in causes):
            return Failure(reason, message, code=_errno(causes))
    return Failure(FAILURE_REASON_CONNECTION, "connection failed", code=_errno(causes))


def _causes(error: BaseException) -> list[BaseException]:
    """`error` and what it came from, the OSError within aiohttp's included."""
    causes = []
    current: BaseException | None = error
    while current is not None and current not in causes:
        causes.append(current)
        if isinstance(current, aiohttp.ClientConnectorError):
            causes.append(current.os_error)
        current = current.__cause__
    return causes


def _errno(causes: list[BaseException]) -> str:
    """The name of the system's error, such as ECONNRESET, if there is one."""
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno is not None:
            return errno.errorcode.get(cause.errno, "")
    return ""


def _closed_before_answer(error: BaseException) -> bool:
    """Whether a connection that stood was closed or broken, and nothing came of it."""
    return any(
        isinstance(cause, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
        and not isinstance(cause, aiohttp.ClientConnectorError)
        for cause in _causes(error)
    )


def _malformed(problem: str) -> Failure:
    return Failure(FAILURE_REASON_MALFORMED_RESPONSE, f"the answer is {problem}")
