"""What all wires share in reading: heartbeats, life, ends, counts, places."""

import json
from typing import Any

import pytest

from majordomo.chain.failure import Failure
from majordomo.chain.target import Life
from majordomo.codec.base import Codec
from majordomo.codec.event_stream import decode_whole
from majordomo.codec.state import unpack
from majordomo.deltas import message
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.v1.content_pb2 import Message
from majordomo.v1.generation_service_pb2 import Completion, Prompt
from tests.providers.test_interleaving import shown, sse

Json = dict[str, Any]
CHAT, CLAUDE = OpenAICompatible("p"), Anthropic("p")
GEMINI, RESPONSES = Gemini("p"), OpenAIResponses("p")


def read(codec: Codec, *events: Json | bytes) -> tuple[Message, Completion]:
    """What is read of events, one after the other."""
    decoder = codec.decoder(Prompt())
    deltas = []
    for event in events:
        if not decoder.complete:
            deltas += decoder.feed(event if isinstance(event, bytes) else sse(event))
    if not decoder.complete:
        deltas += decoder.close()
    answer = decoder.finish()
    return message([*deltas, *answer.rest]), answer.completion


def chat(finish: str | None = None, **delta: Any) -> Json:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def call(index: Any, id_: Any, name: Any, arguments: Any) -> Json:
    piece = {"index": index, "id": id_}
    function = {"name": name, "arguments": arguments}
    return chat(tool_calls=[{**piece, "function": function}])


def start(index: Any, **block: Any) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: Any, **said: Any) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": said}


def stop(index: Any) -> Json:
    return {"type": "content_block_stop", "index": index}


def ended(**usage: int) -> list[Json]:
    said = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    return [{**said, "usage": usage}, {"type": "message_stop"}]


def item(verb: str, index: Any, **item: Any) -> Json:
    return {"type": f"response.output_item.{verb}", "output_index": index, "item": item}


def text(index: Any, id_: Any, said: str, content: int = 0) -> Json:
    where = {"output_index": index, "item_id": id_, "content_index": content}
    return {"type": "response.output_text.delta", **where, "delta": said}


COMPLETED = {"type": "response.completed", "response": {"status": "completed"}}

ANSWERS: list[Any] = [
    pytest.param(
        CHAT, [chat(content="Hi"), chat(content="!"), chat("stop")], id="chat"
    ),
    pytest.param(
        CLAUDE,
        [
            {"type": "message_start", "message": {"id": "m"}},
            start(0, type="text", text=""),
            delta(0, type="text_delta", text="Hi!"),
            stop(0),
            *ended(),
        ],
        id="anthropic",
    ),
    pytest.param(
        GEMINI,
        [
            {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]},
            {"candidates": [{"content": {"parts": [{"text": "!"}]}}]},
            {"candidates": [{"finishReason": "STOP"}]},
        ],
        id="gemini",
    ),
    pytest.param(
        RESPONSES,
        [
            item("added", 0, type="message", id="m"),
            text(0, "m", "Hi!"),
            item("done", 0, type="message", id="m", content=[{"text": "Hi!"}]),
            COMPLETED,
        ],
        id="responses",
    ),
]
BEATS = [
    b"\n",
    b": comment\n\n",
    b"data: : keepalive\n\n",
    b"data: : OPENROUTER PROCESSING\n\n",
    b"data: \n\n",
    b"data:   \n\n",
    b"event: ping\ndata: ping\n\n",
    b"event: ping\ndata: {}\n\n",
    b'event: ping\ndata: {"error": "none"}\n\n',
    b"event: keepalive\n\n",
    b"event: heartbeat\ndata: 12:00\n\n",
    b"data: ping\n\n",
    b"data: keep-alive\n\n",
    b"data: {}\n\n",
]


@pytest.mark.rule("3.11")
@pytest.mark.parametrize(("codec", "events"), ANSWERS)
@pytest.mark.parametrize("beat", BEATS)
def test_heartbeats_are_passed_over(
    codec: Codec, events: list[Json], beat: bytes
) -> None:
    """Wherever they stand, the answer is whole; and they are no sign of life."""
    beaten = [row for event in events for row in (beat, event)]

    assert "Hi!" == "".join(part.text for part in read(codec, *beaten)[0].parts)
    decoder = codec.decoder(Prompt())
    decoder.feed(beat)
    assert (None, False) == (decoder.life, decoder.heard)


