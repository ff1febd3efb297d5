"""Chat Completions answers, as servers send them and as they should not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo.chain.failure import Failure
from majordomo.codec.base import StreamDecoder
from majordomo.deltas import message as message_of
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CREDENTIALS,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_PROVIDER_ERROR,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_UNSUPPORTED,
    FailureReason,
)
from majordomo.v1.content_pb2 import Message
from majordomo.v1.generation_service_pb2 import Completion, FinishReason, Prompt

CODEC = OpenAICompatible("server")
PROMPT = Prompt()
PROMPT.config.reasoning.include_text = True
STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
DONE = b"data: [DONE]\n\n"


def chunk(finish: str | None = None, **delta: object) -> dict[str, Any]:
    """A chunk with `delta` in its only choice."""
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def calls(*pieces: tuple[int | None, str | None, str | None, object]) -> dict[str, Any]:
    """A chunk with pieces of tool calls: index, id, name, arguments."""
    said = []
    for index, id_, name, arguments in pieces:
        piece: dict[str, Any] = {"function": {"name": name, "arguments": arguments}}
        if id_ is not None:
            piece["id"] = id_
        if index is not None:
            piece["index"] = index
        said.append(piece)
    return chunk(tool_calls=said)


def sse(*chunks: object) -> bytes:
    """Chunks as events; bytes are taken as they are."""
    return b"".join(
        c if isinstance(c, bytes) else b"data: " + json.dumps(c).encode() + b"\n\n"
        for c in chunks
    )


def stream(*chunks: object, prompt: Prompt = PROMPT) -> tuple[Message, Completion]:
    """A whole stream read, chunk by chunk."""
    decoder = CODEC.decoder(prompt)
    deltas = []
    for event in chunks:
        deltas += decoder.feed(sse(event))
    if not decoder.complete:
        deltas += decoder.close()
    return message_of(deltas), decoder.finish().completion


def unary(answer: object, prompt: Prompt = PROMPT) -> tuple[Message, Completion]:
    """A whole body read."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    decoded = CODEC.decode(prompt, body)
    assert decoded.message is not None
    return decoded.message, decoded.completion


def whole(finish: object = "stop", **message: object) -> dict[str, Any]:
    """A unary body with `message` in its only choice."""
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def shown(message: Message) -> list[object]:
    """Parts in short: a text, ("reasoning", text), or (name, arguments)."""
    short: list[object] = []
    for part in message.parts:
        if part.HasField("tool_call"):
            assert part.tool_call.id
            short.append((part.tool_call.name, part.tool_call.arguments_json))
        elif part.HasField("reasoning"):
            short.append(("reasoning", part.reasoning.text))
        else:
            short.append(part.text)
    return short


def finish_name(completion: Completion) -> str:
    """The finish reason's short name."""
    name = FinishReason.Name(completion.finish_reason)
    return name.removeprefix("FINISH_REASON_")


THINKING = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": "hi"}, ["hi"]),
        ({"content": None}, []),
        ({}, []),
        ({"content": ""}, []),
        ({"content": [{"type": "text", "text": "a"}, {"text": "b"}]}, ["ab"]),
        ({"content": [*THINKING, {"text": "a"}]}, [("reasoning", "hm"), "a"]),
        ({"content": "a", "reasoning_content": "hm"}, [("reasoning", "hm"), "a"]),
        ({"content": "a", "reasoning": "hm"}, [("reasoning", "hm"), "a"]),
        (
            {"content": "a", "reasoning_details": [{"text": "hm"}, {"data": "x"}]},
            [("reasoning", "hm"), "a"],
        ),
        ({"content": "a", "reasoning": {"no": "text"}}, ["a"]),
        (
            calls((None, "", "f", None), (None, "", "g", {"a": 1}))["choices"][0][
                "delta"
            ],
            [("f", "{}"), ("g", '{"a": 1}')],
        ),
        (
            calls((0, "1", "f", '{"a":1}'), (0, "2", "g", ""))["choices"][0]["delta"],
            [("f", '{"a":1}'), ("g", "{}")],
        ),
        ({"function_call": {"name": "f", "arguments": "{}"}}, [("f", "{}")]),
        ({"content": "a", "function_call": {"name": "", "arguments": ""}}, ["a"]),
        (
            {"tool_calls": [{"id": "1", "custom": {"name": "f", "input": "4 + 4"}}]},
            [("f", '{"input": "4 + 4"}')],
        ),
    ],
)
def test_messages(message: dict[str, Any], parts: list[object]) -> None:
    """Content, reasoning and tool calls are found in all their forms."""
    assert parts == shown(unary(whole(**message))[0])


