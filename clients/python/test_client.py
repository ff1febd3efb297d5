"""The client library against real servers, one test a case.

`python -m tests.clients.serve` starts them and shows what belongs in the environment.
"""

import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

import grpc
import pytest

from majordomo.client import (
    Answer,
    ChainExhausted,
    Client,
    DeadlineExceeded,
    RequestUnsupported,
    StreamInterrupted,
    TransportError,
    Unauthenticated,
    media,
    text_of,
    user,
)
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_FAILED,
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_UNSUPPORTED,
)
from majordomo.v1.content_pb2 import (
    ROLE_TOOL,
    FunctionTool,
    Message,
    Part,
    Tool,
    ToolCall,
    ToolResult,
)
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    INTERRUPTION_POLICY_RESTART,
    ChainOptions,
    GenerationConfig,
)

DOWN = "acme/status:503"
WEATHER = Tool(
    function=FunctionTool(
        name="get_weather",
        description="The weather in a city.",
        parameters_schema_json='{"type":"object","properties":{"city":{"type":"string"}}}',
    )
)


@pytest.fixture
def majordomo() -> Iterator[Client]:
    with Client(environment("MAJORDOMO_ADDRESS")) as client:
        yield client


def environment(name: str) -> str:
    if name not in os.environ:
        pytest.skip(f"set {name}: see clients/README.md")
    return os.environ[name]


def read(answer: Answer) -> Message:
    """The whole turn of a streamed answer."""
    for _ in answer:
        pass
    return answer.message


def called(message: Message) -> ToolCall:
    """The one tool call of a turn."""
    (call,) = (part.tool_call for part in message.parts if part.HasField("tool_call"))
    assert ("get_weather", '{"city":"Paris"}') == (call.name, call.arguments_json)
    return call


def result(call: ToolCall, text: str) -> Message:
    answer = ToolResult(tool_call_id=call.id, parts=[Part(text=text)])
    return Message(role=ROLE_TOOL, parts=[Part(tool_result=answer)])


def test_success(majordomo: Client) -> None:
    response = majordomo.generate("hi you", chain="acme/echo")

    assert "hi you" == text_of(response.message)
    assert "acme/echo" == response.completion.target
    assert FINISH_REASON_STOP == response.completion.finish_reason


def test_stream(majordomo: Client) -> None:
    answer = majordomo.stream("one two three", chain="acme/pace:1ms")

    pieces = list(answer.text())

    assert len(pieces) > 1
    assert "one two three" == "".join(pieces) == text_of(answer.message)
    assert "acme/pace:1ms" == answer.message.origin


def test_tools(majordomo: Client) -> None:
    chain, tools = "upstream/tool-python", [WEATHER]
    asked = [user("What is the weather in Paris?")]
    whole = majordomo.generate(asked, chain=chain, tools=tools)
    called(whole.message)
    turn = read(majordomo.stream(asked, chain=chain, tools=tools))

    asked += [turn, result(called(turn), "18 degrees")]
    answered = majordomo.generate(asked, chain=chain, tools=tools)

    assert FINISH_REASON_TOOL_CALLS == whole.completion.finish_reason
    assert "Paris: 18 degrees" == text_of(answered.message)


def test_conversation(majordomo: Client) -> None:
    chain = "upstream/talk-python"
    first = read(majordomo.stream("Hello", chain=chain))
    asked = [user("Hello"), first, user("And now?")]
    second = majordomo.generate(asked, chain=chain).message
    third = majordomo.generate([*asked, second, user("Still?")], chain=chain).message

    assert any(part.provider_state for part in first.parts)
    assert ["kept", "kept"] == [text_of(second), text_of(third)]


def test_sources(majordomo: Client) -> None:
    chain = "upstream/sources-python"
    whole = majordomo.generate("How are you?", chain=chain).message
    turn = read(majordomo.stream("How are you?", chain=chain))
    text, opaque, image = turn.parts
    [citation] = text.citations
    cited = text.text.encode()[citation.range.start : citation.range.end]

    assert whole == turn
    assert ("https://example.org/a", "Ça va") == (citation.uri, cited.decode())
    assert "file" == opaque.opaque.type
    assert 1_500_008 == len(image.blob.data)


def cancelled(majordomo: Client, chain: str, question: str) -> None:
    """Reads the first piece of a stream, leaves, and receives that it has left."""
    answer = majordomo.stream(question, chain=chain)
    assert next(answer).HasField("part_delta")

    answer.cancel()

    with pytest.raises(TransportError) as reported:
        read(answer)
    assert grpc.StatusCode.CANCELLED == reported.value.code


def test_cancel(majordomo: Client) -> None:
    cancelled(majordomo, "upstream/hang-python", "hello")


def test_failover(majordomo: Client) -> None:
    completion = majordomo.generate("hi", chain=f"{DOWN},acme/echo").completion

    assert "acme/echo" == completion.target
    assert [
        (DOWN, ATTEMPT_OUTCOME_FAILED),
        (DOWN, ATTEMPT_OUTCOME_FAILED),
        ("acme/echo", ATTEMPT_OUTCOME_SUCCEEDED),
    ] == [(attempt.target, attempt.outcome) for attempt in completion.attempts]


