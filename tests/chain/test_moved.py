"""Providers that are reached otherwise from now on (rule 4.14)."""

import pytest

from majordomo.chain.clock import Clock
from majordomo.chain.evidence import Lease
from majordomo.chain.health import Bench, HealthSettings, Moved
from majordomo.chain.tracker import Tracker
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_QUOTA_EXHAUSTED,
    Attempt,
)
from majordomo.v1.operator_service_pb2 import TargetHealth

SETTINGS = HealthSettings(failure_threshold=1)
FAILED = Attempt(failure_reason=FAILURE_REASON_OVERLOADED)
SPENT = Attempt(failure_reason=FAILURE_REASON_QUOTA_EXHAUSTED)


class World:
    """A tracker at a moment of the test's choice."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.tracker = Tracker(SETTINGS, Clock(lambda: self.now), lambda: 1.0, ["a/m"])

    @property
    def state(self) -> TargetHealth.State:
        return self.tracker.show("a/m").state

    def begin(self, *, inert: bool = False) -> Lease:
        lease = self.tracker.begin("a/m", inert=inert)
        assert not isinstance(lease, Bench)
        return lease

    def fail(self, lease: Lease) -> None:
        self.tracker.fail(lease, FAILED, counts=True)

    def move(self, *, elsewhere: bool) -> None:
        self.tracker.configure(SETTINGS, ["a/m"], [Moved("a", elsewhere)])


@pytest.mark.rule("4.14")
def test_a_probe_by_the_old_key_decides_nothing() -> None:
    """The next attempt is the probe, and cannot be kept out by the one that hangs."""
    world = World()
    world.fail(world.begin())
    world.now += 60
    old = world.begin()
    world.move(elsewhere=False)
    new = world.begin()
    world.tracker.first_content(old)
    world.tracker.succeed(old)
    still = world.state
    world.tracker.succeed(new)

    assert (True, True) == (old.probe, new.probe)
    assert TargetHealth.STATE_PROBING == still
    assert TargetHealth.STATE_ACTIVE == world.state


@pytest.mark.rule("4.14")
def test_attempts_at_the_old_place_are_inert() -> None:
    """Begun before the move or after it; a bench of the new place stays theirs."""
    world = World()
    before = world.begin()
    world.move(elsewhere=True)
    world.fail(before)
    world.fail(world.begin(inert=True))
    untouched = world.state
    late = world.begin(inert=True)
    world.fail(world.begin())
    world.tracker.succeed(late)

    assert TargetHealth.STATE_ACTIVE == untouched
    assert TargetHealth.STATE_BENCHED == world.state
    assert 0 == world.tracker.show("a/m").active_attempts


@pytest.mark.rule("4.11", "4.14")
@pytest.mark.parametrize("operator", [False, True], ids=["key", "operator"])
def test_a_bench_that_was_lifted_prolongs_no_other(operator: bool) -> None:
    """The next one is as long as its own cause says."""
    world = World()
    world.tracker.fail(world.begin(), SPENT, counts=True)
    if operator:
        world.tracker.unbench("a/m")
    else:
        world.move(elsewhere=False)
    world.fail(world.begin())

    assert 4 == world.tracker.returns_in("a/m")
