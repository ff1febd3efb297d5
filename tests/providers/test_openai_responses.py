"""Responses answers: what is read beyond what the recordings show, and llama.cpp's."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer
from majordomo.codec.state import unpack
from majordomo.deltas import message as message_of
from majordomo.providers.local import model_file
from majordomo.providers.local.provider import Local
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.transport.httpx_transport import HttpxTransport
from majordomo.transport.provider import HttpProvider
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONTENT_REFUSED,
    FAILURE_REASON_CONTEXT_TOO_LONG,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_PROVIDER_ERROR,
    FAILURE_REASON_QUOTA_EXHAUSTED,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_UNSUPPORTED,
    FailureReason,
    Usage,
)
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    FunctionTool,
    Message,
    Part,
    Tool,
    ToolCall,
    ToolResult,
)
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_CONTENT_FILTER,
    FINISH_REASON_LENGTH,
    FINISH_REASON_OTHER,
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    Completion,
    FinishReason,
    GenerationConfig,
    PartDelta,
    Prompt,
)

CODEC = OpenAIResponses("openai")
Json = dict[str, Any]


def sse(*events: Json) -> bytes:
    """Events as the wire has them."""
    return b"".join(
        f"event: {event.get('type')}\ndata: {json.dumps(event)}\n\n".encode()
        for event in events
    )


def text_delta(text: str, index: int | None = 0, item_id: str = "msg_1") -> Json:
    event = {"type": "response.output_text.delta", "item_id": item_id, "delta": text}
    return event if index is None else {**event, "output_index": index}


def item_event(verb: str, item: Json, index: int | None = 0) -> Json:
    event = {"type": f"response.output_item.{verb}", "item": item}
    return event if index is None else {**event, "output_index": index}


def ended(verb: str = "completed", **response: Any) -> Json:
    said = {"id": "resp_1", "model": "m", "status": verb, "output": [], **response}
    return {"type": f"response.{verb}", "response": said}


def said(text: str = "", refusal: str = "", **item: Any) -> Json:
    """A message item."""
    content = {"type": "output_text", "text": text}
    if refusal:
        content = {"type": "refusal", "refusal": refusal}
    return {"type": "message", "id": "msg_1", "content": [content], **item}


def called(id_: str = "fc_1", arguments: str = '{"a":1}') -> Json:
    """A function call item."""
    named = {"type": "function_call", "id": id_, "call_id": f"call_{id_}", "name": "f"}
    return {**named, "arguments": arguments}


def asking(*, include_text: bool = False) -> Prompt:
    prompt = Prompt()
    prompt.config.reasoning.include_text = include_text
    return prompt


def streamed(
    *events: Json, include_text: bool = False
) -> tuple[Message, Completion, list[PartDelta]]:
    """The turn that the events make, how it ended, and its pieces."""
    decoder = CODEC.decoder(asking(include_text=include_text))
    deltas = []
    for event in events:
        deltas += decoder.feed(sse(event))
    if not decoder.complete:
        deltas += decoder.close()
    return message_of(deltas), decoder.finish().completion, deltas


def whole(response: Json) -> tuple[Message, Completion]:
    body = json.dumps({"id": "resp_1", "model": "m", "status": "completed"} | response)
    answer = CODEC.decode(Prompt(), body.encode())
    assert answer.message is not None
    return answer.message, answer.completion


def texts(message: Message) -> list[str]:
    return [part.text for part in message.parts]


def test_a_refusal_is_an_answer() -> None:
    """Its words are the text, and the content was the reason to stop."""
    refusal = {"type": "response.refusal.delta", "output_index": 0, "delta": "No."}
    pieces = streamed(refusal, item_event("done", said(refusal="No.")), ended())
    for message, completion in (pieces[:2], whole({"output": [said(refusal="No.")]})):
        assert ["No."] == texts(message)
        assert FINISH_REASON_CONTENT_FILTER == completion.finish_reason
        assert "completed" == completion.provider_finish_reason


@pytest.mark.parametrize(
    ("details", "word", "reason"),
    [
        ({"reason": "max_output_tokens"}, "max_output_tokens", FINISH_REASON_LENGTH),
        ({"reason": "content_filter"}, "content_filter", FINISH_REASON_CONTENT_FILTER),
        ({"reason": "steered"}, "steered", FINISH_REASON_OTHER),
        (None, "incomplete", FINISH_REASON_LENGTH),
    ],
)
def test_incomplete_answers(
    details: Json | None, word: str, reason: FinishReason
) -> None:
    """The reason is the provider's word; calls within do not hide it."""
    last = ended("incomplete", incomplete_details=details, output=[called()])

    for completion in (streamed(last)[1], whole(last["response"])[1]):
        assert (reason, word) == (
            completion.finish_reason,
            completion.provider_finish_reason,
        )


