"""Whatever comes in: no exception but ours, no bug asked to callers, bounded memory.

`make fuzz` tries each for a minute; otherwise for a second.
"""

import asyncio
import json
import os
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import msgspec
import pytest
from google.protobuf.message import DecodeError

from majordomo.chain.failure import Failure
from majordomo.chain.names import expand
from majordomo.codec.base import Codec
from majordomo.codec.errors.body import ErrorBody, scrub
from majordomo.codec.errors.classify import classify
from majordomo.codec.errors.retry_delay import retry_delay
from majordomo.codec.state import pack, unpack
from majordomo.deltas import message
from majordomo.errors import ChainError, InvalidRequest
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.providers.profiles import PROFILES
from majordomo.rpc.validation import check
from majordomo.transport.http11 import Responses
from majordomo.v1.content_pb2 import ROLE_ASSISTANT, FunctionTool, Part
from majordomo.v1.generation_service_pb2 import (
    Call,
    GenerateRequest,
    JsonSchemaFormat,
    Prompt,
    ResponseFormat,
)
from testkit.servers import generate, running
from tests.fuzz.frames import conversations
from tests.fuzz.mutations import MOST_GROWTH, SECONDS, hammer, mutations, resident
from tests.fuzz.seeds import ANSWERS, SCHEMA
from tests.providers.prompts import call, result, turn, user

CODECS: dict[str, tuple[Codec, str]] = {
    "anthropic": (Anthropic("p"), "anthropic"),
    "gemini": (Gemini("p"), "gemini"),
    "openai-responses": (OpenAIResponses("p"), "openai-responses"),
    "openai-chat": (OpenAICompatible("p"), "openai-c"),
    "mistral": (OpenAICompatible("p", profile=PROFILES["mistral"]), "openai-c"),
    "openrouter": (OpenAICompatible("p", profile=PROFILES["openrouter"]), "openai-c"),
}
_PLAIN = [
    b'{"id":"1","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}',
    b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n',
    b"""event: message_start
data: {"type":"message_start","message":{}}

data: {"type":"content_block_start","content_block":{"type":"text"}}

data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}

data: {"type":"message_stop"}

""",
    b"""data: {"type":"response.output_text.delta","output_index":0,"delta":"x"}

data: {"type":"response.completed","response":{"output":[]}}

""",
    b"""data: {"candidates":[{"content":{"parts":[{"text":"x"},{"functionCall":
data: {"name":"f","partialArgs":[{"jsonPath":"$.a[0].b","stringValue":"v"}]}}]},
data: "finishReason":"STOP"}]}

""",
    b'{"error":{"message":"m","code":"c","details":[{"retryDelay":"3s"}]}}',
    b"<html>no</html>",
]


def _bodies(begins: str, kinds: tuple[str, ...]) -> list[bytes]:
    """One of every kind that the wire has; and recorded bodies, where they are."""
    folder = os.environ.get("MAJORDOMO_RECORDINGS")
    found = []
    for path in sorted(Path(folder).glob(f"{begins}*.json")) if folder else []:
        data = json.loads(path.read_text())
        body = data["response"]["body"]
        text = body if isinstance(body, str) else json.dumps(body)
        if data["kind"] in kinds and len(text) < 20_000:
            found.append(text.encode())
    for wire, bodies in ANSWERS.items():
        if wire.startswith(begins):
            found += bodies
    return _PLAIN + found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", CODECS)
def test_answers(name: str) -> None:
    """Whole and streamed, in any pieces: an answer, or a Failure."""
    codec, begins = CODECS[name]
    prompt = Prompt(
        response_format=ResponseFormat(json_schema=JsonSchemaFormat(schema_json="{}"))
    )
    prompt.config.reasoning.include_text = True

    def attempt(data: bytes, dice: random.Random) -> None:
        with suppress(Failure):
            codec.decode(prompt, data)
        decoder = codec.decoder(prompt)
        deltas = []
        with suppress(Failure):
            at = 0
            while at < len(data) and not decoder.complete:
                size = dice.choice([1, 7, 100, 10_000])
                deltas += decoder.feed(data[at : at + size])
                at += size
            if not decoder.complete:
                deltas += decoder.close()
            decoder.finish()
        whole = message(deltas)
        whole.SerializeToString()
        assert whole.ByteSize() < 40 * len(data) + 10_000

    assert hammer(_bodies(begins, ("unary", "stream")), attempt) > 10


