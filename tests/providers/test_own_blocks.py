"""Sources, media and blocks of the provider's own, of the kinds that no recording has.

Read whole and as a stream, and given back.
"""

import json
from base64 import b64encode
from typing import Any

import pytest

from majordomo.codec.base import Codec
from majordomo.codec.event_stream import decode_whole
from majordomo.deltas import message as message_of
from majordomo.providers.anthropic.codec import Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.providers.profiles import PROFILES
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_USER,
    Blob,
    Citation,
    Message,
    OpaquePart,
    Part,
)
from majordomo.v1.generation_service_pb2 import Completion, Prompt

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
CODED = b64encode(PNG).decode()
CHAT = OpenAICompatible("author")
ROUTER = OpenAICompatible("author", profile=PROFILES["openrouter"])
CLAUDE = Anthropic("author")
GEMINI = Gemini("author")
OPENAI = OpenAIResponses("author")


def sse(*events: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in events)


def chat(message: dict[str, Any], **beside: Any) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"id": "1", "choices": [choice], **beside}).encode()


def chunks(*deltas: dict[str, Any], **beside: Any) -> bytes:
    said = [{"choices": [{"index": 0, "delta": delta}], **beside} for delta in deltas]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return sse(*said, end) + b"data: [DONE]\n\n"


def streamed(codec: Codec, body: bytes, piece: int) -> tuple[Message, Completion]:
    decoder = codec.decoder(Prompt())
    deltas = []
    for at in range(0, len(body), piece):
        deltas += decoder.feed(body[at : at + piece])
    if not decoder.complete:
        deltas += decoder.close()
    answer = decoder.finish()
    return message_of([*deltas, *answer.rest]), answer.completion


def whole(codec: Codec, body: bytes) -> tuple[Message, Completion]:
    answer = decode_whole(codec, Prompt(), body)
    assert answer.message is not None
    return answer.message, answer.completion


def supported(part: Part) -> list[str]:
    """The text that rests on each citation."""
    text = part.text.encode()
    return [text[c.range.start : c.range.end].decode() for c in part.citations]


def after(codec: Codec, message: Message, *, own: bool = True) -> tuple[Any, list[str]]:
    """The request after an answer, and what was changed of it."""
    message.origin = "author/m" if own else "other/m"
    asked = Message(role=ROLE_USER, parts=[Part(text="Go on.")])
    encoded = codec.encode("m", Prompt(messages=[asked, message, asked]), stream=False)
    return json.loads(encoded.body), [one.description for one in encoded.adaptations]


def turn(*parts: Part, origin: str = "author/m") -> Message:
    return Message(role=ROLE_ASSISTANT, parts=parts, origin=origin)


# Sources.

WIDE = "Çà va \N{GRINNING FACE}: naïve."
"""Text of one to four bytes a code point."""


@pytest.mark.rule("3.14")
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_ranges_of_code_points_are_bytes(piece: int) -> None:
    """However the text was cut, and wherever in the stream the sources come."""
    start = WIDE.index("\N{GRINNING FACE}")
    url = {"url": "https://x.y", "title": "X", "start_index": start, "content": "cited"}
    said = {"type": "url_citation", "url_citation": {**url, "end_index": start + 1}}
    late = {**url, "start_index": len(WIDE) - 6, "end_index": len(WIDE) + 100}
    again = {"type": "url_citation", "url_citation": late}
    deltas: list[dict[str, Any]] = [{"content": char} for char in WIDE]
    deltas.insert(start + 1, {"annotations": [said]})
    message, _ = streamed(CHAT, chunks(*deltas, {"annotations": [again]}), piece)
    [part] = message.parts

    assert WIDE == part.text
    assert ["\N{GRINNING FACE}", "naïve."] == supported(part)
    assert "cited" == part.citations[0].quoted_text
    unary, _ = whole(CHAT, chat({"content": WIDE, "annotations": [again, said]}))
    assert unary == message


