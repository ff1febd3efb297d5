"""What moves a request to a provider and its answer back, and what its errors mean.

`pool.PooledTransport` keeps connections; `httpx_transport.EgressTransport` has what it
has not, behind the same seam.
"""

import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol

import aiohttp
import httpcore
import httpx

from majordomo.chain.failure import CERTIFICATE_NOT_VALID, PROXY_REFUSED, Failure
from majordomo.transport.http11 import CutShort, Disconnected
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONCURRENCY_LIMIT,
    FAILURE_REASON_CONNECTION,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_TIMEOUT,
    FailureReason,
)


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


class ProxyFailed(Exception):
    """A proxy let no request through, for the error that this one comes from.

    `proxy` is its host:port; `status` what it answered, 0 if that is not known.
    """

    def __init__(self, proxy: str, status: int = 0) -> None:
        super().__init__(proxy)
        self.proxy = proxy
        self.status = status


ERRORS = (httpx.HTTPError, aiohttp.ClientError, OSError, ProxyFailed)
"""What transports raise; `failure` shows what it means."""

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
    httpx.ProxyError: (FAILURE_REASON_CONNECTION, "refused, or could not connect"),
}
"""Reasons are determined by type and never by text; the words are ours."""

_REFUSED = 4
_PASSING = frozenset({408, 429})
"""A proxy that answers 4xx will do so again, but for these."""

_OUR_OWN_WANT = {"EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"}
"""No provider is to be blamed for these (rule 4.3)."""


def failure(error: BaseException) -> Failure:
    """What a transport's exception means. Total; shows nothing that it quotes.

    What it came from shows more than what it was made into, so that goes first.
    """
    if isinstance(error, ProxyFailed):
        return _at_proxy(error)
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


def _at_proxy(error: ProxyFailed) -> Failure:
    """What went wrong at a proxy: nothing that the provider behind it did."""
    if error.status:
        refused = error.status // 100 == _REFUSED and error.status not in _PASSING
        return Failure(
            FAILURE_REASON_CONNECTION,
            f"proxy {error.proxy} answered {error.status}",
            code=PROXY_REFUSED if refused else "",
        )
    found = failure(error.__cause__ or OSError())
    if found.reason == FAILURE_REASON_CONCURRENCY_LIMIT:
        return found
    late = found.reason == FAILURE_REASON_TIMEOUT
    reason = FAILURE_REASON_TIMEOUT if late else FAILURE_REASON_CONNECTION
    return Failure(reason, f"proxy {error.proxy}: {found.message}", code=found.code)


def _causes(error: BaseException) -> list[BaseException]:
    """`error` and what it came from."""
    causes = []
    current: BaseException | None = error
    while current is not None and current not in causes:
        causes.append(current)
        if isinstance(current, BaseExceptionGroup):
            current = current.exceptions[-1]  # of the address that was tried last
        elif isinstance(current, httpcore.NetworkError):
            current = current.__cause__ or current.__context__  # its pool drops causes
        else:
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