@pytest.mark.rule("3.1")
@pytest.mark.parametrize(
    "delta",
    [{"reasoning_content": "hm"}, {"reasoning": "hm"}, {"content": THINKING}],
)
def test_reasoning_is_shown_on_request_only(delta: dict[str, Any]) -> None:
    """Reasoning that nobody asked for is no content; its state keeps its place."""
    events = chunk(**delta), chunk(content="a"), STOP, DONE
    decoder = CODEC.decoder(Prompt())

    assert decoder.feed(sse(events[0])) == []
    shown_ = [*decoder.feed(sse(events[1])), *decoder.feed(sse(*events[2:]))]
    assert [(1, "a", False), (0, "", True)] == [
        (delta.part_index, delta.text, bool(delta.provider_state)) for delta in shown_
    ]
    assert shown(stream(*events)[0]) == [("reasoning", "hm"), "a"]


@pytest.mark.parametrize(
    ("word", "message", "expected"),
    [
        ("stop", {"content": "a"}, "STOP"),
        ("eos", {"content": "a"}, "STOP"),
        ("STOP", {"content": "a"}, "STOP"),
        ("length", {"content": "a"}, "LENGTH"),
        ("tool_calls", {"content": "a"}, "TOOL_CALLS"),
        ("content_filter", {"content": "a"}, "CONTENT_FILTER"),
        ("abc", {"content": "a"}, "OTHER"),
        ("", {"content": "a"}, "OTHER"),
        (None, {"content": "a"}, "OTHER"),
        ("", {"function_call": {"name": "f"}}, "TOOL_CALLS"),
        ("stop", {"function_call": {"name": "f"}}, "TOOL_CALLS"),
        ("length", {"function_call": {"name": "f"}}, "LENGTH"),
        ("stop", {"content": None, "refusal": "No."}, "CONTENT_FILTER"),
    ],
)
def test_finish_reasons(
    word: str | None, message: dict[str, Any], expected: str
) -> None:
    """Each word has its meaning, and is kept beside it."""
    completion = unary(whole(word, **message))[1]

    assert expected == finish_name(completion)
    assert (word or "") == completion.provider_finish_reason


def test_a_refusal_is_an_answer() -> None:
    """Its text is the answer's text."""
    assert ["No."] == shown(unary(whole(content=None, refusal="No."))[0])
    assert ["No."] == shown(stream(chunk(refusal="No."), STOP, DONE)[0])


