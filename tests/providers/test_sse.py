"""Server-sent events are read whatever their framing and however they are split."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo.chain.failure import Failure
from majordomo.codec.sse import Event, EventParser
from majordomo.v1.attempt_pb2 import FAILURE_REASON_MALFORMED_RESPONSE


def read(*pieces: bytes) -> list[Event]:
    """The events of a body that arrives in `pieces` and ends."""
    parser = EventParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + list(parser.close())


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: one\n\ndata: two\n\n", [(b"", b"one"), (b"", b"two")]),
        (b"data:one\r\n\r\ndata:  two\r\n\r\n", [(b"", b"one"), (b"", b" two")]),
        (b"data: one\r\rdata: two\r\r", [(b"", b"one"), (b"", b"two")]),
        (b"data: one\ndata: two\n\n", [(b"", b"one\ntwo")]),
        (b"data:\n\n", [(b"", b"")]),
        (b"event: error\ndata: {}\n\ndata: 1\n\n", [(b"error", b"{}"), (b"", b"1")]),
        (b"event: ping\n\ndata: 1\n\n", [(b"", b"1")]),
        (b": PROCESSING\n\n:\n\ndata: 1\n\n", [(b"", b"1")]),
        (b"id: 7\nretry: 10\nother: x\ndata: 1\n\n", [(b"", b"1")]),
        (b"\xef\xbb\xbfdata: 1\n\n", [(b"", b"1")]),
        (b"\n\n\n", []),
        (b"", []),
    ],
)
def test_framing(body: bytes, events: list[Event]) -> None:
    """Line ends, comments, names, a byte order mark and other fields are understood."""
    assert events == read(body)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r"])
def test_the_last_event_needs_no_blank_line(end: bytes) -> None:
    """The end of the body ends an event too."""
    assert [(b"", b"[DONE]")] == read(b"data: [DONE]" + end)


def test_json_outside_of_any_field_is_data() -> None:
    """An error written bare into a stream is not lost."""
    bare = b'{\n  "error": {\n    "code": 503\n  }\n}'

    assert [(b"", b"1"), (b"", bare)] == read(b"data: 1\n\n" + bare + b"\n")


@pytest.mark.rule("6.2")
def test_an_event_may_not_grow_without_bound() -> None:
    """A line that never ends and data that never ends both fail."""
    for piece in (b"data: 1234567890", b"data: 1234567890\n"):
        parser = EventParser(max_event_bytes=100)
        with pytest.raises(Failure) as caught:
            list(chain.from_iterable(parser.feed(piece) for _ in range(20)))

        assert FAILURE_REASON_MALFORMED_RESPONSE == caught.value.reason


def test_events_before_one_that_is_too_long_are_yielded() -> None:
    """What arrived whole is not lost to what follows it."""
    parser = EventParser(max_event_bytes=10)
    events = parser.feed(b"data: one\n\ndata: 1234567890123\n\n")

    assert (b"", b"one") == next(events)
    with pytest.raises(Failure):
        next(events)


LINES = st.lists(
    st.sampled_from(
        [
            *("data: alpha", "data:beta", "data: 😀é", "data", "data: "),
            *("event: error", "event:x", ": comment", ":", "id: 1", "", "", ""),
            *('{"bare": 1}', "[", "}", "\ufeff"),
        ]
    ),
    max_size=12,
)


@given(
    lines=LINES,
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=12, max_size=12),
    cuts=st.lists(st.integers(0, 200), max_size=8),
)
def test_how_the_bytes_are_split_makes_no_difference(
    lines: list[str], ends: list[str], cuts: list[int]
) -> None:
    """Cut anywhere, within characters and line ends too, the events are the same."""
    body = "".join(a + b for a, b in zip(lines, ends, strict=False)).encode()
    at = sorted(min(cut, len(body)) for cut in cuts)
    pieces = [body[a:b] for a, b in zip([0, *at], [*at, len(body)], strict=True)]

    assert read(body) == read(*pieces)


@given(
    lines=LINES,
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=12, max_size=12),
)
def test_how_lines_end_makes_no_difference(lines: list[str], ends: list[str]) -> None:
    """LF, CRLF and CR, mixed, mean the same."""
    mixed = "".join(a + b for a, b in zip(lines, ends, strict=False)).encode()
    # A CR and a blank line's LF after it are one line end, not two.
    if b"\r\n" in mixed.replace(b"\r\n", b"") or any(
        a == "\r" and b == "\n" and not line
        for a, b, line in zip(ends, ends[1:], lines[1:], strict=False)
    ):
        return

    assert read("".join(f"{line}\n" for line in lines).encode()) == read(mixed)