@pytest.mark.rule("3.11", "8.1")
@pytest.mark.parametrize("codec", [CHAT, CLAUDE, GEMINI, RESPONSES])
def test_what_is_neither_event_nor_heartbeat_is_no_answer(codec: Codec) -> None:
    """A word in the middle may be an error's."""
    with pytest.raises(Failure):
        read(codec, b"data: upstream connect error\n\n", sse({}))


@pytest.mark.rule("3.11")
@pytest.mark.parametrize(("codec", "events"), ANSWERS)
@pytest.mark.parametrize("before", [b"", b"\n\n", b": hello\n\n", b"\xef\xbb\xbf"])
def test_a_whole_answer_may_come_as_a_stream(
    codec: Codec, events: list[Json], before: bytes
) -> None:
    """It is read as that stream, whole."""
    body = before + b"".join(map(sse, events))
    answer = decode_whole(codec, Prompt(), body)

    assert answer.message is not None
    assert "Hi!" == "".join(part.text for part in answer.message.parts)
    with pytest.raises(Failure):
        decode_whole(codec, Prompt(), before + b"".join(map(sse, events[:2])))


HIDDEN: list[Any] = [
    pytest.param(CHAT, [chat(role="assistant", content="")], None, id="role"),
    pytest.param(CHAT, [chat(reasoning_content="hm")], Life.ALIVE, id="chat"),
    pytest.param(CHAT, [chat(reasoning="hm")], Life.ALIVE, id="reasoning"),
    pytest.param(
        CHAT,
        [chat(reasoning_details=[{"type": "reasoning.encrypted", "data": "x"}])],
        Life.ALIVE,
        id="details",
    ),
    pytest.param(CHAT, [chat(content="\n\n")], Life.ALIVE, id="white space"),
    pytest.param(CLAUDE, [{"type": "message_start", "message": {}}], None, id="start"),
    pytest.param(
        CLAUDE,
        [start(0, type="server_tool_use", name="web_search", input={})],
        Life.ALIVE,
        id="search",
    ),
    pytest.param(
        CLAUDE, [start(0, type="thinking", thinking="")], Life.THINKING, id="opened"
    ),
    pytest.param(
        CLAUDE,
        [
            start(0, type="thinking", thinking=""),
            delta(0, type="thinking_delta", thinking="hm"),
        ],
        Life.THINKING,
        id="thinking",
    ),
    pytest.param(
        CLAUDE,
        [start(0, type="thinking", thinking=""), stop(0)],
        Life.ALIVE,
        id="thought",
    ),
    pytest.param(
        GEMINI,
        [{"candidates": [{"content": {"parts": [{"text": "hm", "thought": True}]}}]}],
        Life.ALIVE,
        id="gemini",
    ),
    pytest.param(
        GEMINI,
        [{"candidates": [{"content": {"parts": [{"executableCode": {}}]}}]}],
        Life.ALIVE,
        id="code",
    ),
    pytest.param(
        RESPONSES,
        [{"type": "response.created", "response": {"status": "in_progress"}}],
        None,
        id="created",
    ),
    pytest.param(
        RESPONSES, [item("added", 0, type="message", id="m")], Life.ALIVE, id="item"
    ),
    pytest.param(
        RESPONSES,
        [item("added", 0, type="reasoning", id="r")],
        Life.THINKING,
        id="reasoning item",
    ),
    pytest.param(
        RESPONSES,
        [
            item("added", 0, type="reasoning", id="r"),
            item("done", 0, type="reasoning", id="r", encrypted_content="e"),
        ],
        Life.ALIVE,
        id="reasoned",
    ),
    pytest.param(
        RESPONSES,
        [{"type": "response.web_search_call.searching", "output_index": 0}],
        Life.ALIVE,
        id="searching",
    ),
]


@pytest.mark.rule("3.1", "5.4")
@pytest.mark.parametrize(("codec", "events", "life"), HIDDEN)
def test_what_shows_nothing_may_be_a_sign_of_life(
    codec: Codec, events: list[Json], life: Life | None
) -> None:
    """Of a model that works; what only says that the call was taken is none."""
    decoder = codec.decoder(Prompt())
    for event in events:
        assert [] == decoder.feed(sse(event))

    assert life == decoder.life


