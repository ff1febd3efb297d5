"""What is wrong with an answer that is complete (rule 3.4)."""

from collections.abc import Iterable
from enum import Enum, auto

from majordomo.chain.target import Answer
from majordomo.v1.content_pb2 import Part
from majordomo.v1.generation_service_pb2 import FINISH_REASON_STOP, PartDelta


class AnswerFault(Enum):
    """Why the walk may go on after an answer, which it keeps."""

    EMPTY = auto()
    """No text but white space, no tool call, no media, and the model stopped."""


WORDS = {AnswerFault.EMPTY: "the answer was empty"}


def fault(answer: Answer) -> AnswerFault | None:
    """What is wrong with `answer`, of which nothing was shown yet."""
    if answer.completion.finish_reason != FINISH_REASON_STOP:
        return None
    if answer.message is None:
        empty = _say_nothing(answer.rest)
    else:
        empty = _say_nothing(answer.message.parts)
    return AnswerFault.EMPTY if empty else None


def _say_nothing(parts: Iterable[Part | PartDelta]) -> bool:
    for part in parts:
        field = "kind" if isinstance(part, Part) else "delta"
        match part.WhichOneof(field):
            case "text":
                if part.text and not part.text.isspace():
                    return False
            case "reasoning" | None:
                pass
            case _:
                return False
    return True