@pytest.mark.rule("3.14")
def test_files_are_cited_at_a_point() -> None:
    annotation = {
        "type": "file_citation",
        "file_id": "f-1",
        "filename": "a.txt",
        "index": 2,
    }
    part = {"type": "output_text", "text": "çé.", "annotations": [annotation]}
    item = {"type": "message", "id": "m", "content": [part]}
    body = json.dumps({"status": "completed", "output": [item]}).encode()
    [text] = whole(OPENAI, body)[0].parts
    [citation] = text.citations

    assert ("f-1", "a.txt") == (citation.provider_file, citation.title)
    assert (4, 4) == (citation.range.start, citation.range.end)


@pytest.mark.rule("3.14")
def test_numbered_sources_are_in_their_order() -> None:
    """Perplexity's [2] is the second; streamed, each chunk says the list again."""
    urls = ["https://a.b", "https://c.d", "https://e.f"]
    results = [{"url": urls[2], "title": "E", "snippet": "e"}]
    beside = {"citations": urls, "search_results": results, "images": [{"url": "x"}]}
    message, completion = whole(CHAT, chat({"content": "Yes [2][3]."}, **beside))
    pieces = [{"content": "Yes [2]"}, {"content": "[3]."}]

    assert urls == [one.uri for one in message.parts[0].citations]
    assert ("E", "e") == (
        message.parts[0].citations[2].title,
        message.parts[0].citations[2].quoted_text,
    )
    assert ["images"] == [one.type for one in completion.omissions]
    assert message == streamed(CHAT, chunks(*pieces, **beside), 9)[0]


@pytest.mark.rule("3.14")
def test_references_of_mistral_are_of_the_text_before_them() -> None:
    content = [
        {"type": "text", "text": "One."},
        {"type": "reference", "reference_ids": [7]},
        {"type": "text", "text": " Two."},
        {"type": "tool_reference", "url": "https://x.y", "title": "X"},
        {"type": "reference", "reference_ids": ["a", "b"]},
        {"type": "hologram", "data": "?"},
    ]
    message, completion = whole(CHAT, chat({"content": content}))
    [part] = message.parts

    assert "One. Two." == part.text
    known = [(one.title, text) for one, text in zip(part.citations, supported(part))]  # noqa: B905
    assert [("7", "One."), ("X", ""), ("a", " Two."), ("b", " Two.")] == known
    assert ["hologram"] == [one.type for one in completion.omissions]


@pytest.mark.rule("3.14")
def test_claude_cites_pages_of_the_request() -> None:
    """A document's number is that of a part of the request."""
    location = {
        "type": "page_location",
        "document_index": 1,
        "document_title": "B",
        "cited_text": "words",
        "start_page_number": 2,
        "end_page_number": 4,
    }
    block = {"type": "text", "text": "So.", "citations": [location]}
    body = json.dumps({"type": "message", "content": [block]}).encode()
    pdf = Part(blob=Blob(media_type="application/pdf", data=b"%PDF"))
    asked = Message(role=ROLE_USER, parts=[Part(text="Read."), pdf, pdf])
    answer = CLAUDE.decode(Prompt(messages=[asked]), body)
    assert answer.message is not None
    [citation] = answer.message.parts[0].citations

    assert ("B", "words") == (citation.title, citation.quoted_text)
    place = citation.request
    assert (0, 2) == (place.message_index, place.part_index)
    assert (2, 3) == (place.first_page, place.last_page)


@pytest.mark.rule("3.14")
def test_gemini_counts_bytes_of_the_part_that_it_names() -> None:
    """In a whole answer; what lies beyond the text ends with it."""
    parts = [
        {"text": "é. "},
        {"executableCode": {"code": "1"}},
        {"text": "Zürich."},
    ]
    supports = [
        {
            "segment": {"partIndex": 2, "endIndex": 7, "text": "Zürich"},
            "groundingChunkIndices": [0],
        },
        {"segment": {"startIndex": 0, "endIndex": 3}, "groundingChunkIndices": [1, 9]},
        {
            "segment": {"partIndex": 2, "startIndex": 1, "endIndex": 99},
            "groundingChunkIndices": [1],
        },
    ]
    chunks_ = [
        {"web": {"uri": "https://a.b"}},
        {"maps": {"uri": "https://c.d", "title": "C"}},
        {"web": {"uri": "https://unused.e"}},
    ]
    metadata = {"groundingChunks": chunks_, "groundingSupports": supports}
    candidate = {
        "content": {"parts": parts},
        "finishReason": "STOP",
        "groundingMetadata": {**metadata, "webSearchQueries": ["zürich"]},
        "urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "https://read.me"}]},
    }
    body = json.dumps({"candidates": [candidate]}).encode()
    message, _ = whole(GEMINI, body)
    first, code, second, queries, read = message.parts

    assert ["é.", ""] == supported(first)
    assert ["https://c.d", "https://unused.e"] == [c.uri for c in first.citations]
    assert ["Zürich", "ürich."] == supported(second)
    assert "executableCode" == code.opaque.type
    assert ("webSearchQueries", "zürich") == (
        queries.opaque.type,
        queries.opaque.description,
    )
    assert "https://read.me" == read.opaque.description


