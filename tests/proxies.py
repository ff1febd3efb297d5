"""Proxies of the loopback: HTTP with CONNECT, SOCKS5; and a provider of HTTP/2.

    async with HttpProxy() as proxy:
        ...  # proxy.url; proxy.asked is what it was asked for

`leads` says where names are, which no name server knows.
"""

import asyncio
import base64
import json
import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import h2.config
import h2.connection
import h2.events

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Listener:
    """Plays `play` on each connection, until the end of the block."""

    scheme = ""
    tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        self._writers: list[asyncio.StreamWriter] = []
        self._plays: list[asyncio.Task[None]] = []
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, ssl=self.tls
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.name = f"127.0.0.1:{self.port}"
        self.url = f"{self.scheme}://{self.name}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        for play in self._plays:
            play.cancel()
        await asyncio.gather(*self._plays, return_exceptions=True)
        for writer in self._writers:
            with suppress(OSError):
                await writer.wait_closed()

    def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._writers.append(writer)
        self._plays.append(asyncio.ensure_future(self._played(reader, writer)))

    async def _played(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            await self.play(reader, writer)
        writer.close()

    async def play(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        raise NotImplementedError


@dataclass
class _Proxy(_Listener):
    leads: Mapping[str, int] = field(default_factory=dict)
    """Ports of the loopback, by the names that are asked for."""

    credentials: str = ""
    """Those that it wants, "user:password"."""

    cut_after: int | None = None
    """Bytes of an answer after which it dies."""

    asked: list[str] = field(default_factory=list)

    async def dial(self, host: str, port: int) -> Streams:
        streams = await asyncio.open_connection("127.0.0.1", self.leads.get(host, port))
        self._writers.append(streams[1])
        return streams

    async def relay(self, near: Streams, far: Streams) -> None:
        """Both ways, until either ends."""
        ways = [
            asyncio.ensure_future(self._pump(near[0], far[1], None)),
            asyncio.ensure_future(self._pump(far[0], near[1], self.cut_after)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            far[1].close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        most: int | None,
    ) -> None:
        passed = 0
        while data := await reader.read(65536 if most is None else most - passed):
            passed += len(data)
            writer.write(data)
            await writer.drain()
            if passed == most:
                return


@dataclass
class HttpProxy(_Proxy):
    """CONNECT for TLS, and requests in plain text, which it passes on."""

    refuses: int = 0
    """The status with which it answers everything."""

    silent: bool = False
    """It answers nothing."""

    scheme = "http"

    async def play(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *headers = head.removesuffix("\r\n\r\n").split("\r\n")
        self.asked.append(line)
        if self.silent:
            await reader.read()
        elif self.refuses:
            await self._refuse(writer, self.refuses)
        elif self.credentials and self._wanted() not in headers:
            await self._refuse(writer, 407)
        else:
            await self._pass(line, headers, (reader, writer))

    def _wanted(self) -> str:
        coded = base64.b64encode(self.credentials.encode()).decode()
        return f"Proxy-Authorization: Basic {coded}"

    async def _refuse(self, writer: asyncio.StreamWriter, status: int) -> None:
        writer.write(f"HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()

    async def _pass(self, line: str, headers: list[str], near: Streams) -> None:
        method, where, version = line.split(" ")
        if method == "CONNECT":
            host, _, port = where.rpartition(":")
            far = await self.dial(host, int(port))
            near[1].write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            origin, _, path = where.partition("://")[2].partition("/")
            host, _, port = origin.partition(":")
            far = await self.dial(host, int(port or 80))
            kept = [one for one in headers if not one.lower().startswith("proxy-")]
            lines = [f"{method} /{path} {version}", *kept, "", ""]
            far[1].write("\r\n".join(lines).encode())
        await self.relay(near, far)


@dataclass
class SocksProxy(_Proxy):
    """SOCKS5 (RFC 1928, 1929)."""

    reply: int = 0
    """What it answers to the wish to connect; 5: refused."""

    scheme = "socks5"

    async def play(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        _, count = await reader.readexactly(2)
        offered = await reader.readexactly(count)
        method = 2 if self.credentials else 0
        if method not in offered:
            writer.write(b"\x05\xff")
            return
        writer.write(bytes([5, method]))
        if self.credentials and not await self._known(reader, writer):
            return
        host, port = await self._where(reader)
        self.asked.append(f"{host}:{port}")
        far = None if self.reply else await self.dial(host, port)
        writer.write(bytes([5, self.reply, 0, 1, 0, 0, 0, 0, 0, 0]))
        if far is not None:
            await self.relay((reader, writer), far)

    async def _known(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        await reader.readexactly(1)
        shown = [await self._text(reader), await self._text(reader)]
        known = ":".join(shown) == self.credentials
        writer.write(bytes([1, 0 if known else 1]))
        return known

    async def _where(self, reader: asyncio.StreamReader) -> tuple[str, int]:
        kind = (await reader.readexactly(4))[3]
        if kind == 3:
            host = await self._text(reader)
        else:
            host = socket.inet_ntoa(await reader.readexactly(4))
        return host, struct.unpack(">H", await reader.readexactly(2))[0]

    async def _text(self, reader: asyncio.StreamReader) -> str:
        (length,) = await reader.readexactly(1)
        return (await reader.readexactly(length)).decode()


class Http2Provider(_Listener):
    """Speaks HTTP/2 over TLS; `answer` gives an answer's body to that of a request.

    The answers to the first `together` requests are kept until all of those are there.
    """

    scheme = "https"

    def __init__(
        self,
        certificate: Callable[[ssl.SSLContext], None],
        answer: Callable[[bytes], bytes],
        together: int = 1,
    ) -> None:
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.tls.set_alpn_protocols(["h2"])
        certificate(self.tls)
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections = 0
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        """A client has closed a connection."""

        self.hang_up = False
        """The next request is not answered: its connection ends."""

        self._together = together
        self._all_there = asyncio.Event()

    async def play(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        config = h2.config.H2Configuration(client_side=False)
        state = h2.connection.H2Connection(config)
        state.initiate_connection()
        bodies: dict[int, bytes] = {}
        while True:
            writer.write(state.data_to_send())
            await writer.drain()
            data = await reader.read(65536)
            if not data:
                self.left.set()
                return
            for event in state.receive_data(data):
                match event:
                    case h2.events.DataReceived():
                        known = bodies.get(event.stream_id, b"")
                        bodies[event.stream_id] = known + event.data
                    case h2.events.StreamEnded():
                        self.requests.append(bodies.pop(event.stream_id))
                        self.asked.set()
                        if self.hang_up:
                            self.hang_up = False
                            return
                        task = self._reply(state, event.stream_id, writer)
                        self._plays.append(asyncio.ensure_future(task))

    async def _reply(
        self,
        state: h2.connection.H2Connection,
        stream: int,
        writer: asyncio.StreamWriter,
    ) -> None:
        body = self.answer(self.requests[-1])
        if len(self.requests) >= self._together:
            self._all_there.set()
        await self._all_there.wait()
        kind = "text/event-stream" if body.startswith(b"data:") else "application/json"
        state.send_headers(stream, [(":status", "200"), ("content-type", kind)])
        state.send_data(stream, body, end_stream=True)
        writer.write(state.data_to_send())


def chat_answer(request: bytes, text: str) -> bytes:
    """The body of a Chat Completions answer, as it was asked for."""
    if json.loads(request).get("stream"):
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": "stop"}
        return (
            b"data: %s\n\ndata: [DONE]\n\n"
            % json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode()
        )
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode()