def counted(prompt: int, completion: int, total: int, **more: object) -> dict[str, Any]:
    """A usage object."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        **more,
    }


@pytest.mark.parametrize(
    ("model", "said", "expected"),
    [
        ("gpt", counted(3, 4, 7), {"input_tokens": 3, "output_tokens": 4}),
        (
            "gpt",
            counted(
                9,
                8,
                17,
                prompt_tokens_details={"cached_tokens": 2, "cache_write_tokens": 1},
                completion_tokens_details={"reasoning_tokens": 6},
            ),
            {
                "input_tokens": 9,
                "output_tokens": 8,
                "cache_read_tokens": 2,
                "cache_write_tokens": 1,
                "reasoning_tokens": 6,
            },
        ),
        (
            "grok",
            counted(9, 2, 17, completion_tokens_details={"reasoning_tokens": 6}),
            {"input_tokens": 9, "output_tokens": 8, "reasoning_tokens": 6},
        ),
        (
            "grok on azure",
            counted(7, 8, 15, prompt_tokens_details={"cached_tokens": 161}),
            {"input_tokens": 7, "output_tokens": 8, "cache_read_tokens": 7},
        ),
        (
            "models/gemini-3",
            counted(35, 12, 109),
            {"input_tokens": 35, "output_tokens": 74, "reasoning_tokens": 62},
        ),
        ("voxtral", counted(9, 201, 585), {"input_tokens": 9, "output_tokens": 201}),
        (
            "deepseek",
            counted(9, 1, 10, prompt_cache_hit_tokens=4),
            {"input_tokens": 9, "output_tokens": 1, "cache_read_tokens": 4},
        ),
        ("x", {"prompt_tokens": 3}, {"input_tokens": 3}),
        (
            "x",
            {"prompt_tokens": "3", "completion_tokens": -1, "total_tokens": True},
            {},
        ),
        ("x", counted(2**40, 0, 0), {"output_tokens": 0}),
        ("x", "many", {}),
        ("x", None, {}),
    ],
)
def test_usage(model: str, said: object, expected: dict[str, int]) -> None:
    """Every way of counting ends in one form; what was not given is unset."""
    completion = unary({**whole(content="a"), "model": model, "usage": said})[1]

    assert expected == {f.name: n for f, n in completion.usage.ListFields()}
    assert bool(expected) == completion.HasField("usage")


def test_where_streams_say_usage() -> None:
    """In a chunk of its own, with the last choice, in every chunk, or in x_groq."""
    usage = counted(3, 4, 7)
    streams = [
        (chunk(content="a"), STOP, {"choices": [], "usage": usage}, DONE),
        (chunk(content="a"), {**STOP, "usage": usage}, DONE),
        ({**chunk(content="a"), "usage": counted(3, 1, 4)}, {**STOP, "usage": usage}),
        (chunk(content="a"), {**STOP, "x_groq": {"id": "1", "usage": usage}}, DONE),
    ]

    for events in streams:
        used = stream(*events)[1].usage
        assert (3, 4) == (used.input_tokens, used.output_tokens)


def failure_of(*chunks: object) -> Failure:
    """The failure that a stream ends with."""
    with pytest.raises(Failure) as caught:
        stream(*chunks)
    return caught.value


ERROR = {"error": {"message": "Rate limited", "code": 429}}


@pytest.mark.rule("3.4")
@pytest.mark.parametrize(
    "chunks",
    [
        (chunk(content="a"), STOP, DONE),
        (chunk(content="a"), STOP),
        (chunk("stop", content="a"), b"data: [DONE]"),
        (chunk(content="a"), b"data: " + json.dumps(STOP).encode()),
        (chunk(content="a"), {"choices": [], "usage": counted(1, 1, 2)}, DONE),
        (b": keep-alive\n\n", chunk(content="a"), STOP, {"choices": []}, DONE),
        ({"choices": [], "prompt_filter_results": []}, chunk(content="a"), STOP, DONE),
        (chunk(content="a"), STOP, DONE, chunk(content="b"), ERROR),
        (whole(content="a"),),
        (json.dumps(whole(content="a"), indent=1).encode(),),
    ],
)
def test_complete_streams(chunks: tuple[object, ...]) -> None:
    """A finish reason, or a last count, and the end make an answer."""
    assert ["a"] == shown(stream(*chunks)[0])


@pytest.mark.rule("3.4")
@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (DONE,),
        (chunk(content="a"),),
        (chunk(content="a"), DONE),
        (chunk("", content="a"), DONE),
        (chunk(content="a"), {"choices": [], "usage": counted(1, 1, 2)}),
        (chunk(content="a"), b"data: {cut"),
        (chunk(content="a"), b"data: <html>\n\n"),
        (chunk(content="a"), {"choices": 5}),
        (calls((0, "1", None, "{}")), STOP, DONE),
        (b"\x00\xff", b"{"),
    ],
)
def test_incomplete_streams(chunks: tuple[object, ...]) -> None:
    """An end without the marker, and bytes that are no answer, are malformed."""
    assert failure_of(*chunks).reason == FAILURE_REASON_MALFORMED_RESPONSE


@pytest.mark.rule("3.4")
def test_an_empty_answer_with_the_marker_is_an_answer() -> None:
    """The model may have nothing to say."""
    message, completion = stream(chunk(role="assistant", content=""), STOP, DONE)

    assert [] == shown(message)
    assert finish_name(completion) == "STOP"


@pytest.mark.rule("8.1")
@pytest.mark.parametrize(
    "chunks",
    [
        (ERROR,),
        (chunk(content="a"), ERROR),
        (chunk(content="a"), {**chunk(content=""), **ERROR}, DONE),
        (chunk("length", content="a"), ERROR, DONE),
        (b"event: error\n", ERROR),
        (chunk(content="a"), {"choices": [{"index": 0, "delta": {}, **ERROR}]}),
        (chunk(content="a"), json.dumps(ERROR, indent=2).encode()),
        (json.dumps([ERROR]).encode(),),
        ({"object": "error", "message": "Rate limit", "code": "1300"},),
    ],
)
def test_errors_within_streams(chunks: tuple[object, ...]) -> None:
    """An error is found in every form, before and after a finish reason."""
    assert failure_of(*chunks).reason == FAILURE_REASON_RATE_LIMITED


@pytest.mark.rule("8.1")
def test_an_error_event_without_json_is_an_error_too() -> None:
    """The event's name says so, and its words are read."""
    said = [b"too many requests", b"it broke"]
    failures = [failure_of(b"event: error\ndata: %b\n\n" % words) for words in said]

    assert [failure.reason for failure in failures] == [
        FAILURE_REASON_RATE_LIMITED,
        FAILURE_REASON_PROVIDER_ERROR,
    ]


