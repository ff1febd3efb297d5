"""Answers of generateContent: rules of reading beyond what the recordings show."""

import json
from typing import Any

import pytest

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer
from majordomo.codec.base import StreamDecoder
from majordomo.codec.state import unpack
from majordomo.deltas import message as message_of
from majordomo.providers.gemini.codec import Gemini
from majordomo.v1.attempt_pb2 import FailureReason, Usage
from majordomo.v1.content_pb2 import Message
from majordomo.v1.generation_service_pb2 import Completion, FinishReason, Prompt
from tests.providers.prompts import user

CODEC = Gemini("gemini")
TARGET = "gemini/gemini-3-pro"
Json = dict[str, Any]


def asking(*, include_text: bool = False) -> Prompt:
    prompt = Prompt()
    prompt.config.reasoning.include_text = include_text
    return prompt


def said(*parts: Json, stop: str = "", **more: Any) -> Json:
    """A whole answer, or a piece of one."""
    candidate: Json = {"content": {"role": "model", "parts": list(parts)}}
    if stop:
        candidate["finishReason"] = stop
    return {"candidates": [candidate], **more}


def text(words: str, **more: Any) -> Json:
    return {"text": words, **more}


def calling(name: str, **more: Any) -> Json:
    return {"functionCall": {"name": name, **more}}


def whole(body: Json, *, include_text: bool = False) -> tuple[Message, Completion]:
    prompt = asking(include_text=include_text)
    answer = CODEC.decode(prompt, json.dumps(body).encode())
    assert answer.message is not None
    return answer.message, answer.completion


def streamed(*pieces: Json, include_text: bool = False) -> tuple[Message, Completion]:
    """The turn that the pieces make, each of them sent by itself."""
    decoder = CODEC.decoder(asking(include_text=include_text))
    deltas = []
    for piece in pieces:
        deltas += decoder.feed(b"data: " + json.dumps(piece).encode() + b"\r\n\r\n")
    if not decoder.complete:
        deltas += decoder.close()
    return message_of(deltas), decoder.finish().completion


def failed(*pieces: Json) -> tuple[str, str]:
    """The reason and the code of a stream that is no answer."""
    with pytest.raises(Failure) as caught:
        streamed(*pieces)
    return reason_of(caught.value), caught.value.code


def reason_of(failure: Failure) -> str:
    return FailureReason.Name(failure.reason).removeprefix("FAILURE_REASON_")


def texts(message: Message) -> list[str]:
    return [part.text for part in message.parts]


def states(message: Message) -> list[dict[str, str]]:
    return [unpack("gemini", part.provider_state) for part in message.parts]


# How an answer ends.


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", "STOP"),
        ("MAX_TOKENS", "LENGTH"),
        ("SAFETY", "CONTENT_FILTER"),
        ("RECITATION", "CONTENT_FILTER"),
        ("BLOCKLIST", "CONTENT_FILTER"),
        ("PROHIBITED_CONTENT", "CONTENT_FILTER"),
        ("SPII", "CONTENT_FILTER"),
        ("MODEL_ARMOR", "CONTENT_FILTER"),
        ("ESCALATION", "CONTENT_FILTER"),
        ("IMAGE_SAFETY", "CONTENT_FILTER"),
        ("CONTINUATION", "OTHER"),
        ("NEW_TOMORROW", "OTHER"),
    ],
)
def test_why_the_model_stopped(word: str, reason: str) -> None:
    """In the contract's terms, and in the provider's own word."""
    for _, completion in (
        whole(said(text("a"), stop=word)),
        streamed(said(text("a")), said(stop=word)),
    ):
        assert f"FINISH_REASON_{reason}" == FinishReason.Name(completion.finish_reason)
        assert word == completion.provider_finish_reason


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE"),
        ("UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"),
        ("MALFORMED_RESPONSE", "MALFORMED_RESPONSE"),
        ("TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"),
        ("MISSING_THOUGHT_SIGNATURE", "UNSUPPORTED"),
        ("LANGUAGE", "PROVIDER_ERROR"),
        ("NO_IMAGE", "PROVIDER_ERROR"),
        ("OTHER", "PROVIDER_ERROR"),
    ],
)
def test_answers_that_went_wrong(word: str, reason: str) -> None:
    """They are failures, within a 200, whatever was written before."""
    for pieces in ([said(stop=word)], [said(text("a")), said(stop=word)]):
        assert (reason, word) == failed(*pieces)
    with pytest.raises(Failure) as caught:
        whole({"candidates": [{"content": {}, "finishReason": word}]})
    assert (reason, word) == (reason_of(caught.value), caught.value.code)


