"""Errors that servers were seen to send, and what mutations of them may come to."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo.chain.failure import PERMANENT, TRANSIENT, Failure
from majordomo.chain.verdict import ALWAYS_ADVANCE
from majordomo.codec.errors.body import parse
from majordomo.codec.errors.classify import classify
from majordomo.v1.attempt_pb2 import FailureReason


class Seen(msgspec.Struct, frozen=True):
    """One error, as corpus/README.md says."""

    vendor: str
    status: int
    headers: dict[str, str]
    body: object
    reason: str
    delay: float | str | None
    source: str

    @property
    def data(self) -> bytes:
        """The body as it was sent."""
        if isinstance(self.body, str):
            return self.body.encode()
        return json.dumps(self.body).encode()


FILE = Path(__file__).parent / "corpus" / "errors.jsonl"
CORPUS = [
    msgspec.json.decode(line, type=Seen) for line in FILE.read_bytes().splitlines()
]
ENDS_A_CALL = {"CREDENTIALS", "CONTENT_REFUSED", "INVALID_REQUEST"}

SEEN = pytest.mark.parametrize(
    "seen", CORPUS, ids=[f"{n}-{seen.vendor}" for n, seen in enumerate(CORPUS, 1)]
)


def name(failure: Failure) -> str:
    """The short name of its reason."""
    return FailureReason.Name(failure.reason).removeprefix("FAILURE_REASON_")


def test_the_corpus_is_wide() -> None:
    """Many bodies of many vendors, each with its source, none of them twice."""
    known = re.compile(r"[\w.-]+/[\w.-]+#[0-9]+|https://\S+")

    assert len(CORPUS) >= 250
    assert len({seen.vendor for seen in CORPUS}) >= 10
    assert [seen.source for seen in CORPUS if not known.fullmatch(seen.source)] == []
    assert len(CORPUS) == len(
        {(seen.status, seen.data, seen.source) for seen in CORPUS}
    )


@SEEN
def test_no_key_is_in_it(seen: Seen) -> None:
    """Nor what looks like one."""
    keys = re.compile(rb"(?:sk|gsk|xai|hf|pplx|csk|nvapi)[-_]\w{6}|AIza\w{6}|eyJ\w{6}")

    assert keys.findall(seen.data) == []


@pytest.mark.rule("8.1", "8.2", "8.3", "8.4", "8.5", "8.6")
@SEEN
def test_its_reason_and_delay(seen: Seen) -> None:
    """What was seen is what a person takes it for."""
    failure = classify(seen.status, seen.headers, seen.data)
    moment = failure.reset_time
    delay = failure.retry_delay if moment is None else moment.isoformat()

    assert (seen.reason, seen.delay) == (name(failure), delay)


def _quoted(seen: Seen) -> str:
    return f"Error code: {seen.status} - {seen.body!r}"


ENVELOPES: dict[str, Callable[[Seen], object]] = {
    "an array": lambda seen: [seen.body],
    "a text": lambda seen: {"error": {"message": seen.data.decode(), "code": 1}},
    "a bare text": lambda seen: {"error": seen.data.decode()},
    "python": lambda seen: {"error": {"message": _quoted(seen), "type": None}},
    "litellm": lambda seen: {
        "error": {
            "message": f"litellm.APIError: XException - {seen.data.decode()}\n"
            "Received Model Group=a\nAvailable Model Group Fallbacks=None",
            "type": None,
            "param": None,
            "code": str(seen.status),
        }
    },
    "openrouter": lambda seen: {
        "error": {
            "message": "Provider returned error",
            "code": seen.status,
            "metadata": {"raw": seen.data.decode(), "provider_name": "X"},
        },
        "user_id": "u",
    },
    "fastapi": lambda seen: {"detail": seen.body},
    "cloudflare": lambda seen: {"success": False, "errors": [seen.body]},
    "twice": lambda seen: {"error": {"message": json.dumps({"error": seen.body})}},
}


@pytest.mark.rule("8.4")
@SEEN
def test_an_envelope_hides_nothing(seen: Seen) -> None:
    """A gateway's envelope around a body changes nothing of what it says."""
    if parse(seen.data) is None:
        pytest.skip("no error object: nobody wraps it so")
    found = {
        envelope: name(
            classify(seen.status, seen.headers, json.dumps(wrap(seen)).encode())
        )
        for envelope, wrap in ENVELOPES.items()
    }

    assert dict.fromkeys(ENVELOPES, seen.reason) == found