@pytest.mark.rule("8.1")
@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("error", FAILURE_REASON_MALFORMED_RESPONSE),
        ("insufficient_system_resource", FAILURE_REASON_OVERLOADED),
    ],
)
def test_some_finish_reasons_are_failures(word: str, reason: FailureReason) -> None:
    """The provider says that it could not finish."""
    with pytest.raises(Failure) as caught:
        unary(whole(word, content="a"))

    assert reason == caught.value.reason
    assert reason == failure_of(chunk(content="a"), chunk(word), DONE).reason


def test_content_before_an_error_in_the_same_bytes_is_not_lost() -> None:
    """It comes out first, the failure with the next call."""
    decoder = CODEC.decoder(PROMPT)
    deltas = decoder.feed(sse(chunk(content="a"), ERROR))

    assert ["a"] == [delta.text for delta in deltas]
    with pytest.raises(Failure):
        decoder.feed(DONE)
    with pytest.raises(Failure):
        decoder.finish()


@pytest.mark.rule("8.1")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (ERROR, FAILURE_REASON_RATE_LIMITED),
        ({**whole(content="a"), **ERROR}, FAILURE_REASON_RATE_LIMITED),
        ({"detail": "Invalid API Key"}, FAILURE_REASON_CREDENTIALS),
        ({"choices": None}, FAILURE_REASON_MALFORMED_RESPONSE),
        ({"choices": []}, FAILURE_REASON_MALFORMED_RESPONSE),
        ({"choices": [{"index": 0}]}, FAILURE_REASON_MALFORMED_RESPONSE),
        ({}, FAILURE_REASON_MALFORMED_RESPONSE),
        (b"", FAILURE_REASON_MALFORMED_RESPONSE),
        (b"<html>", FAILURE_REASON_MALFORMED_RESPONSE),
        (b"[" * 100_000, FAILURE_REASON_MALFORMED_RESPONSE),
        (b"null", FAILURE_REASON_MALFORMED_RESPONSE),
    ],
)
def test_whole_bodies_that_are_no_answer(body: object, reason: FailureReason) -> None:
    """An error in a 200 has its reason; anything else is malformed."""
    with pytest.raises(Failure) as caught:
        unary(body)

    assert reason == caught.value.reason


def test_blank_lines_before_a_body() -> None:
    """DeepSeek sends them while a request waits."""
    body = b"\n\n\r\n" + json.dumps(whole(content="a")).encode() + b"\n"

    assert ["a"] == shown(unary(body)[0])


