"""What a walk reports of a call while it goes on."""

from typing import NamedTuple

from majordomo.chain.target import Answer
from majordomo.v1.attempt_pb2 import Attempt
from majordomo.v1.generation_service_pb2 import PartDelta


class Content(NamedTuple):
    """Content for the caller of a stream; never empty."""

    deltas: list[PartDelta]


class Restarted(NamedTuple):
    """All content so far is void: another target begins to answer."""

    interrupted: Attempt
    target: str


class AttemptEnded(NamedTuple):
    """An attempt ended without the call's answer, or a target was skipped."""

    attempt: Attempt


class Answered(NamedTuple):
    """The last event: the call's answer."""

    answer: Answer


Event = Content | Restarted | AttemptEnded | Answered
