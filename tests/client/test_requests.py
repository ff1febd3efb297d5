"""Requests from what callers give."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from majordomo.client import (
    PromptLike,
    code_execution,
    media,
    text_of,
    url_reading,
    user,
    web_search,
)
from majordomo.client.requests import bench_request, fill_request, watch_request
from majordomo.v1.attempt_pb2 import ANSWER_FAULT_REFUSED
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_USER,
    Blob,
    FunctionTool,
    Message,
    Part,
    Reasoning,
    Tool,
    ToolChoice,
    UrlReadingTool,
    UserLocation,
    WebSearchTool,
)
from majordomo.v1.generation_service_pb2 import (
    CachePolicy,
    Call,
    ChainOptions,
    ExplainRequest,
    GenerateRequest,
    GenerationConfig,
    JsonSchemaFormat,
    Prompt,
    ResponseFormat,
    StreamRequest,
)
from majordomo.v1.operator_service_pb2 import BenchRequest, WatchHealthRequest

HI = Message(role=ROLE_USER, parts=[Part(text="hi")])
HELLO = Message(role=ROLE_ASSISTANT, parts=[Part(text="hello")], origin="acme/echo")


@pytest.mark.parametrize(
    ("prompt", "messages"),
    [
        ("hi", [HI]),
        (HI, [HI]),
        ([HI, HELLO, user("bye")], [HI, HELLO, user("bye")]),
        (iter([HI, HELLO]), [HI, HELLO]),
        (Prompt(messages=[HI]), [HI]),
    ],
)
def test_what_may_be_asked(prompt: PromptLike, messages: list[Message]) -> None:
    """A text, a turn, a conversation, or a whole prompt."""
    request = fill_request(GenerateRequest(), prompt)

    assert GenerateRequest(call=Call(prompt=Prompt(messages=messages))) == request


@pytest.mark.parametrize(
    "request_type", [GenerateRequest, StreamRequest, ExplainRequest]
)
def test_every_way_of_asking_has_its_field(request_type: Any) -> None:
    """In all three requests alike."""
    tools = [Tool(function=FunctionTool(name="look_up"))]
    choice = ToolChoice(mode=ToolChoice.MODE_REQUIRED)
    config = GenerationConfig(max_output_tokens=9)
    policy = CachePolicy(cache_instructions=True)
    options = ChainOptions(transient_retries=0)
    schema = {"type": "object", "properties": {"b": {}, "a": {"title": "é"}}}

    request = fill_request(
        request_type(),
        "hi",
        chain="fast",
        system="Be brief.",
        tools=iter(tools),
        tool_choice=choice,
        config=config,
        response_schema=schema,
        cache_policy=policy,
        options=options,
        advance_on_answer=iter([ANSWER_FAULT_REFUSED]),
    )

    reported = json.loads(request.call.prompt.response_format.json_schema.schema_json)
    assert ["b", "a"] == list(reported["properties"])
    assert schema == reported
    request.call.prompt.ClearField("response_format")
    prompt = Prompt(
        messages=[HI],
        system_instruction=[Part(text="Be brief.")],
        tools=tools,
        tool_choice=choice,
        config=config,
        cache_policy=policy,
    )
    options.answer_policy.advance_on_answer.append(ANSWER_FAULT_REFUSED)
    assert (
        request_type(call=Call(chain="fast", prompt=prompt, options=options)) == request
    )


def test_no_fault_at_all() -> None:
    """An empty list turns failing over on answers off; left out it says nothing."""
    off = fill_request(GenerateRequest(), "hi", advance_on_answer=[]).call
    unsaid = fill_request(GenerateRequest(), "hi").call

    assert off.options.HasField("answer_policy")
    assert not unsaid.HasField("options")


def test_tools_that_providers_run() -> None:
    """With few words, and every limit of the contract."""
    zurich = UserLocation(city="Zurich", country="CH")
    search = web_search(allowed_domains=["a.example"], max_uses=2, user_location=zurich)
    reading = url_reading(blocked_domains=["b.example"])

    assert (
        Tool(
            web_search=WebSearchTool(
                allowed_domains=["a.example"], max_uses=2, user_location=zurich
            )
        )
        == search
    )
    assert Tool(url_reading=UrlReadingTool(blocked_domains=["b.example"])) == reading
    assert not reading.url_reading.HasField("max_uses")
    assert "code_execution" == code_execution().WhichOneof("kind")


def test_what_is_given_wins_over_the_prompt() -> None:
    """And the caller's prompt stays as it was."""
    prompt = Prompt(
        messages=[HI],
        system_instruction=[Part(text="Be brief.")],
        tools=[Tool(function=FunctionTool(name="a"))],
        response_format=ResponseFormat(json_schema=JsonSchemaFormat(schema_json="{}")),
    )
    before = Prompt()
    before.CopyFrom(prompt)

    request = fill_request(
        GenerateRequest(),
        prompt,
        system="Be long.",
        tools=[Tool(function=FunctionTool(name="b"))],
        response_schema='{"type": "object"}',
    )

    assert before == prompt
    assert [Part(text="Be long.")] == request.call.prompt.system_instruction
    assert ["b"] == [tool.function.name for tool in request.call.prompt.tools]
    assert (
        '{"type": "object"}'
        == request.call.prompt.response_format.json_schema.schema_json
    )