def test_parts_that_come_in_no_pieces() -> None:
    """They are taken from the item when it is done, or else from the last event."""
    done = streamed(
        item_event("done", said("hi")),
        item_event("added", called(arguments=""), 1),
        item_event("done", called(), 1),
        ended(output=[said("hi"), called()]),
    )
    last = streamed(ended(output=[said("hi"), called()]))

    for message, completion, _ in (done, last):
        assert "hi" == message.parts[0].text
        assert '{"a":1}' == message.parts[1].tool_call.arguments_json
        assert "call_fc_1" == message.parts[1].tool_call.id
        assert 2 == len(message.parts)
        assert FINISH_REASON_TOOL_CALLS == completion.finish_reason
    assert message == whole({"output": [said("hi"), called()]})[0]


@pytest.mark.parametrize("indexed", [True, False])
def test_which_item_a_piece_belongs_to(indexed: bool) -> None:
    """The index says it; without one, as in llama.cpp, the id."""

    def piece(id_: str, at: int, text: str) -> Json:
        event: Json = {"type": "response.function_call_arguments.delta", "delta": text}
        return event | ({"output_index": at} if indexed else {"item_id": id_})

    def index(at: int) -> int | None:
        return at if indexed else None

    message, _, _ = streamed(
        item_event("added", called("fc_1", ""), index(0)),
        item_event("added", called("fc_2", ""), index(1)),
        piece("fc_1", 0, '{"a"'),
        piece("fc_2", 1, '{"b"'),
        piece("fc_1", 0, ":1}"),
        piece("fc_2", 1, ":2}"),
        item_event("done", called("fc_1", '{"a":1}'), index(0)),
        item_event("done", called("fc_2", '{"b":2}'), index(1)),
        ended(output=[called("fc_1"), called("fc_2")]),
    )

    calls = [
        (part.tool_call.id, part.tool_call.arguments_json) for part in message.parts
    ]
    assert [("call_fc_1", '{"a":1}'), ("call_fc_2", '{"b":2}')] == calls
    ids = [unpack("openai-responses", part.provider_state) for part in message.parts]
    assert [{"id": "fc_1"}, {"id": "fc_2"}] == ids


def test_ids_that_change_on_the_way() -> None:
    """Some gateways encrypt them again for each event; the index stays."""
    message, _, _ = streamed(
        text_delta("he", item_id="x1"),
        text_delta("llo", item_id="x2"),
        item_event("done", said("hello", id="x3")),
        ended(output=[said("hello", id="x4")]),
    )

    assert ["hello"] == texts(message)


def reasoning(**item: Any) -> Json:
    return {"type": "reasoning", "id": "rs_1", "summary": [], **item}


@pytest.mark.rule("3.1")
def test_hidden_reasoning_waits_for_content() -> None:
    """Nobody asked to see it: its state is no content, and comes with the text."""
    summary = [{"type": "summary_text", "text": "hm"}]
    item = reasoning(summary=summary, encrypted_content="gAAA")
    decoder = CODEC.decoder(asking())
    thought = {"type": "response.reasoning_summary_text.delta", "output_index": 0}
    started = sse({**thought, "delta": "hm"}, item_event("done", item))

    assert [] == decoder.feed(started)
    first, second = decoder.feed(sse(text_delta("hi", 1)))
    assert ("", 0) == (first.reasoning, first.part_index)
    state = json.loads(unpack("openai-responses", first.provider_state)["item"])
    assert item == state
    assert ("hi", 1) == (second.text, second.part_index)


