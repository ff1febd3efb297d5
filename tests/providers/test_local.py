"""The local provider with the real model in a real child process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer, Piece
from majordomo.providers.local import model_file
from majordomo.providers.local.provider import SLOTS, Local
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONNECTION,
    FAILURE_REASON_CONTEXT_TOO_LONG,
    FAILURE_REASON_MODEL_NOT_FOUND,
    FAILURE_REASON_UNSUPPORTED,
    FailureReason,
)
from majordomo.v1.content_pb2 import ROLE_USER, Blob, FunctionTool, Message, Part, Tool
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_LENGTH,
    GenerationConfig,
    Prompt,
)

# Hundreds of tokens, whatever the model would like: the grammar lets it not stop.
LONG_SCHEMA = '{"type":"array","minItems":400,"items":{"type":"boolean"}}'


def prompt(text: str, max_output_tokens: int = 8) -> Prompt:
    return Prompt(
        messages=[Message(role=ROLE_USER, parts=[Part(text=text)])],
        config=GenerationConfig(max_output_tokens=max_output_tokens, temperature=0),
    )


def long_prompt() -> Prompt:
    long = prompt("Toss a coin, often.", max_output_tokens=2000)
    long.response_format.json_schema.schema_json = LONG_SCHEMA
    return long


async def generate(local: Local, asked: Prompt, model: str | None = None) -> Answer:
    exchange = await local.prepare(model or local.model, asked, stream=False)
    async with aclosing(exchange.run()) as pieces:
        async for piece in pieces:
            assert isinstance(piece, Answer)
            return piece
    raise AssertionError("no answer")


async def failure_of(
    local: Local, asked: Prompt, reason: FailureReason, model: str | None = None
) -> str:
    with pytest.raises(Failure) as caught:
        await generate(local, asked, model)
    assert FailureReason.Name(reason) == FailureReason.Name(caught.value.reason)
    return caught.value.message


async def drain(stream: AsyncGenerator[Piece]) -> None:
    async with aclosing(stream):
        async for _ in stream:
            pass


@pytest.fixture
async def local(smollm2: Path) -> AsyncIterator[Local]:
    """The embedded model; no process and no folder is left of it."""
    assert model_file.cached() == smollm2
    provider = Local()
    yield provider
    await provider.aclose()
    assert not provider.socket.parent.exists()


async def test_an_answer(local: Local) -> None:
    """Text, the length asked for, and the tokens that it took."""
    answer = await generate(local, prompt("Say hello to Bob.", 6))

    assert answer.message is not None
    assert "Bob" in answer.message.parts[0].text
    assert "smollm2" == answer.completion.provider_model
    assert FINISH_REASON_LENGTH == answer.completion.finish_reason
    assert 6 == answer.completion.usage.output_tokens
    assert answer.completion.usage.input_tokens > 10


async def test_a_streamed_answer(local: Local) -> None:
    """The same text in pieces as it is written, then the end with its usage."""
    asked = prompt("Say hello to Bob.", 6)
    whole = await generate(local, asked)
    exchange = await local.prepare("smollm2", asked, stream=True)

    async with aclosing(exchange.run()) as pieces:
        *content, answer = [piece async for piece in pieces]

    assert isinstance(answer, Answer)
    deltas = [delta for piece in content if isinstance(piece, list) for delta in piece]
    assert whole.message is not None
    assert whole.message.parts[0].text == "".join(delta.text for delta in deltas)
    assert len(content) > 1
    assert answer.message is None
    assert 6 == answer.completion.usage.output_tokens
    assert 200 == exchange.http_status_code


async def test_calls_wait_for_one_start(local: Local) -> None:
    """More calls than slots, while the model is not even loaded: all are answered."""
    answers = await asyncio.gather(
        *(generate(local, prompt(f"Say {i}", 1)) for i in range(4 * SLOTS))
    )

    assert [1] * 4 * SLOTS == [a.completion.usage.output_tokens for a in answers]


async def test_it_can_be_started_before_the_first_call(local: Local) -> None:
    """start() begins to load; the first call finds the same process."""
    local.start()
    await local.child.ready()
    started = local.child.process_id

    await generate(local, prompt("Hello", 1))

    assert started == local.child.process_id


async def test_an_overlong_prompt(local: Local) -> None:
    """It is refused, and never cut short without a word."""
    message = await failure_of(
        local, prompt("word " * 3000), FAILURE_REASON_CONTEXT_TOO_LONG
    )

    assert "context" in message


async def test_what_the_model_cannot_do(local: Local) -> None:
    """Tools and images are for another target."""
    tools = prompt("Which weather is it?")
    tools.tools.append(Tool(function=FunctionTool(name="weather")))
    image = prompt("What is this?")
    image.messages[0].parts.append(Part(blob=Blob(media_type="image/png", data=b"x")))

    assert "SmolLM2 cannot call tools" == await failure_of(
        local, tools, FAILURE_REASON_UNSUPPORTED
    )
    await failure_of(local, image, FAILURE_REASON_UNSUPPORTED)


@pytest.mark.rule("5.6")
async def test_a_cancelled_answer_is_not_written_on(local: Local) -> None:
    """Closing a stream frees its slot at once: the next call does not queue.

    All slots are taken by answers of the same length. After one is closed another
    call is answered while the rest are still being written.
    """
    exchanges = [
        await local.prepare("smollm2", long_prompt(), stream=True) for _ in range(SLOTS)
    ]
    streams = [exchange.run() for exchange in exchanges]
    for stream in streams:
        await anext(stream)

    await streams[0].aclose()
    others = [asyncio.create_task(drain(stream)) for stream in streams[1:]]
    await generate(local, prompt("Hello", 1))

    assert [False] * (SLOTS - 1) == [other.done() for other in others]

    for other in others:
        other.cancel()
    await asyncio.wait(others)


async def test_a_child_that_dies_in_mid_answer(local: Local) -> None:
    """The answer fails; the next call is answered by a new child."""
    exchange = await local.prepare("smollm2", long_prompt(), stream=True)
    stream = exchange.run()
    await anext(stream)
    died = local.child.process_id
    assert died is not None

    os.kill(died, signal.SIGKILL)
    with pytest.raises(Failure) as caught:
        await drain(stream)
    await generate(local, prompt("Hello", 1))

    assert caught.value.transient
    assert local.child.process_id not in {None, died}


async def test_a_file_that_is_no_model(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The failure says where to look, and llama.cpp's reason is there."""
    (file := tmp_path / "tiny.gguf").write_bytes(b"GGUF" + bytes(100))
    local = Local(file)

    message = await failure_of(local, prompt("Hello"), FAILURE_REASON_CONNECTION)

    assert "its process ended with status 1; the server's log tells why" == message
    assert "failed to load model" in capfd.readouterr().err
    await local.aclose()