@pytest.mark.rule("3.14")
def test_citations_are_bounded() -> None:
    annotation = {"type": "url_citation", "url": "https://x.y"}
    said = {"content": "a", "annotations": [annotation] * 1001 + [{"type": "new"}]}
    message, completion = whole(CHAT, chat(said))

    assert 1000 == len(message.parts[0].citations)
    assert {"citations", "new"} == {one.type for one in completion.omissions}


# Media.


@pytest.mark.rule("3.15")
@pytest.mark.parametrize("piece", [5, 100_000])
def test_images_are_parts(piece: int) -> None:
    """Gemini's, OpenRouter's and OpenAI's, whole and streamed."""
    inline = {"inlineData": {"mimeType": "image/png", "data": CODED}}
    signed = {**inline, "thoughtSignature": "c2lnbmVk"}
    google = {"candidates": [{"content": {"parts": [{"text": "See: "}, signed]},
                              "finishReason": "STOP"}]}  # fmt: skip
    image = {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{CODED}"},
    }
    item = {
        "type": "image_generation_call",
        "id": "ig_1",
        "status": "completed",
        "result": CODED,
        "output_format": "png",
    }
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    end = {"type": "response.completed",
           "response": {"status": "completed", "output": [item]}}  # fmt: skip
    cases: list[tuple[Codec, bytes, bytes]] = [
        (GEMINI, json.dumps(google).encode(), sse(google)),
        (
            ROUTER,
            chat({"content": "See: ", "images": [image]}),
            chunks({"content": "See: "}, {"images": [image]}),
        ),
        (OPENAI, json.dumps(end["response"]).encode(), sse(done, end)),
    ]
    for codec, unary, stream in cases:
        message, _ = whole(codec, unary)

        assert Blob(media_type="image/png", data=PNG) == message.parts[-1].blob
        assert message == streamed(codec, stream, piece)[0]


@pytest.mark.rule("3.15")
def test_large_media_come_in_pieces() -> None:
    """Small enough for what gRPC clients take."""
    data = PNG + bytes(3 << 20)
    inline = {"mimeType": "image/png", "data": b64encode(data).decode()}
    part = {"candidates": [{"content": {"parts": [{"inlineData": inline}]},
                            "finishReason": "STOP"}]}  # fmt: skip
    decoder = GEMINI.decoder(Prompt())
    deltas = decoder.feed(sse(part)) + decoder.close()

    assert all(delta.ByteSize() < 2 << 20 for delta in deltas)
    assert data == message_of(deltas).parts[0].blob.data


@pytest.mark.rule("3.15")
def test_audio_has_its_words_as_text() -> None:
    """Streamed it has no head, and its pieces may end within a group of Base64."""
    sound = b64encode(b"RIFF\0\0\0\0WAVEfmt ").decode()
    said = {"id": "a1", "data": sound, "transcript": "Hello.", "expires_at": 1}
    message, _ = whole(CHAT, chat({"content": None, "audio": said}))
    pcm = b64encode(bytes(range(90))).decode()
    pieces: list[dict[str, Any]]
    pieces = [{"audio": {"id": "a1", "transcript": "Hel"}}]
    pieces += [{"audio": {"data": pcm[at : at + 7]}} for at in range(0, len(pcm), 7)]
    pieces += [{"audio": {"transcript": "lo."}}, {"audio": {"expires_at": 1}}]
    spoken, _ = streamed(CHAT, chunks(*pieces), 50)

    assert ["audio/wav", ""] == [part.blob.media_type for part in message.parts]
    assert ["", "Hello."] == [part.text for part in message.parts]
    assert ["Hello.", ""] == [part.text for part in spoken.parts]
    blob = spoken.parts[1].blob
    assert ("audio/pcm;rate=24000", bytes(range(90))) == (blob.media_type, blob.data)


