"""Keys and prompts stay where they belong, whichever target is tried and however it
fails.

Canaries: a key, and words in every corner of a request. None may be in a URL, a log, a
span, a metric, the health of targets, or what other callers are reported; the key not
in what their own caller is reported either. A caller's trace is no business of a
provider's.
"""

import io
import json
import logging
from collections.abc import Awaitable, Callable

import pytest

from majordomo.codec.state import pack
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    Blob,
    FunctionTool,
    MediaReference,
    Message,
    Part,
    Reasoning,
    Tool,
    ToolCall,
    ToolResult,
)
from majordomo.v1.generation_service_pb2 import (
    Call,
    GenerateRequest,
    JsonSchemaFormat,
    Prompt,
    ResponseFormat,
    StreamRequest,
)
from majordomo.v1.operator_service_pb2 import (
    HealthSnapshotRequest,
    WatchHealthRequest,
)
from testkit.collector import Collector
from testkit.servers import failed, generate, running
from testkit.upstream import CHUNKED, Connection, Upstream, answer, chunk
from tests.telemetry.test_metrics import page

KEY = "sk-canarykey0123456789abcdefghij"
WORD = "canaryword"
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACED = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"), ("tracestate", "v=1"))
KINDS = {
    "openai": 'kind = "openai"',
    "openai chat": 'kind = "openai"\napi = "chat"',
    "anthropic": 'kind = "anthropic"',
    "gemini": 'kind = "gemini"',
    "compatible": 'kind = "openai-compatible"',
}
ECHO = json.dumps(
    {"error": {"message": f"{KEY} may not ask {WORD}", "type": "x", "code": KEY}}
).encode()
BEGUN = {
    "openai": b'data: {"type":"response.output_text.delta","output_index":0,'
    b'"item_id":"m","delta":"x"}\n\n',
    "anthropic": b'data: {"type":"content_block_start","index":0,"content_block":'
    b'{"type":"text","text":"x"}}\n\n',
    "gemini": b'data: {"candidates":[{"content":{"parts":[{"text":"x"}]}}]}\n\n',
}
BEGUN |= dict.fromkeys(
    ["openai chat", "compatible"], b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
)


def prompt() -> Prompt:
    """With canaries in every corner."""
    state = pack("anthropic", signature=WORD)
    call = ToolCall(id="c1", name="f", arguments_json=f'{{"a":"{WORD}"}}')
    thought = Part(reasoning=Reasoning(text=WORD), provider_state=state)
    url = MediaReference(uri=f"https://x.y/{WORD}.png", media_type="image/png")
    return Prompt(
        system_instruction=[Part(text=WORD)],
        messages=[
            Message(
                role=ROLE_USER,
                parts=[
                    Part(text=WORD),
                    Part(blob=Blob(media_type="image/png", data=WORD.encode())),
                    Part(media_reference=url),
                ],
            ),
            Message(role=ROLE_ASSISTANT, parts=[thought, Part(tool_call=call)]),
            Message(
                role=ROLE_TOOL,
                parts=[
                    Part(
                        tool_result=ToolResult(
                            tool_call_id="c1", parts=[Part(text=WORD)]
                        )
                    )
                ],
            ),
            Message(role=ROLE_USER, parts=[Part(text=WORD)]),
        ],
        tools=[Tool(function=FunctionTool(name="f", description=WORD))],
        response_format=ResponseFormat(
            json_schema=JsonSchemaFormat(
                schema_json=f'{{"type":"object","description":"{WORD}"}}'
            )
        ),
    )


Fault = Callable[[Connection, str], Awaitable[None]]


def responds(status: int, body: bytes) -> Fault:
    async def respond(connection: Connection, kind: str) -> None:
        await connection.send(answer(status, body))

    return respond


async def resets(connection: Connection, kind: str) -> None:
    connection.reset()


async def is_silent(connection: Connection, kind: str) -> None:
    await connection.closed()


async def breaks(connection: Connection, kind: str) -> None:
    error = b"event: error\ndata: " + ECHO + b"\n\n"
    await connection.send(CHUNKED + chunk(BEGUN[kind]) + chunk(error))


FAULTS: dict[str, Fault] = {
    "refused key": responds(401, ECHO),
    "refused request": responds(400, ECHO),
    "limited": responds(429, ECHO),
    "failed": responds(500, ECHO),
    "error in a 200": responds(200, ECHO),
    "malformed": responds(200, f'{{"{WORD}": "{KEY}'.encode()),
    "proxy's page": responds(502, f"<html>{WORD} {KEY}</html>".encode()),
    "reset": resets,
    "silent": is_silent,
    "broken stream": breaks,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
async def test_no_canary_gets_out(
    kind: str,
    fault: str,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    log: io.StringIO,
) -> None:
    """Neither in a whole answer nor in a stream."""
    monkeypatch.setenv("CANARY", KEY)

    async def script(connection: Connection) -> None:
        while await connection.request():
            await FAULTS[fault](connection, kind)

    logging.getLogger().addHandler(caplog.handler)
    caplog.set_level(logging.DEBUG)
    others: list[object] = []
    async with Upstream(script) as upstream:
        config = f"""
            [server]
            listen = "127.0.0.1:0"
            metrics_listen = "127.0.0.1:0"
            [chain]
            first_content_timeout = "200ms"
            attempt_timeout = "200ms"
            [providers.p]
            {KINDS[kind]}
            base_url = "{upstream.url}/v1"
            api_key = "env:CANARY"
            media_hosts = ["x.y"]
        """
        async with running(config) as it:
            reported = [
                await failed(
                    it.generation.Generate(
                        GenerateRequest(call=Call(chain="p/m", prompt=prompt())),
                        metadata=TRACED,
                    )
                ),
                await failed(
                    it.generation.Stream(
                        StreamRequest(call=Call(chain="p/m", prompt=prompt())),
                        metadata=TRACED,
                    )
                ),
            ]
            others.append(
                await failed(it.generation.Generate(generate("p/m", "another's")))
                if fault != "broken stream"
                else None
            )
            others.append(await it.operator.HealthSnapshot(HealthSnapshotRequest()))
            watch = it.operator.WatchHealth(WatchHealthRequest())
            others.append(await watch.read())
            watch.cancel()
            metrics = await page(it)

    assert upstream.requests  # they were asked, with the key and the words
    assert all(KEY in str(request.headers) for request in upstream.requests)
    assert any(WORD in request.body.decode() for request in upstream.requests)
    paths = " ".join(request.path for request in upstream.requests)
    assert TRACE not in str(upstream.requests)
    assert not any("trace" in name for r in upstream.requests for name in r.headers)
    assert '"event":"call"' in log.getvalue()
    logged = log.getvalue() + " ".join(
        f"{record.getMessage()} {record.__dict__}"
        for record in caplog.records
        if not record.name.startswith(("hpack", "asyncio"))
    )
    spans = b"".join(r.SerializeToString() for r in collector.requests)
    for canary in (KEY, WORD):
        assert canary not in paths
        assert canary not in logged
        assert canary not in metrics.text
        assert canary.encode() not in spans
    # Of another call this provider speaks in the same words, so only the key is
    # reported.
    assert KEY not in f"{reported} {others}"
    assert WORD not in str(others[1:])