def test_exhausted(majordomo: Client) -> None:
    with pytest.raises(ChainExhausted) as reported:
        majordomo.generate("hi", chain=DOWN)

    assert grpc.StatusCode.UNAVAILABLE == reported.value.code
    assert reported.value.generation_id
    assert reported.value.retry_delay
    assert [(DOWN, FAILURE_REASON_OVERLOADED, 503)] * 2 == [
        (attempt.target, attempt.failure_reason, attempt.http_status_code)
        for attempt in reported.value.attempts
    ]


def test_interrupted(majordomo: Client) -> None:
    answer = majordomo.stream("one two", chain="acme/cut:1")

    with pytest.raises(StreamInterrupted) as reported:
        read(answer)

    assert "one " == text_of(answer.message)
    assert grpc.StatusCode.ABORTED == reported.value.code
    assert [ATTEMPT_OUTCOME_INTERRUPTED] == [
        attempt.outcome for attempt in reported.value.attempts
    ]


def test_restart(majordomo: Client) -> None:
    options = ChainOptions(interruption_policy=INTERRUPTION_POLICY_RESTART)
    answer = majordomo.stream("one two", chain="acme/cut:1,acme/echo", options=options)

    before = ""
    for event in answer:
        if event.HasField("restart"):
            break
        before = text_of(answer.message)
    assert "one " == before
    assert "acme/cut:1" == event.restart.interrupted.target
    assert "acme/echo" == event.restart.target
    assert "one two" == text_of(read(answer))


def test_deadline(majordomo: Client) -> None:
    with pytest.raises(DeadlineExceeded) as reported:
        majordomo.generate("hi", chain="acme/stall:0", timeout=5)

    assert grpc.StatusCode.DEADLINE_EXCEEDED == reported.value.code
    assert "acme/stall:0" == reported.value.attempts[0].target


@pytest.mark.parametrize("chain", ["acme/echo", "flaky-image-python"])
def test_image(majordomo: Client, chain: str) -> None:
    image = media(b"\x89PNG\r\n\x1a\n" + secrets.token_bytes(8 << 20))

    response = majordomo.generate(user("What is this?", image), chain=chain)

    assert "What is this?" == text_of(response.message)


def secured(metadata: Iterable[tuple[str, str]]) -> Client:
    """A client of the server that speaks TLS."""
    authority = Path(environment("MAJORDOMO_CA")).read_bytes()
    return Client(
        environment("MAJORDOMO_SECURE_ADDRESS"),
        credentials=grpc.ssl_channel_credentials(authority),
        metadata=tuple(metadata),
    )


def test_tls() -> None:
    token = environment("MAJORDOMO_TOKEN")
    with secured([("authorization", f"Bearer {token}")]) as majordomo:
        response = majordomo.generate("hi", chain="acme/echo")

    assert "hi" == text_of(response.message)


@pytest.fixture(params=[[], [("authorization", "Bearer wrong")]], ids=["none", "wrong"])
def refused(request: pytest.FixtureRequest) -> Iterator[Client]:
    with secured(request.param) as client:
        yield client


def test_token(refused: Client) -> None:
    with pytest.raises(Unauthenticated) as reported:
        refused.generate("hi", chain="acme/echo")

    assert grpc.StatusCode.UNAUTHENTICATED == reported.value.code


def test_trace() -> None:
    trace = secrets.token_hex(16)
    parent = ("traceparent", f"00-{trace}-{secrets.token_hex(8)}-01")
    with Client(environment("MAJORDOMO_ADDRESS"), metadata=[parent]) as majordomo:
        completion = majordomo.generate("hi", chain="acme/echo").completion

    assert trace == completion.trace_id


def test_retry(majordomo: Client) -> None:
    again = majordomo.generate("hi", chain="flaky-python")
    with pytest.raises(ChainExhausted) as whole:
        majordomo.generate("hi", chain="upstream/counted-python")
    with pytest.raises(ChainExhausted) as streamed:
        read(majordomo.stream("hi", chain="upstream/counted-stream-python"))

    assert "hi" == text_of(again.message)
    for reported in (whole, streamed):
        assert 2 == len(reported.value.attempts)  # the harness counts the calls as well


def test_success_local(majordomo: Client) -> None:
    chain, config = "local/smollm2", GenerationConfig(max_output_tokens=12)
    whole = majordomo.generate("Say hello to Bob.", chain=chain, config=config)
    answer = majordomo.stream("Say hello to Bob.", chain=chain, config=config)

    for message in (whole.message, read(answer)):
        assert chain == message.origin
        assert text_of(message)
    assert answer.completion is not None
    assert answer.completion.usage.output_tokens > 0


def test_tools_local(majordomo: Client) -> None:
    with pytest.raises(RequestUnsupported) as reported:
        majordomo.generate("The weather?", chain="local/smollm2", tools=[WEATHER])
    response = majordomo.generate(
        "The weather?", chain="local/smollm2,upstream/tool-python", tools=[WEATHER]
    )

    assert FAILURE_REASON_UNSUPPORTED == reported.value.attempts[0].failure_reason
    called(response.message)
    assert "local/smollm2" == response.completion.attempts[0].target


def test_cancel_local(majordomo: Client) -> None:
    cancelled(majordomo, "local/smollm2", "Count from one to one thousand.")
