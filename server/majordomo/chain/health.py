"""Which targets are in rotation (docs/semantics.md, section 4).

Each target is ACTIVE, BENCHED until some moment, or PROBING: one trial call
decides whether it comes back. Beside that automatic state stand the operator's
records, which nothing but time and `unbench` lifts. All of it is local memory,
read and changed without I/O or waiting; the time and the randomness are given.

An attempt holds a `Lease` from its start to its end. A lease remembers the state
that it was begun in, so that results from before a change of state are inert.
"""

import random as _random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from majordomo.chain.clock import Clock
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
_MEMORY = 60.0
_MOST_TARGETS = 10_000


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

    def record(self, clock: Clock) -> BenchRecord:
        """The same in the contract's words, with wall times."""
        record = BenchRecord(
            origin=self.origin,
            reason=self.reason,
            failure_reason=self.cause,
            start_time=clock.timestamp(self.start),
            consecutive_benches=self.count,
        )
        if self.until is not None:
            record.expire_time.CopyFrom(clock.timestamp(self.until))
        return record


class BenchedByProvider(Exception):
    """One target cannot be unbenched while its whole provider is benched."""

    def __init__(self, target: str) -> None:
        super().__init__(f"benched by {target}")
        self.target = target
        """The record to lift, "provider/*"."""


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


