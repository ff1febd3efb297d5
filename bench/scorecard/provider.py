"""The provider of the scorecard: a fault for each row, played over raw sockets.

What a base URL leads to is in its path: /ROW/CONTESTANT/ROLE/v1. The role is "primary"
or "fallback"; every contestant finds each row as if it were the first.
"""

import asyncio
import json
import socket
import struct
from collections import defaultdict
from dataclasses import dataclass, field

WORDS = 60
PACE = 0.01
USAGE = {"prompt_tokens": 7, "completion_tokens": WORDS, "total_tokens": WORDS + 7}
OUTAGE = (5.0, 65.0)
"""From when to when the primary of the row "outage" is down, in seconds."""

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


def words(role: str) -> list[str]:
    """The good answer of the primary or the fallback."""
    return [f"{role[0]}{number} " for number in range(1, WORDS + 1)]


@dataclass
class Seen:
    """What one provider saw of one contestant in one row."""

    calls: list[float] = field(default_factory=list)
    """When it was called, in the loop's time."""

    answered: list[float] = field(default_factory=list)


class Provider:
    """Plays every row for every contestant on one port of the loopback."""

    def __init__(self) -> None:
        self.seen: defaultdict[tuple[str, str, str], Seen] = defaultdict(Seen)
        self.began: dict[tuple[str, str], float] = {}
        """When the row "outage" began for a contestant."""

    async def __aenter__(self) -> "Provider":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    def base_url(self, row: str, contestant: str, role: str) -> str:
        return f"{self.url}/{row}/{contestant}/{role}/v1"

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the caller has gone
        finally:
            writer.close()

    async def _one(self, reader: Reader, writer: Writer) -> bool:
        """Answer one request; False when the connection has ended."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.split("\r\n")
        lengths = [
            int(line.split(":")[1])
            for line in lines
            if line.lower().startswith("content-length:")
        ]
        body = await reader.readexactly(lengths[0] if lengths else 0)
        path = lines[0].split(" ")[1]
        row, contestant, role = path.split("/")[1:4]
        asked = json.loads(body or b"{}")
        if not path.endswith("/chat/completions"):
            # Some look around first; that is no call.
            answer = _Answer(writer, role, stream=False)
            return await answer.refuse(404, "not_found", "no such path")
        seen = self.seen[row, contestant, role]
        seen.calls.append(asyncio.get_running_loop().time())
        answer = _Answer(writer, role, stream=bool(asked.get("stream")))
        if role == "fallback":
            last = asked["messages"][-1]["role"]
            if row == "cut-no-prefill" and last == "assistant":
                return await answer.refuse(400, "invalid_request_error", "no prefill")
            seen.answered.append(seen.calls[-1])
            return await answer.well()
        return await self._play(row, contestant, seen, answer)

    async def _play(
        self, row: str, contestant: str, seen: Seen, answer: "_Answer"
    ) -> bool:
        first = len(seen.calls) == 1
        match row:
            case "rate-limited-once" if first:
                return await answer.refuse(429, "rate_limit_exceeded", "slow", after=1)
            case "rate-limited":
                return await answer.refuse(429, "rate_limit_exceeded", "slow", after=30)
            case "error-once" if first:
                return await answer.refuse(500, "server_error", "it failed")
            case "down" | "accounting":
                return await answer.refuse(503, "overloaded", "busy")
            case "reset":
                return answer.reset()
            case "silent":
                await asyncio.sleep(90)
                return False
            case "slow-start":
                return await answer.well(wait=20)
            case "cut" | "cut-no-prefill":
                return await answer.cut(40)
            case "stalls":
                return await answer.stalls(20)
            case "malformed-chunk":
                return await answer.malformed(30)
            case "no-done":
                return await answer.well(done=False)
            case "no-end":
                return await answer.well(finish=False, done=False)
            case "too-long":
                return await answer.refuse(
                    400, "context_length_exceeded", "maximum context length is 10"
                )
            case "refused":
                return await answer.refuse(400, "content_filter", "refused by policy")
            case "outage":
                since = seen.calls[-1] - self.began[row, contestant]
                if OUTAGE[0] <= since < OUTAGE[1]:
                    return await answer.refuse(503, "overloaded", "busy")
        seen.answered.append(seen.calls[-1])
        return await answer.well()


class _Answer:
    """One answer of one role, in the form that was asked for."""

    def __init__(self, writer: Writer, role: str, *, stream: bool) -> None:
        self._writer = writer
        self._words = words(role)
        self._stream = stream

    async def refuse(
        self, status: int, code: str, message: str, after: int | None = None
    ) -> bool:
        body = json.dumps({"error": {"message": message, "code": code, "type": code}})
        wait = "" if after is None else f"retry-after: {after}\r\n"
        await self._send(self._head(status, len(body), wait) + body.encode())
        return True

    async def well(
        self, *, wait: float = 0, finish: bool = True, done: bool = True
    ) -> bool:
        await asyncio.sleep(wait)
        if not self._stream:
            body = self._whole()
            if not finish:
                await self._send(self._head(200, len(body)) + body[: len(body) // 2])
                return False
            await self._send(self._head(200, len(body)) + body)
            return True
        await self._begin()
        await self._say(self._words)
        if finish:
            await self._event({"choices": [_choice("", "stop")]})
            await self._event({"choices": [], "usage": USAGE})
        if done:
            await self._chunk(b"data: [DONE]\n\n")
        await self._send(b"0\r\n\r\n")
        return True

    async def cut(self, place: int) -> bool:
        if self._stream:
            await self._begin()
            await self._say(self._words[:place])
        else:
            body = self._whole()
            await self._send(self._head(200, len(body)) + body[: len(body) // 2])
        return False

    async def stalls(self, place: int) -> bool:
        if self._stream:
            await self._begin()
            await self._say(self._words[:place])
            await asyncio.sleep(30)
            await self._say(self._words[place:])
            await self._event({"choices": [_choice("", "stop")]})
            await self._chunk(b"data: [DONE]\n\n")
            await self._send(b"0\r\n\r\n")
            return True
        body = self._whole()
        await self._send(self._head(200, len(body)) + body[:100])
        await asyncio.sleep(30)
        await self._send(body[100:])
        return True

    async def malformed(self, place: int) -> bool:
        if not self._stream:
            body = b'{"choices": [{"message": {"content": "p1 p2'
            await self._send(self._head(200, len(body)) + body)
            return True
        await self._begin()
        await self._say(self._words[: place - 1])
        await self._chunk(b'data: {"choices": [{"delta": {"con\n\n')
        await self._say(self._words[place:])
        await self._event({"choices": [_choice("", "stop")]})
        await self._chunk(b"data: [DONE]\n\n")
        await self._send(b"0\r\n\r\n")
        return True

    def reset(self) -> bool:
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
        return False

    def _whole(self) -> bytes:
        message = {"role": "assistant", "content": "".join(self._words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return json.dumps(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1_700_000_000,
                "model": "m",
                "choices": [choice],
                "usage": USAGE,
            }
        ).encode()

    def _head(self, status: int, length: int, more: str = "") -> bytes:
        return (
            f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{more}"
            f"content-length: {length}\r\n\r\n"
        ).encode()

    async def _begin(self) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        await self._send(head + b"transfer-encoding: chunked\r\n\r\n")
        await self._event({"choices": [_choice(None, None)]})

    async def _say(self, said: list[str]) -> None:
        for word in said:
            await self._event({"choices": [_choice(word, None)]})
            await asyncio.sleep(PACE)

    async def _event(self, more: dict[str, object]) -> None:
        chunk = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": "m",
            **more,
        }
        await self._chunk(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    async def _chunk(self, data: bytes) -> None:
        await self._send(b"%x\r\n%s\r\n" % (len(data), data))

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


def _choice(word: str | None, finish: str | None) -> dict[str, object]:
    delta = {"role": "assistant"} if word is None else {"content": word}
    return {"index": 0, "delta": delta, "finish_reason": finish}
