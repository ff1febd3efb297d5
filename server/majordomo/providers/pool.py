"""Connections to a provider, kept for the next request and made safe to share.

aiohttp's connector makes and keeps them: names, addresses, TLS. What is said on them is
read by `Responses` (docs/transport.md). Bytes that arrive on an idle connection are
never taken for the next caller's answer, a connection given up is closed at once even
with much unsent, and the pool's own failures stay the pool's (rule 2.7).
"""

import asyncio
import select
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import aiohttp
import httpx
import yarl
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from majordomo.providers.resolver import SystemResolver
from majordomo.providers.responses import Disconnected, Responses
from majordomo.providers.transport import ERRORS, Head, Response

_MOST_ROUTES = 1024
"""Heads whose way is known; all are found anew beyond it."""


class PooledTransport:
    """Keeps connections for the next request, as many as there were at once.

    `connect_timeout`, in seconds, bounds the time until a connection stands. Follows no
    redirect, keeps no cookie, reads no proxy from the environment, and trusts
    certifi's authorities, or those that SSL_CERT_FILE names. What goes wrong is raised
    as it came about: `transport.failure` tells what it means.
    """

    def __init__(self, connect_timeout: float) -> None:
        self._trust = httpx.create_ssl_context()
        # Other limits are the walk's (rules 5.4 and 5.5).
        self._timeout = aiohttp.ClientTimeout(
            sock_connect=connect_timeout, connect=connect_timeout
        )
        self._connector: aiohttp.TCPConnector | None = None
        self._routes: dict[Head, aiohttp.ClientRequest] = {}

    async def post(self, head: Head, body: bytes) -> Response:
        """Send a request and wait for the head of what answers it.

        A connection that the provider closed while it lay idle is not the
        provider's failure: the request goes out once more on a new one (rule 2.7).
        """
        message = head.message(body)
        try:
            return await self._ask(head, message)
        except _Stale:
            return await self._ask(head, message, new=True)

    async def aclose(self) -> None:
        """Close every connection."""
        if self._connector is not None:
            await self._connector.close()

    async def _ask(
        self, head: Head, message: tuple[bytes, bytes], *, new: bool = False
    ) -> Response:
        connection, protocol = await self._lend(head, new=new)
        try:
            protocol.ask(message)
            await protocol.responses.head()
        except BaseException as error:
            stale = protocol.reused and not protocol.responses.begun
            connection.close()
            if stale and isinstance(error, ERRORS):
                raise _Stale from error
            raise
        return _Response(connection, protocol.responses)

    async def _lend(self, head: Head, *, new: bool) -> tuple[Connection, "_Protocol"]:
        """A connection for a request: one that lay idle, unless it has to be `new`."""
        if self._connector is None:
            self._connector = aiohttp.TCPConnector(
                limit=0, ssl=self._trust, resolver=SystemResolver()
            )
            make: Callable[..., ResponseHandler] = _Protocol
            loop = asyncio.get_running_loop()
            self._connector._factory = partial(make, loop=loop)
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


class _Stale(Exception):
    """A connection that had served before ended before a byte of an answer came."""


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