def test_reasoning_that_is_shown() -> None:
    """Summary or the reasoning itself, not both; parts of a summary as paragraphs."""

    def piece(kind: str, text: str, at: int) -> Json:
        event = {"type": f"response.{kind}.delta", "output_index": 0, "delta": text}
        return {**event, "summary_index": at}

    summary = [{"type": "summary_text", "text": text} for text in ("one", "two")]
    content = [{"type": "reasoning_text", "text": "all"}]
    item = reasoning(summary=summary, content=content)
    message, _, _ = streamed(
        piece("reasoning_summary_text", "o", 0),
        piece("reasoning_summary_text", "ne", 0),
        piece("reasoning_summary_text", "two", 1),
        piece("reasoning_text", "all", 0),
        item_event("done", item),
        ended(),
        include_text=True,
    )
    answer = CODEC.decode(
        asking(include_text=True), json.dumps({"output": [item]}).encode()
    )

    assert "one\n\ntwo" == message.parts[0].reasoning.text
    assert answer.message == message


def test_reasoning_that_cannot_be_given_back() -> None:
    """An id alone is of no use, for nothing is stored at the provider."""
    message, _ = whole({"output": [reasoning(), said("hi")]})

    assert ["hi"] == texts(message)


def test_comments_and_answers_are_parts_of_their_own() -> None:
    """Each with its phase."""
    message, _ = whole(
        {"output": [said("I look.", phase="commentary"), said("It is.", id="msg_2")]}
    )

    assert ["I look.", "It is."] == texts(message)
    states = [unpack("openai-responses", part.provider_state) for part in message.parts]
    assert [{"id": "msg_1", "phase": "commentary"}, {"id": "msg_2"}] == states


@pytest.mark.rule("3.6")
def test_broken_text_is_joined() -> None:
    """A pair of surrogates, split between two pieces."""
    first = sse(text_delta("a\U0001f600")).replace(b"\\ude00", b"")
    second = sse(text_delta("\U0001f600b")).replace(b"\\ud83d", b"")
    decoder = CODEC.decoder(asking())
    deltas = decoder.feed(first) + decoder.feed(second) + decoder.feed(sse(ended()))

    assert "a\U0001f600b" == "".join(delta.text for delta in deltas)


def test_what_is_not_known_is_opaque() -> None:
    """Events, items, contents and fields of another type among them."""
    message, completion, _ = streamed(
        {"type": "response.new_thing", "delta": {"x": 1}, "response": "x", "item": 3},
        item_event("added", {"type": "new_call", "id": 7, "summary": "x"}),
        item_event("done", {"type": "new_call", "id": 7, "summary": "x"}),
        {"type": "response.audio.delta", "delta": "AAAA", "output_index": 1},
        text_delta("hi", 2),
        ended(output=[{"type": "new_call"}, said("hi")]),
    )

    [call, text] = message.parts
    assert ("new_call", "hi") == (call.opaque.type, text.text)
    assert FINISH_REASON_STOP == completion.finish_reason


def test_a_whole_answer_to_a_streamed_request() -> None:
    """It is taken for what it is."""
    decoder = CODEC.decoder(asking())
    body = json.dumps({"status": "completed", "output": [said("hi")]})
    deltas = decoder.feed(body.encode()) + decoder.close()

    assert ["hi"] == texts(message_of(deltas))
    assert FINISH_REASON_STOP == decoder.finish().completion.finish_reason


ERROR = {"type": "server_error", "code": "rate_limit_exceeded", "message": "Slow."}


