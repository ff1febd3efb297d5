"""What onlookers of the health tracker receive, with a clock of the test's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from majordomo.chain.changes import NEVER, NOTHING_REPORTED, Change, Changes, View
from majordomo.chain.evidence import Lease
from majordomo.chain.health import BENCHED, Bench, HealthSettings
from majordomo.chain.tracker import Tracker
from majordomo.v1.attempt_pb2 import FAILURE_REASON_RATE_LIMITED, BenchRecord
from majordomo.v1.operator_service_pb2 import HealthChange, TargetHealth
from tests.chain.test_health import A, World
from tests.chain.test_health_machine import Health

UNMET = "a/unmet"


@dataclass
class Onlooker:
    """Somebody who begins with a snapshot and then asks for changes."""

    tracker: Tracker
    names: Sequence[str] | None = None
    version: int = NOTHING_REPORTED
    reported: dict[str, TargetHealth] = field(default_factory=dict)
    snapshots: int = 0

    def __post_init__(self) -> None:
        self.look()

    def look(self) -> list[Change]:
        """Learn what is new; returns the changes."""
        news = self.tracker.changes_since(self.version, self.names)
        if news is None:
            self.tracker.expire()
            self.version = self.tracker.changes.version
            self.reported = self.fresh()
            self.snapshots += 1
            return []
        self.version, changes = news
        for change in changes:
            self.reported[change.target] = self.tracker.show(change.target)
        return changes

    def causes(self) -> list[str]:
        """Why what changed since the last look did, in order."""
        return [cause(change) for change in self.look()]

    def fresh(self) -> dict[str, TargetHealth]:
        return {shown.target: shown for shown in self.tracker.snapshot(self.names)}


def cause(change: Change) -> str:
    return HealthChange.Cause.Name(change.cause).removeprefix("CAUSE_")


def same(reported: TargetHealth | None, shown: TargetHealth | None) -> bool:
    """Whether a target stands as reported; one that is not listed is in rotation."""
    well = TargetHealth(state=TargetHealth.STATE_ACTIVE)
    reported, shown = reported or well, shown or well
    return reported.state == shown.state and _same_bench(reported.bench, shown.bench)


def standing(listed: dict[str, TargetHealth], name: str) -> TargetHealth | None:
    """How `name` stands; one that is not listed stands as its provider's record."""
    return listed.get(name) or listed.get(name.partition("/")[0] + "/*")


def _same_bench(reported: BenchRecord, shown: BenchRecord) -> bool:
    """Moments may differ by what wall times are rounded by."""
    differences = [
        reported.start_time.ToNanoseconds() - shown.start_time.ToNanoseconds(),
        reported.expire_time.ToNanoseconds() - shown.expire_time.ToNanoseconds(),
    ]
    words = [
        (b.origin, b.reason, b.failure_reason, b.consecutive_benches)
        for b in (reported, shown)
    ]
    return words[0] == words[1] and all(abs(d) < 1000 for d in differences)


def test_a_life_of_benches_and_probes() -> None:
    """Each step has its cause, and nothing between the steps is a change."""
    world = World(configured=[A])
    onlooker = Onlooker(world.tracker)

    world.fail(world.begin())
    assert [] == onlooker.look()
    world.fail(world.begin())
    assert ["FAILURES"] == onlooker.causes()
    assert 4 == world.tracker.changes.next_expiry - world.now

    world.pass_bench()
    world.tracker.expire()
    assert ["EXPIRED"] == onlooker.causes()
    assert TargetHealth.STATE_BENCHED == onlooker.reported[A].state

    probe = world.begin()
    assert ["PROBE_STARTED"] == onlooker.causes()
    assert TargetHealth.STATE_PROBING == onlooker.reported[A].state
    world.tracker.release(probe)
    assert ["PROBE_INCONCLUSIVE"] == onlooker.causes()

    world.fail(world.begin())
    assert ["FAILURES"] == onlooker.causes()
    assert 2 == onlooker.reported[A].bench.consecutive_benches

    world.pass_bench()
    world.tracker.expire()
    probe = world.begin()
    world.tracker.first_content(probe)
    assert ["PROBE_SUCCEEDED"] == onlooker.causes()
    world.tracker.succeed(probe)
    world.tracker.succeed(world.begin())
    assert [] == onlooker.look()
    assert TargetHealth.STATE_ACTIVE == onlooker.reported[A].state


