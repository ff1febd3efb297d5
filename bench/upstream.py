"""A provider that costs little: prebuilt Chat Completions answers over raw HTTP.

    python -m bench.upstream CHUNKS PACE_SECONDS

Prints its port. A request with `"stream":true` in its body gets CHUNKS chunks, all in
one write when the pace is 0, else one every PACE_SECONDS.
"""

import asyncio
import json
import sys

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    chunk = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "bench-1",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _unary() -> bytes:
    body = json.dumps(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "bench-1",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "word " * 180},
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 180,
                "total_tokens": 189,
            },
        }
    ).encode()
    head = _HEAD % b"application/json" + b"content-length: %d\r\n\r\n" % len(body)
    return head + body


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class _Upstream(asyncio.Protocol):
    unary = _unary()
    stream_head = _HEAD % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n"

    def __init__(self, chunks: int, pace: float) -> None:
        self._chunks = [_framed(_chunk({"content": "word "})) for _ in range(chunks)]
        end = _chunk({}, "stop") + b"data: [DONE]\n\n"
        self._end = _framed(end) + b"0\r\n\r\n"
        self._pace = pace
        self._received = b""
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) < length:
            return
        self._received = body[length:]
        if b'"stream":true' not in body[:length]:
            self._transport.write(self.unary)
        elif self._pace:
            task = asyncio.create_task(self._trickle())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            everything = [self.stream_head, *self._chunks, self._end]
            self._transport.write(b"".join(everything))

    async def _trickle(self) -> None:
        self._transport.write(self.stream_head)
        for chunk in self._chunks:
            await asyncio.sleep(self._pace)
            self._transport.write(chunk)
        self._transport.write(self._end)


async def main(chunks: int, pace: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Upstream(chunks, pace), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
