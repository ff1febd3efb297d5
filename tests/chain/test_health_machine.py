"""The health tracker under any order of events: what must never happen."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from majordomo.chain.clock import Clock
from majordomo.chain.evidence import Lease
from majordomo.chain.health import (
    LONGEST_RETRY_DELAY,
    Bench,
    HealthSettings,
)
from majordomo.chain.tracker import Tracker
from majordomo.durations import duration
from majordomo.errors import BenchedByProvider
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_QUOTA_EXHAUSTED,
    FAILURE_REASON_RATE_LIMITED,
    Attempt,
    BenchRecord,
    FailureReason,
)
from majordomo.v1.operator_service_pb2 import TargetHealth

TARGETS = ["a/1", "a/2", "b/1"]
targets = st.sampled_from(TARGETS)
SETTINGS = HealthSettings()
LONGEST_BENCH = 24 * 3600.0


class Health(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.running: dict[str, list[Lease]] = {name: [] for name in TARGETS}
        self.records: dict[str, float | None] = {}

    @initialize(die=st.floats(0, 1, exclude_max=True))
    def start(self, die: float) -> None:
        clock = Clock(lambda: self.now, lambda: round(self.now * 1e9))
        self.tracker = Tracker(SETTINGS, clock, lambda: die, TARGETS)

    def state(self, target: str) -> TargetHealth:
        return self.tracker.snapshot([target])[0]

    def operator_benched(self, target: str) -> bool:
        wildcard = target.partition("/")[0] + "/*"
        return any(
            name in self.records
            and ((until := self.records[name]) is None or self.now < until)
            for name in (target, wildcard)
        )

    def end(self, lease: Lease) -> None:
        self.running[lease.target].remove(lease)

    @rule(seconds=st.floats(0.01, 400))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=targets)
    def look(self, name: str) -> None:
        """Looking changes nothing that can be seen."""
        before = self.state(name)
        self.tracker.out_of_rotation(name)
        self.tracker.returns_in(name)
        assert before == self.state(name)

    @rule(name=targets)
    def begin_many(self, name: str) -> None:
        """Of any number of calls at the end of a bench, one gets through."""
        shown = self.state(name)
        if shown.state != TargetHealth.STATE_BENCHED or self.operator_benched(name):
            return
        begun = [self.tracker.begin(name) for _ in range(5)]
        leases = [lease for lease in begun if isinstance(lease, Lease)]
        assert len(leases) <= 1 or not any(lease.probe for lease in leases)
        for lease in leases:
            self.tracker.release(lease)

    @rule(name=targets)
    def begin(self, name: str) -> None:
        expected_out = self.tracker.out_of_rotation(name)
        got = self.tracker.begin(name)
        assert isinstance(got, Bench) == (expected_out is not None)
        if isinstance(got, Lease):
            assert not self.operator_benched(name)
            self.running[name].append(got)

    def pick(self, target: str, place: int) -> Lease | None:
        running = self.running[target]
        return running[place % len(running)] if running else None

    @rule(name=targets, place=st.integers(0, 9))
    def first_content(self, name: str, place: int) -> None:
        lease = self.pick(name, place)
        if lease is not None:
            self.tracker.first_content(lease)

    @rule(name=targets, place=st.integers(0, 9))
    def succeed(self, name: str, place: int) -> None:
        lease = self.pick(name, place)
        if lease is None:
            return
        probing = self.state(name).state == TargetHealth.STATE_PROBING
        self.tracker.succeed(lease)
        self.end(lease)
        if probing and lease.probe and not self.operator_benched(name):
            assert self.state(name).state != TargetHealth.STATE_PROBING

    @rule(
        name=targets,
        place=st.integers(0, 9),
        reason=st.sampled_from(
            [
                FAILURE_REASON_OVERLOADED,
                FAILURE_REASON_RATE_LIMITED,
                FAILURE_REASON_QUOTA_EXHAUSTED,
            ]
        ),
        delay=st.one_of(st.none(), st.floats(0, 1e6)),
        counts=st.booleans(),
    )
    def fail(
        self,
        name: str,
        place: int,
        reason: FailureReason,
        delay: float | None,
        counts: bool,
    ) -> None:
        lease = self.pick(name, place)
        if lease is None:
            return
        attempt = Attempt(failure_reason=reason)
        if delay is not None:
            attempt.retry_delay.CopyFrom(duration(delay))
        bench = self.tracker.fail(lease, attempt, counts=counts)
        self.end(lease)
        assert counts or bench is None
        if bench is not None:
            assert bench.until is not None
            floor = self.now + min(delay or 0.0, LONGEST_RETRY_DELAY)
            assert floor - 1e-6 <= bench.until <= self.now + LONGEST_BENCH + 1e-6

    @rule(name=targets, place=st.integers(0, 9))
    def release(self, name: str, place: int) -> None:
        lease = self.pick(name, place)
        if lease is None:
            return
        self.tracker.release(lease)
        self.end(lease)
        self.tracker.release(lease)

    @rule(
        name=st.sampled_from([*TARGETS, "a/*"]),
        seconds=st.one_of(st.none(), st.floats(1, 100)),
    )
    def bench(self, name: str, seconds: float | None) -> None:
        for shown in self.tracker.bench(name, seconds, "why"):
            assert BenchRecord.ORIGIN_OPERATOR == shown.bench.origin or seconds
        self.records[name] = None if seconds is None else self.now + seconds

    @rule(name=st.sampled_from([*TARGETS, "a/*"]))
    def unbench(self, name: str) -> None:
        try:
            shown = self.tracker.unbench(name)
        except BenchedByProvider as error:
            until = self.records[error.target]
            assert until is None or self.now < until
            return
        for health in shown:
            self.records.pop(health.target, None)
            assert TargetHealth.STATE_ACTIVE == health.state
            assert 0 == health.consecutive_failures
        self.records.pop(name, None)

    @invariant()
    def at_most_one_probe_and_it_is_alive(self) -> None:
        for target, running in self.running.items():
            shown = self.state(target)
            assert len(running) == shown.active_attempts
            if shown.state == TargetHealth.STATE_PROBING:
                assert any(lease.probe for lease in running)

    @invariant()
    def operators_rule(self) -> None:
        for target in TARGETS:
            if self.operator_benched(target):
                assert self.tracker.out_of_rotation(target) is not None

    @invariant()
    def what_is_shown_is_what_is_done(self) -> None:
        for target in TARGETS:
            active = self.state(target).state == TargetHealth.STATE_ACTIVE
            if active:
                assert self.tracker.out_of_rotation(target) is None

    def teardown(self) -> None:
        """Whatever happened, everything can be made whole again."""
        for running in self.running.values():
            for lease in list(running):
                self.tracker.release(lease)
                self.end(lease)
        for target in ["a/*", *TARGETS]:
            self.tracker.unbench(target)
        assert [TargetHealth.STATE_ACTIVE] * len(TARGETS) == [
            shown.state for shown in self.tracker.snapshot()
        ]


TestHealth = pytest.mark.rule("4.5", "4.8", "4.11", "4.13")(Health.TestCase)
TestHealth.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