def test_a_probe_that_is_answered_whole() -> None:
    """A unary answer is the first content and the end at once."""
    world = World()
    onlooker = Onlooker(world.tracker)
    world.bench()
    world.pass_bench()
    world.tracker.succeed(world.begin())

    assert ["PROBE_SUCCEEDED"] == onlooker.causes()
    assert TargetHealth.STATE_ACTIVE == onlooker.reported[A].state


def test_time_alone_ends_a_rate_limit() -> None:
    """The change is at the moment of its end, whenever that is noticed."""
    world = World(die=0.0)
    onlooker = Onlooker(world.tracker)
    world.fail(world.begin(), FAILURE_REASON_RATE_LIMITED, 30)
    assert ["FAILURES"] == onlooker.causes()

    world.now += 29
    world.tracker.expire()
    assert [] == onlooker.look()
    world.now += 2
    world.tracker.expire()
    (change,) = onlooker.look()

    assert ("EXPIRED", 1030.0) == (cause(change), change.moment)
    assert TargetHealth.STATE_ACTIVE == onlooker.reported[A].state
    assert world.tracker.changes.next_expiry == NEVER


@pytest.mark.rule("4.11")
def test_what_an_operator_does() -> None:
    """Bench, another bench over it, the end of its time, and Unbench."""
    world = World(configured=[A])
    onlooker = Onlooker(world.tracker)

    world.tracker.bench(A, 60, "upgrade")
    assert ["OPERATOR_BENCH"] == onlooker.causes()
    assert "upgrade" == onlooker.reported[A].bench.reason
    world.tracker.bench(A, 10, "soon over")
    assert ["OPERATOR_BENCH"] == onlooker.causes()
    world.now += 10
    world.tracker.expire()
    assert ["EXPIRED"] == onlooker.causes()

    world.tracker.bench(A, None, "")
    onlooker.look()
    world.tracker.unbench(A)
    assert ["OPERATOR_UNBENCH"] == onlooker.causes()
    world.tracker.unbench(A)
    assert [] == onlooker.look()
    assert TargetHealth.STATE_ACTIVE == onlooker.reported[A].state


@pytest.mark.rule("4.11")
def test_what_is_hidden_by_a_longer_bench_is_no_change() -> None:
    """Under an operator's record the automatic state comes and goes unseen."""
    world = World()
    onlooker = Onlooker(world.tracker)
    running = [world.begin(), world.begin()]
    world.tracker.bench(A, 100, "maintenance")
    assert ["OPERATOR_BENCH"] == onlooker.causes()

    for lease in running:
        world.fail(lease)
    world.now += 50  # the automatic bench is over
    world.tracker.expire()
    assert [] == onlooker.look()

    world.now += 50
    world.tracker.expire()
    assert ["EXPIRED"] == onlooker.causes()
    assert BenchRecord.ORIGIN_AUTOMATIC == onlooker.reported[A].bench.origin
    assert world.begin().probe


@pytest.mark.rule("4.11")
def test_a_shorter_record_over_a_longer_bench_is_no_change() -> None:
    """Neither for the target nor for a chain that names it; its lifting is."""
    world = World(die=0.0)
    world.fail(world.begin(), FAILURE_REASON_RATE_LIMITED, 300)
    everything, chain = Onlooker(world.tracker), Onlooker(world.tracker, [A, UNMET])

    world.tracker.bench("a/*", 10, "short")
    assert ["a/*"] == [change.target for change in everything.look()]
    assert [UNMET] == [change.target for change in chain.look()]
    world.now += 10
    world.tracker.expire()
    assert ["a/*"] == [change.target for change in everything.look()]
    assert [UNMET] == [change.target for change in chain.look()]

    world.tracker.unbench("a/*")
    assert [A] == [change.target for change in everything.look()]
    assert [A] == [change.target for change in chain.look()]


