"""The health of one target (docs/semantics.md, section 4).

A target is ACTIVE, BENCHED until some moment, or PROBING: one trial call decides
whether it comes back. Every transition is a plain method: the time and the randomness
are given, and nothing waits.

An attempt holds a `Lease` from its start to its end. A lease remembers the state
that it was begun in, so that results from before a change of state are inert.
"""

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from majordomo.chain.clock import Clock
from majordomo.chain.evidence import Evidence, Lease
from majordomo.chain.last_resort import Bucket
from majordomo.durations import NANOSECONDS
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_QUOTA_EXHAUSTED,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_TIMEOUT,
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

_SHORTEST_RATE_BENCH = 0.1
_JITTERED_RATE_BENCH = 1.0
_FIRST_QUOTA_BENCH = 15 * 60.0
_LONGEST_QUOTA_BENCH = 60 * 60.0
_LONGEST_QUOTA_RESET = 24 * 60 * 60.0
_RUNNING_SHARE = 0.2
_EARLY_PACE = 1.0


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """When a target is benched, and for how many seconds."""

    failure_threshold: int = 2
    bench_failure_share: float = 0.9
    """Of the newest outcomes how many have to be failures, from 0 to 1."""

    cooldown_base: float = 4.0
    cooldown_cap: float = 15.0


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


class Moved(NamedTuple):
    """A provider that is reached otherwise from now on."""

    provider: str
    elsewhere: bool
    """At another place; else with another key."""