@pytest.mark.rule("3.13", "3.15")
@pytest.mark.parametrize(
    "url", ["data:image/png;base64,!", "data:image/png,x", "ftp://x.y", "", None, 3]
)
def test_media_that_cannot_be_read_are_told(url: object) -> None:
    image = {"type": "image_url", "image_url": {"url": url}}
    message, completion = whole(ROUTER, chat({"content": "See.", "images": [image]}))

    assert ["See."] == [part.text for part in message.parts]
    assert ["image_url"] == [one.type for one in completion.omissions]


@pytest.mark.rule("2.20")
def test_an_image_goes_back_to_its_author() -> None:
    """As the item or the part that it was."""
    signed = {
        "inlineData": {"mimeType": "image/png", "data": CODED},
        "thoughtSignature": "c2lnbmVk",
    }
    google = {"candidates": [{"content": {"parts": [signed]}, "finishReason": "STOP"}]}
    message, _ = whole(GEMINI, json.dumps(google).encode())
    assert signed == after(GEMINI, message)[0]["contents"][1]["parts"][0]

    item = {"type": "image_generation_call", "id": "ig_1", "result": CODED}
    output = {"status": "completed", "output": [item]}
    message, _ = whole(OPENAI, json.dumps(output).encode())
    assert {**item, "status": "completed"} == after(OPENAI, message)[0]["input"][1]


@pytest.mark.rule("2.20")
@pytest.mark.parametrize("codec", [CLAUDE, OPENAI, CHAT])
def test_an_image_of_a_model_goes_on_as_input(codec: Codec) -> None:
    """Where a turn of the model's may hold none: before the user's next words."""
    message = turn(Part(text="See:"), Part(blob=Blob(media_type="image/png", data=PNG)))
    body, reported = after(codec, message, own=False)
    turns = body.get("messages") or body["input"]

    assert CODED in json.dumps(turns[2])
    assert "user" == turns[2]["role"]
    assert CODED not in json.dumps([turns[0], turns[1], *turns[3:]])
    assert ["moved to a message of the user"] == [
        one for one in reported if "moved" in one
    ]


@pytest.mark.rule("2.20")
@pytest.mark.parametrize("codec", [CLAUDE, OPENAI, CHAT, GEMINI])
def test_audio_with_its_words_goes_on_as_these(codec: Codec) -> None:
    sound = Part(blob=Blob(media_type="audio/pcm;rate=24000", data=b"0"))
    body, reported = after(codec, turn(Part(text="Hello."), sound), own=False)

    assert "Hello." in json.dumps(body)
    assert any("its words are in the text" in one for one in reported)


# Blocks of the provider's own.


@pytest.mark.rule("2.19")
def test_a_paused_turn_goes_on() -> None:
    """It is no beginning of an answer, which newer models refuse."""
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    body = json.dumps(
        {"type": "message", "content": [block], "stop_reason": "pause_turn"}
    )
    message, _ = whole(CLAUDE, body.encode())
    message.origin = "author/claude-opus-5"
    asked = Message(role=ROLE_USER, parts=[Part(text="Search.")])
    prompt = Prompt(messages=[asked, message])
    encoded = CLAUDE.encode("claude-opus-5", prompt, stream=False)

    assert [block] == json.loads(encoded.body)["messages"][1]["content"]