def test_the_first_choice_is_the_answer() -> None:
    """Of several, which majordomo never asks for, one is read."""
    other = {"choices": [{"index": 1, "delta": {"content": "no"}}]}
    ended = {"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]}
    message, completion = stream(chunk(content="a"), other, STOP, ended, DONE)

    assert ["a"] == shown(message)
    assert finish_name(completion) == "STOP"


def test_perplexity_s_last_chunk_repeats_the_answer() -> None:
    """What was streamed is not reported twice."""
    said = {"index": 0, "message": {"content": "ab"}}
    end = {
        "object": "chat.completion.done",
        "choices": [{**said, "delta": {"content": "ab"}, "finish_reason": "stop"}],
    }
    cumulative = {"choices": [{**said, "delta": {"content": "b"}}]}

    assert ["ab"] == shown(stream(chunk(content="a"), cumulative, end)[0])


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        # As OpenAI sends it.
        (
            [
                calls((0, "1", "f", "")),
                calls((0, None, None, '{"a"')),
                calls((0, None, None, ":1}")),
                calls((1, "2", "g", "")),
                calls((1, None, None, "{}")),
            ],
            [("f", '{"a":1}'), ("g", "{}")],
        ),
        # Interleaved.
        (
            [
                calls((0, "1", "f", '{"a"'), (1, "2", "g", '{"b"')),
                calls((0, None, None, ":1}"), (1, None, None, ":2}")),
            ],
            [("f", '{"a":1}'), ("g", '{"b":2}')],
        ),
        # Whole, all numbered 0, with and without ids.
        (
            [calls((0, "1", "f", "{}")), calls((0, "2", "f", "{}"))],
            [("f", "{}"), ("f", "{}")],
        ),
        (
            [calls((0, "", "f", "{}")), calls((0, "", "g", "{}"))],
            [("f", "{}"), ("g", "{}")],
        ),
        # Without index: by id, by name, or the last.
        (
            [calls((None, "1", "f", "{")), calls((None, "1", None, "}"))],
            [("f", "{}")],
        ),
        (
            [
                calls((None, None, "f", "{")),
                calls((None, None, "", "}")),
                calls((None, None, "g", None)),
            ],
            [("f", "{}"), ("g", "{}")],
        ),
        # The name repeated, the name late, no arguments, arguments as an object.
        ([calls((0, "1", "f", "{")), calls((0, "1", "f", "}"))], [("f", "{}")]),
        ([calls((0, "", "f", "{}")), calls((0, "", "f", ""))], [("f", "{}")]),
        ([calls((0, "1", None, "{")), calls((0, None, "f", "}"))], [("f", "{}")]),
        ([calls((0, "1", "f", None))], [("f", "{}")]),
        ([calls((0, "1", "f", {"a": 1}))], [("f", '{"a": 1}')]),
        # The older form.
        (
            [
                chunk(function_call={"name": "f", "arguments": ""}),
                chunk(function_call={"arguments": "{}"}),
            ],
            [("f", "{}")],
        ),
        # Empty calls of servers that fill in every field.
        ([calls((0, "", "", ""))], []),
    ],
)
def test_streamed_tool_calls(chunks: list[object], expected: list[object]) -> None:
    """Pieces find their call by index, id, name or place."""
    message, completion = stream(*chunks, STOP, DONE)

    assert expected == shown(message)
    assert ("TOOL_CALLS" if expected else "STOP") == finish_name(completion)


def test_tool_call_ids() -> None:
    """The provider's id is kept; a missing one is made up and is unique."""
    events = calls((0, "call_1", "f", "{}"), (1, "", "g", "{}"), (2, None, "h", "{}"))
    message, _ = stream(events, STOP, DONE)
    ids = [part.tool_call.id for part in message.parts]

    assert ids[0] == "call_1"
    assert len(set(ids)) == 3