@pytest.mark.timeout(300)
async def test_responses() -> None:
    """HTTP or not, in any pieces and with any end: an answer, or an error of ours."""
    seeds = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.0 503 No\r\nconnection: close\r\n\r\nabc",
        b"HTTP/1.1 204 None\r\nx: y\r\n\r\n",
    ]
    loop = asyncio.get_running_loop()

    def attempt(data: bytes, dice: random.Random) -> None:
        reader = Responses(loop)
        reader.expect(asyncio.ReadTransport())
        at = 0
        while at < len(data):
            size = dice.choice([1, 7, 100, 10_000])
            reader.feed(data[at : at + size])
            at += size
        reader.end(dice.choice([None, ConnectionResetError()]))
        with suppress(httpx.RemoteProtocolError, ConnectionResetError):
            # The end has come: anyone who still waits would wait for ever.
            with pytest.raises(StopIteration):
                reader.head().send(None)
            with pytest.raises(StopIteration) as read:
                reader.read().send(None)
            assert len(read.value.value) <= len(data)
        assert not reader.reusable

    assert hammer(seeds, attempt) > 10


@pytest.mark.timeout(300)
def test_errors() -> None:
    """Whatever the status and the body: a Failure, its words bounded and scrubbed."""
    statuses = [200, 400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 529, 999]
    values = [b"1", b"-5", b"nan", b"6m0s", b"Wed, 21 Oct 2026 07:28:00 GMT", b"1e9"]

    def attempt(data: bytes, dice: random.Random) -> None:
        header = next(mutations(values, dice)).decode("latin-1")
        headers = {
            name: header
            for name in ("retry-after", "retry-after-ms", "x-ratelimit-reset-tokens")
            if dice.random() < 0.5
        }
        failure = classify(dice.choice(statuses), headers, data)
        assert len(failure.message.encode()) <= 200
        assert failure.retry_delay is None or 0 <= failure.retry_delay < float("inf")
        delay = retry_delay(429, headers, ErrorBody())
        assert not isinstance(delay, float) or delay >= 0
        assert scrub(scrub(failure.message)) == scrub(failure.message)

    assert hammer(_bodies("", ("error",)), attempt) > 10


@pytest.mark.timeout(300)
def test_chains() -> None:
    """Targets, or an error in words."""
    tiers = {"fast": "a/1,b/2", "loop": "loop"}
    seeds = [b"fast,openrouter/meta-llama/llama-4", b"a/1 , b/2,", b"loop", b"x" * 300]

    def attempt(data: bytes, dice: random.Random) -> None:
        with suppress(ChainError):
            assert len(expand(data.decode(errors="replace"), tiers)) <= 32

    assert hammer(seeds, attempt) > 10


@pytest.mark.timeout(300)
def test_provider_state() -> None:
    """What a caller brings back: strings by strings, or nothing; and a request."""
    seeds = [
        pack("anthropic", signature="s", thinking="t"),
        pack("gemini", signature="s", id="i"),
        pack("openai-responses", item='{"type":"reasoning","summary":[]}'),
        pack("openai-chat", details="[{}]"),
        b"\x00",
    ]

    def attempt(data: bytes, dice: random.Random) -> None:
        for wire in ("anthropic", "gemini", "openai-responses", "openai-chat"):
            strings = unpack(wire, data)
            assert all(isinstance(value, str) for value in strings.values())
        codec, _ = dice.choice([*CODECS.values()])
        own = turn(ROLE_ASSISTANT, "so", call("c"), origin="p/m")
        own.parts.add(reasoning={"text": "hm"})
        for part in own.parts:
            part.provider_state = data
        history = [user("hi"), own, user("and?")]
        with suppress(Failure):
            codec.encode("m", Prompt(messages=history), stream=True)

    assert hammer(seeds, attempt) > 10


