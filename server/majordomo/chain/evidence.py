"""What the attempts at one target have shown lately (docs/semantics.md, 4.1 to 4.3).

Attempts are weighed in the order in which they began, and not in that in which they
ended: failures come quickly and answers slowly, and what was begun before an outage
may end well within it. All moments are monotonic seconds.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

_NEWEST = 10
"""Calls whose outcomes are weighed, at least."""

_LATEST = 0.5
"""Seconds whose calls are all weighed: at 100 calls a second the newest ten are those
of a tenth of a second, in which chance alone may make most of them fail."""

_MOST = 100
"""Calls that are weighed, at most."""

_ANSWERS = 20
"""Answers whose first contents show how slow the target is."""

_MEMORY = 60.0
"""Seconds that an outcome counts."""

_LEAST_PATIENCE = 5.0
"""Seconds of silence that a target is granted, unless its own limit is less."""

_SLOWER = 3.0
"""How many times the slowest first content of late a silence may last."""

_UNENDED = 1 / 3
"""Of its limit how long a stream may be silent before that counts."""

_LONGEST_UNENDED = 10.0
"""Seconds; a model that reasons has a longer limit, and shows that it is at work."""

_OFTEN = 0.1
"""Seconds between two looks at who is silent."""

_SELDOM = 1.0
"""Seconds after which a look judges nobody: the event loop may have stood still, and
what has arrived meanwhile is to be read first."""


@dataclass(slots=True, eq=False)
class Lease:
    """One running attempt at one target, from its start to its end."""

    target: str
    order: int
    """Attempts are numbered as they begin."""

    start: float
    epoch: int = 0
    """The target's state that the attempt was begun in."""

    first: int = 0
    """The order of the first attempt that its call made at the target."""

    probe: bool = False
    last_resort: bool = False
    """Begun though the target was out of rotation, not as its probe."""

    limit: float = float("inf")
    """Seconds that the target's own settings let it be silent."""

    streamed: bool = False
    """Its first content comes before the rest of its answer."""

    inert: bool = False
    """Its result shows nothing: it goes where the target is reached no more."""

    content: bool = False
    """It has brought some."""

    judged: bool = False
    """Its silence counts as a failure already."""

    ended: bool = False


class _Outcome(NamedTuple):
    order: int
    first: int
    failed: bool
    start: float
    end: float