def test_parts_are_numbered_as_they_appear() -> None:
    """The content is one part, the reasoning one, and each tool call one."""
    events = [
        chunk(reasoning="r"),
        chunk(content="a"),
        calls((0, "1", "f", '{"a"')),
        calls((1, "2", "g", '{"a"')),
        calls((0, None, None, ":1}")),
        calls((1, None, None, ":1}")),
        chunk(content="b"),
    ]
    decoder = CODEC.decoder(PROMPT)
    indexes = [d.part_index for event in events for d in decoder.feed(sse(event))]

    assert [0, 1, 2, 3, 2, 3, 1] == indexes


@pytest.mark.rule("3.5")
def test_what_arrives_together_is_joined() -> None:
    """One piece for each run of a part's pieces in one read."""
    decoder = CODEC.decoder(PROMPT)
    read = decoder.feed(
        sse(
            chunk(reasoning="x"),
            chunk(reasoning="y"),
            chunk(content="a"),
            chunk(content="b"),
            calls((0, "1", "f", '{"a"')),
            calls((0, None, None, ":1}")),
        )
    )

    assert ["xy", "ab"] == [read[0].reasoning, read[1].text]
    assert ("1", "f", '{"a":1}') == (
        read[2].tool_call.id,
        read[2].tool_call.name,
        read[2].tool_call.arguments_json_fragment,
    )
    assert len(read) == 3


def escaped(text: str) -> bytes:
    """An event whose content is written in JSON as `text`."""
    return b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % text.encode()


@pytest.mark.rule("3.6")
@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([r"a\ud83d\ude00b"], "a😀b"),
        ([r"a\ud83d", r"\ude00b"], "a😀b"),
        ([r"a\ud83d", "", r"\ude00b"], "a😀b"),
        ([r"\ud83d", r"\ude00\ud83d", r"\ude01"], "😀😁"),
        ([r"a\ud83d", "b"], "a\ufffdb"),
        ([r"a\ude00", "b"], "a\ufffdb"),
        ([r"a\ud83d"], "a\ufffd"),
        ([r"a\ud83d\ud83d", r"\ude00"], "a\ufffd😀"),
    ],
)
def test_broken_text(pieces: list[str], text: str) -> None:
    """A half character is joined with the rest of it, else it is U+FFFD."""
    assert [text] == shown(stream(*map(escaped, pieces), STOP, DONE)[0])
    together = b"".join(map(escaped, pieces))
    assert [text] == shown(stream(together, STOP, DONE)[0])


@pytest.mark.rule("3.6")
def test_broken_text_elsewhere() -> None:
    """Arguments, names, ids and whole answers are repaired as well."""
    piece = (
        r'data: {"id":"\ud83d","model":"\ud83d","choices":[{"delta":{"tool_calls":'
        r'[{"index":0,"id":"\ud83d","function":{"name":"f\ud83d","arguments":"{\"a\":\"\ud83d"'
        "}}]}}]}\n\n"
    )
    rest = (
        r'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":'
        r'{"arguments":"\ude00\"}"}}]}}]}'
        "\n\n"
    )
    message, completion = stream(piece.encode(), rest.encode(), STOP, DONE)

    assert [("f\ufffd", '{"a":"😀"}')] == shown(message)
    assert completion.provider_model == "\ufffd"
    body = rb'{"choices":[{"message":{"content":"a\ud83d"}}]}'
    assert ["a\ufffd"] == shown(unary(body)[0])


@pytest.mark.rule("3.6")
def test_what_is_not_quite_json_is_read() -> None:
    """NaN beside the answer, raw control characters and cut UTF-8 within it."""
    body = b'{"choices":[{"message":{"content":"a\tb\xf0\x9f"},"logprobs":NaN}]}'

    assert ["a\tb\ufffd"] == shown(unary(body)[0])


BODIES = [
    sse(
        {"id": "1", "model": "m", **chunk(role="assistant", content="")},
        chunk(reasoning_content="so, "),
        chunk(reasoning_content="😀"),
        chunk(content="Grüße "),
        chunk(content="日本"),
        calls((0, "c1", "f", "")),
        calls((0, None, None, '{"a":"é"')),
        calls((0, None, None, "}")),
        STOP,
        {"choices": [], "usage": counted(1, 2, 3)},
        DONE,
    ),
    sse(chunk(content="a"), escaped(r"\ud83d"), escaped(r"\ude00"), STOP),
    sse(chunk(content="a"), chunk("length", content="b"), ERROR, DONE),
    sse(chunk(content="a"), DONE),
]


