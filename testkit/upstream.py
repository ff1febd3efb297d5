"""A provider made of a raw socket: exact bytes, at the moment that the test chooses.

    async with Upstream(serve(answer(200, b"{}"))) as upstream:
        ...  # upstream.url

A script is a coroutine that is given each `Connection` as it is accepted and plays
the provider's part on it. What a script raises fails the test.
"""

import asyncio
import json
import os
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PATIENCE = 10.0
"""Seconds after which a test has waited in vain."""

Script = Callable[["Connection"], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Connection:
    """One accepted connection, the `number`-th from 0, as its script handles it."""

    def __init__(
        self,
        upstream: "Upstream",
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.number = number
        self._upstream = upstream
        self._reader = reader
        self._writer = writer

    async def head(self) -> dict[str, str] | None:
        """Read a request as far as its headers; None when the client has closed."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        self._line, *lines = (
            head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        )
        pairs = (line.split(":", 1) for line in lines)
        return {name.lower(): value.strip() for name, value in pairs}

    async def request(self) -> Request | None:
        """Read a whole request; None when the client has closed."""
        headers = await self.head()
        if headers is None:
            return None
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = self._line.split(" ")
        request = Request(method, path, headers, body)
        self._upstream.requests.append(request)
        return request

    async def send(self, data: bytes) -> None:
        """Send `data` in one piece."""
        self._writer.write(data)
        await self._writer.drain()

    async def closed(self) -> bytes:
        """Wait until the client has closed; what it sent until then."""
        received = []
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionError):
                while data := await self._reader.read(1 << 16):
                    received.append(data)
        return b"".join(received)

    def close(self) -> None:
        """End the connection in good order (FIN)."""
        self._writer.close()

    def reset(self) -> None:
        """Break the connection (RST)."""
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


class Upstream:
    """Plays `script` on every connection to a free port of the loopback.

    `requests` and `connections` fill up as they come; `plays` are the tasks in which
    the script runs, one a connection.
    """

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.connections: list[Connection] = []
        self._script = script
        self._tls = tls
        self.plays: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, ssl=self._tls
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in self.connections:
            connection.close()
        for task in self.plays:
            task.cancel()
        outcomes = await asyncio.gather(*self.plays, return_exceptions=True)
        for connection in self.connections:
            with suppress(ConnectionError, ssl.SSLError):
                await connection._writer.wait_closed()
        await self._server.wait_closed()
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(
                outcome, ConnectionError
            ):
                raise outcome

    def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        connection = Connection(self, len(self.connections), reader, writer)
        self.connections.append(connection)
        self.plays.append(asyncio.ensure_future(self._play(connection)))

    async def _play(self, connection: Connection) -> None:
        await self._script(connection)

    def clients(self) -> int:
        """How many sockets of this process are still connected to it."""
        found = 0
        for descriptor in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if not str(descriptor.readlink()).startswith("socket:"):
                    continue  # a copy of it would stay open
            with (
                suppress(OSError),
                socket.socket(fileno=os.dup(int(descriptor.name))) as it,
            ):
                found += it.getpeername() == ("127.0.0.1", self.port)
        return found


def serve(*answers: bytes) -> Script:
    """A script: the answers in turn, whatever the connection; then the last again."""
    left = list(answers)

    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(left.pop(0) if len(left) > 1 else left[0])

    return script


def answer(status: int, body: bytes, **headers: str) -> bytes:
    """A response with a body of known length; `_` in a header's name is `-`."""
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
"""The head of a streamed answer."""

LAST_CHUNK = b"0\r\n\r\n"

DONE = b"data: [DONE]\n\n"


def chunk(data: bytes) -> bytes:
    """`data` as one piece of a streamed answer's body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(text: str | None = None, finish: str | None = None, **more: object) -> bytes:
    """An event of a Chat Completions stream; without a text, a role only."""
    delta = {"role": "assistant"} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    data = {"id": "chatcmpl-1", "model": "m-1", "choices": [choice], **more}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def streamed(texts: Iterable[str]) -> bytes:
    """A whole streamed Chat Completions answer."""
    events = [event(text) for text in texts]
    body = b"".join([event(), *events, event("", "stop"), DONE])
    return CHUNKED + chunk(body) + LAST_CHUNK


def completion(text: str) -> bytes:
    """A whole Chat Completions answer."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "chatcmpl-1", "model": "m-1", "choices": [choice]}
    return answer(200, json.dumps(body).encode(), content_type="application/json")