BLOCKED = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}


@pytest.mark.parametrize(
    "pieces",
    [
        [BLOCKED],
        [{"usageMetadata": {"promptTokenCount": 3}}, BLOCKED],
        [said(stop="SAFETY") | BLOCKED],
        [{"candidates": [], **BLOCKED}],
    ],
)
def test_a_blocked_prompt(pieces: list[Json]) -> None:
    """Before any content it is a refusal, by its own word."""
    assert ("CONTENT_REFUSED", "PROHIBITED_CONTENT") == failed(*pieces)


def test_an_answer_that_is_blocked_after_content() -> None:
    """It is an answer, cut for its content."""
    turn, completion = streamed(said(text("so")), BLOCKED)

    assert ["so"] == texts(turn)
    name = FinishReason.Name(completion.finish_reason)
    assert "FINISH_REASON_CONTENT_FILTER" == name
    assert "PROHIBITED_CONTENT" == completion.provider_finish_reason


@pytest.mark.rule("3.4")
@pytest.mark.parametrize(
    "candidate", [{}, {"content": {}}, {"content": {"parts": None}}, {"content": None}]
)
def test_an_empty_answer_is_one(candidate: Json) -> None:
    """If the model has stopped."""
    body = {"candidates": [{"finishReason": "MAX_TOKENS", **candidate}]}
    for turn, completion in (whole(body), streamed(body)):
        assert [] == list(turn.parts)
        assert "MAX_TOKENS" == completion.provider_finish_reason


@pytest.mark.rule("3.4")
@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [{}],
        [{"candidates": []}],
        [{"usageMetadata": {"promptTokenCount": 3}}],
        [said(text("a"))],
        [said(text("a"), stop="FINISH_REASON_UNSPECIFIED")],
    ],
)
def test_a_stream_without_an_end_is_no_answer(pieces: list[Json]) -> None:
    """Be it empty, or cut."""
    assert ("MALFORMED_RESPONSE", "") == failed(*pieces)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"3", b"nonsense", b"<html>"])
def test_bodies_that_are_no_answer(body: bytes) -> None:
    """They are malformed, not empty."""
    with pytest.raises(Failure) as caught:
        CODEC.decode(Prompt(), body)
    assert "MALFORMED_RESPONSE" == reason_of(caught.value)


# What is passed over.


def test_what_is_not_known_is_opaque() -> None:
    """Parts, keys and pieces of other kinds, and all candidates but the first."""
    second = {"index": 1, "content": {"parts": [text("no")]}, "finishReason": "SAFETY"}
    answer = said(
        text("a"),
        {"executableCode": {"code": "1"}},
        {"newTomorrow": 3},
        text("b"),
        stop="STOP",
    )
    answer["candidates"].append(second)
    turn, completion = streamed({"newTomorrow": {"a": 1}}, answer, {"alsoNew": [2]})

    kinds = [part.opaque.type for part in turn.parts]
    assert ["", "executableCode", "newTomorrow", ""] == kinds
    assert ["a", "", "", "b"] == [part.text for part in turn.parts]
    assert ["candidates"] == [omission.type for omission in completion.omissions]
    assert "STOP" == completion.provider_finish_reason


# State.

SIGNED_TURN = [
    text("I think", thought=True),
    text(" hard.", thought=True, thoughtSignature="dGhvdWdodA=="),
    text("Well"),
    text(", so.", thoughtSignature="dGV4dA=="),
    {**calling("f", args={"a": 1}, id="id1"), "thoughtSignature": "Y2FsbA=="},
    calling("g", args={}),
    text("", thoughtSignature="ZW5k"),
]


