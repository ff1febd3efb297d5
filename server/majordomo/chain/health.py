"""The health of one target (docs/semantics.md, section 4).

A target is ACTIVE, BENCHED until some moment, or PROBING: one trial call decides
whether it comes back. Every transition is a plain method: the time and the randomness
are given, and nothing waits.

An attempt holds a `Lease` from its start to its end. A lease remembers the state
that it was begun in, so that results from before a change of state are inert.
"""

from collections.abc import Callable
from dataclasses import dataclass

from majordomo.chain.clock import NANOSECONDS, Clock
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_QUOTA_EXHAUSTED,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_UNSPECIFIED,
    Attempt,
    BenchRecord,
    FailureReason,
)
from majordomo.v1.operator_service_pb2 import TargetHealth

ACTIVE = TargetHealth.STATE_ACTIVE
BENCHED = TargetHealth.STATE_BENCHED
PROBING = TargetHealth.STATE_PROBING

LONGEST_RETRY_DELAY = 3600.0
"""Seconds; what a provider asks beyond it is not waited for (rule 4.5)."""

_SHORTEST_RATE_BENCH = 1.0
_FIRST_QUOTA_BENCH = 15 * 60.0
_LONGEST_QUOTA_BENCH = 60 * 60.0
_RUNNING_SHARE = 0.2
_EARLY_PACE = 1.0
_MEMORY = 60.0
_NO_EPOCH = -1


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """When a target is benched, and for how many seconds."""

    failure_threshold: int = 2
    cooldown_base: float = 5.0
    cooldown_cap: float = 60.0


@dataclass(frozen=True, slots=True)
class Bench:
    """What keeps a target out of rotation. Moments are monotonic seconds."""

    origin: BenchRecord.Origin
    start: float
    until: float | None
    """None: until an operator lifts it."""

    reason: str = ""
    cause: FailureReason = FAILURE_REASON_UNSPECIFIED
    count: int = 0
    probing: bool = False
    """The time is over, and another call is the probe."""

    def write(self, record: BenchRecord, clock: Clock) -> None:
        """Say the same in `record`, of another message, with wall times."""
        record.origin = self.origin
        record.reason = self.reason
        record.failure_reason = self.cause
        record.consecutive_benches = self.count
        clock.stamp(record.start_time, self.start)
        if self.until is not None:
            # By the start, so that it lasts as long as it does on the monotonic clock.
            lasts = round((self.until - self.start) * NANOSECONDS)
            start = record.start_time.ToNanoseconds()
            record.expire_time.FromNanoseconds(start + lasts)


@dataclass(slots=True, eq=False)
class Lease:
    """One running attempt at a target."""

    target: str
    order: int
    """Attempts are numbered as they begin."""

    epoch: int
    """The target's state that the attempt was begun in."""

    probe: bool
    ended: bool = False