def outcome(pieces: list[bytes]) -> object:
    """How a stream in `pieces` ends: its answer, or what came before its failure."""
    decoder: StreamDecoder = CODEC.decoder(PROMPT)
    deltas = []
    try:
        for piece in pieces:
            deltas += decoder.feed(piece)
        if not decoder.complete:
            deltas += decoder.close()
        completion = decoder.finish().completion.SerializeToString(deterministic=True)
    except Failure as failure:
        return shown(message_of(deltas)), failure.reason, failure.message
    return shown(message_of(deltas)), completion, decoder.usage


@pytest.mark.rule("3.4", "3.6")
@given(
    body=st.sampled_from(BODIES),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
    ends=st.lists(st.sampled_from([b"\n", b"\r\n"]), min_size=24, max_size=24),
    comments=st.sets(st.integers(0, 10)),
)
def test_the_framing_makes_no_difference(
    body: bytes, cuts: list[int], ends: list[bytes], comments: set[int]
) -> None:
    """Split anywhere, with other line ends and comments: the same answer."""
    lines = body.split(b"\n")
    framed = b"\xef\xbb\xbf"
    for i, line in enumerate(lines[:-1]):
        if not line and i in comments:
            framed += b"\r\n: OPENROUTER PROCESSING\r\n"
        framed += line + ends[i % len(ends)]
    at = sorted(min(cut, len(framed)) for cut in cuts)
    pieces = [framed[a:b] for a, b in zip([0, *at], [*at, len(framed)], strict=True)]

    assert outcome([body]) == outcome(pieces)


@given(body=st.binary(max_size=200), cut=st.integers(0, 200))
def test_no_bytes_raise_anything_but_failure(body: bytes, cut: int) -> None:
    """Whatever a server sends, the walk hears of it as a failure."""
    for data in (body, b"data: " + body + b"\n\n"):
        result = outcome([data[:cut], data[cut:]])
        assert isinstance(result, tuple)
        with pytest.raises(Failure):
            CODEC.decode(PROMPT, data)


SCALARS: st.SearchStrategy[object] = st.sampled_from(
    [None, True, 0, 1, -1, 0.5, 2**70, "", "stop", "a", "\ud83d", [], {}, [None], [{}]]
)
KEYS = st.sampled_from(
    [
        *("id", "model", "object", "choices", "usage", "x_groq", "error", "index"),
        *("delta", "message", "finish_reason", "content", "text", "thinking", "name"),
        *("reasoning", "reasoning_details", "refusal", "tool_calls", "function_call"),
        *("function", "custom", "arguments", "input", "prompt_tokens", "total_tokens"),
        *("completion_tokens", "prompt_tokens_details", "cached_tokens"),
    ]
)
SHAPES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner)
)
CHUNKS = st.builds(
    lambda delta, choice, around: {
        "choices": [{**choice, "delta": delta, "message": delta}],
        **around,
    },
    st.dictionaries(KEYS, SHAPES, max_size=3),
    st.dictionaries(KEYS, SHAPES, max_size=1),
    st.dictionaries(KEYS, SHAPES, max_size=1),
)


@given(chunks=st.lists(CHUNKS, max_size=4))
def test_no_shapes_raise_anything_but_failure(chunks: list[object]) -> None:
    """Known keys with values of any kind are an answer or a failure."""
    assert isinstance(outcome([sse(*chunks, STOP, DONE)]), tuple)
    try:
        decoded = CODEC.decode(PROMPT, json.dumps(chunks[0] if chunks else 0).encode())
    except Failure:
        return
    assert decoded.message is not None


def test_failures_are_classified() -> None:
    """The codec's failure() is the one classification."""
    body = b'{"error":{"message":"no","code":"decimal_below_min_value"}}'

    assert CODEC.failure(400, {}, body).reason == FAILURE_REASON_UNSUPPORTED