@pytest.mark.rule("3.4", "8.1")
@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (
            {"type": "error", "code": "rate_limit_exceeded", "message": "Slow."},
            FAILURE_REASON_RATE_LIMITED,
        ),
        ({"type": "error", "error": ERROR}, FAILURE_REASON_RATE_LIMITED),
        ({"error": {"message": "x"}}, FAILURE_REASON_PROVIDER_ERROR),
        (ended("failed", error=ERROR), FAILURE_REASON_RATE_LIMITED),
        (ended("failed", error=None), FAILURE_REASON_PROVIDER_ERROR),
        (
            ended("failed", error={"code": "insufficient_quota", "message": "x"}),
            FAILURE_REASON_QUOTA_EXHAUSTED,
        ),
        (
            ended("failed", error={"code": "bio_policy", "message": "x"}),
            FAILURE_REASON_CONTENT_REFUSED,
        ),
        (
            ended("failed", error={"code": "image_too_small", "message": "x"}),
            FAILURE_REASON_UNSUPPORTED,
        ),
        ({"type": "response.failed"}, FAILURE_REASON_PROVIDER_ERROR),
        (
            {"type": "response.completed", "response": {"status": "cancelled"}},
            FAILURE_REASON_PROVIDER_ERROR,
        ),
    ],
)
def test_errors_within_a_stream(event: Json, reason: FailureReason) -> None:
    """In each form, classified by what they say; content before them is not lost."""
    decoder = CODEC.decoder(asking())
    deltas = decoder.feed(sse(text_delta("hi"), event))

    assert ["hi"] == texts(message_of(deltas))
    with pytest.raises(Failure) as caught:
        decoder.finish()
    assert FailureReason.Name(reason) == FailureReason.Name(caught.value.reason)


@pytest.mark.rule("3.4")
@pytest.mark.parametrize(
    "events",
    [
        [],
        [text_delta("hi"), item_event("done", said("hi"))],
        [text_delta("hi"), {"type": "response.in_progress", "response": {}}],
        [{"type": "response.completed"}],
    ],
)
def test_without_a_terminal_event_there_is_no_answer(events: list[Json]) -> None:
    """Not even with an item that is done, nor with [DONE]."""
    decoder = CODEC.decoder(asking())
    decoder.feed(sse(*events) + b"data: [DONE]\n\n")
    decoder.close()

    with pytest.raises(Failure) as caught:
        decoder.finish()
    assert FAILURE_REASON_MALFORMED_RESPONSE == caught.value.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", FAILURE_REASON_MALFORMED_RESPONSE),
        (b"<html>", FAILURE_REASON_MALFORMED_RESPONSE),
        (b"[]", FAILURE_REASON_MALFORMED_RESPONSE),
        (b"[" * 100_000, FAILURE_REASON_MALFORMED_RESPONSE),
        (b'{"output": {}}', FAILURE_REASON_MALFORMED_RESPONSE),
        (
            b'{"output": [], "status": "in_progress"}',
            FAILURE_REASON_MALFORMED_RESPONSE,
        ),
        (
            b'{"output": [{"type": "message", "content": 3}]}',
            FAILURE_REASON_MALFORMED_RESPONSE,
        ),
        (
            b'{"output": [], "status": "failed", "error": {"code": "server_error"}}',
            FAILURE_REASON_PROVIDER_ERROR,
        ),
        (
            b'{"error": {"code": "rate_limit_exceeded", "message": "x"}}',
            FAILURE_REASON_RATE_LIMITED,
        ),
    ],
)
def test_bodies_that_are_no_answer(body: bytes, reason: FailureReason) -> None:
    """Errors within a 200, and what cannot be read."""
    with pytest.raises(Failure) as caught:
        CODEC.decode(Prompt(), body)

    assert FailureReason.Name(reason) == FailureReason.Name(caught.value.reason)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ({}, Usage()),
        ({"input_tokens": 3}, Usage(input_tokens=3)),
        (
            {
                "input_tokens": 30,
                "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 5},
                "output_tokens": 20,
                "output_tokens_details": {"reasoning_tokens": 10},
                "total_tokens": 50,
            },
            Usage(
                input_tokens=30,
                cache_read_tokens=30,
                cache_write_tokens=5,
                output_tokens=20,
                reasoning_tokens=10,
            ),
        ),
        (
            {
                "input_tokens": 30,
                "output_tokens": 20,
                "output_tokens_details": {"reasoning_tokens": 10},
                "total_tokens": 60,
            },
            Usage(input_tokens=30, output_tokens=30, reasoning_tokens=10),
        ),
    ],
)
def test_usage(usage: Json | None, expected: Usage) -> None:
    """Parts are within their wholes; what was not given is not known."""
    assert expected == whole({"output": [], "usage": usage})[1].usage
    assert expected == streamed(ended(usage=usage))[1].usage


