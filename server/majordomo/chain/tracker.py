"""Which targets are in rotation: the health of all, and the operator's records.

Beside the automatic state of each target stand the operator's records, which nothing
but time and `unbench` lifts. All of it is local memory: decisions take microseconds.
"""

import random as _random
from collections.abc import Callable, Iterable, Sequence

from majordomo.chain.changes import WELL, Change, Changes, View
from majordomo.chain.clock import CLOCK, Clock
from majordomo.chain.evidence import Lease
from majordomo.chain.health import (
    ACTIVE,
    BENCHED,
    PROBING,
    Bench,
    Health,
    HealthSettings,
    Moved,
)
from majordomo.chain.records import Records, longest, wildcard
from majordomo.chain.shown import shown
from majordomo.durations import seconds
from majordomo.errors import BenchedByProvider
from majordomo.v1.attempt_pb2 import Attempt
from majordomo.v1.operator_service_pb2 import HealthChange, TargetHealth

_MOST_TARGETS = 10_000


class Tracker:
    """The health of every target that this process has met.

    `configured` targets are always listed and never forgotten. Of the names that
    callers bring, those that never answered and did not fail vanish at once, and
    the oldest beyond 10 000 are dropped (rule 1.5).
    """

    def __init__(
        self,
        settings: HealthSettings = HealthSettings(),
        clock: Clock = CLOCK,
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
        self._records = Records()
        self.changes = Changes()
        """For onlookers; in its words "provider/*" is a target too."""

    def configure(
        self,
        settings: HealthSettings,
        configured: Iterable[str],
        moved: Iterable[Moved] = (),
    ) -> None:
        """Go on under other settings; the health of targets that stay is kept.

        Onlookers begin again with a snapshot.
        """
        self._settings = settings
        self._configured = frozenset(configured)
        now = self._clock.monotonic()
        for name in sorted(self._configured - self._targets.keys()):
            self._targets[name] = Health(now)
            self._note(name, HealthChange.CAUSE_UNSPECIFIED, now)
        for name in self._targets.keys() - self._configured:
            if self._targets[name].forgettable:
                del self._targets[name]
        for move in moved:
            self._move(move, now)
        self.changes.forget()

    def _move(self, move: Moved, now: float) -> None:
        """What was seen of a provider's targets shows nothing of them now."""
        for name in self._covered(f"{move.provider}/*"):
            health = self._targets.get(name)
            if health is not None:
                health.move(now, elsewhere=move.elsewhere)
                self._note(name, HealthChange.CAUSE_OPERATOR_UNBENCH, now)

    # What the walk asks and tells.

    def out_of_rotation(self, target: str) -> Bench | None:
        """What keeps `target` out of rotation now: what lasts longest, or None."""
        return self._keeps_out(target, self._clock.monotonic())

    def _keeps_out(self, target: str, now: float) -> Bench | None:
        out = self._records.over(target, now)
        health = self._targets.get(target)
        if health is not None:
            if health.judge_silence(self._settings, now, self._random):
                self._note(target, HealthChange.CAUSE_FAILURES, now)
            if health.out_of_rotation(now):
                out = longest(out, health.bench())
        return out

    def begin(
        self,
        target: str,
        *,
        early: bool = False,
        last_resort: bool = False,
        again: Lease | None = None,
        limit: float = float("inf"),
        streamed: bool = False,
        inert: bool = False,
    ) -> Lease | Bench:
        """Take a lease for an attempt, or learn what forbids it.

        `early`: a cooldown does not forbid it, as `soonest` tells; `last_resort`: our
        own judgement does not, as `last_resorts` tells. `again` is the lease of an
        earlier attempt of the same call there, `limit` how many seconds the target's
        settings let the attempt be silent, `streamed` whether its content comes as it
        is written, `inert` whether its result shows nothing of the target. The lease
        must be given back by exactly one of `succeed`, `fail` and `release`.
        """
        now = self._clock.monotonic()
        bench = self._keeps_out(target, now)
        if bench is not None and not (
            (early and self._early(target, now))
            or (last_resort and self._only_failures(target, now))
        ):
            return bench
        health = self._targets.get(target)
        if health is None:
            health = self._add(target, now)
        self._order += 1
        lease = Lease(
            target,
            self._order,
            now,
            first=self._order if again is None else again.first,
            last_resort=bench is not None and last_resort,
            limit=limit,
            streamed=streamed,
            inert=inert,
        )
        health.begin(lease)
        if lease.probe:
            self._note(target, HealthChange.CAUSE_PROBE_STARTED, now)
        return lease

    def first_content(self, lease: Lease) -> None:
        """The attempt has brought content: enough for a probe."""
        now = self._clock.monotonic()
        if self._targets[lease.target].first_content(lease, now):
            self._note_return(lease, now)

    def alive(self, lease: Lease) -> None:
        """The attempt has shown that the model is at work: it is not silent."""
        self._targets[lease.target].evidence.alive(lease)

    def succeed(self, lease: Lease) -> None:
        """The attempt ended with a complete answer."""
        now = self._clock.monotonic()
        if self._targets[lease.target].succeed(lease, now):
            self._note_return(lease, now)
        self.release(lease)

    def fail(self, lease: Lease, attempt: Attempt, *, counts: bool) -> Bench | None:
        """The attempt failed as `attempt` says; returns the bench that it began.

        `counts`: it counts against the target's health (rules 4.1 and 4.3).
        """
        health = self._targets[lease.target]
        kept = health.failed(attempt)
        bench = None
        now = self._clock.monotonic()
        if counts:
            asked = attempt.HasField("retry_delay")
            delay = seconds(attempt.retry_delay) if asked else None
            if health.fail(
                lease, attempt.failure_reason, delay, self._settings, now, self._random
            ):
                bench = health.bench()
                kept.benched = True
                self._note(lease.target, HealthChange.CAUSE_FAILURES, now)
        self.release(lease)
        return bench

    def release(self, lease: Lease) -> None:
        """The attempt ended and says nothing about the target. Idempotent."""
        if lease.ended:
            return
        lease.ended = True
        health = self._targets[lease.target]
        if health.release(lease):
            now = self._clock.monotonic()
            self._note(lease.target, HealthChange.CAUSE_PROBE_INCONCLUSIVE, now)
        if lease.order > health.left and health.state != ACTIVE:
            self.changes.notify()  # calls may wait for what came of it
        if lease.target not in self._configured and health.forgettable:
            del self._targets[lease.target]

    def patience(self, lease: Lease, limit: float) -> float:
        """Seconds of silence that count against a target whose own limit is `limit`."""
        return self._targets[lease.target].evidence.patience(limit)

    def returns_in(self, target: str) -> float | None:
        """Seconds until `target` may be back; 0 if it is; None if nobody knows."""
        bench = self.out_of_rotation(target)
        if bench is None:
            return 0.0
        if bench.until is None:
            return None
        return self.seconds_to(bench.until)

    def soonest(self, targets: Iterable[str]) -> str | None:
        """Of `targets` that may be tried before their time the first to return."""
        now = self._clock.monotonic()
        waits = [
            (wait, place, target)
            for place, target in enumerate(targets)
            if self._early(target, now)
            and (wait := self.returns_in(target)) is not None
        ]
        return min(waits)[2] if waits else None

    def last_resorts(self, targets: Iterable[str]) -> list[str]:
        """Of `targets` those that only our own judgement keeps out, or nothing.

        Those that have answered most of late come first.
        """
        now = self._clock.monotonic()
        names = [
            name
            for name in targets
            if self._only_failures(name, now) or self._keeps_out(name, now) is None
        ]
        return sorted(names, key=self._failed_share)

    def ask_last_resort(self, target: str) -> None:
        """Another call has nobody else to ask: some of many such calls get through."""
        health = self._targets.get(target)
        if health is not None:
            health.bucket.ask(self._clock.monotonic())

    def draw(self, target: str, caller: str) -> bool:
        """Let `caller` try a target of `last_resorts`; False if it has to be spared."""
        if self.out_of_rotation(target) is None:
            return True
        return self._targets[target].bucket.draw(caller)

    def may_return(self, target: str) -> bool:
        """Whether attempts are under way whose answer would bring it back."""
        return self._targets[target].hopes

    def _failed_share(self, target: str) -> float:
        health = self._targets.get(target)
        return 0.0 if health is None else 1 - health.evidence.answered_share

    def quiet_until(self, target: str) -> float | None:
        """The monotonic moment until which the provider itself asked for quiet.

        None where an operator or a quota forbids an attempt.
        """
        now = self._clock.monotonic()
        health = self._targets.get(target)
        if health is None or health.out_of_quota or self._records.over(target, now):
            return None
        return health.asked_until

    def _only_failures(self, target: str, now: float) -> bool:
        health = self._targets.get(target)
        return (
            health is not None
            and health.only_failures_keep_it_out(now)
            and self._records.over(target, now) is None
        )

    def _early(self, target: str, now: float) -> bool:
        health = self._targets.get(target)
        return (
            health is not None
            and health.may_be_tried_early(now)
            and self._records.over(target, now) is None
        )

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
        """See `Operated`, as for what follows it."""
        now = self._clock.monotonic()
        self._records.bench(target, now, length, reason)
        self._note_all(target, HealthChange.CAUSE_OPERATOR_BENCH, now)
        return [self._show(name, now) for name in self._covered(target)]

    def unbench(self, target: str) -> list[TargetHealth]:
        now = self._clock.monotonic()
        whole = wildcard(target)
        if whole != target and self._records.of(whole, now) is not None:
            raise BenchedByProvider(whole)
        covered = self._covered(target)
        self._records.lift(target)
        for name in covered:
            self._records.lift(name)
            health = self._targets.get(name)
            if health is not None:
                health.forgive(now)
        self._note_all(target, HealthChange.CAUSE_OPERATOR_UNBENCH, now)
        return [self._show(name, now) for name in covered if name != whole]

    def snapshot(self, names: Sequence[str] | None = None) -> list[TargetHealth]:
        now = self._clock.monotonic()
        if names is None:
            names = self.names()
        return [self._show(name, now) for name in names]

    def names(self) -> list[str]:
        now = self._clock.monotonic()
        live = [name for name in self._records if self._records.of(name, now)]
        return sorted({*self._targets, *live})

    def show(self, name: str) -> TargetHealth:
        return self._show(name, self._clock.monotonic())

    def states(self) -> dict[str, TargetHealth.State]:
        """Where the configured targets stand, and the providers that are benched."""
        now = self._clock.monotonic()
        providers = (name for name in self._records if name == wildcard(name))
        names = sorted({*self._configured, *providers})
        return {name: self._look(name, now).state for name in names}

    def is_configured(self, target: str) -> bool:
        """Whether the configuration names `target`, and not just a caller."""
        return target in self._configured

    # What onlookers ask.

    def expire(self) -> None:
        now = self._clock.monotonic()
        for target, moment in self.changes.expired(now):
            self._note(target, HealthChange.CAUSE_EXPIRED, now, moment)

    def changes_since(
        self, version: int, names: Sequence[str] | None = None
    ) -> tuple[int, list[Change]] | None:
        if not self.changes.knows(version):
            return None
        if names is None:
            found = self.changes.since(version)
            return (found[-1].version if found else version), found
        newest = (self._newest_change(name) for name in names)
        return self.changes.version, sorted(
            change
            for change in newest
            if change is not None
            if change.version > version
        )

    def _newest_change(self, name: str) -> Change | None:
        """The last change of `name`, or of the record for its provider.

        That record's changes are noted for the targets met by then; a chain may name
        others.
        """
        own = self.changes.last(name)
        providers = self.changes.last(wildcard(name))
        health = self._targets.get(name)
        if (
            providers is None
            or (own is not None and own.version > providers.version)
            or (health is not None and health.met < providers.version)
            or name in self._records
        ):
            return own
        return providers._replace(target=name)

    def _note(
        self,
        name: str,
        cause: HealthChange.Cause,
        now: float,
        moment: float | None = None,
    ) -> None:
        """See whether `name` has changed, because of `cause`, at `moment` or now."""
        view = self._look(name, now)
        self.changes.note(name, view, cause, now if moment is None else moment)

    def _note_return(self, lease: Lease, now: float) -> None:
        cause = HealthChange.CAUSE_LAST_RESORT_SUCCEEDED
        if lease.probe:
            cause = HealthChange.CAUSE_PROBE_SUCCEEDED
        self._note(lease.target, cause, now)

    def _note_all(self, target: str, cause: HealthChange.Cause, now: float) -> None:
        names = {target, *self._covered(target)}
        if target == wildcard(target):
            # Also of those that were forgotten since: who knows of them learns this.
            prefix = target.removesuffix("*")
            names.update(n for n in self.changes.known() if n.startswith(prefix))
        for name in sorted(names):
            self._note(name, cause, now)

    def _add(self, target: str, now: float) -> Health:
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
                self._note(oldest, HealthChange.CAUSE_UNSPECIFIED, now)
        health = self._targets[target] = Health(now, self.changes.version)
        return health

    def _covered(self, target: str) -> list[str]:
        """The names that `target` stands for: itself, or all of its provider's."""
        if target != wildcard(target):
            return [target]
        prefix = target.removesuffix("*")
        known = {*self._targets, *self._records}
        return sorted(name for name in known if name.startswith(prefix))

    def _look(self, name: str, now: float) -> View:
        bench = self._keeps_out(name, now)
        out = bench is not None
        health = self._targets.get(name)
        if bench is None and health is not None and health.state == BENCHED:
            # Its time is over and nobody has called yet: the next call probes.
            bench = health.bench()
        if bench is None:
            return WELL
        return View(PROBING if bench.probing else BENCHED, bench, out)

    def _show(self, name: str, now: float) -> TargetHealth:
        view = self._look(name, now)
        return shown(name, view, self._targets.get(name), self._clock)