@pytest.mark.rule("3.1", "5.4")
def test_that_reasoning_has_begun_is_told_beside_content_too() -> None:
    """When it begins and when it is done."""
    decoder = RESPONSES.decoder(Prompt())
    reported = []
    for event in (
        text(0, "m", "I look."),
        item("added", 1, type="reasoning", id="r"),
        text(0, "m", " And look."),
        item("done", 1, type="reasoning", id="r", encrypted_content="e"),
        text(0, "m", " Done."),
    ):
        decoder.feed(sse(event))
        reported.append(decoder.life)

    assert [None, Life.THINKING, None, Life.ALIVE, None] == reported


@pytest.mark.rule("3.4")
@pytest.mark.parametrize(
    ("codec", "events"),
    [
        (CHAT, [chat(content="Hi"), chat("stop")]),
        (CLAUDE, [start(0, type="text", text="Hi"), ended()[0]]),
        (
            GEMINI,
            [
                {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]},
                {"candidates": [{"finishReason": "STOP"}]},
            ],
        ),
    ],
)
def test_what_follows_a_finish_reason(codec: Codec, events: list[Json]) -> None:
    """It may be settled where nothing does; an error within the time is raised."""
    decoder = codec.decoder(Prompt())
    finished = []
    deltas = []
    for event in events:
        deltas += decoder.feed(sse(event))
        finished.append(decoder.finished)
    broken = codec.decoder(Prompt())
    broken.feed(b"".join(map(sse, events)))

    assert [False, True] == finished
    assert not decoder.complete
    deltas += decoder.settle()
    assert decoder.complete
    assert "Hi" == message([*deltas, *decoder.finish().rest]).parts[0].text
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}
    with pytest.raises(Failure):
        broken.feed(sse(error))


@pytest.mark.rule("3.4")
def test_a_gemini_that_always_says_stop_is_not_finished_by_it() -> None:
    """Then the word says nothing about the end."""
    decoder = GEMINI.decoder(Prompt())
    for words in ("a", "b"):
        content = {"parts": [{"text": words}]}
        candidate = {"content": content, "finishReason": "STOP"}
        decoder.feed(sse({"candidates": [candidate]}))

        assert not decoder.finished


WEATHER = '{"city":"Oslo"}'
PIECES: list[Any] = [
    # All numbered alike: their ids tell.
    [
        call(0, "a", "f", '{"n":'),
        call(0, "b", "g", '{"n":'),
        call(0, "a", None, "1}"),
        call(0, "b", None, "2}"),
    ],
    # Alike in their ids: their numbers tell.
    [
        call(0, "x", "f", '{"n":'),
        call(1, "x", "g", '{"n":'),
        call(0, "x", None, "1}"),
        call(1, "x", None, "2}"),
    ],
    # Numbers that grow with every piece.
    [
        call(0, "a", "f", ""),
        call(1, None, None, '{"n":'),
        call(2, None, None, "1}"),
        call(3, "b", "g", '{"n":'),
        call(4, None, None, "2}"),
    ],
    [call(0, "a", "f", '{"n":'), call(1, "a", "f", "1}"), call(2, "b", "g", '{"n":2}')],
    # Ids that change with every piece, without numbers.
    [
        call(None, "a", "f", '{"n":'),
        call(None, "b", None, "1}"),
        call(None, "c", "g", '{"n":2}'),
    ],
    # All of it reported again at the end.
    [
        call(0, "a", "f", '{"n":1}'),
        call(1, "b", "g", '{"n":2}'),
        call(0, "a", "f", '{"n":1}'),
        call(1, None, None, '{"n":2}'),
    ],
    # An empty object first, the names repeated.
    [
        call(0, "a", "f", "{}"),
        call(1, "b", "g", "{}"),
        call(1, "b", "g", '{"n":2}'),
        call(0, "a", "f", '{"n":1}'),
    ],
]


@pytest.mark.rule("3.7", "3.8")
@pytest.mark.parametrize("pieces", PIECES)
def test_calls_whose_pieces_are_named_badly(pieces: list[Json]) -> None:
    """Index, id and name together tell whose they are."""
    turn, _ = read(CHAT, *pieces, chat("tool_calls"))

    assert [("call f", '{"n":1}'), ("call g", '{"n":2}')] == shown(turn)