@pytest.mark.parametrize("include_text", [True, False])
def test_a_turn_goes_back_as_it_came(include_text: bool) -> None:
    """What was signed, to its author: each part and its signature, byte by byte."""
    for turn, _ in (
        whole(said(*SIGNED_TURN, stop="STOP"), include_text=include_text),
        streamed(
            *(said(part) for part in SIGNED_TURN),
            said(stop="STOP"),
            include_text=include_text,
        ),
    ):
        turn.origin = TARGET
        prompt = Prompt(messages=[user("hi"), turn])
        sent = json.loads(CODEC.encode("gemini-3-pro", prompt, stream=False).body)

        # The unsigned thought is nothing that the model needs.
        assert SIGNED_TURN[1:] == sent["contents"][1]["parts"]


def test_thoughts_that_are_shown() -> None:
    """Unsigned ones are joined; a signed one stands alone."""
    thoughts = [part for part in SIGNED_TURN if "thought" in part]
    turn, _ = streamed(
        said(text("Hm. ", thought=True)),
        *(said(part) for part in thoughts),
        said(stop="STOP"),
        include_text=True,
    )

    shown = [part.reasoning.text for part in turn.parts]
    assert ["Hm. I think", " hard."] == shown
    assert [{}, {"signature": "dGhvdWdodA=="}] == states(turn)


def test_state_is_no_content() -> None:
    """Of thoughts that nobody asked to see nothing comes before the text."""
    decoder = CODEC.decoder(asking())
    thought = said(text("hm", thought=True, thoughtSignature="c2ln"))
    early = decoder.feed(b"data: " + json.dumps(thought).encode() + b"\n\n")
    late = decoder.feed(b"data: " + json.dumps(said(text("a"))).encode() + b"\n\n")

    assert [] == early
    assert [0, 1] == [delta.part_index for delta in late]


# Calls.


def test_calls_without_ids_are_told_apart() -> None:
    """In one answer and in the next; a made-up id is never sent back."""
    ids = []
    for _ in range(2):
        turn, completion = whole(said(calling("f"), calling("f"), stop="STOP"))
        ids += [part.tool_call.id for part in turn.parts]
        assert [{}, {}] == states(turn)
        name = FinishReason.Name(completion.finish_reason)
        assert "FINISH_REASON_TOOL_CALLS" == name

    assert 4 == len(set(ids))


@pytest.mark.parametrize(
    ("args", "arguments"),
    [({}, "{}"), (None, "{}"), ({"b": 1, "a": [2.5]}, '{"b": 1, "a": [2.5]}')],
)
def test_arguments(args: Json | None, arguments: str) -> None:
    """As the model wrote them, in its order."""
    turn, _ = whole(said(calling("f", args=args), stop="STOP"))

    assert [arguments] == [part.tool_call.arguments_json for part in turn.parts]


def test_a_call_that_comes_in_pieces() -> None:
    """Its end may be reported more than once, and its signature may come late."""
    piece = {"jsonPath": "$['a b']", "stringValue": "x"}
    turn, _ = streamed(
        said(calling("f", willContinue=True)),
        said({"functionCall": {"partialArgs": [piece], "willContinue": True}}),
        said({"functionCall": {"partialArgs": [piece]}, "thoughtSignature": "c2ln"}),
        said({"functionCall": {}}),
        said(calling("g", willContinue=True)),
        said(calling("h", args={})),
        said(stop="STOP"),
    )

    calls = [part.tool_call for part in turn.parts]
    assert ["f", "g", "h"] == [call.name for call in calls]
    arguments = [json.loads(call.arguments_json) for call in calls]
    assert [{"a b": "xx"}, {}, {}] == arguments
    assert [{"signature": "c2ln"}, {}, {}] == states(turn)


def test_arguments_of_no_call() -> None:
    """There is nothing that they could be of."""
    nameless = said({"functionCall": {"args": {"a": 1}}})

    assert ("MALFORMED_RESPONSE", "") == failed(nameless)


