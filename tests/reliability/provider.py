"""A provider on a socket of its own, whose fate is drawn for each request."""

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self

from testkit.upstream import CHUNKED, LAST_CHUNK, answer, chunk
from tests.reliability.wires import Wire

Fault = Literal["503", "500", "malformed", "cut", "429", "reset", "silence"]
"""What goes wrong; "cut": after the first content of a stream, or half of a body."""

FIRST_CONTENT, REST = 0.04, 0.06
"""Seconds to the first content of an answer, and from there to its end."""

_LONGEST = 90.0
"""Seconds after which silence ends, should nobody have closed the connection."""


@dataclass(frozen=True)
class Fate:
    """What becomes of one request."""

    fault: Fault | None = None
    """None: it is answered."""

    retry_after: float | None = None
    """Seconds that a 429 asks for."""


WELL = Fate()


@dataclass
class PromptLike:
    """A request, when it came (in the loop's time), and what became of it."""

    at: float
    fate: Fate


class Provider:
    """One target's provider. `fate` is asked once a request, with the loop's time."""

    def __init__(self, wire: Wire, fate: Callable[[float], Fate]) -> None:
        self.wire = wire
        self.asked: list[PromptLike] = []
        self._fate = fate
        self._plays: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for play in self._plays:
            play.cancel()
        await asyncio.gather(*self._plays, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        play = asyncio.ensure_future(self._serve(reader, writer))
        self._plays.add(play)
        play.add_done_callback(self._plays.discard)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request; False where the connection ends with it."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].split("\r\n")[0])
        body = await reader.readexactly(length)
        streams = b'"stream":true' in body or ":streamgenerate" in head
        now = asyncio.get_running_loop().time()
        fate = self._fate(now)
        self.asked.append(PromptLike(now, fate))
        match fate.fault:
            case None:
                await self._answer(writer, streams)
            case "cut":
                await self._cut(writer, streams)
                return False
            case "reset":
                _reset(writer)
                return False
            case "silence":
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(), _LONGEST)
                return False
            case _:
                writer.write(_refusal(fate))
        await writer.drain()
        return True

    async def _answer(self, writer: asyncio.StreamWriter, streams: bool) -> None:
        await asyncio.sleep(FIRST_CONTENT)
        if streams:
            writer.write(CHUNKED + chunk(self.wire.begin))
            await asyncio.sleep(REST)
            writer.write(chunk(self.wire.rest) + LAST_CHUNK)
        else:
            await asyncio.sleep(REST)
            writer.write(self._whole())

    async def _cut(self, writer: asyncio.StreamWriter, streams: bool) -> None:
        await asyncio.sleep(FIRST_CONTENT)
        whole = self._whole()
        writer.write(CHUNKED + chunk(self.wire.begin) if streams else whole[:-20])
        await writer.drain()
        await asyncio.sleep(REST)

    def _whole(self) -> bytes:
        return answer(200, json.dumps(self.wire.whole).encode())


def _refusal(fate: Fate) -> bytes:
    body = json.dumps({"error": {"message": "not now", "type": "error"}}).encode()
    match fate.fault:
        case "malformed":
            return answer(200, b'{"cho', content_type="application/json")
        case "429" if fate.retry_after is not None:
            if fate.retry_after.is_integer():
                return answer(429, body, retry_after=f"{fate.retry_after:.0f}")
            return answer(429, body, retry_after_ms=f"{fate.retry_after * 1000:.3f}")
        case _:
            return answer(int(fate.fault or ""), body)


def _reset(writer: asyncio.StreamWriter) -> None:
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
