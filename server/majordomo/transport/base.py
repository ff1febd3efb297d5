"""What moves a request to a provider and its answer back, and what its errors mean.

`pool.PooledTransport` keeps connections; `HttpxTransport` is one of httpx's, behind the
same seam.
"""

import errno
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol

import aiohttp
import httpx

from majordomo.chain.failure import CERTIFICATE_NOT_VALID, Failure
from majordomo.transport.http11 import CutShort, Disconnected
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONCURRENCY_LIMIT,
    FAILURE_REASON_CONNECTION,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_TIMEOUT,
    FailureReason,
)

ERRORS = (httpx.HTTPError, aiohttp.ClientError, OSError)
"""What transports raise; `failure` tells what it means."""


class Head:
    """The lines that a request to `url` begins with: made once for all that are alike.

    `headers` are all of them but the body's length. Raises ValueError for one that is
    not a line of ASCII.
    """

    __slots__ = ("_lines", "headers", "url")

    def __init__(self, url: httpx.URL, headers: Mapping[str, str]) -> None:
        self.url = url
        self.headers = {"host": url.netloc.decode(), **headers}
        lines = [f"{name}: {value}" for name, value in self.headers.items()]
        if not all(line.isascii() and line.isprintable() for line in lines):
            raise ValueError("a header is not a line of ASCII")
        first = b"POST %b HTTP/1.1" % url.raw_path
        rest = [line.encode() for line in lines]
        self._lines = b"\r\n".join([first, *rest, b"content-length: "])

    def message(self, body: bytes) -> tuple[bytes, bytes]:
        """What goes out for a request with `body`, in two pieces."""
        return b"%b%d\r\n\r\n" % (self._lines, len(body)), body


class Response(Protocol):
    """A response whose body is still to be read, by iterating, and to be closed."""

    @property
    def status(self) -> int:
        """As in 200."""

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Names, as they were sent, and values."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body's bytes as they come; what was read is gone."""

    def batch(self, seconds: float) -> None:
        """From now on hand on together what comes within `seconds`.

        Its end and its failure wait for nothing. 0: all at once, as it comes.
        """

    async def aclose(self) -> None:
        """Let go of the connection, or close it where something is unread."""


def never() -> bool:
    """No request is sent for the second time."""
    return False


class Transport(Protocol):
    """A way to a provider."""

    async def post(
        self, head: Head, body: bytes, resend: Callable[[], bool] = never
    ) -> Response:
        """Send a request and wait for the head of what answers it.

        `resend` is asked just before a request would go out for the second time, and
        knows that it did where it agrees (rule 2.7).
        """

    async def aclose(self) -> None:
        """Close every connection."""


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
        """Send it; nothing is kept of its connection's state."""
        request = httpx.Request(
            "POST",
            head.url,
            headers=head.headers,
            content=body,
            extensions=dict(self._extensions),
        )
        return _HttpxResponse(await self._inner.handle_async_request(request))

    async def aclose(self) -> None:
        await self._inner.aclose()


class _HttpxResponse:
    def __init__(self, response: httpx.Response) -> None:
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous transport gave a synchronous body")
        self.status = response.status_code
        self.headers = response.headers.raw
        self._stream = response.stream
        self._chunks = aiter(response.stream)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    def batch(self, seconds: float) -> None:
        """It is read as it comes."""

    async def aclose(self) -> None:
        if isinstance(self._chunks, AsyncGenerator):
            # Left to the garbage collector it would be a task of its own.
            await self._chunks.aclose()
        await self._stream.aclose()


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
    """The name of the system's error, such as ECONNRESET, or of ours, at the root."""
    root = causes[-1]
    if isinstance(root, ssl.SSLCertVerificationError):
        return CERTIFICATE_NOT_VALID
    if isinstance(root, ssl.SSLError | socket.gaierror):
        return ""  # their numbers are not the system's
    number = root.errno if isinstance(root, OSError) else None
    return errno.errorcode.get(number, "") if number else ""