class Evidence:
    """The newest outcomes at a target, and what its running attempts speak for."""

    __slots__ = (
        "_latencies",
        "_looked",
        "_outcomes",
        "_running",
        "_silent",
        "failures",
    )

    def __init__(self) -> None:
        self._outcomes: list[_Outcome] = []  # in the order of their attempts
        self._running: dict[Lease, None] = {}
        self._silent: dict[Lease, None] = {}  # of those whose silence may be judged
        self._looked = 0.0
        self._latencies: deque[float] = deque(maxlen=_ANSWERS)
        self.failures: list[int] = []
        """The failures in a row: what no answer of an attempt begun later denies."""

    @property
    def answered_share(self) -> float:
        """How many of the newest outcomes are answers, from 0 to 1; 0 of none."""
        newest = self._outcomes[-_NEWEST:]
        return sum(not outcome.failed for outcome in newest) / max(1, len(newest))

    def begin(self, lease: Lease) -> None:
        """The attempt has begun."""
        self._running[lease] = None
        if lease.streamed or lease.probe:
            self._silent[lease] = None

    def end(self, lease: Lease) -> None:
        """It is over, however it ended."""
        self._running.pop(lease, None)
        self._silent.pop(lease, None)

    def alive(self, lease: Lease) -> None:
        """It is not silent any more, though it has brought nothing yet."""
        self._silent.pop(lease, None)

    def first_content(self, lease: Lease, now: float) -> None:
        """It has brought its first content, or a whole answer."""
        self.alive(lease)
        self._latencies.append(now - lease.start)

    def succeed(self, lease: Lease, now: float) -> None:
        """It ended with an answer: only failures of later attempts stay in a row."""
        self._note(lease, now, failed=False)
        if self.failures:
            self.failures = [order for order in self.failures if order > lease.order]

    def fail(self, lease: Lease, now: float) -> None:
        """It failed."""
        self._note(lease, now, failed=True)

    def convicts(self, in_a_row: float, share: float, now: float) -> bool:
        """Whether `in_a_row` failures, and `share` of the newest, bench the target.

        A running attempt that has lasted longer than the failures did counts as an
        answer. With a share of 0 only those in a row count.
        """
        if not share:
            return len(self.failures) >= in_a_row
        ended = [o for o in self._outcomes if now - o.end < _MEMORY]
        longest = max((o.end - o.start for o in ended if o.failed), default=0.0)
        outlived = takewhile(lambda lease: now - lease.start > longest, self._running)
        running = [
            _Outcome(lease.order, lease.first, failed=False, start=lease.start, end=now)
            for lease in outlived
        ]
        denied = running[-1].order if running else 0
        if sum(order > denied for order in self.failures) < in_a_row:
            return False
        calls = {outcome.first: outcome for outcome in sorted(ended + running)}
        weighed = _newest(sorted(calls.values()))
        return sum(outcome.failed for outcome in weighed) >= share * len(weighed)

    def patience(self, limit: float) -> float:
        """Seconds of silence that count at a target whose own limit is `limit`.

        Who grants less learns nothing of it: a short deadline must neither bench a
        healthy target nor spare a silent one.
        """
        return min(limit, max(_LEAST_PATIENCE, self._slow))

    def overdue(self, now: float) -> Iterable[Lease]:
        """Those that have been silent for too long by now; each is reported once.

        A probe by the patience, so that it holds nobody up; a stream not before a third
        of its own limit, and only where answers have shown how long they take.
        """
        pause = now - self._looked
        if not self._silent or pause < _OFTEN:
            return ()
        self._looked = now
        if pause > _SELDOM:
            return ()
        slow = self._slow
        late = [
            lease
            for lease in self._silent
            if now - lease.start
            >= (
                self.patience(lease.limit)
                if lease.probe
                else max(slow, min(lease.limit * _UNENDED, _LONGEST_UNENDED))
            )
            and (lease.probe or slow)
        ]
        for lease in late:
            self.end(lease)
        return late

    @property
    def newest_running(self) -> int:
        """The order of the last attempt that is under way; 0 if none is."""
        return next((lease.order for lease in reversed(self._running)), 0)

    def took_others(self, lease: Lease) -> bool:
        """Whether an attempt begun before `lease`, in the same state, still runs."""
        return any(
            running.epoch == lease.epoch and running.order < lease.order
            for running in self._running
        )

    def forget(self) -> None:
        """Nothing that was seen by now speaks for or against the target any more."""
        self._outcomes.clear()
        self._latencies.clear()
        self.failures.clear()

    @property
    def _slow(self) -> float:
        """Seconds; 0 where no answer is known."""
        return _SLOWER * max(self._latencies, default=0.0)

    def _note(self, lease: Lease, now: float, *, failed: bool) -> None:
        outcomes = self._outcomes
        if lease.judged or lease.first != lease.order:
            # What a call comes to at the target counts once: by its last attempt.
            outcomes[:] = [o for o in outcomes if o.first != lease.first]
        outcome = _Outcome(lease.order, lease.first, failed, lease.start, now)
        if not outcomes or outcome > outcomes[-1]:
            outcomes.append(outcome)
        else:
            insort(outcomes, outcome)
        if len(outcomes) > _MOST:
            del outcomes[0]


def _newest(outcomes: list[_Outcome]) -> list[_Outcome]:
    """The newest ten, and all that began in the last half second of them."""
    latest = outcomes[-1].start - _LATEST
    least = max(0, len(outcomes) - _NEWEST)
    return [o for place, o in enumerate(outcomes) if place >= least or o.start > latest]
