"""Which targets are in rotation: the health of all, and the operator's records.

Beside the automatic state of each target stand the operator's records, which nothing
but time and `unbench` lifts. All of it is local memory: decisions take microseconds.
"""

import random as _random
from collections.abc import Callable, Iterable, Sequence

from majordomo.chain.clock import Clock, seconds
from majordomo.chain.health import (
    ACTIVE,
    BENCHED,
    PROBING,
    Bench,
    Health,
    HealthSettings,
    Lease,
)
from majordomo.v1.attempt_pb2 import Attempt, BenchRecord
from majordomo.v1.operator_service_pb2 import TargetHealth

_MOST_TARGETS = 10_000


class BenchedByProvider(Exception):
    """One target cannot be unbenched while its whole provider is benched."""

    def __init__(self, target: str) -> None:
        super().__init__(f"benched by {target}")
        self.target = target
        """The record to lift, "provider/*"."""


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
        self._targets = {name: Health(now) for name in sorted(self._configured)}
        self._records: dict[str, Bench] = {}

    def configure(self, settings: HealthSettings, configured: Iterable[str]) -> None:
        """Go on under other settings; the health of every target is kept."""
        self._settings = settings
        self._configured = frozenset(configured)
        now = self._clock.monotonic()
        for name in sorted(self._configured - self._targets.keys()):
            self._targets[name] = Health(now)
        for name in self._targets.keys() - self._configured:
            if self._targets[name].forgettable:
                del self._targets[name]

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
            asked = attempt.HasField("retry_delay")
            delay = seconds(attempt.retry_delay) if asked else None
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
        return self.seconds_to(bench.until)

    def next_is_probe(self, target: str) -> bool:
        """Whether an attempt begun now would decide if `target` comes back."""
        health = self._targets.get(target)
        return health is not None and health.state == BENCHED

    def seconds_to(self, moment: float) -> float:
        """Seconds until the monotonic `moment`; 0 if it is over."""
        return max(0.0, moment - self._clock.monotonic())

    # What operators ask and tell.

    def bench(
        self, target: str, length: float | None, reason: str
    ) -> list[TargetHealth]:
        """Bench "provider/model-id" or "provider/*".

        `length` is in seconds, None for good. A second record replaces the first.
        Returns the targets now benched.
        """
        now = self._clock.monotonic()
        self._records[target] = Bench(
            BenchRecord.ORIGIN_OPERATOR,
            now,
            None if length is None else now + length,
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

    def _add(self, target: str) -> Health:
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
        health = self._targets[target] = Health(self._clock.monotonic())
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

    def _automatic_bench(self, health: Health, now: float) -> Bench:
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


def _wildcard(target: str) -> str:
    return target.partition("/")[0] + "/*"


def _lasts(bench: Bench) -> float:
    return float("inf") if bench.until is None else bench.until