@pytest.mark.rule("3.8")
@pytest.mark.parametrize("arguments", ['{"n":', '{"n":1}{"n":2}', "[]", "oops"])
def test_a_call_that_is_no_object_is_no_answer(arguments: str) -> None:
    """Unless the answer was cut: then the caller sees how far it came."""
    for codec, events, cut in (
        (CHAT, [call(0, "a", "f", arguments), chat("stop")], chat("length")),
        (
            CLAUDE,
            [
                start(0, type="tool_use", id="a", name="f", input={}),
                delta(0, type="input_json_delta", partial_json=arguments),
                ended()[0],
                ended()[1],
            ],
            None,
        ),
        (
            RESPONSES,
            [
                item("done", 0, type="function_call", name="f", arguments=arguments),
                COMPLETED,
            ],
            None,
        ),
    ):
        with pytest.raises(Failure) as caught:
            read(codec, *events)
        assert "the arguments of a tool call are no JSON object" == str(caught.value)
        if cut is not None:
            turn, _ = read(codec, *events[:-1], cut)
            assert arguments.startswith(turn.parts[0].tool_call.arguments_json)


@pytest.mark.rule("3.7")
@pytest.mark.parametrize(
    ("events", "parts"),
    [
        # What is done takes no more pieces.
        (
            [
                start(0, type="text", text=""),
                delta(0, type="text_delta", text="a"),
                stop(0),
                delta(0, type="text_delta", text="late"),
            ],
            [("text", "a")],
        ),
        # All numbered alike, one after the other.
        (
            [
                start(0, type="text", text=""),
                delta(0, type="text_delta", text="a"),
                start(0, type="text", text=""),
                delta(0, type="text_delta", text="b"),
            ],
            [("text", "a"), ("text", "b")],
        ),
        # Without numbers: the last that takes it.
        (
            [
                start(None, type="tool_use", id="1", name="f"),
                delta(None, type="input_json_delta", partial_json=WEATHER),
                stop(None),
                start(None, type="text", text=""),
                delta(None, type="text_delta", text="b"),
            ],
            [("call f", WEATHER), ("text", "b")],
        ),
        # Of another type than the block: that of its own type.
        (
            [
                start(0, type="text", text=""),
                start(1, type="tool_use", id="1", name="f"),
                delta(0, type="input_json_delta", partial_json=WEATHER),
                delta(1, type="text_delta", text="b"),
            ],
            [("text", "b"), ("call f", WEATHER)],
        ),
        # Text where only a call was begun.
        (
            [
                start(0, type="tool_use", id="1", name="f"),
                delta(0, type="text_delta", text="b"),
                delta(0, type="input_json_delta", partial_json=WEATHER),
            ],
            [("call f", WEATHER), ("text", "b")],
        ),
        # Of a tool that the provider runs: its own.
        (
            [
                start(0, type="server_tool_use", id="1", name="web_search"),
                delta(0, type="input_json_delta", partial_json=WEATHER),
                start(1, type="text", text="b"),
            ],
            [("opaque", "web_search"), ("text", "b")],
        ),
    ],
)
def test_whose_a_piece_of_claude_s_is(events: list[Json], parts: list[Any]) -> None:
    """Index and type together tell."""
    assert parts == shown(read(CLAUDE, *events, *ended())[0])


@pytest.mark.rule("3.7")
@pytest.mark.parametrize(
    ("events", "parts"),
    [
        # What is done takes no more pieces.
        (
            [
                text(0, "m", "a"),
                item("done", 0, type="message", id="m", content=[{"text": "a"}]),
                text(0, "m", "late"),
            ],
            ["a"],
        ),
        # All numbered alike.
        (
            [
                item("added", 0, type="message", id="m"),
                item("added", 0, type="message", id="n"),
                text(0, "m", "a"),
                text(0, "n", "b"),
                text(0, "m", "A"),
            ],
            ["aA", "b"],
        ),
        # Numbers that grow with every event.
        (
            [
                item("added", 0, type="message", id="m"),
                text(1, "m", "a"),
                text(2, None, "A"),
                item("done", 3, type="message", id="m", content=[{"text": "aA"}]),
            ],
            ["aA"],
        ),
        # Two contents of one message.
        (
            [
                item("added", 0, type="message", id="m"),
                text(0, "m", "a"),
                text(0, "m", "b", content=1),
                text(0, "m", "A"),
            ],
            ["aA", "b"],
        ),
        # Neither number nor id.
        (
            [
                item("added", None, type="message"),
                text(None, None, "a"),
                item("done", None, type="message", content=[{"text": "a"}]),
                item("added", None, type="message"),
                text(None, None, "b"),
            ],
            ["a", "b"],
        ),
    ],
)
def test_whose_a_piece_of_an_item_is(events: list[Json], parts: list[str]) -> None:
    """Index, id and type together tell."""
    turn, _ = read(RESPONSES, *events, COMPLETED)

    assert parts == [part.text for part in turn.parts]