# Counts.


@pytest.mark.parametrize(
    ("counted", "usage"),
    [
        (
            {
                "promptTokenCount": 10,
                "cachedContentTokenCount": 4,
                "candidatesTokenCount": 3,
                "thoughtsTokenCount": 7,
                "totalTokenCount": 20,
            },
            Usage(
                input_tokens=10,
                output_tokens=10,
                cache_read_tokens=4,
                reasoning_tokens=7,
            ),
        ),
        (
            {"promptTokenCount": 10, "toolUsePromptTokenCount": 5},
            Usage(input_tokens=15),
        ),
        (
            {"promptTokenCount": 0, "candidatesTokenCount": 0},
            Usage(input_tokens=0, output_tokens=0),
        ),
        ({"thoughtsTokenCount": 7}, Usage(output_tokens=7, reasoning_tokens=7)),
        (
            {"promptTokenCount": 3, "cachedContentTokenCount": 9},
            Usage(input_tokens=3, cache_read_tokens=3),
        ),
        ({"promptTokenCount": "3", "candidatesTokenCount": -1}, None),
        ({"trafficType": "PROVISIONED_THROUGHPUT"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_usage(counted: Json | None, usage: Usage | None) -> None:
    """Thoughts are output, what tools brought is input; unknown stays unset."""
    _, completion = whole(said(text("a"), stop="STOP", usageMetadata=counted))

    assert (usage is not None) == completion.HasField("usage")
    assert (usage or Usage()) == completion.usage


def test_usage_of_a_stream() -> None:
    """The last that was reported, though it be less, and known before the end."""
    counts: list[Json] = [
        {"promptTokenCount": 9, "candidatesTokenCount": 4},
        {"promptTokenCount": 9, "candidatesTokenCount": 2},
        {"trafficType": "ON_DEMAND"},
    ]
    pieces = [said(text("a"), usageMetadata=count) for count in counts]
    _, completion = streamed(*pieces, said(stop="STOP"))

    expected = Usage(input_tokens=9, output_tokens=2)
    assert expected == completion.usage
    decoder = CODEC.decoder(Prompt())
    decoder.feed(b"data: " + json.dumps(pieces[1]).encode() + b"\n\n")
    assert expected == decoder.usage


# Errors.

ERROR = {"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}
BAD_KEY = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "API_KEY_INVALID",
}


def ended(decoder: StreamDecoder) -> Answer:
    """The end of a stream whose body has ended."""
    if not decoder.complete:
        decoder.close()
    return decoder.finish()


def retry_info(delay: str) -> Json:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def quota(name: str) -> Json:
    kind = "type.googleapis.com/google.rpc.QuotaFailure"
    return {"@type": kind, "violations": [{"quotaId": name, "quotaValue": "50"}]}


@pytest.mark.parametrize(
    "error",
    [
        b"data: " + json.dumps(ERROR).encode() + b"\r\n\r\n",
        json.dumps(ERROR, indent=2).encode() + b"\n",
        json.dumps([ERROR]).encode() + b"\n",
        b"data: " + json.dumps([ERROR]).encode() + b"\n\n",
        b"event: error\ndata: " + json.dumps(ERROR).encode() + b"\n\n",
    ],
)
@pytest.mark.parametrize("before", ["", "STOP"])
def test_an_error_in_a_stream(before: str, error: bytes) -> None:
    """In each of its forms, after the model has stopped too; nothing is swallowed."""
    decoder = CODEC.decoder(Prompt())
    first = said(text("a"), stop=before)
    deltas = decoder.feed(b"data: " + json.dumps(first).encode() + b"\n\n" + error)

    assert ["a"] == [delta.text for delta in deltas]
    with pytest.raises(Failure) as caught:
        ended(decoder)
    assert "OVERLOADED" == reason_of(caught.value)
    assert "UNAVAILABLE" == caught.value.code


@pytest.mark.rule("8.1")
def test_an_error_of_another_shape_in_a_stream() -> None:
    """Such as a gateway's."""
    assert "RATE_LIMITED" == failed({"detail": "Too many requests"})[0]


DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
MINUTE = "GenerateContentInputTokensPerModelPerMinute-FreeTier"
CHECK_QUOTA = "Resource has been exhausted (e.g. check quota)."
PLAN = "You exceeded your current quota, please check your plan and billing details."
PLAN = f"{PLAN} https://ai.google.dev/gemini-api/docs/rate-limits"


@pytest.mark.rule("8.1", "8.3")
@pytest.mark.parametrize(
    ("status", "code", "words", "details", "reason", "delay"),
    [
        (400, "INVALID_ARGUMENT", "API key", [BAD_KEY], "CREDENTIALS", None),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (9) exceeds the maximum number of tokens allowed.",
            [],
            "CONTEXT_TOO_LONG",
            None,
        ),
        (
            400,
            "FAILED_PRECONDITION",
            "User location is not supported for the API use.",
            [],
            "CREDENTIALS",
            None,
        ),
        (
            400,
            "INVALID_ARGUMENT",
            "Function call is missing a thought_signature in functionCall parts.",
            [],
            "UNSUPPORTED",
            None,
        ),
        (400, "INVALID_ARGUMENT", "Bad.", [], "UNSUPPORTED", None),
        (
            402,
            "RESOURCE_EXHAUSTED",
            "Your prepayment credits are depleted.",
            [],
            "QUOTA_EXHAUSTED",
            None,
        ),
        (403, "PERMISSION_DENIED", "Denied.", [], "PROVIDER_ERROR", None),
        (
            404,
            "NOT_FOUND",
            "models/x is not found for API version v1beta.",
            [],
            "MODEL_NOT_FOUND",
            None,
        ),
        (404, "NOT_FOUND", "Cached content is gone.", [], "PROVIDER_ERROR", None),
        (
            429,
            "RESOURCE_EXHAUSTED",
            PLAN,
            [quota(MINUTE), retry_info("48s")],
            "RATE_LIMITED",
            48.0,
        ),
        (
            429,
            "RESOURCE_EXHAUSTED",
            PLAN,
            [quota(DAY), retry_info("3.5s")],
            "QUOTA_EXHAUSTED",
            3.5,
        ),
        (429, "RESOURCE_EXHAUSTED", CHECK_QUOTA, [], "RATE_LIMITED", None),
        (499, "CANCELLED", "Cancelled.", [], "PROVIDER_ERROR", None),
        (500, "INTERNAL", "Internal.", [], "PROVIDER_ERROR", None),
        (503, "UNAVAILABLE", "The model is overloaded.", [], "OVERLOADED", None),
        (504, "DEADLINE_EXCEEDED", "Deadline expired.", [], "TIMEOUT", None),
    ],
)
def test_errors(
    status: int,
    code: str,
    words: str,
    details: list[Json],
    reason: str,
    delay: float | None,
) -> None:
    """As an object, and in an array; by status as well as within a good answer."""
    error = {"code": status, "message": words, "status": code, "details": details}
    for body in ({"error": error}, [{"error": error}]):
        data = json.dumps(body).encode()
        refusal = CODEC.failure(status, {}, data)
        with pytest.raises(Failure) as caught:
            CODEC.decode(Prompt(), data)

        assert reason == reason_of(refusal) == reason_of(caught.value)
        assert delay == refusal.retry_delay


# Broken text.


@pytest.mark.rule("3.6")
def test_text_that_is_cut_within_a_character() -> None:
    """Its halves are joined where they come one after the other."""
    owl = json.dumps("\N{OWL}").strip('"')
    high, low = owl[:6], owl[6:]
    pieces = [
        json.dumps(said(text("HALF"))).replace("HALF", half) for half in (high, low)
    ]
    decoder = CODEC.decoder(Prompt())
    deltas = []
    for piece in (*pieces, json.dumps(said(stop="STOP"))):
        deltas += decoder.feed(b"data: " + piece.encode() + b"\n\n")
    deltas += decoder.close()

    assert isinstance(decoder.finish(), Answer)
    assert ["\N{OWL}"] == texts(message_of(deltas))