class Health:
    """The automatic state of one target; every method is one transition."""

    __slots__ = (
        "active_since",
        "asked_until",
        "benches",
        "cause",
        "consecutive_failures",
        "early",
        "epoch",
        "failures",
        "last_failure",
        "last_success",
        "met",
        "probed",
        "quota_benches",
        "rate_bench",
        "running",
        "start",
        "state",
        "total_attempts",
        "total_failures",
        "until",
    )

    def __init__(self, now: float, met: int = 0) -> None:
        self.met = met  # the version of the changes when the target was met
        self.state: TargetHealth.State = ACTIVE
        self.epoch = 0
        self.active_since = now
        self.failures: list[int] = []  # the orders of failed attempts, while active
        self.consecutive_failures = 0
        self.benches = 0
        self.quota_benches = 0
        self.rate_bench = 0.0  # seconds of the last one for a rate limit
        self.start = now
        self.until = now
        self.cause: FailureReason = FAILURE_REASON_UNSPECIFIED
        self.probed = True
        self.asked_until = now  # the provider wants quiet until then
        self.early = now - _EARLY_PACE  # when it was last tried before its time
        self.running = 0
        self.total_attempts = 0
        self.total_failures = 0
        self.last_success: float | None = None
        self.last_failure: Attempt | None = None

    @property
    def forgettable(self) -> bool:
        """Nothing of it would be missed."""
        return (
            self.running == 0
            and self.state == ACTIVE
            and not self.consecutive_failures
            and not self.benches
            and not self.rate_bench
            and self.last_success is None
        )

    def pass_time(self, now: float) -> None:
        """A bench for a rate limit ends by itself, without a probe."""
        if self.state == BENCHED and not self.probed and now >= self.until:
            self.activate(self.until)

    def out_of_rotation(self, now: float) -> bool:
        self.pass_time(now)
        return self.state == PROBING or (self.state == BENCHED and now < self.until)

    def may_be_tried_early(self, now: float) -> bool:
        """Whether nothing but our own cooldown says to wait (rule 4.12)."""
        return (
            self.state == BENCHED
            and self.cause != FAILURE_REASON_QUOTA_EXHAUSTED
            and now >= self.asked_until
            and now >= self.early + _EARLY_PACE
        )

    def begin(
        self, target: str, order: int, now: float, *, inert: bool = False
    ) -> Lease:
        if inert:
            self.running += 1
            return Lease(target, order, _NO_EPOCH, probe=False)
        if self.state == BENCHED and now < self.until:
            self.early = now
        probe = self.state == BENCHED
        if probe:
            self.state = PROBING
            self.epoch += 1
        self.running += 1
        self.total_attempts += 1
        return Lease(target, order, self.epoch, probe)

    def first_content(self, lease: Lease, now: float) -> bool:
        """True if it was the probe's, and the target is back."""
        if not lease.probe or lease.epoch != self.epoch or self.state != PROBING:
            return False
        self.activate(now)
        lease.epoch = self.epoch
        return True

    def succeed(self, lease: Lease, now: float) -> bool:
        """True if it was the probe that did, and the target is back."""
        self.last_success = now
        back = self.first_content(lease, now)
        if lease.epoch == self.epoch and self.failures:
            self.failures = [order for order in self.failures if order > lease.order]
            self.consecutive_failures = len(self.failures)
        return back

    def fail(
        self,
        lease: Lease,
        reason: FailureReason,
        retry_delay: float | None,
        settings: HealthSettings,
        now: float,
        random: Callable[[], float],
    ) -> bool:
        """Count a transient failure; True if it benched the target."""
        if lease.epoch != self.epoch:
            return False
        delay = min(retry_delay or 0.0, LONGEST_RETRY_DELAY)
        self.asked_until = max(self.asked_until, now + delay)
        self.consecutive_failures += 1
        if reason == FAILURE_REASON_RATE_LIMITED and retry_delay is not None:
            length = max(delay, _SHORTEST_RATE_BENCH)
            if self.rate_bench and now <= self.until + self.rate_bench:
                again = min(2 * self.rate_bench, settings.cooldown_cap)
                length = max(length, again)
            length = min(length * (1 + random() / 10), LONGEST_RETRY_DELAY)
            self._bench(reason, length, now, probed=False)
            self.rate_bench = length
            return True
        if reason == FAILURE_REASON_QUOTA_EXHAUSTED:
            doubled = _FIRST_QUOTA_BENCH * 2 ** min(self.quota_benches, 8)
            length = max(min(doubled, _LONGEST_QUOTA_BENCH), delay)
            self._bench(reason, length, now)
            self.quota_benches += 1
            return True
        self.failures.append(lease.order)
        threshold = max(settings.failure_threshold, _RUNNING_SHARE * self.running)
        if self.state == ACTIVE and len(self.failures) < threshold:
            return False
        benches = self.remembered_benches(now) + 1
        cooldown = min(
            settings.cooldown_cap, settings.cooldown_base * 2 ** min(benches - 1, 30)
        )
        cooldown *= 0.5 + random() / 2
        self._bench(reason, max(cooldown, delay), now)
        self.benches = benches
        return True

    def release(self, lease: Lease) -> bool:
        """The attempt is over; True if it was a probe that told nothing.

        Then the next attempt is the probe.
        """
        self.running -= 1
        if not lease.probe or lease.epoch != self.epoch or self.state != PROBING:
            return False
        self.state = BENCHED
        self.epoch += 1
        return True

    def activate(self, now: float) -> None:
        if self.probed:
            self.quota_benches = 0
        self.state = ACTIVE
        self.epoch += 1
        self.active_since = self.asked_until = now
        self.until = min(self.until, now)  # what was lifted prolongs no other bench
        self.failures.clear()
        self.consecutive_failures = 0

    def forgive(self, now: float) -> None:
        """As if it had never failed; results of attempts now running are inert."""
        self.activate(now)
        self.benches = self.quota_benches = 0
        self.rate_bench = 0.0

    def move(self, now: float, *, elsewhere: bool) -> None:
        """It is reached at another place, or else with another key (rule 4.14)."""
        quota = self.cause == FAILURE_REASON_QUOTA_EXHAUSTED
        if elsewhere or self.state == ACTIVE or quota:
            self.forgive(now)
        else:
            self.state = BENCHED
            self.epoch += 1

    def remembered_benches(self, now: float) -> int:
        """Benches in a row, one forgotten for each whole minute active."""
        if self.state != ACTIVE:
            return self.benches
        return max(0, self.benches - int((now - self.active_since) // _MEMORY))

    def _bench(
        self, cause: FailureReason, length: float, now: float, *, probed: bool = True
    ) -> None:
        self.benches = self.remembered_benches(now)
        self.state = BENCHED
        self.epoch += 1
        self.start = now
        self.until = max(self.until, now + length)
        self.cause = cause
        self.probed = probed
        self.failures.clear()


def silence_counts(own_timeout: float, ran: float) -> bool:
    """Whether an attempt that brought nothing counts when its time was cut short.

    Short deadlines must neither bench a healthy target nor spare a silent one: it
    counts if it was silent for its own limit, or for 5 s (rule 4.3). In seconds.
    """
    return ran >= min(own_timeout, 5.0)
