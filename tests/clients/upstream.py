"""A provider for the clients' tests: it counts calls and sees its callers leave.

It speaks Chat Completions. Its models are named after what they do and the language
that calls them, such as `hang-go`:

- `counted-LANGUAGE` and `counted-stream-LANGUAGE` fail with 503 each time; each is for
  one call of the client.
- `hang-LANGUAGE` streams one piece, "one ", and waits until the caller leaves.
- `tool-LANGUAGE` calls get_weather of Paris; given its result, says "Paris: RESULT".
- `sources-LANGUAGE` answers "Ça va [1]." with a source, an image of 1.5 MB and a file
  that it has read.
- `talk-LANGUAGE` answers "Hello." with state. Asked again, it answers "kept" where
  that came back, and else "lost".
"""

import asyncio
import json
from base64 import b64encode
from collections import Counter
from contextlib import AbstractAsyncContextManager
from typing import Any

from testkit.upstream import (
    CHUNKED,
    LAST_CHUNK,
    Connection,
    Upstream,
    answer,
    chunk,
    event,
)

_STATE = [{"type": "reasoning.encrypted", "data": "c2VjcmV0", "format": "acme-v1"}]
_PNG = b64encode(b"\x89PNG\r\n\x1a\n" + bytes(1_500_000)).decode()
_SOURCES = {
    "content": "Ça va [1].",
    "annotations": [
        {
            "type": "url_citation",
            "url_citation": {
                "url": "https://example.org/a",
                "title": "A",
                "content": "It is well.",
                "start_index": 0,
                "end_index": 5,
            },
        },
        {"type": "file", "file": {"hash": "h", "name": "a.pdf", "content": []}},
    ],
    "images": [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PNG}"}}
    ],
}
_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
}


class Provider:
    """What the models of all languages were asked, and who left them."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        """How often each model was called."""

        self.left: Counter[str] = Counter()
        """How many calls of each model ended by the caller's leaving."""

        self._leaving = asyncio.Condition()

    def serving(self) -> AbstractAsyncContextManager[Upstream]:
        """Serve on a free port of the loopback."""
        return Upstream(self._play)

    async def all_left(self, model: str) -> None:
        """Wait until every caller of the model has left, one at least."""
        async with self._leaving:
            await self._leaving.wait_for(
                lambda: 0 < self.calls[model] == self.left[model]
            )

    async def _play(self, connection: Connection) -> None:
        while request := await connection.request():
            asked = json.loads(request.body)
            model = asked["model"]
            self.calls[model] += 1
            match model.partition("-")[0]:
                case "hang":
                    await connection.send(CHUNKED + chunk(event() + event("one ")))
                    await connection.closed()
                    async with self._leaving:
                        self.left[model] += 1
                        self._leaving.notify_all()
                    return
                case "tool":
                    await _say(connection, asked, _tool(asked["messages"]))
                case "sources":
                    await _say(connection, asked, _SOURCES)
                case "talk":
                    await _say(connection, asked, _talk(asked["messages"]))
                case _:
                    error = {"error": {"message": "no room", "type": "overloaded"}}
                    await connection.send(answer(503, json.dumps(error).encode()))


def _tool(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """A turn of `tool`: the call, or the answer made of its result."""
    if messages[-1]["role"] == "tool":
        return {"content": f"Paris: {_text(messages[-1])}"}
    return {"content": None, "tool_calls": [_CALL]}


def _talk(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """A turn of `talk`, which knows its own turns by the state that they carry."""
    own = [message for message in messages if message["role"] == "assistant"]
    if not own:
        return {"content": "Hello.", "reasoning_details": _STATE}
    kept = all(message.get("reasoning_details") == _STATE for message in own)
    return {"content": "kept" if kept else "lost", "reasoning_details": _STATE}


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


async def _say(
    connection: Connection, asked: dict[str, Any], turn: dict[str, Any]
) -> None:
    """The turn, whole or as a stream of one piece, as it was asked for."""
    message = {"role": "assistant", **turn}
    if calls := turn.get("tool_calls"):
        numbered = [{"index": n, **call} for n, call in enumerate(calls)]
        message["tool_calls"] = numbered if asked.get("stream") else calls
    said = "delta" if asked.get("stream") else "message"
    finish = "tool_calls" if calls else "stop"
    choice = {"index": 0, said: message, "finish_reason": finish}
    body = json.dumps({"id": "1", "model": asked["model"], "choices": [choice]})
    if not asked.get("stream"):
        kind = "application/json"
        await connection.send(answer(200, body.encode(), content_type=kind))
        return
    events = f"data: {body}\n\ndata: [DONE]\n\n"
    await connection.send(CHUNKED + chunk(events.encode()) + LAST_CHUNK)