class Health:
    """The automatic state of one target; every method is one transition."""

    __slots__ = (
        "asked_until",
        "benches",
        "bucket",
        "cause",
        "consecutive_failures",
        "early",
        "epoch",
        "evidence",
        "last_failure",
        "last_success",
        "left",
        "met",
        "newest",
        "probed",
        "quota_benches",
        "rate_bench",
        "renewed",
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
        self.newest = 0  # the order of the last attempt that has begun
        self.left = 0  # that of the last one before the target left rotation
        self.renewed = 0  # results of attempts up to this one are inert
        self.evidence = Evidence()
        self.bucket = Bucket(now)
        self.consecutive_failures = 0
        self.benches = 0
        self.quota_benches = 0
        self.rate_bench = 0.0  # seconds of the last one for a rate limit
        self.start = now
        self.until = now  # our own cooldown
        self.asked_until = now  # the provider wants quiet until then
        self.cause: FailureReason = FAILURE_REASON_UNSPECIFIED
        self.probed = True
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

    @property
    def returns(self) -> float:
        """The moment at which the bench is over."""
        return max(self.until, self.asked_until)

    def pass_time(self, now: float) -> None:
        """A bench for a rate limit ends by itself, without a probe."""
        if self.state == BENCHED and not self.probed and now >= self.returns:
            self.activate(now)

    def bench(self) -> Bench:
        """What keeps it out of rotation, if it is out."""
        return Bench(
            BenchRecord.ORIGIN_AUTOMATIC,
            self.start,
            self.returns,
            cause=self.cause,
            count=self.benches,
            probing=self.state == PROBING,
        )

    def failed(self, attempt: Attempt) -> Attempt:
        """Count and keep a failed attempt, whether or not it counts against it."""
        self.total_failures += 1
        kept = self.last_failure = Attempt()
        kept.CopyFrom(attempt)
        kept.ClearField("message")
        return kept

    def out_of_rotation(self, now: float) -> bool:
        self.pass_time(now)
        return self.state == PROBING or (self.state == BENCHED and now < self.returns)

    def only_failures_keep_it_out(self, now: float) -> bool:
        """Whether nothing but our own judgement says to wait (rules 4.10 and 4.12)."""
        return (
            self.state != ACTIVE and not self.out_of_quota and now >= self.asked_until
        )

    @property
    def out_of_quota(self) -> bool:
        """It is benched since the account is used up."""
        return self.state != ACTIVE and self.cause == FAILURE_REASON_QUOTA_EXHAUSTED

    @property
    def hopes(self) -> bool:
        """An attempt is under way whose answer would bring it back."""
        return self.state != ACTIVE and self.evidence.newest_running > self.left

    def may_be_tried_early(self, now: float) -> bool:
        """Whether it may be, as the probe, before its time (rule 4.12)."""
        return (
            self.state == BENCHED
            and self.only_failures_keep_it_out(now)
            and now >= self.early + _EARLY_PACE
        )

    def begin(self, lease: Lease) -> None:
        """An attempt begins; at a target that is benched it is the probe."""
        self.running += 1
        if lease.inert:
            return
        now = lease.start
        if not lease.last_resort and self.state == BENCHED:
            if now < self.until:
                self.early = now
            self.state = PROBING
            self.epoch += 1
            self.bucket.spend()
            lease.probe = True
        lease.epoch = self.epoch
        self.newest = lease.order
        self.total_attempts += 1
        self.evidence.begin(lease)

    def first_content(self, lease: Lease, now: float) -> bool:
        """True if the target is back by it."""
        if self._tells_nothing(lease):
            return False
        lease.content = True
        self.evidence.first_content(lease, now)
        return self._return(lease, now)

    def succeed(self, lease: Lease, now: float) -> bool:
        """A complete answer. True if the target is back by it."""
        self.last_success = now
        if self._tells_nothing(lease):
            return False
        back = not lease.content and self.first_content(lease, now)
        self.evidence.succeed(lease, now)
        if self.state == ACTIVE and lease.epoch == self.epoch:
            self.consecutive_failures = len(self.evidence.failures)
            self.benches = 0
            self.rate_bench = 0.0
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
        if self._tells_nothing(lease):
            return False
        delay = min(retry_delay or 0.0, LONGEST_RETRY_DELAY)
        if reason == FAILURE_REASON_RATE_LIMITED and retry_delay is not None:
            return self._limited(lease, delay, settings, now, random)
        self.asked_until = max(self.asked_until, now + delay)
        if lease.judged:
            return False
        self.evidence.fail(lease, now)
        if reason == FAILURE_REASON_QUOTA_EXHAUSTED:
            return self._out_of_quota(lease, retry_delay, now)
        if lease.epoch != self.epoch or lease.last_resort:
            return False
        self.consecutive_failures += 1
        insort(self.evidence.failures, lease.order)
        if self.state == ACTIVE and not self.evidence.convicts(
            max(settings.failure_threshold, _RUNNING_SHARE * self.running),
            settings.bench_failure_share,
            now,
        ):
            return False
        cooldown = settings.cooldown_base * 2 ** min(self.benches, 30)
        cooldown = min(settings.cooldown_cap, cooldown) * (0.5 + random() / 2)
        # The time that a probe took is a part of the cooldown after it.
        start = lease.start if self.state == PROBING else now
        self._bench(reason, now, start + cooldown)
        self.benches += 1
        return True

    def judge_silence(
        self, settings: HealthSettings, now: float, random: Callable[[], float]
    ) -> bool:
        """Count silences that have not ended yet; True if that benched the target."""
        benched = False
        for lease in self.evidence.overdue(now):
            reason = FAILURE_REASON_TIMEOUT
            benched |= self.fail(lease, reason, None, settings, now, random)
            lease.judged = True
        return benched

    def release(self, lease: Lease) -> bool:
        """The attempt is over; True if it was a probe that reported nothing.

        Then the next attempt is the probe.
        """
        self.running -= 1
        self.evidence.end(lease)
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
        self.until = min(self.until, now)
        self.asked_until = min(self.asked_until, now)
        self.bucket = Bucket(now)
        self.evidence.failures.clear()
        self.consecutive_failures = 0

    def forgive(self, now: float) -> None:
        """As if it had never failed; results of attempts now running are inert."""
        self.activate(now)
        self.renewed = self.newest
        self.evidence.forget()
        self.benches = self.quota_benches = 0
        self.rate_bench = 0.0

    def move(self, now: float, *, elsewhere: bool) -> None:
        """It is reached at another place, or else with another key (rule 4.14)."""
        if elsewhere or self.state == ACTIVE or self.out_of_quota:
            self.forgive(now)
        else:
            self.state = BENCHED
            self.epoch += 1
            self.renewed = self.newest

    def _tells_nothing(self, lease: Lease) -> bool:
        return lease.inert or lease.order <= self.renewed

    def _return(self, lease: Lease, now: float) -> bool:
        """Back into rotation by an answer to an attempt begun since it left."""
        if self.state == ACTIVE or lease.order <= self.left:
            return False
        self.activate(now)
        lease.epoch = self.epoch
        return True

    def _limited(
        self,
        lease: Lease,
        delay: float,
        settings: HealthSettings,
        now: float,
        random: Callable[[], float],
    ) -> bool:
        """A rate limit with a delay is a bench at once, and says nothing of health."""
        length = max(delay, _SHORTEST_RATE_BENCH)
        if length >= _JITTERED_RATE_BENCH:
            length = min(length * (1 + random() / 10), LONGEST_RETRY_DELAY)
        self.asked_until = max(self.asked_until, now + length)
        current = lease.epoch == self.epoch and not lease.last_resort
        if self.state != ACTIVE and not current and (self.probed or lease.last_resort):
            return False  # our own cooldown goes on, or its probe
        again = current and self.rate_bench and now <= self.until + self.rate_bench
        if again and not self.evidence.took_others(lease):
            length = max(length, min(2 * self.rate_bench, settings.cooldown_cap))
        self._bench(FAILURE_REASON_RATE_LIMITED, now, now + length, probed=False)
        self.rate_bench = length
        return True

    def _out_of_quota(
        self, lease: Lease, retry_delay: float | None, now: float
    ) -> bool:
        """There is no sense in any attempt for a long time."""
        out = self.state != ACTIVE and lease.last_resort
        if lease.epoch != self.epoch and not out:
            return False
        doubled = _FIRST_QUOTA_BENCH * 2 ** min(self.quota_benches, 8)
        length = min(doubled, _LONGEST_QUOTA_BENCH)
        if retry_delay is not None:
            length = min(retry_delay, _LONGEST_QUOTA_RESET)
        self._bench(FAILURE_REASON_QUOTA_EXHAUSTED, now, now + length)
        self.quota_benches += 1
        return True

    def _bench(
        self, cause: FailureReason, now: float, until: float, *, probed: bool = True
    ) -> None:
        if self.state == ACTIVE:
            self.left = self.newest
        self.state = BENCHED
        self.epoch += 1
        self.start = now
        self.until = max(self.until, until, now)
        self.cause = cause
        self.probed = probed
        self.evidence.failures.clear()