def test_lengths_of_time_are_seconds() -> None:
    """None leaves the field unset."""
    half = Duration(nanos=500_000_000)

    assert BenchRequest(target="a/b", duration=half, reason="r") == bench_request(
        "a/b", 0.5, "r"
    )
    assert not bench_request("a/b", None, "").HasField("duration")
    assert WatchHealthRequest(chain="c", heartbeat_interval=half) == watch_request(
        "c", 0.5
    )
    assert not watch_request("", None).HasField("heartbeat_interval")


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"\xff\xd8\xff\xe0...", "image/jpeg"),
        (b"GIF89a...", "image/gif"),
        (b"RIFF\n\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\n\0\0\0WAVEfmt ", "audio/wav"),
        (b"ID3\x04...", "audio/mpeg"),
        (b"\xff\xfb\x90...", "audio/mpeg"),
        (b"fLaC...", "audio/flac"),
        (b"OggS...", "audio/ogg"),
        (b"%PDF-1.7", "application/pdf"),
    ],
)
def test_the_first_bytes_tell_the_media_type(
    tmp_path: Path, data: bytes, media_type: str
) -> None:
    """Before the name does: what providers look at is the bytes."""
    path = tmp_path / "misnamed.txt"
    path.write_bytes(data)

    expected = Part(blob=Blob(media_type=media_type, data=data))

    assert expected == media(data)
    assert expected == media(path)
    assert expected == media(str(path))


def test_else_the_name_tells_it(tmp_path: Path) -> None:
    """Or the caller, who is always believed."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"hello")

    assert Part(blob=Blob(media_type="text/plain", data=b"hello")) == media(path)
    assert Part(blob=Blob(media_type="text/x", data=b"hello")) == media(path, "text/x")


def test_media_of_no_known_type(tmp_path: Path) -> None:
    """The error says what to give."""
    path = tmp_path / "unknown"
    path.write_bytes(b"hello")

    with pytest.raises(ValueError, match="media type of unknown; give media_type"):
        media(path)
    with pytest.raises(ValueError, match="of these bytes; give media_type"):
        media(b"hello")


def test_turns_are_made_and_read_with_few_words() -> None:
    """Texts and other parts go in, the text comes out."""
    image = media(b"GIF89a...")
    turn = user("What is ", image, "this?")

    assert (
        Message(
            role=ROLE_USER, parts=[Part(text="What is "), image, Part(text="this?")]
        )
        == turn
    )
    answer = Message(parts=[Part(reasoning=Reasoning(text="hm")), *turn.parts])
    assert "What is this?" == text_of(answer)
