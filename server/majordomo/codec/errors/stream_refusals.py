"""Servers that refuse a request because it asks for a stream.

Some do not let every account stream, some do not know `stream_options`. What a model
was seen to refuse is left out of the requests that follow.
"""

import re
from typing import Literal

import msgspec

from majordomo.codec.errors.body import parse

Refused = Literal["stream", "stream_options"]
"""The part of the request that is refused."""

STATUSES = frozenset({400, 403, 404, 422})
"""Of answers that may be such a refusal."""

_MOST_MODELS = 1024

_UNKNOWN = (
    r"(?:unrecognized|unknown|unexpected|unsupported|extra|not permitted|invalid)"
)
_OPTIONS = re.compile(
    rf"{_UNKNOWN}.{{0,80}}\bstream_options\b|\bstream_options\b.{{0,80}}"
    rf"(?:{_UNKNOWN}|\bnot (?:supported|allowed|permitted))",
    re.DOTALL,
)
_STREAM = re.compile(
    r"verified to stream\b"
    r"|\bnot? support(?:ed)? stream(?:ing|s)?\b"
    r"|\bstream(?:ing|s)? (?:is|are) (?:not|un)[ -]?"
    r"(?:supported|allowed|available|enabled|permitted)"
    rf"|{_UNKNOWN}.{{0,80}}['\"`]stream['\"`]",
    re.DOTALL,
)


class StreamRefusals:
    """What models of one provider refuse; of no more than 1 024 of them.

    A refusal is believed for good once the same model took a request without what it
    had refused. Until then the next refusal, which must be for another reason, ends it:
    anyone who sends what is refused in any form changes nothing for others.
    """

    def __init__(self) -> None:
        self._refused: dict[str, Refused] = {}
        self._believed: set[str] = set()

    def of(self, model: str) -> Refused | None:
        """What `model` refuses, as far as it was seen."""
        return self._refused.get(model)

    def note(self, model: str, refused: Refused) -> None:
        """`model` has refused it."""
        if len(self._refused) >= _MOST_MODELS and model not in self._refused:
            oldest = next(iter(self._refused))
            del self._refused[oldest]
            self._believed.discard(oldest)
        self._refused[model] = refused

    def settle(self, model: str, *, taken: bool) -> None:
        """What came of a request to `model` without what it refuses."""
        if taken and model in self._refused:
            self._believed.add(model)
        elif not taken and model not in self._believed:
            self._refused.pop(model, None)


def refused(body: bytes) -> Refused | None:
    """What of a streamed request the refusal in `body` is about, if it is about that.

    A parameter that it names counts more than its words. Total.
    """
    named = _named(body)
    for part in ("stream_options", "stream"):
        if part in named or any(name.startswith(f"{part}.") for name in named):
            return part
    error = parse(body)
    if named or error is None:
        return None
    words = error.text.lower()
    if _OPTIONS.search(words):
        return "stream_options"
    return "stream" if _STREAM.search(words) else None


def _named(body: bytes) -> set[str]:
    """The parameters that a refusal names, as OpenAI does it and as FastAPI does."""
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return set()
    if not isinstance(value, dict):
        return set()
    error = value.get("error")
    of_error = error.get("param") if isinstance(error, dict) else None
    names = [of_error, value.get("param")]
    detail = value.get("detail")
    for problem in detail if isinstance(detail, list) else []:
        place = problem.get("loc") if isinstance(problem, dict) else None
        if isinstance(place, list) and place[:1] == ["body"]:
            names += place[1:2]
    return {name for name in names if isinstance(name, str) and name}
