"""llama.cpp's own server takes what is sent on each of its wires, and is read right.

Its Responses have more tests, in test_openai_responses.py.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer
from majordomo.codec.base import Codec
from majordomo.deltas import message as message_of
from majordomo.providers.anthropic.codec import VERSION, Anthropic
from majordomo.providers.local import model_file
from majordomo.providers.local.provider import Local
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.transport.httpx_transport import HttpxTransport
from majordomo.transport.provider import HttpProvider
from majordomo.v1.attempt_pb2 import FAILURE_REASON_CONTEXT_TOO_LONG
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    FunctionTool,
    Message,
    Part,
)
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    Completion,
    GenerationConfig,
    PartDelta,
    Prompt,
)
from tests.providers.prompts import call, result, turn, user

CODECS: dict[str, Codec] = {
    "messages": Anthropic("local"),
    "chat": OpenAICompatible("local"),
    "responses": OpenAIResponses("local"),
}


@pytest.fixture(params=CODECS)
async def llama(
    smollm2: Path, request: pytest.FixtureRequest
) -> AsyncIterator[HttpProvider]:
    """The server, asked on one of its wires."""
    assert model_file.cached() == smollm2
    local = Local()
    local.start()
    await local.child.ready()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    provider = HttpProvider(
        CODECS[request.param],
        "http://localhost/v1",
        {"anthropic-version": VERSION},
        transport=HttpxTransport(
            httpx.AsyncHTTPTransport(uds=str(local.socket), limits=limits)
        ),
    )
    yield provider
    await provider.aclose()
    await local.aclose()


async def asked(
    provider: HttpProvider, prompt: Prompt, *, stream: bool
) -> tuple[Message, Completion]:
    exchange = await provider.prepare("smollm2", prompt, stream=stream)
    deltas: list[PartDelta] = []
    async with aclosing(exchange.run()) as pieces:
        async for piece in pieces:
            if isinstance(piece, Answer):
                return piece.message or message_of(deltas), piece.completion
            if isinstance(piece, list):
                deltas += piece
    raise AssertionError("no answer")


def greeting() -> Prompt:
    return Prompt(
        system_instruction=[Part(text="Be brief.")],
        messages=[user("Say hello to Bob.")],
        config=GenerationConfig(max_output_tokens=16, temperature=0),
    )


async def test_it_answers(llama: HttpProvider) -> None:
    """Whole and streamed it says the same, and counts it; tools are accepted."""
    whole, completion = await asked(llama, greeting(), stream=False)
    streamed, streamed_completion = await asked(llama, greeting(), stream=True)
    tooled = greeting()
    tooled.tools.add(
        function=FunctionTool(name="f", parameters_schema_json='{"type":"object"}')
    )
    with_tools, _ = await asked(llama, tooled, stream=True)

    assert "Bob" in whole.parts[0].text
    assert whole.parts[0].text == streamed.parts[0].text
    for ended in (completion, streamed_completion):
        assert ended.finish_reason in (FINISH_REASON_LENGTH, FINISH_REASON_STOP)
        assert ended.usage.input_tokens > 10
        assert 0 < ended.usage.output_tokens <= 16
    assert with_tools.parts


async def test_it_reads_a_conversation(llama: HttpProvider) -> None:
    """Another's turn with a call, its result that is an error, several parts."""
    prompt = greeting()
    prompt.messages.extend(
        [
            turn(ROLE_ASSISTANT, "a", call("toolu_1")),
            turn(ROLE_TOOL, result("toolu_1", "rain", is_error=True)),
            user("And", "now?"),
        ]
    )
    prompt.tools.add().function.name = "f"

    _, completion = await asked(llama, prompt, stream=False)

    assert completion.usage.input_tokens > 30


@pytest.mark.parametrize("stream", [False, True])
async def test_it_refuses(llama: HttpProvider, stream: bool) -> None:
    """An overlong prompt, whole or streamed."""
    prompt = greeting()
    prompt.messages[0].parts[0].text = "word " * 3000

    with pytest.raises(Failure) as caught:
        await asked(llama, prompt, stream=stream)
    assert FAILURE_REASON_CONTEXT_TOO_LONG == caught.value.reason