@pytest.mark.rule("4.11")
def test_a_providers_record_shows_through_its_targets() -> None:
    """Those that were met, and in a chain those that were not."""
    world = World(configured=[A, "b/1"])
    everything = Onlooker(world.tracker)
    chain = Onlooker(world.tracker, ["b/1", UNMET])

    world.tracker.bench("a/*", 60, "key rotation")
    assert ["a/*", A] == [change.target for change in everything.look()]
    assert [UNMET] == [change.target for change in chain.look()]
    assert "key rotation" == chain.reported[UNMET].bench.reason

    # The target is met before the onlooker asks again.
    world.now += 60
    world.tracker.expire()
    world.tracker.release(world.begin(UNMET))
    running = world.begin(UNMET)
    assert ["EXPIRED"] == chain.causes()
    assert TargetHealth.STATE_ACTIVE == chain.reported[UNMET].state
    assert ["a/*", A] == [change.target for change in everything.look()]

    world.tracker.bench("a/*", None, "again")
    world.tracker.release(running)  # and is forgotten
    assert [UNMET] == [change.target for change in chain.look()]
    everything.look()
    world.tracker.unbench("a/*")
    assert ["OPERATOR_UNBENCH"] == chain.causes()
    assert {"a/*", A, UNMET} == {change.target for change in everything.look()}


def test_the_slowest_onlooker_finds_the_newest_state() -> None:
    """After any number of changes it receives one a target, with the last cause."""
    world = World(configured=[A, "b/1"])
    onlooker = Onlooker(world.tracker)
    for number in range(50_000):
        world.tracker.bench(A, None, str(number))
        world.tracker.unbench("b/1")
    world.tracker.bench("b/1", None, "last")

    changes = onlooker.look()

    assert [A, "b/1"] == [change.target for change in changes]
    assert ("49999", "last") == (
        onlooker.reported[A].bench.reason,
        onlooker.reported["b/1"].bench.reason,
    )


def test_an_onlooker_holds_a_thousand_changes_at_most() -> None:
    """It asks again for those that come after them."""
    world = World()
    onlooker = Onlooker(world.tracker)
    for number in range(2500):
        world.tracker.bench(f"a/{number}", None, "")

    reported = [onlooker.look() for _ in range(4)]

    assert [1000, 1000, 500, 0] == [len(changes) for changes in reported]
    names = [change.target for changes in reported for change in changes]
    assert [f"a/{number}" for number in range(2500)] == names


def test_what_is_remembered_is_bounded() -> None:
    """Who has missed more than that begins again with a snapshot."""
    world = World()
    late, chain = Onlooker(world.tracker), Onlooker(world.tracker, [A])
    for number in range(20_001):
        world.tracker.bench(f"b/{number}", None, "")
        world.tracker.unbench(f"b/{number}")
    prompt = Onlooker(world.tracker)
    world.tracker.bench(A, None, "")

    assert [A] == [change.target for change in prompt.look()]
    for onlooker in (late, chain):
        assert [] == onlooker.look()
        assert 2 == onlooker.snapshots
        assert TargetHealth.STATE_BENCHED == onlooker.reported[A].state


@pytest.mark.rule("1.5")
def test_a_target_that_is_dropped_benched_is_told() -> None:
    """Too many names that callers invented: the oldest is in rotation again."""
    world = World()
    onlooker = Onlooker(world.tracker)
    world.bench("a/first")
    assert ["FAILURES"] == onlooker.causes()
    for number in range(10_000):
        world.fail(world.begin(f"a/{number}"))

    assert ["a/first"] == [change.target for change in onlooker.look()]
    assert TargetHealth.STATE_ACTIVE == onlooker.reported["a/first"].state


