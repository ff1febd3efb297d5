"""What is wrong with an answer that is complete (rule 3.4)."""

from collections.abc import Iterable

from majordomo.chain.target import Answer
from majordomo.v1.attempt_pb2 import (
    ANSWER_FAULT_EMPTY,
    ANSWER_FAULT_UNSPECIFIED,
    AnswerFault,
)
from majordomo.v1.content_pb2 import Part
from majordomo.v1.generation_service_pb2 import FINISH_REASON_STOP, PartDelta

WORDS: dict[AnswerFault, str] = {ANSWER_FAULT_EMPTY: "the answer was empty"}


def fault(answer: Answer) -> AnswerFault:
    """What is wrong with `answer`, of which nothing was shown yet; or unspecified."""
    if answer.completion.finish_reason != FINISH_REASON_STOP:
        return ANSWER_FAULT_UNSPECIFIED
    if answer.message is None:
        empty = _say_nothing(answer.rest)
    else:
        empty = _say_nothing(answer.message.parts)
    return ANSWER_FAULT_EMPTY if empty else ANSWER_FAULT_UNSPECIFIED


def _say_nothing(parts: Iterable[Part | PartDelta]) -> bool:
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
