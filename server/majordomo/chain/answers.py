"""What is wrong with an answer that is complete (rules 3.4 and 3.17)."""

from collections.abc import Sequence, Set
from typing import NamedTuple

import msgspec

from majordomo.schemas.validate import faults_of
from majordomo.v1.attempt_pb2 import (
    ANSWER_FAULT_EMPTY,
    ANSWER_FAULT_LENGTH,
    ANSWER_FAULT_NOT_JSON,
    ANSWER_FAULT_REFUSED,
    ANSWER_FAULT_SCHEMA,
    ANSWER_FAULT_UNSPECIFIED,
    AnswerFault,
)
from majordomo.v1.content_pb2 import Part
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_CONTENT_FILTER,
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    FinishReason,
    PartDelta,
    Prompt,
    ResponseFormat,
)

_OF_FORM = frozenset({ANSWER_FAULT_NOT_JSON, ANSWER_FAULT_SCHEMA})
_CUT: dict[FinishReason, AnswerFault] = {
    FINISH_REASON_LENGTH: ANSWER_FAULT_LENGTH,
    FINISH_REASON_CONTENT_FILTER: ANSWER_FAULT_REFUSED,
}

Parts = Sequence[Part] | Sequence[PartDelta]


class Fault(NamedTuple):
    """What is wrong, and the same in a few words."""

    kind: AnswerFault
    words: str


_WORDS: dict[AnswerFault, str] = {
    ANSWER_FAULT_EMPTY: "the answer was empty",
    ANSWER_FAULT_LENGTH: "the answer was cut by its length",
    ANSWER_FAULT_REFUSED: "the answer was refused or filtered",
    ANSWER_FAULT_NOT_JSON: "the answer is not the JSON that was asked for",
}


def fault(
    parts: Parts, why: FinishReason, prompt: Prompt, wanted: Set[AnswerFault]
) -> Fault | None:
    """The first of the `wanted` faults of an answer to `prompt`; it ended for `why`."""
    kind = _CUT.get(why, ANSWER_FAULT_UNSPECIFIED)
    if why == FINISH_REASON_STOP and ANSWER_FAULT_EMPTY in wanted:
        kind = ANSWER_FAULT_EMPTY if _say_nothing(parts) else kind
    if kind in wanted:
        return Fault(kind, _WORDS[kind])
    if wanted.isdisjoint(_OF_FORM) or not prompt.HasField("response_format"):
        return None
    return _fault_of_form(parts, prompt.response_format, wanted)


def _fault_of_form(
    parts: Parts, form: ResponseFormat, wanted: Set[AnswerFault]
) -> Fault | None:
    """A fault of the form that was asked for; a call of a tool is no answer yet."""
    kind = form.WhichOneof("kind")
    if kind not in ("json", "json_schema") or any(map(_is_call, parts)):
        return None
    text = "".join([part.text for part in parts])
    if ANSWER_FAULT_NOT_JSON in wanted and not _is_json(text, any_kind=kind != "json"):
        return Fault(ANSWER_FAULT_NOT_JSON, _WORDS[ANSWER_FAULT_NOT_JSON])
    if kind == "json_schema" and ANSWER_FAULT_SCHEMA in wanted:
        wrong = faults_of(form.json_schema.schema_json, text)
        if wrong is not None:
            return Fault(ANSWER_FAULT_SCHEMA, f"the answer {wrong}")
    return None


def _is_json(text: str, *, any_kind: bool) -> bool:
    """Whether `text` is JSON: an object, unless a schema says of what kind."""
    shape: object = msgspec.Raw if any_kind else dict[str, msgspec.Raw]
    try:
        msgspec.json.decode(text, type=shape)
    except (ValueError, RecursionError):
        return False
    return True


def _is_call(part: Part | PartDelta) -> bool:
    return part.HasField("tool_call")


def _say_nothing(parts: Parts) -> bool:
    for part in parts:
        field = "kind" if isinstance(part, Part) else "delta"
        match part.WhichOneof(field):
            case "text":
                if part.text and not part.text.isspace():
                    return False
            case "reasoning" | "opaque" | None:
                pass
            case _:
                return False
    return True