class _Health:
    """The automatic state of one target; every method is one transition."""

    __slots__ = (
        "active_since",
        "benches",
        "cause",
        "consecutive_failures",
        "epoch",
        "failures",
        "last_failure",
        "last_success",
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

    def __init__(self, now: float) -> None:
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

    def begin(self, target: str, order: int) -> Lease:
        probe = self.state == BENCHED
        if probe:
            self.state = PROBING
            self.epoch += 1
        self.running += 1
        self.total_attempts += 1
        return Lease(target, order, self.epoch, probe)

    def first_content(self, lease: Lease, now: float) -> None:
        if lease.probe and lease.epoch == self.epoch and self.state == PROBING:
            self.activate(now)
            lease.epoch = self.epoch

    def succeed(self, lease: Lease, now: float) -> None:
        self.last_success = now
        self.first_content(lease, now)
        if lease.epoch == self.epoch and self.failures:
            self.failures = [order for order in self.failures if order > lease.order]
            self.consecutive_failures = len(self.failures)

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

    def release(self, lease: Lease) -> None:
        """The attempt is over; one that told nothing leaves the probe to the next."""
        self.running -= 1
        if lease.probe and lease.epoch == self.epoch and self.state == PROBING:
            self.state = BENCHED
            self.epoch += 1

    def activate(self, now: float) -> None:
        if self.probed:
            self.quota_benches = 0
        self.state = ACTIVE
        self.epoch += 1
        self.active_since = now
        self.failures.clear()
        self.consecutive_failures = 0

    def forgive(self, now: float) -> None:
        """As if it had never failed; results of attempts now running are inert."""
        self.activate(now)
        self.benches = self.quota_benches = 0
        self.rate_bench = 0.0

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


class Tracker:
    """The health of every target that this process has met.

    `configured` targets are always listed and never forgotten. Of the names that
    callers bring, those that never answered and did not fail vanish at once, and
    the oldest beyond 10 000 are dropped (rule 1.5).
    """

    def __init__(
        self,
        settings: HealthSettings = HealthSettings(),
        clock: Clock = Clock(),
        random: Callable[[], float] = _random.random,
        configured: Iterable[str] = (),
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._random = random
        self._order = 0
        now = clock.monotonic()
        self._configured = frozenset(configured)
        self._targets = {name: _Health(now) for name in sorted(self._configured)}
        self._records: dict[str, Bench] = {}

    # What the walk asks and tells.

    def out_of_rotation(self, target: str) -> Bench | None:
        """What keeps `target` out of rotation now: what lasts longest, or None."""
        now = self._clock.monotonic()
        health = self._targets.get(target)
        automatic = None
        if health is not None and health.out_of_rotation(now):
            automatic = self._automatic_bench(health, now)
        if not self._records:
            return automatic
        found = [record for _, record in self._live_records(target, now)]
        if automatic is not None:
            found.append(automatic)
        return max(found, key=_lasts, default=None)

    def begin(self, target: str) -> Lease | Bench:
        """Take a lease for an attempt, or learn what forbids it.

        The lease must be given back by exactly one of `succeed`, `fail` and
        `release`.
        """
        bench = self.out_of_rotation(target)
        if bench is not None:
            return bench
        health = self._targets.get(target)
        if health is None:
            health = self._add(target)
        self._order += 1
        return health.begin(target, self._order)

    def first_content(self, lease: Lease) -> None:
        """The attempt has brought content: enough for a probe."""
        self._targets[lease.target].first_content(lease, self._clock.monotonic())

    def succeed(self, lease: Lease) -> None:
        """The attempt ended with a complete answer."""
        self._targets[lease.target].succeed(lease, self._clock.monotonic())
        self.release(lease)

    def fail(self, lease: Lease, attempt: Attempt, *, counts: bool) -> Bench | None:
        """The attempt failed as `attempt` says; returns the bench that it began.

        `counts`: it counts against the target's health (rules 4.1 and 4.3).
        """
        health = self._targets[lease.target]
        health.total_failures += 1
        health.last_failure = Attempt()
        health.last_failure.CopyFrom(attempt)
        health.last_failure.ClearField("message")
        bench = None
        now = self._clock.monotonic()
        if counts:
            delay = None
            if attempt.HasField("retry_delay"):
                delay = attempt.retry_delay.ToTimedelta().total_seconds()
            if health.fail(
                lease, attempt.failure_reason, delay, self._settings, now, self._random
            ):
                bench = self._automatic_bench(health, now)
                health.last_failure.benched = True
        self.release(lease)
        return bench

    def release(self, lease: Lease) -> None:
        """The attempt ended and says nothing about the target. Idempotent."""
        if lease.ended:
            return
        lease.ended = True
        health = self._targets[lease.target]
        health.release(lease)
        if lease.target not in self._configured and health.forgettable:
            del self._targets[lease.target]

    def returns_in(self, target: str) -> float | None:
        """Seconds until `target` may be back; 0 if it is; None if nobody knows."""
        bench = self.out_of_rotation(target)
        if bench is None:
            return 0.0
        if bench.until is None:
            return None
        return max(0.0, bench.until - self._clock.monotonic())

    # What operators ask and tell.

    def bench(
        self, target: str, seconds: float | None, reason: str
    ) -> list[TargetHealth]:
        """Bench "provider/model-id" or "provider/*" for `seconds` (None: for good).

        A second record replaces the first. Returns the targets now benched.
        """
        now = self._clock.monotonic()
        self._records[target] = Bench(
            BenchRecord.ORIGIN_OPERATOR,
            now,
            None if seconds is None else now + seconds,
            reason,
        )
        return [self._show(name, now) for name in self._covered(target)]

    def unbench(self, target: str) -> list[TargetHealth]:
        """Lift the record, and forget failures and benches.

        Raises BenchedByProvider for one target under a record for its provider.
        Returns the targets now in rotation.
        """
        now = self._clock.monotonic()
        wildcard = _wildcard(target)
        live = dict(self._live_records(target, now))
        if wildcard != target and wildcard in live:
            raise BenchedByProvider(wildcard)
        covered = self._covered(target)
        self._records.pop(target, None)
        for name in covered:
            self._records.pop(name, None)
            health = self._targets.get(name)
            if health is not None:
                health.forgive(now)
        return [self._show(name, now) for name in covered if name != wildcard]

    def snapshot(self, names: Sequence[str] | None = None) -> list[TargetHealth]:
        """How `names`, or all targets and records by name, are doing."""
        now = self._clock.monotonic()
        if names is None:
            for target in list(self._records):
                self._live_records(target, now)
            names = sorted({*self._targets, *self._records})
        return [self._show(name, now) for name in names]

    def _add(self, target: str) -> _Health:
        invented = len(self._targets) - len(self._configured)
        if invented >= _MOST_TARGETS:
            idle = (
                name
                for name, health in self._targets.items()
                if name not in self._configured and health.running == 0
            )
            oldest = next(idle, None)
            if oldest is not None:
                del self._targets[oldest]
        health = self._targets[target] = _Health(self._clock.monotonic())
        return health

    def _live_records(self, target: str, now: float) -> list[tuple[str, Bench]]:
        """The operator's records over `target`; those whose time is over go."""
        live = []
        for name in dict.fromkeys((target, _wildcard(target))):
            record = self._records.get(name)
            if record is None:
                continue
            if record.until is not None and now >= record.until:
                del self._records[name]
            else:
                live.append((name, record))
        return live

    def _covered(self, target: str) -> list[str]:
        """The names that `target` stands for: itself, or all of its provider's."""
        if target != _wildcard(target):
            return [target]
        prefix = target.removesuffix("*")
        known = {*self._targets, *self._records}
        return sorted(name for name in known if name.startswith(prefix))

    def _automatic_bench(self, health: _Health, now: float) -> Bench:
        return Bench(
            BenchRecord.ORIGIN_AUTOMATIC,
            health.start,
            health.until,
            cause=health.cause,
            count=health.remembered_benches(now),
            probing=health.state == PROBING,
        )

    def _show(self, name: str, now: float) -> TargetHealth:
        bench = self.out_of_rotation(name)
        shown = TargetHealth(target=name, state=ACTIVE if bench is None else BENCHED)
        health = self._targets.get(name)
        if health is not None:
            if bench is None and health.state == BENCHED:
                # Its time is over and nobody has called yet: the next call probes.
                shown.state = BENCHED
                bench = self._automatic_bench(health, now)
            if bench is not None and bench.probing:
                shown.state = PROBING
            shown.consecutive_failures = health.consecutive_failures
            shown.active_attempts = health.running
            shown.total_attempts = health.total_attempts
            shown.total_failures = health.total_failures
            if health.last_success is not None:
                at = self._clock.timestamp(health.last_success)
                shown.last_success_time.CopyFrom(at)
            if health.last_failure is not None:
                shown.last_failure.CopyFrom(health.last_failure)
        if bench is not None:
            shown.bench.CopyFrom(bench.record(self._clock))
        return shown


def silence_counts(own_timeout: float, ran: float) -> bool:
    """Whether an attempt that brought nothing counts when its time was cut short.

    Short deadlines must neither bench a healthy target nor spare a silent one: it
    counts if it was silent for its own limit, or for 5 s (rule 4.3). In seconds.
    """
    return ran >= min(own_timeout, 5.0)


def _wildcard(target: str) -> str:
    return target.partition("/")[0] + "/*"


def _lasts(bench: Bench) -> float:
    return float("inf") if bench.until is None else bench.until
