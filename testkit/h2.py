"""HTTP/2 by hand: what no client library would send."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4
CANCEL = 8
GENERATE = "/majordomo.v1.GenerationService/Generate"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    head = struct.pack(">I", len(payload))[1:] + bytes([kind, flags])
    return head + struct.pack(">I", stream) + payload


def _integer(value: int, prefix: int) -> bytes:
    """As HPACK writes lengths."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes([value])
    out = bytearray([most])
    value -= most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def headers(fields: Iterable[tuple[str, str]]) -> bytes:
    """A header block of literals that are never indexed."""
    block = b""
    for name, value in fields:
        block += b"\x10" + _integer(len(name), 7) + name.encode()
        block += _integer(len(value), 7) + value.encode()
    return block


def message(data: bytes, *, packed: bool = False) -> bytes:
    """`data` as gRPC frames it."""
    return struct.pack(">BI", packed, len(data)) + data


class Connection:
    """One connection; what the server sends is read, and kept as little as possible.

    `ended` has the stream's numbers that the server has ended or reset.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._next = 1
        self._changed = asyncio.Event()
        self._windows: dict[int, int] = {0: 65_535}
        self._initial = 65_535
        self.ended: set[int] = set()
        self.received: dict[int, int] = {}
        """Bytes of messages by stream."""

        self.closed = False

    @classmethod
    @asynccontextmanager
    async def to(cls, address: str, *, window: int = 65_535) -> AsyncIterator[Self]:
        """Connect; the server may send `window` bytes to each stream."""
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        it = cls(reader, writer)
        settings = struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
        writer.write(PREFACE + frame(SETTINGS, 0, 0, settings))
        reading = asyncio.create_task(it._read())
        try:
            yield it
        finally:
            reading.cancel()
            writer.transport.abort()
            with suppress(asyncio.CancelledError):
                await reading

    def begin(
        self, path: str = GENERATE, *more: tuple[str, str], end: bool = False
    ) -> int:
        """Send the headers of a call; the number of its stream."""
        number, self._next = self._next, self._next + 2
        self._windows[number] = self._initial
        fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *more,
        ]
        flags = END_HEADERS | (END_STREAM if end else 0)
        self._writer.write(frame(HEADERS, flags, number, headers(fields)))
        return number

    def reset(self, number: int) -> None:
        self._writer.write(frame(RST_STREAM, 0, number, struct.pack(">I", CANCEL)))

    async def send(self, number: int, data: bytes, *, end: bool = False) -> bool:
        """Send all of `data`, as the windows allow; False if that was refused."""
        sent = 0
        while True:
            room = min(self._windows[0], self._windows[number], 16_384)
            if number in self.ended or self.closed:
                return False
            if sent < len(data) and room <= 0:
                self._changed.clear()
                await self._changed.wait()
                continue
            piece = data[sent : sent + room]
            sent += len(piece)
            last = sent == len(data)
            flags = END_STREAM if end and last else 0
            self._writer.write(frame(DATA, flags, number, piece))
            for window in (0, number):
                self._windows[window] -= len(piece)
            if last:
                return True
            await self._writer.drain()

    async def until_ended(self, *numbers: int) -> None:
        """Wait until the server has ended these streams, or the connection."""
        while not self.closed and not self.ended.issuperset(numbers):
            self._changed.clear()
            await self._changed.wait()

    async def drain(self) -> None:
        await self._writer.drain()

    async def _read(self) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await self._reader.readexactly(9)
                length = int.from_bytes(head[:3], "big")
                stream = int.from_bytes(head[5:], "big") & 0x7FFF_FFFF
                payload = await self._reader.readexactly(length)
                self._take(head[3], head[4], stream, payload)
                self._changed.set()
        self.closed = True
        self._changed.set()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            self._apply(payload)
            self._writer.write(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self._writer.write(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            size = int.from_bytes(payload, "big")
            self._windows[stream] = self._windows.get(stream, 0) + size
        elif kind == DATA:
            self.received[stream] = self.received.get(stream, 0) + len(payload)
            if payload:
                update = struct.pack(">I", len(payload))
                self._writer.write(frame(WINDOW_UPDATE, 0, 0, update))
        if kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM):
            self.ended.add(stream)

    def _apply(self, settings: bytes) -> None:
        for key, value in struct.iter_unpack(">HI", settings):
            if key == INITIAL_WINDOW_SIZE:
                for number in self._windows.keys() - {0}:
                    self._windows[number] += value - self._initial
                self._initial = value
