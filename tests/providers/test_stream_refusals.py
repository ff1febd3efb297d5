"""Refusals of streams: what is one, and what is remembered."""

import json

import pytest

from majordomo.codec.errors.stream_refusals import Refused, StreamRefusals, refused


def openai(message: str, param: str | None = None, code: str | None = None) -> object:
    error = {"message": message, "type": "invalid_request_error"}
    return {"error": {**error, "param": param, "code": code}}


VERIFY = "Your organization must be verified to stream this model."
SEEN: list[tuple[object, Refused | None]] = [
    (openai(VERIFY, "stream", "unsupported_value"), "stream"),
    (openai(VERIFY), "stream"),
    (openai("Streaming is not supported for this model."), "stream"),
    (openai("This deployment does not support streaming"), "stream"),
    (openai("Unknown parameter: 'stream'."), "stream"),
    (
        openai("Unrecognized request argument supplied: stream_options"),
        "stream_options",
    ),
    (openai("bad", "stream_options.include_usage"), "stream_options"),
    (openai("Unsupported parameter(s): `stream_options`"), "stream_options"),
    (
        {
            "detail": [
                {
                    "type": "extra_forbidden",
                    "loc": ["body", "stream_options"],
                    "msg": "Extra inputs are not permitted",
                }
            ]
        },
        "stream_options",
    ),
    # About something else, whatever words it quotes.
    (openai("Unknown parameter: 'stream'.", "tools[0].function.name"), None),
    (openai("Invalid value for 'messages'"), None),
    (openai("We stream the Unexpected"), None),
    (
        {"detail": [{"loc": ["body", "messages", 0, "stream"], "msg": "unexpected"}]},
        None,
    ),
    ("busy", None),
    ({"detail": [["stream"], {"loc": "stream"}]}, None),
    ([], None),
]


@pytest.mark.rule("5.8")
@pytest.mark.parametrize(("body", "part"), SEEN)
def test_what_is_refused(body: object, part: Refused | None) -> None:
    """By the parameter that is named, or else by the words."""
    assert part == refused(json.dumps(body).encode())


@pytest.mark.rule("5.8")
def test_what_cannot_be_read_is_no_refusal() -> None:
    assert refused(b"\xff{stream") is None
    assert refused(b"[" * 100_000) is None


@pytest.mark.rule("5.8")
def test_a_refusal_is_believed_once_it_helped() -> None:
    """One that did not help was for another reason; one that did stays."""
    refusals = StreamRefusals()
    refusals.note("m", "stream")
    refusals.settle("m", taken=False)
    forgotten = refusals.of("m")
    refusals.note("m", "stream")
    refusals.settle("m", taken=True)
    refusals.settle("m", taken=False)

    assert forgotten is None
    assert "stream" == refusals.of("m")


@pytest.mark.rule("5.8")
def test_the_memory_is_bounded() -> None:
    """Callers may name any model; the oldest go."""
    refusals = StreamRefusals()
    for number in range(2000):
        refusals.note(f"m-{number}", "stream")

    assert 1024 == sum(refusals.of(f"m-{number}") is not None for number in range(2000))
    assert refusals.of("m-1999") == "stream"