def test_what_a_failed_answer_cost() -> None:
    """It is known though there is no answer."""
    decoder = CODEC.decoder(asking())
    with pytest.raises(Failure):
        decoder.feed(sse(ended("failed", error=ERROR, usage={"input_tokens": 3})))

    assert Usage(input_tokens=3) == decoder.usage


# llama.cpp, the one server of this wire that runs here.


@pytest.fixture
async def llama(smollm2: Path) -> AsyncIterator[HttpProvider]:
    """llama.cpp's own server, asked on its endpoint for Responses."""
    assert model_file.cached() == smollm2
    local = Local()
    local.start()
    await local.child.ready()
    # As majordomo does: a kept connection may be closed while it is taken again.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    provider = HttpProvider(
        OpenAIResponses("local"),
        "http://localhost/v1",
        transport=HttpxTransport(
            httpx.AsyncHTTPTransport(uds=str(local.socket), limits=limits)
        ),
    )
    yield provider
    await provider.aclose()
    await local.aclose()


async def answer_of(
    provider: HttpProvider, prompt: Prompt, *, stream: bool
) -> tuple[Message, Completion]:
    exchange = await provider.prepare("smollm2", prompt, stream=stream)
    deltas: list[PartDelta] = []
    async with aclosing(exchange.run()) as pieces:
        async for piece in pieces:
            if isinstance(piece, Answer):
                return piece.message or message_of(deltas), piece.completion
            assert isinstance(piece, list)
            deltas += piece
    raise AssertionError("no answer")


def greeting() -> Prompt:
    return Prompt(
        system_instruction=[Part(text="Be brief.")],
        messages=[Message(role=ROLE_USER, parts=[Part(text="Say hello to Bob.")])],
        config=GenerationConfig(max_output_tokens=16, temperature=0),
    )


async def test_llama_answers(llama: HttpProvider) -> None:
    """Whole and streamed it says the same, and counts it; tools are accepted."""
    text, completion = await answer_of(llama, greeting(), stream=False)
    again, streamed_completion = await answer_of(llama, greeting(), stream=True)
    tooled = greeting()
    tooled.tools.add().function.name = "weather"
    tooled.tools[0].function.parameters_schema_json = '{"type":"object"}'
    untold, _ = await answer_of(llama, tooled, stream=True)

    assert "Bob" in text.parts[0].text
    assert texts(text) == texts(again)
    for ended_well in (completion, streamed_completion):
        assert 16 == ended_well.usage.output_tokens
        assert ended_well.usage.input_tokens > 10
        assert "smollm2" == ended_well.provider_model
        assert ended_well.provider_response_id
    assert "Bob" in untold.parts[0].text


async def test_llama_reads_a_conversation(llama: HttpProvider) -> None:
    """Its own turns with their ids, another's, calls, results, several parts."""
    prompt = greeting()
    own, _ = await answer_of(llama, prompt, stream=False)
    own.origin = "local/smollm2"
    call = ToolCall(id="toolu_1", name="weather", arguments_json="{}")
    result = ToolResult(tool_call_id="toolu_1", parts=[Part(text="rain")])
    result.is_error = True
    other = Message(role=ROLE_ASSISTANT, parts=[Part(text="a"), Part(tool_call=call)])
    tool = Message(role=ROLE_TOOL, parts=[Part(tool_result=result)])
    user = Message(role=ROLE_USER, parts=[Part(text="And"), Part(text="now?")])
    prompt.messages.extend([own, user, other, tool, user])
    prompt.tools.append(Tool(function=FunctionTool(name="weather")))

    _, completion = await answer_of(llama, prompt, stream=False)

    assert completion.usage.input_tokens > 40


@pytest.mark.parametrize("stream", [False, True])
async def test_llama_refuses(llama: HttpProvider, stream: bool) -> None:
    """An overlong prompt, whole or streamed."""
    prompt = greeting()
    prompt.messages[0].parts[0].text = "word " * 3000

    with pytest.raises(Failure) as caught:
        await answer_of(llama, prompt, stream=stream)
    assert FAILURE_REASON_CONTEXT_TOO_LONG == caught.value.reason