@pytest.mark.rule("2.19", "3.13")
def test_files_that_a_router_has_read_go_back_to_it() -> None:
    """OpenRouter's; what Groq did is reported, and Groq takes nothing back."""
    file = {"type": "file", "file": {"hash": "h", "name": "a.pdf", "content": []}}
    ran = {"index": 0, "type": "search", "arguments": '{"query":"x"}', "output": "y"}
    said = {"content": "Yes.", "annotations": [file], "executed_tools": [ran]}
    message, _ = whole(ROUTER, chat(said))
    body, reported = after(ROUTER, message)

    assert ["", "file", "search"] == [part.opaque.type for part in message.parts]
    assert "a.pdf" == message.parts[1].opaque.description
    assert [file] == body["messages"][1]["annotations"]
    assert any("cannot read" in one for one in reported)


FORGED: list[tuple[Codec, str, dict[str, Any]]] = [
    (
        CLAUDE,
        "anthropic",
        {"type": "document", "source": {"type": "text", "data": "x"}},
    ),
    (CLAUDE, "anthropic", {"type": "container_upload", "file_id": "file_1"}),
    (
        CLAUDE,
        "anthropic",
        {
            "type": "web_fetch_tool_result",
            "content": {
                "content": {"source": {"type": "url", "url": "http://10.0.0.1"}}
            },
        },
    ),
    (GEMINI, "gemini", {"fileData": {"fileUri": "http://10.0.0.1"}}),
    (GEMINI, "gemini", {"functionResponse": {"name": "f", "response": {}}}),
    (GEMINI, "gemini", {"toolResponse": {"parts": [{"file_uri": "gs://x"}]}}),
    (OPENAI, "openai-responses", {"type": "item_reference", "id": "msg_1"}),
    (OPENAI, "openai-responses", {"type": "message", "role": "system", "content": "x"}),
    (
        OPENAI,
        "openai-responses",
        {"type": "computer_call_output", "output": {"image_url": "http://10.0.0.1"}},
    ),
    (ROUTER, "openai-chat", {"type": "image_url", "image_url": {"url": "http://x"}}),
]
"""What a caller may put into a state."""


@pytest.mark.rule("2.19")
@pytest.mark.parametrize(("codec", "wire", "block"), FORGED)
def test_a_forged_state_brings_nothing_in(
    codec: Codec, wire: str, block: dict[str, Any]
) -> None:
    """Nothing that has a field of its own, nor what a provider would fetch."""
    strings = {"block": json.dumps(block)}
    state = json.dumps({"v": 1, "wire": wire, "strings": strings}).encode()
    forged = Part(opaque=OpaquePart(type="x"), provider_state=state)
    body, reported = after(codec, turn(Part(text="a"), forged))

    assert block not in _values(body)
    assert "left out: content that this target cannot read" in reported


def _values(value: Any) -> list[Any]:
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = [*value.values()]
    elif isinstance(value, list):
        inner = value
    return [value, *(found for one in inner for found in _values(one))]


# Why.


@pytest.mark.rule("3.16")
def test_the_providers_own_words() -> None:
    """Bounded, and without what may be a key."""
    details = {
        "type": "refusal",
        "category": "cyber",
        "explanation": "No. " + "x" * 9999,
    }
    claude = {
        "type": "message",
        "content": [],
        "stop_reason": "refusal",
        "stop_details": details,
    }
    stop = {
        "content": {"parts": [{"text": "a"}]},
        "finishReason": "SAFETY",
        "finishMessage": "Blocked for sk-abcdefghijklmnopqrstuvwxyz0123456789ABCD.",
    }
    _, refused = whole(CLAUDE, json.dumps(claude).encode())
    _, stopped = whole(GEMINI, json.dumps({"candidates": [stop]}).encode())

    assert refused.provider_finish_message.startswith("cyber: No. x")
    assert 1000 == len(refused.provider_finish_message)
    assert stopped.provider_finish_message.startswith("Blocked for ")
    assert "sk-abc" not in stopped.provider_finish_message


def test_citations_of_the_caller_are_not_looked_at() -> None:
    part = Part(text="a", citations=[Citation(uri="https://x.y")])
    body, reported = after(CLAUDE, turn(part))

    assert "a" == body["messages"][1]["content"]
    assert "https://x.y" not in json.dumps(body)
    assert [] == [one for one in reported if "left out" in one]