def test_another_configuration_begins_anew_for_all() -> None:
    """New names are listed, old ones that nothing is known of go, health stays."""
    world = World(configured=["a/1", "a/2", "b/1"])
    world.tracker.bench("b/*", None, "")
    world.bench("a/2")
    onlookers = Onlooker(world.tracker), Onlooker(world.tracker, ["b/2", "a/2"])

    world.tracker.configure(HealthSettings(failure_threshold=1), ["b/1", "b/2"])

    for onlooker in onlookers:
        assert [] == onlooker.look()
        assert 2 == onlooker.snapshots
    assert ["a/2", "b/*", "b/1", "b/2"] == list(onlookers[0].reported)
    for name in ("a/2", "b/2"):
        assert TargetHealth.STATE_BENCHED == onlookers[1].reported[name].state
    world.tracker.unbench("b/*")
    assert ["b/*", "b/1", "b/2"] == [c.target for c in onlookers[0].look()]
    assert ["b/2"] == [change.target for change in onlookers[1].look()]
    # The threshold is the new one, and a name no longer configured is forgotten.
    assert world.fail(world.begin("b/1")) is not None
    world.tracker.unbench("a/2")
    world.tracker.release(world.begin("a/2"))
    assert ["b/1", "b/2"] == list(Onlooker(world.tracker).reported)


def test_nobody_is_told_of_what_is_no_change() -> None:
    """The hook is called once a change, and not by calls that go well."""
    world = World()
    reported: list[int] = []
    world.tracker.changes.listen(lambda: reported.append(1))
    for _ in range(10):
        world.tracker.succeed(world.begin())
    assert [] == reported

    world.bench()
    world.pass_bench()
    world.tracker.succeed(world.begin())

    assert 3 == len(reported)


class Watched(Health):
    """The events of the health machine, seen by three onlookers."""

    @initialize(die=st.floats(0, 1, exclude_max=True))
    def start(self, die: float) -> None:
        super().start(die)
        self.held: list[Lease] = []
        self.prompt = Onlooker(self.tracker)
        self.slow = Onlooker(self.tracker)
        self.chain = Onlooker(self.tracker, ["b/1", UNMET, "a/2"])

    @rule(seconds=st.floats(0.01, 400))
    def time_passes(self, seconds: float) -> None:
        """With a timer for what time alone changes."""
        end = self.now + seconds
        while self.tracker.changes.next_expiry <= end:
            self.now = max(self.now, self.tracker.changes.next_expiry)
            self.tracker.expire()
            self.everything_seen_is_told()
        self.now = end

    @rule(name=st.sampled_from([UNMET, "c/1"]))
    def invented(self, name: str) -> None:
        """A call to a name that is forgotten when the call has ended."""
        lease = self.tracker.begin(name)
        if isinstance(lease, Lease):
            self.held.append(lease)

    @rule()
    def invented_ends(self) -> None:
        if self.held:
            self.tracker.release(self.held.pop())

    @rule()
    def the_slow_one_reads(self) -> None:
        self.slow.look()
        self.agrees(self.slow)

    @invariant()
    def everything_seen_is_told(self) -> None:
        """Snapshot and changes come to what a fresh snapshot shows; no step is idle."""
        for onlooker in (self.prompt, self.chain):
            before = dict(onlooker.reported)
            for change in onlooker.look():
                reported = onlooker.reported[change.target]
                assert cause(change) == "EXPIRED" or not same(
                    before.get(change.target), reported
                )
            self.agrees(onlooker)

    def agrees(self, onlooker: Onlooker) -> None:
        fresh = onlooker.fresh()
        for name in fresh.keys() | onlooker.reported.keys():
            reported, shown = standing(onlooker.reported, name), standing(fresh, name)
            assert same(reported, shown), name

    def teardown(self) -> None:
        for lease in self.held:
            self.tracker.release(lease)
        super().teardown()
        self.the_slow_one_reads()


TestWatched = pytest.mark.rule("4.11")(Watched.TestCase)
TestWatched.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


def test_who_has_left_is_told_nothing_more() -> None:
    """Subscribers and listeners each end by what they were given."""
    changes = Changes()
    heard: list[object] = []
    unsubscribe = changes.subscribe(lambda change: heard.append(change.target))
    stop = changes.listen(lambda: heard.append("news"))
    bench = Bench(BenchRecord.ORIGIN_OPERATOR, 0.0, None)
    benched = View(BENCHED, bench, out=True)

    changes.note("a/1", benched, HealthChange.CAUSE_OPERATOR_BENCH, 0.0)
    stop()
    unsubscribe()
    changes.note("a/2", benched, HealthChange.CAUSE_OPERATOR_BENCH, 0.0)

    assert ["a/1", "news"] == heard
    assert 0 == changes.listeners