@pytest.mark.timeout(300)
def test_requests() -> None:
    """Any request is good, or refused; the codecs fear not even those."""
    rich = GenerateRequest(
        call=Call(chain="a/1", prompt=Prompt(system_instruction=[Part(text="s")]))
    )
    rich.call.prompt.messages.extend([user("hi"), turn(ROLE_ASSISTANT, call("c"))])
    rich.call.prompt.messages.add(role=4, parts=[result("c", "done")])
    rich.call.prompt.tools.add().function.MergeFrom(
        FunctionTool(name="f", parameters_schema_json='{"type":"object"}')
    )
    rich.call.prompt.config.provider_options_json["p"] = "{}"
    rich.call.options.attempt_timeout.FromSeconds(3)
    rich.call.labels["team"] = "x"

    def attempt(data: bytes, dice: random.Random) -> None:
        request = GenerateRequest()
        with suppress(DecodeError):
            request.MergeFromString(data)
        with suppress(InvalidRequest):
            check(request.call)
        codec, _ = dice.choice([*CODECS.values()])
        with suppress(Failure):
            codec.encode("m", request.call.prompt, stream=False)

    assert hammer([rich.SerializeToString()], attempt) > 10


@pytest.mark.timeout(300)
def test_json_of_callers() -> None:
    """Schemas, options and arguments of any kind: refused, or sent on as JSON."""
    seeds = [SCHEMA.encode(), b'{"type":"object"}', b'{"$ref":"#/$defs/a","a":1e999}']

    def attempt(data: bytes, dice: random.Random) -> None:
        text = data.decode(errors="replace")
        asked = Call(chain="p/1", prompt=Prompt(messages=[user("hi")]))
        prompt = asked.prompt
        match dice.randrange(4):
            case 0:
                prompt.response_format.json_schema.schema_json = text
            case 1:
                tool = FunctionTool(name="f", parameters_schema_json=text)
                prompt.tools.add(function=tool)
            case 2:
                prompt.config.provider_options_json["p"] = text
            case _:
                own = call("c")
                own.tool_call.arguments_json = text
                prompt.messages.append(turn(ROLE_ASSISTANT, own))
        try:
            check(asked)
            codec, _ = dice.choice([*CODECS.values()])
            body = codec.encode("m", prompt, stream=True).body
        except (InvalidRequest, Failure) as error:
            reported = str(error)
        else:
            msgspec.json.decode(body, type=dict[str, msgspec.Raw])
            return
        assert "prompt." in reported

    assert hammer(seeds, attempt) > 10


@pytest.mark.timeout(300)
async def test_frames() -> None:
    """HTTP/2 or not: the server lets go of the connection, and goes on for others."""
    message = generate("acme/echo").SerializeToString()
    path = b"/majordomo.v1.GenerationService/Generate"
    dice = random.Random(2026 if SECONDS <= 1 else None)
    before = resident()
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS
    async with running() as it:
        host, _, port = it.server.address.rpartition(":")
        for number, data in enumerate(mutations(conversations(path, message), dice)):
            reader, writer = await asyncio.open_connection(host, int(port))
            with suppress(ConnectionError):
                writer.write(data)
                writer.write_eof()
                async with asyncio.timeout(60):
                    while await reader.read(1 << 16):
                        pass
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            if number % 10 == 0:
                await it.generation.Generate(generate("acme/echo"))
            if loop.time() > end and number > 10:
                break
    assert resident() - before < MOST_GROWTH


@pytest.mark.timeout(300)
async def test_metadata() -> None:
    """Keys and values of any kind: the call is answered, or refused, never a bug."""
    seeds = [
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"Bearer token",
        b"vendor=value,other=1",
        b"1" * 8000,
    ]
    keys = ["traceparent", "tracestate", "authorization", "baggage", "x-any"]
    binary = ["grpc-trace-bin", "x-any-bin"]
    dice = random.Random(7)
    values = mutations(seeds, dice)
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS
    codes = set()
    async with running() as it:
        while loop.time() < end:
            metadata: list[tuple[str, Any]] = []
            for _ in range(dice.randint(1, 4)):
                value = next(values)[:9000]
                printable = bytes(byte for byte in value if 32 <= byte < 127)
                metadata.append((dice.choice(keys), printable.decode().strip()))
                metadata.append((dice.choice(binary), value))
            asked = it.generation.Generate(
                generate("acme/echo"), metadata=metadata, timeout=20
            )
            codes.add(await asked.code())

    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert grpc.StatusCode.OK in codes