async def test_other_models_are_not_found(smollm2: Path) -> None:
    """One model is served: the embedded one, or the file by its name."""
    embedded, named = Local(), Local(smollm2)

    assert "the local model is 'smollm2'" == await failure_of(
        embedded, prompt("Hello"), FAILURE_REASON_MODEL_NOT_FOUND, "llama"
    )
    assert "the local model is 'SmolLM2-135M-Instruct.Q4_1'" == await failure_of(
        named, prompt("Hello"), FAILURE_REASON_MODEL_NOT_FOUND, "smollm2"
    )

    answer = await generate(named, prompt("Hello", 1))

    assert "SmolLM2-135M-Instruct.Q4_1" == answer.completion.provider_model
    await embedded.aclose()
    await named.aclose()


async def test_what_is_missing_is_named_with_its_mend(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No llama.cpp, no model, no such file: permanent, and each says what to do."""
    monkeypatch.setattr(model_file, "path", lambda: tmp_path / "none.gguf")
    asked = prompt("Hello")
    for local, repair in (
        (Local(), "the model file is not here: run `majordomo model fetch`"),
        (Local(tmp_path / "no.gguf"), "the model file is not here: check model_path"),
    ):
        assert repair == await failure_of(local, asked, FAILURE_REASON_MODEL_NOT_FOUND)
        local.start()
        assert f"the local model cannot start: {repair}" == caplog.messages[-1]
        assert not local.child.alive
        await local.aclose()

    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    assert (
        "llama.cpp is not installed: pip install 'majordomo-grpc[server,local]'"
        == await failure_of(Local(), asked, FAILURE_REASON_UNSUPPORTED)
    )


PARENT = """
import asyncio
from majordomo.providers.local.provider import Local

async def main():
    local = Local()
    local.start()
    if {ready}:
        await local.child.ready()
    while local.child.process_id is None:
        await asyncio.sleep(0)
    print(local.socket.parent, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a loading child: Linux only")
@pytest.mark.parametrize("ready", [True, False], ids=["serving", "loading"])
def test_the_child_ends_with_its_parent(smollm2: Path, ready: bool) -> None:
    """Even a parent that is killed leaves no process behind."""
    assert smollm2.is_file()
    with subprocess.Popen(
        [sys.executable, "-c", PARENT.format(ready=ready)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        line = parent.stdout.readline()
        parent.kill()
        # The child holds the other end of stderr too: it ends when both have ended.
        _, said = parent.communicate(timeout=30)

    assert "" == said
    assert not ready or not Path(line.strip()).exists()