@pytest.mark.rule("8.1", "8.2")
@SEEN
def test_as_an_event_of_a_stream(seen: Seen) -> None:
    """Within a 200 what is known is known, and what is not ends no call."""
    failure = name(classify(200, {}, seen.data))

    if seen.reason in ENDS_A_CALL and seen.status != 401:
        assert seen.reason == failure
    elif seen.status != 401:
        assert failure not in ENDS_A_CALL


@pytest.mark.rule("8.2")
@SEEN
def test_under_any_status(seen: Seen) -> None:
    """No status but 401 makes a fault of the caller or the operator of another one."""
    found = {name(classify(status, {}, seen.data)) for status in STATUSES}

    assert found & ENDS_A_CALL <= {seen.reason}


STATUSES = [*(400, 402, 403, 404, 409, 413, 418, 422, 429), *(500, 502, 503, 504, 529)]
NEUTRAL = ["the", "of", "river", "stone", "seven", "gently", "12", "4096", "paper"]


def altered(value: object, choose: Callable[[str], str]) -> object:
    """`value` with `choose` made of each word in it."""
    if isinstance(value, dict):
        return {key: altered(entry, choose) for key, entry in value.items()}
    if isinstance(value, list):
        return [altered(entry, choose) for entry in value]
    if isinstance(value, str):
        return re.sub(r"\w+", lambda word: choose(word[0]), value)
    return value


@pytest.mark.rule("8.2")
@given(
    seen=st.sampled_from(CORPUS),
    status=st.sampled_from([200, *STATUSES]),
    envelope=st.sampled_from([None, *ENVELOPES]),
    data=st.data(),
)
def test_words_that_nobody_knows_end_no_call(
    seen: Seen, status: int, envelope: str | None, data: st.DataObject
) -> None:
    """Whatever the shape, the status and the envelope; nor do they raise."""
    body = altered(seen.body, lambda _: data.draw(st.sampled_from(NEUTRAL)))
    mutated = msgspec.structs.replace(seen, body=body, status=status)
    if envelope and isinstance(body, dict):
        mutated = msgspec.structs.replace(mutated, body=ENVELOPES[envelope](mutated))
    failure = classify(status, {}, mutated.data)

    assert name(failure) not in ENDS_A_CALL
    assert failure.reason in TRANSIENT | ALWAYS_ADVANCE


@pytest.mark.rule("8.2")
@given(
    seen=st.sampled_from([seen for seen in CORPUS if seen.status != 401]),
    kept=st.integers(0, 2**64),
)
def test_fewer_words_are_no_graver_fault(seen: Seen, kept: int) -> None:
    """Words that are lost make no fault of the caller out of another one."""
    bits = iter(bin(kept + 2**64)[3:] * 200)
    body = altered(seen.body, lambda word: word if next(bits) == "1" else "stone")
    failure = classify(
        seen.status, seen.headers, msgspec.structs.replace(seen, body=body).data
    )

    assert failure.reason in TRANSIENT | PERMANENT
    assert {name(failure)} & ENDS_A_CALL <= {seen.reason}


@pytest.mark.rule("8.2")
@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_that_nobody_knows(status: int) -> None:
    """It may be good elsewhere: advance, without a penalty and without a retry."""
    body = json.dumps({"error": {"message": "The river is under the lamp."}}).encode()

    assert name(classify(status, {}, body)) == "UNSUPPORTED"
