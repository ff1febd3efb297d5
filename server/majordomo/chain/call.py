"""One caller's request while its chain is walked, and the record that it leaves."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from google.protobuf.message import Message

from majordomo.chain.evidence import Lease
from majordomo.chain.target import Target
from majordomo.contract import label
from majordomo.errors import MOST_DETAIL_BYTES, Refused
from majordomo.v1.attempt_pb2 import (
    ANSWER_FAULT_EMPTY,
    AnswerFault,
    Attempt,
    FailureReason,
)
from majordomo.v1.errors_pb2 import (
    ERROR_REASON_ALL_BENCHED,
    ERROR_REASON_CHAIN_EXHAUSTED,
    ERROR_REASON_CHAIN_RATE_LIMITED,
    ERROR_REASON_CONTENT_REFUSED,
    ERROR_REASON_DEADLINE_EXCEEDED,
    ERROR_REASON_MODEL_NOT_FOUND,
    ERROR_REASON_PROVIDER_CREDENTIALS,
    ERROR_REASON_REQUEST_REFUSED,
    ERROR_REASON_REQUEST_UNSUPPORTED,
    ERROR_REASON_STREAM_INTERRUPTED,
    CallFailure,
    ErrorReason,
)
from majordomo.v1.generation_service_pb2 import (
    ALL_BENCHED_POLICY_LAST_RESORT,
    INTERRUPTION_POLICY_FAIL,
    AllBenchedPolicy,
    Completion,
    InterruptionPolicy,
    Prompt,
)


@dataclass(frozen=True, slots=True)
class Policy:
    """How to walk a chain: ChainOptions with the server's settings filled in."""

    transient_retries: int = 1
    advance_on_permanent: bool = False
    advance_on: frozenset[FailureReason] = frozenset()
    all_benched: AllBenchedPolicy = ALL_BENCHED_POLICY_LAST_RESORT
    interruption: InterruptionPolicy = INTERRUPTION_POLICY_FAIL
    advance_on_answer: frozenset[AnswerFault] = frozenset({ANSWER_FAULT_EMPTY})
    """Faults of answers after which the walk goes on; the answers are kept."""

    # Seconds. None: what the target's configuration says.
    attempt_timeout: float | None = None
    first_content_timeout: float | None = None
    stall_timeout: float | None = None


class Memory(Protocol):
    """What a call may hold of the server's memory, in bytes."""

    def try_take(self, amount: int) -> bool:
        """Hold `amount` more; False, and nothing, where that is too much."""

    def give(self, amount: int) -> None:
        """Hold `amount` less."""


class _Boundless:
    def try_take(self, amount: int) -> bool:  # noqa: ARG002
        return True

    def give(self, amount: int) -> None:
        pass


BOUNDLESS = _Boundless()
"""For calls that nobody counts."""


@dataclass(slots=True)
class Call:
    """A request, and what became of it.

    The walk appends to `attempts` and sets the outcome; observers read the call
    once it has ended.
    """

    generation_id: str
    prompt: Prompt
    chain: str
    """The chain as the caller wrote it, or the server's default."""

    targets: tuple[Target, ...]
    stream: bool
    policy: Policy = Policy()
    time_remaining: float | None = None
    """Seconds until the caller's deadline when the call came; None: none set."""

    labels: dict[str, str] = field(default_factory=dict)
    trace_id: str = ""
    caller: str = ""
    """Among whom what all share is shared: the name of the token that was shown,
    or where none are configured the peer's address. Empty where nobody called."""

    memory: Memory = BOUNDLESS
    kept: dict[Hashable, Any] = field(default_factory=dict)
    """What fitting the prompt to one target has made that others can use."""

    attempts: list[Attempt] = field(default_factory=list)
    leases: dict[str, Lease] = field(default_factory=dict)
    """The last one taken at each target, by its name."""

    started_nanoseconds: int = 0
    ended_nanoseconds: int = 0
    completion: Completion | None = None
    """Set when the call was answered."""

    error: ErrorReason | None = None
    """Set when the call failed."""

    cancelled: bool = False
    """The caller went away."""

    def target(self, name: str) -> Target:
        """The target that an attempt names."""
        return next(target for target in self.targets if target.name == name)


_SUMMARIES: dict[ErrorReason, str] = {
    ERROR_REASON_CHAIN_EXHAUSTED: "no target answered",
    ERROR_REASON_ALL_BENCHED: "every target is benched",
    ERROR_REASON_CHAIN_RATE_LIMITED: "every target is at its rate limit or quota",
    ERROR_REASON_MODEL_NOT_FOUND: "no target has its model",
    ERROR_REASON_REQUEST_REFUSED: "a provider refused the request",
    ERROR_REASON_REQUEST_UNSUPPORTED: "the request fits none of the targets",
    ERROR_REASON_CONTENT_REFUSED: "a provider refused the content",
    ERROR_REASON_PROVIDER_CREDENTIALS: "a provider refused this server's credentials",
    ERROR_REASON_STREAM_INTERRUPTED: "the answer broke off",
    ERROR_REASON_DEADLINE_EXCEEDED: "out of time",
}
REASONS = frozenset(_SUMMARIES)
"""Those for which a walk ends without an answer."""


class CallFailed(Refused):
    """The chain was walked and gave no answer."""

    def __init__(
        self, call: Call, reason: ErrorReason, retry_delay: float | None
    ) -> None:
        super().__init__(ErrorReason.Name(reason))
        self.call = call
        self.reason = reason
        self.retry_delay = retry_delay
        """Seconds until the first target may come back; None where that is not known,
        or no target will."""

    @property
    def message(self) -> str:
        """What happened, and each target's reason in order."""
        reasons = [
            f"{attempt.target}: {label(FailureReason, attempt.failure_reason)}"
            for attempt in self.call.attempts
            if attempt.failure_reason
        ]
        return f"{_SUMMARIES[self.reason]} ({'; '.join(dict.fromkeys(reasons))})"

    def details(self) -> Iterable[Message]:
        return (call_failure(self.call.generation_id, self.call.attempts),)


def call_failure(generation_id: str, attempts: Sequence[Attempt]) -> CallFailure:
    """What fits of the attempts: first messages go, then those in the middle."""
    failure = CallFailure(generation_id=generation_id, attempts=attempts)
    if failure.ByteSize() > MOST_DETAIL_BYTES:
        for attempt in failure.attempts:
            attempt.ClearField("message")
    while failure.ByteSize() > MOST_DETAIL_BYTES and len(failure.attempts) > 2:
        del failure.attempts[len(failure.attempts) // 2]
        failure.omitted_attempts += 1
    return failure
