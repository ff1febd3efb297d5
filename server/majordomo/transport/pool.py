"""Connections to a provider, kept for the next request and made safe to share.

aiohttp's connector makes and keeps them: names, addresses, TLS. What is reported on
them is read by `Responses` (docs/transport.md, docs/private-parts.md). Bytes that
arrive on an idle connection are never taken for the next caller's answer, a connection
given up is closed at once even with much unsent, and the pool's own failures stay the
pool's (rule 2.7).
"""

import asyncio
import select
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

import aiohttp
import yarl
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from majordomo.transport.base import ERRORS, Head, Response, never
from majordomo.transport.http11 import Disconnected, Responses
from majordomo.transport.resolver import SystemResolver

_RESENT_WITHIN = 1.0
"""Seconds after the first byte of a request in which it may go out once more."""

_MOST_ROUTES = 1024
"""Heads whose way is known; all are found again beyond it."""


class PooledTransport:
    """Keeps connections for the next request, as many as there were at once.

    `connect_timeout`, in seconds, bounds the time until a connection stands; `tls`
    has the authorities that are trusted. Follows no redirect, keeps no cookie, and
    goes by no proxy. What goes wrong is raised as it came about: `base.failure` tells
    what it means.
    """

    def __init__(self, connect_timeout: float, tls: ssl.SSLContext) -> None:
        self._tls = tls
        # Other limits are the walk's (rules 5.4 and 5.5).
        self._timeout = aiohttp.ClientTimeout(
            sock_connect=connect_timeout, connect=connect_timeout
        )
        self._connector: aiohttp.TCPConnector | None = None
        self._routes: dict[Head, aiohttp.ClientRequest] = {}

    async def post(
        self, head: Head, body: bytes, resend: Callable[[], bool] = never
    ) -> Response:
        """Send a request and wait for the head of what answers it.

        A connection that the provider closed while it lay idle is not the provider's
        failure: within a second the request goes out once more, on a new one, if
        `resend` agrees (rule 2.7).
        """
        message = head.message(body)
        connection, protocol = await self._lend(head, new=False)
        try:
            return await _ask(connection, protocol, message)
        except ERRORS as error:
            if not protocol.stale:
                raise
            connection, protocol = await self._lend_again(
                head, protocol.responses.asked, error
            )
            if not resend():
                connection.close()
                raise
        return await _ask(connection, protocol, message)

    async def aclose(self) -> None:
        """Close every connection."""
        if self._connector is not None:
            await self._connector.close()

    async def _lend_again(
        self, head: Head, asked: float, error: BaseException
    ) -> tuple[Connection, "_Protocol"]:
        """A new connection for a request that was first `asked` then.

        Raises `error`, why it was in vain, where none stands in time.
        """
        loop = asyncio.get_running_loop()
        end = asked + _RESENT_WITHIN
        if loop.time() >= end:
            raise error
        try:
            async with asyncio.timeout_at(end):
                return await self._lend(head, new=True)
        except TimeoutError:
            raise error from None

    async def _lend(self, head: Head, *, new: bool) -> tuple[Connection, "_Protocol"]:
        """A connection for a request: one that lay idle, unless it has to be `new`."""
        if self._connector is None:
            self._connector = aiohttp.TCPConnector(
                limit=0, ssl=self._tls, resolver=SystemResolver()
            )
            make: Callable[..., ResponseHandler] = _Protocol
            loop = asyncio.get_running_loop()
            self._connector._factory = partial(make, loop=loop)  # noqa: SLF001
        route = self._routes.get(head) or self._route(head)
        while True:
            connection = await self._connector.connect(route, [], self._timeout)
            protocol = connection.protocol
            if not isinstance(protocol, _Protocol):
                raise TypeError("the connector makes connections of another kind")
            if protocol.ready and not (new and protocol.used):
                return connection, protocol
            connection.close()

    def _route(self, head: Head) -> aiohttp.ClientRequest:
        """What the connector wants to know of where a request goes."""
        origin = yarl.URL(str(head.url.copy_with(raw_path=b"/")), encoded=True)
        route = aiohttp.ClientRequest("POST", origin, loop=asyncio.get_running_loop())
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        self._routes[head] = route
        return route


async def _ask(
    connection: Connection, protocol: "_Protocol", message: tuple[bytes, bytes]
) -> Response:
    try:
        protocol.ask(message)
        await protocol.responses.head()
    except BaseException:
        connection.close()
        raise
    return _Response(connection, protocol.responses)


class _Response:
    """Reads what answers a request off its connection."""

    def __init__(self, connection: Connection, responses: Responses) -> None:
        self._connection = connection
        self._responses = responses

    @property
    def status(self) -> int:
        return self._responses.status

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        return self._responses.headers

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if data := await self._responses.read():
            return data
        raise StopAsyncIteration

    def batch(self, seconds: float) -> None:
        self._responses.batch = seconds

    async def aclose(self) -> None:
        self._connection.release()


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
    def stale(self) -> bool:
        """It had served before, and no byte answers what it was asked last."""
        return self._requests > 1 and not self.responses.begun

    @property
    def should_close(self) -> bool:
        """Once it is given back: it serves nobody else."""
        return not self.responses.reusable

    def ask(self, message: tuple[bytes, bytes]) -> None:
        """Send a request, head and body."""
        if self.transport is None:
            raise Disconnected("before it was asked")
        self._requests += 1
        self.responses.expect(self._socket)
        self.transport.writelines(message)
        if self._tail:  # it came before anybody asked
            early, self._tail = self._tail, b""
            self.responses.feed(early)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._socket = _below(transport)
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


def _below(transport: Any) -> asyncio.ReadTransport:
    """What reads the socket of `transport`.

    That of TLS reads on for itself when it is paused; asyncio does not say so, but it
    keeps the one below where it did since Python 3.11.
    """
    tls = getattr(transport, "_ssl_protocol", None)
    if tls is not None:
        transport = tls._transport  # noqa: SLF001
    below: asyncio.ReadTransport = transport
    return below
