"""The chain that docs/semantics.md grew from, as a model without I/O and without time
of its own: what it does at each target, and what it remembers of it.

It is what the product does at its plainest: see docs/decisions. The model is written
for the eye: one statement of it a branch, each with a name, and a walk shows which of
them it came by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Outcome = Literal["answer", "transient", "permanent", "no such model", "unsupported"]
"""What one attempt comes to."""

Statement = Literal[
    "skip what is backed off",
    "advance from an unsupported request",
    "answer, and reset the target's health",
    "retry a transient failure",
    "advance when retries are used up",
    "advance when benched",
    "advance where the model is missing",
    "advance where it is unsupported",
    "advance on a permanent failure, if told so",
    "end at a permanent failure",
    "fail when every target did",
]


@dataclass
class Memory:
    """What is remembered of one target."""

    consecutive: int = 0
    until: float = float("-inf")
    """Backed off until this moment."""


class Tracker:
    """Failures in a row bench a target, each time for twice as long, up to a cap."""

    def __init__(self, threshold: int, base: float, cap: float) -> None:
        self._threshold = threshold
        self._base = base
        self._cap = cap
        self._memories: dict[str, Memory] = {}

    def of(self, target: str) -> Memory:
        return self._memories.setdefault(target, Memory())

    def available(self, target: str, now: float) -> bool:
        return now >= self.of(target).until

    def succeed(self, target: str) -> None:
        self._memories[target] = Memory()

    def fail(self, target: str, now: float) -> bool:
        """Whether this failure has benched the target."""
        memory = self.of(target)
        memory.consecutive += 1
        beyond = memory.consecutive - self._threshold
        if beyond < 0:
            return False
        memory.until = now + min(self._cap, self._base * 2**beyond)
        return True


class Step(NamedTuple):
    """An attempt, or why there was none."""

    target: str
    what: Outcome | Literal["backed off", "unsupported"]
    benched: bool = False


@dataclass
class Walk:
    """What a call came to."""

    steps: list[Step] = field(default_factory=list)
    end: Literal["answered", "refused", "exhausted"] = "exhausted"
    passed: set[Statement] = field(default_factory=set)
    """The statements that it came by."""


def walk(
    tracker: Tracker,
    now: float,
    targets: Mapping[str, Sequence[Outcome] | None],
    *,
    retries: int,
    advance_on_permanent: bool,
) -> Walk:
    """Walk `targets`, each with what its attempts come to; None: an unsupported
    request."""
    came = Walk()
    for target, outcomes in targets.items():
        if not tracker.available(target, now):
            came.passed.add("skip what is backed off")
            came.steps.append(Step(target, "backed off"))
            continue
        if outcomes is None:
            came.passed.add("advance from an unsupported request")
            came.steps.append(Step(target, "unsupported"))
            continue
        for attempt, outcome in enumerate(outcomes):
            if outcome == "answer":
                came.passed.add("answer, and reset the target's health")
                tracker.succeed(target)
                came.steps.append(Step(target, outcome))
                came.end = "answered"
                return came
            if outcome != "transient":
                came.steps.append(Step(target, outcome))
                if _advances(came, outcome, advance_on_permanent):
                    break
                came.passed.add("end at a permanent failure")
                came.end = "refused"
                return came
            benched = tracker.fail(target, now)
            came.steps.append(Step(target, outcome, benched))
            if benched:
                came.passed.add("advance when benched")
                break
            if attempt == retries:
                came.passed.add("advance when retries are used up")
                break
            came.passed.add("retry a transient failure")
    came.passed.add("fail when every target did")
    return came


def _advances(came: Walk, outcome: Outcome, advance_on_permanent: bool) -> bool:
    if outcome == "no such model":
        came.passed.add("advance where the model is missing")
    elif outcome == "unsupported":
        came.passed.add("advance where it is unsupported")
    elif advance_on_permanent:
        came.passed.add("advance on a permanent failure, if told so")
    else:
        return False
    return True