@pytest.mark.rule("3.7")
def test_reasoning_keeps_its_place_though_it_is_not_shown() -> None:
    """Before what began after it, though it is done later."""
    turn, _ = read(
        RESPONSES,
        item("added", 0, type="reasoning", id="r"),
        item("added", 1, type="message", id="m"),
        text(1, "m", "Hi"),
        item("done", 0, type="reasoning", id="r", encrypted_content="e"),
        COMPLETED,
    )
    blocks, _ = read(
        CLAUDE,
        start(0, type="thinking", thinking=""),
        start(1, type="text", text="Hi"),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="s"),
        *ended(),
    )

    assert [("reasoning", ""), ("text", "Hi")] == shown(turn)
    assert "item" in unpack("openai-responses", turn.parts[0].provider_state)
    assert [("reasoning", ""), ("text", "Hi")] == shown(blocks)
    state = unpack("anthropic", blocks.parts[0].provider_state)
    assert {"signature": "s", "thinking": "hm"} == state


@pytest.mark.rule("3.10")
def test_zeros_and_nothing_take_no_count_away() -> None:
    """What was counted stays counted, on every wire."""
    real = {"prompt_tokens": 9, "completion_tokens": 2}
    none = {"prompt_tokens": 0, "completion_tokens": 0}
    said = {"type": "response.in_progress", "response": {"usage": {"input_tokens": 9}}}
    last = {"status": "completed", "usage": {"input_tokens": 0, "output_tokens": 2}}
    counts = {"promptTokenCount": 9, "candidatesTokenCount": 2}
    begun = {"usage": {"input_tokens": 9, "output_tokens": 1}}
    answers = [
        read(CHAT, {**chat("stop"), "usage": real}, {"choices": [], "usage": none}),
        read(CHAT, {**chat("stop"), "usage": real}, {"choices": []}),
        read(CHAT, {**chat("stop"), "usage": none}, {"choices": [], "usage": real}),
        read(RESPONSES, said, {"type": "response.completed", "response": last}),
        read(
            GEMINI,
            {"candidates": [{"index": 0}], "usageMetadata": counts},
            {
                "candidates": [{"finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 0},
            },
        ),
        read(
            CLAUDE,
            {"type": "message_start", "message": begun},
            *ended(input_tokens=0, output_tokens=2),
        ),
    ]

    assert [(9, 2)] * len(answers) == [
        (ended.usage.input_tokens, ended.usage.output_tokens) for _, ended in answers
    ]


@pytest.mark.rule("3.10")
def test_zero_is_a_count_where_nothing_else_was_said() -> None:
    """A cache that was not used is not unknown."""
    usage = {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 0}}
    _, ending = read(CHAT, {**chat("stop"), "usage": usage})

    assert ending.usage.HasField("cache_read_tokens")
    assert not ending.usage.HasField("output_tokens")


@pytest.mark.rule("3.10")
def test_what_claude_did_beside_the_answer_is_counted() -> None:
    """Compaction and advice are billed; the answer's own counts leave them out."""
    counts = {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    iterations = [
        {"type": "compaction", "input_tokens": 99_195, "output_tokens": 81, **counts},
        {"type": "message", "input_tokens": 162, "output_tokens": 11, **counts},
        {"type": "advisor_message", "input_tokens": 5, "output_tokens": 7},
    ]
    usage = {"input_tokens": 162, "output_tokens": 11, "iterations": iterations}
    body = {"content": [], "stop_reason": "end_turn", "usage": usage}

    answer = CLAUDE.decode(Prompt(), json.dumps(body).encode())
    reported = answer.completion.usage
    assert (99_362, 99) == (reported.input_tokens, reported.output_tokens)


@pytest.mark.rule("3.9")
def test_the_model_that_answered_is_named() -> None:
    """Providers fail over too, within a stream."""
    begun = {"type": "message_start", "message": {"model": "asked"}}
    fallback = start(1, type="fallback", to={"model": "wrote"})
    models = [
        read(
            CHAT,
            {**chat(role="x"), "model": "asked"},
            {**chat("stop"), "model": "wrote"},
        ),
        read(CLAUDE, begun, start(0, type="text", text="a"), fallback, *ended()),
        read(
            RESPONSES,
            {"type": "response.created", "response": {"model": "asked"}},
            {
                "type": "response.completed",
                "response": {"status": "completed", "model": "wrote"},
            },
        ),
    ]

    assert ["wrote"] * 3 == [ending.provider_model for _, ending in models]
