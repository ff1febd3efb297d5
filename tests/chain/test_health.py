"""The health tracker, rule by rule, with a clock and a die of the test's own."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from majordomo.chain.clock import Clock
from majordomo.chain.evidence import Lease
from majordomo.chain.health import Bench, HealthSettings
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
from majordomo.v1.operator_service_pb2 import HealthChange, TargetHealth

A = "a/1"


@dataclass
class World:
    """A tracker in a time that moves when reported."""

    now: float = 1000.0
    die: float = 1.0
    settings: HealthSettings = HealthSettings()
    configured: Iterable[str] = ()
    tracker: Tracker = field(init=False)

    def __post_init__(self) -> None:
        clock = Clock(lambda: self.now, lambda: round(self.now * 1e9))
        self.tracker = Tracker(self.settings, clock, lambda: self.die, self.configured)

    def begin(
        self,
        target: str = A,
        *,
        last_resort: bool = False,
        again: Lease | None = None,
        limit: float = 30.0,
        streamed: bool = False,
    ) -> Lease:
        lease = self.tracker.begin(
            target,
            last_resort=last_resort,
            again=again,
            limit=limit,
            streamed=streamed,
        )
        assert isinstance(lease, Lease)
        return lease

    def answer(self, took: float = 1.0) -> None:
        """A call that is answered after so many seconds."""
        lease = self.begin()
        self.now += took
        self.tracker.succeed(lease)

    def fail(
        self,
        lease: Lease,
        reason: FailureReason = FAILURE_REASON_OVERLOADED,
        delay: float | None = None,
        *,
        counts: bool = True,
    ) -> Bench | None:
        attempt = Attempt(failure_reason=reason, message="the provider's words")
        if delay is not None:
            attempt.retry_delay.CopyFrom(duration(delay))
        return self.tracker.fail(lease, attempt, counts=counts)

    def bench(self, target: str = A) -> Bench:
        """Fail until the target is benched."""
        while True:
            bench = self.fail(self.begin(target))
            if bench is not None:
                return bench

    def out(self, target: str = A) -> bool:
        return self.tracker.out_of_rotation(target) is not None

    def shown(self, target: str = A) -> TargetHealth:
        return self.tracker.snapshot([target])[0]

    def pass_bench(self, target: str = A) -> None:
        """Let the time of the bench pass."""
        wait = self.tracker.returns_in(target)
        assert wait is not None
        self.now += wait


@pytest.mark.rule("4.1")
def test_benched_at_the_threshold() -> None:
    """Two failures in a row bench a quiet target."""
    world = World()

    assert world.fail(world.begin()) is None
    bench = world.fail(world.begin())

    assert bench is not None
    assert (FAILURE_REASON_OVERLOADED, 1) == (bench.cause, bench.count)
    assert TargetHealth.STATE_BENCHED == world.shown().state


def test_a_bench_is_shown_from_its_start_to_its_end() -> None:
    """However late somebody looks."""
    world = World()
    world.bench()
    world.now += 3

    shown = world.shown().bench

    assert (1000, 1004) == (shown.start_time.seconds, shown.expire_time.seconds)


@pytest.mark.rule("4.1")
def test_failures_in_a_row_are_counted() -> None:
    """Under a higher threshold more than one is shown."""
    world = World(settings=HealthSettings(failure_threshold=4))
    counts = []
    for _ in range(3):
        world.fail(world.begin())
        counts.append(world.shown().consecutive_failures)

    assert [1, 2, 3] == counts


@pytest.mark.rule("4.1")
def test_under_load_the_threshold_is_a_share_of_what_runs() -> None:
    """With 50 attempts running, nine failures bench and eight do not."""
    world = World()
    leases = [world.begin() for _ in range(50)]

    benches = [world.fail(lease) for lease in leases]

    # The ninth fails while 42 run: a fifth of that is 8.4.
    assert [8] == [i for i, bench in enumerate(benches) if bench is not None]


@pytest.mark.rule("4.1")
@pytest.mark.parametrize(("share", "failures"), [(0.9, 9), (0.5, 5), (0.0, 2)])
def test_failures_have_to_be_a_large_part_of_the_newest(
    share: float, failures: int
) -> None:
    """After ten answers it takes as many failures of calls as the share says."""
    world = World(settings=HealthSettings(bench_failure_share=share))
    for _ in range(10):
        world.answer()

    world.now += 1
    benches = [world.fail(world.begin()) for _ in range(failures)]

    assert [None] * (failures - 1) == benches[:-1]
    assert benches[-1] is not None


@pytest.mark.rule("4.1")
def test_what_a_call_comes_to_counts_once() -> None:
    """By its last attempt: a call that is answered in the end has not failed."""
    world = World(settings=HealthSettings(failure_threshold=2))
    for _ in range(20):
        first = world.begin()
        assert world.fail(first) is None
        again = world.begin(again=first)
        world.now += 1
        world.tracker.succeed(again)

    assert not world.out()
    first = world.begin()
    world.fail(first)
    # Two in a row, of one call: nine others were answered.
    assert world.fail(world.begin(again=first)) is None


@pytest.mark.rule("4.1")
def test_all_of_half_a_second_is_weighed() -> None:
    """At many calls a second ten in a row are nothing yet."""
    world = World()
    leases = []
    for _ in range(60):
        leases.append(world.begin())
        world.now += 0.008
    for lease in leases[:40]:
        world.tracker.succeed(lease)

    assert [None] * 20 == [world.fail(lease) for lease in leases[40:]]


@pytest.mark.rule("4.1")
def test_who_outlives_the_failures_speaks_for_the_target() -> None:
    """Failures come at once and answers take their time."""
    world = World()
    running = []
    for _ in range(30):
        running.append(world.begin())
        failing = world.begin()
        world.now += 0.05
        assert world.fail(failing) is None
        world.now += 0.1

    for lease in running:
        world.tracker.succeed(lease)
    assert not world.out()


@pytest.mark.rule("4.1")
def test_old_outcomes_are_forgotten() -> None:
    """After a minute of nothing two failures are enough again."""
    world = World()
    for _ in range(10):
        world.answer()
    world.now += 61

    assert world.fail(world.begin()) is None
    assert world.fail(world.begin()) is not None


@pytest.mark.rule("4.2")
def test_a_success_forgives_failures_begun_before_it() -> None:
    """A failure of an attempt that began later stays counted."""
    world = World(settings=HealthSettings(bench_failure_share=0))
    early, answered, late = world.begin(), world.begin(), world.begin()
    world.fail(late)
    world.tracker.succeed(answered)

    assert 1 == world.shown().consecutive_failures

    assert world.fail(early) is not None


@pytest.mark.rule("4.3")
def test_neutral_ends_touch_nothing() -> None:
    """Permanent failures and cancelled attempts neither bench nor heal."""
    world = World()
    world.fail(world.begin())
    for _ in range(5):
        world.fail(world.begin(), counts=False)
        world.tracker.release(world.begin())

    assert 1 == world.shown().consecutive_failures
    assert not world.out()


@pytest.mark.rule("4.3")
@pytest.mark.parametrize(
    ("answers", "limit", "expected"),
    [([], 30.0, 5.0), ([], 2.0, 2.0), ([1.0], 30.0, 5.0), ([4.0, 1.0], 30.0, 12.0)],
)
def test_how_long_a_silence_counts(
    answers: list[float], limit: float, expected: float
) -> None:
    """The target's own limit, or what its answers of late have shown."""
    world = World()
    for took in answers:
        world.answer(took)

    assert expected == world.tracker.patience(world.begin(), limit)


@pytest.mark.rule("4.3")
def test_a_silent_stream_counts_before_it_ends() -> None:
    """After a third of the target's own limit; a late answer takes that back."""
    world = World()
    for _ in range(10):
        world.answer(0.5)
    streams = [world.begin(streamed=True) for _ in range(12)]

    seen = [world.out()]
    for _ in range(22):
        world.now += 0.5
        seen.append(world.out())

    assert [False] * 20 + [True] * 3 == seen
    assert 4 == pytest.approx(world.tracker.returns_in(A), abs=1.1)
    world.tracker.first_content(streams[0])
    assert world.out()  # it began before the bench


@pytest.mark.rule("4.3")
def test_where_no_answer_is_known_a_stream_has_all_its_time() -> None:
    """Nobody knows yet how slow the target is."""
    world = World()
    for _ in range(5):
        world.begin(streamed=True)

    for _ in range(60):
        world.now += 0.5
        assert not world.out()


@pytest.mark.rule("4.3")
def test_a_pause_of_the_event_loop_is_nobodys_silence() -> None:
    """What has arrived meanwhile is read before anybody is judged."""
    world = World()
    for _ in range(10):
        world.answer(0.5)
    streams = [world.begin(streamed=True) for _ in range(12)]
    world.now += 0.5
    assert not world.out()

    world.now += 40

    assert not world.out()
    for lease in streams:
        world.tracker.first_content(lease)
    world.now += 0.5
    assert not world.out()


@pytest.mark.rule("4.8")
def test_a_silent_probe_makes_room() -> None:
    """It fails when its silence counts, though it goes on; its answer still counts."""
    world = World()
    world.answer(0.5)
    world.bench()
    world.pass_bench()
    probe = world.begin()
    for _ in range(10):
        assert TargetHealth.STATE_PROBING == world.shown().state
        world.now += 0.5

    assert 2 == world.shown().bench.consecutive_benches
    assert 8 - 5 == pytest.approx(world.tracker.returns_in(A))
    world.pass_bench()
    assert world.begin().probe
    world.tracker.succeed(probe)
    assert TargetHealth.STATE_ACTIVE == world.shown().state


@pytest.mark.rule("4.4")
def test_cooldowns_double_up_to_the_cap() -> None:
    """Four seconds, doubling to fifteen; half of it is jitter."""
    for die, share in [(1.0, 1.0), (0.0, 0.5)]:
        world = World(die=die)
        lengths = []
        world.bench()
        for _ in range(4):
            lengths.append(world.tracker.returns_in(A))
            world.pass_bench()
            world.fail(world.begin())

        assert [t * share for t in (4, 8, 15, 15)] == pytest.approx(lengths)


@pytest.mark.rule("4.4")
def test_the_time_of_a_probe_is_a_part_of_the_cooldown_after_it() -> None:
    """A probe of six seconds leaves two of the eight."""
    world = World()
    world.bench()
    world.pass_bench()
    probe = world.begin()
    world.now += 6

    world.fail(probe)

    assert 2 == pytest.approx(world.tracker.returns_in(A))


@pytest.mark.rule("4.4")
def test_a_complete_answer_forgets_the_benches() -> None:
    """The first content of a probe brings the target back, its end clears n."""
    world = World()
    world.bench()
    world.pass_bench()
    world.fail(world.begin())
    world.pass_bench()
    probe = world.begin()
    world.tracker.first_content(probe)

    assert 3 == world.bench().count

    world.pass_bench()
    world.tracker.succeed(world.begin())
    assert 1 == world.bench().count


@pytest.mark.rule("4.5")
def test_retry_after_is_a_floor() -> None:
    """The bench is never shorter than what the provider asks, up to an hour."""
    for delay, expected in [(2.0, 4.0), (300.0, 300.0), (1e9, 3600.0)]:
        world = World()
        world.fail(world.begin())
        world.fail(world.begin(), delay=delay)

        assert expected == pytest.approx(world.tracker.returns_in(A))


@pytest.mark.rule("4.6")
def test_a_rate_limit_with_a_delay_benches_until_then() -> None:
    """At once, for the delay, and back without a probe; n is untouched."""
    world = World(die=0.0)

    bench = world.fail(world.begin(), FAILURE_REASON_RATE_LIMITED, 30)

    assert bench is not None
    assert 0 == bench.count
    assert 30 == pytest.approx(world.tracker.returns_in(A))
    world.pass_bench()
    assert [False, False] == [world.begin().probe, world.begin().probe]
    assert TargetHealth.STATE_ACTIVE == world.shown().state


@pytest.mark.rule("4.6")
def test_limited_again_within_the_delay_doubles() -> None:
    """Up to the cap; later than that it starts again; never under 100 ms."""
    world = World(die=0.0)
    lengths = []
    for pause in (0.1, 0.1, 0.3, 1.0, 2.0, 4.0, 7.0, 14.0, 16.0, 0.0):
        world.fail(world.begin(), FAILURE_REASON_RATE_LIMITED, 0.02)
        lengths.append(world.tracker.returns_in(A))
        world.pass_bench()
        world.now += pause

    assert [0.1, 0.2, 0.4, 0.8, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1] == pytest.approx(lengths)


@pytest.mark.rule("4.6")
def test_doubled_up_to_the_cap() -> None:
    """What the provider asks for may be longer, our doubling is not."""
    world = World(die=0.0)
    lengths = []
    for _ in range(6):
        world.fail(world.begin(), FAILURE_REASON_RATE_LIMITED, 2)
        lengths.append(world.tracker.returns_in(A))
        world.pass_bench()

    assert [2, 4, 8, 15, 15, 15] == pytest.approx(lengths)


@pytest.mark.rule("4.6")
def test_an_answer_ends_the_doubling() -> None:
    """The provider serves what is paid for: it means what it says."""
    world = World(die=0.0)
    world.fail(world.begin(), FAILURE_REASON_RATE_LIMITED, 2)
    world.pass_bench()
    world.tracker.succeed(world.begin())

    world.fail(world.begin(), FAILURE_REASON_RATE_LIMITED, 2)

    assert 2 == pytest.approx(world.tracker.returns_in(A))


@pytest.mark.rule("4.6")
def test_what_the_provider_has_taken_ends_the_doubling() -> None:
    """Answers may take longer than a window does."""
    world = World(die=0.0)
    world.fail(world.begin(), FAILURE_REASON_RATE_LIMITED, 2)
    world.pass_bench()
    world.begin()  # runs on

    world.fail(world.begin(), FAILURE_REASON_RATE_LIMITED, 2)

    assert 2 == pytest.approx(world.tracker.returns_in(A))


@pytest.mark.rule("4.5", "4.6")
def test_the_longest_delay_holds() -> None:
    """Reported later and longer, by an attempt begun before the bench, it extends
    it."""
    world = World(die=0.0)
    early, late = world.begin(), world.begin()
    world.fail(world.begin(), FAILURE_REASON_RATE_LIMITED, 5)
    world.fail(early, FAILURE_REASON_RATE_LIMITED, 20)
    world.fail(late, FAILURE_REASON_RATE_LIMITED, 1)

    assert 20 == pytest.approx(world.tracker.returns_in(A))


@pytest.mark.rule("4.5", "4.10")
def test_our_own_cooldown_and_the_providers_delay_are_apart() -> None:
    """A short delay at a benched target is over before its cooldown is."""
    world = World()
    running = world.begin()
    world.bench()
    world.fail(running, FAILURE_REASON_RATE_LIMITED, 1)

    assert 4 == pytest.approx(world.tracker.returns_in(A))
    assert [] == world.tracker.last_resorts([A])
    world.now += 1.2
    assert [A] == world.tracker.last_resorts([A])
    assert world.out()


@pytest.mark.rule("4.6")
def test_the_jitter_of_a_rate_limit() -> None:
    """Up to a tenth of the delay, so that callers do not come back all at once."""
    for die, expected in [(0.0, 30), (0.5, 31.5), (1.0, 33)]:
        world = World(die=die)
        world.fail(world.begin(), FAILURE_REASON_RATE_LIMITED, 30)

        assert expected == pytest.approx(world.tracker.returns_in(A))


@pytest.mark.rule("4.6")
def test_a_rate_limit_without_a_delay_is_an_ordinary_failure() -> None:
    """Two of them bench."""
    world = World()

    assert world.fail(world.begin(), FAILURE_REASON_RATE_LIMITED) is None
    assert world.fail(world.begin(), FAILURE_REASON_RATE_LIMITED) is not None


@pytest.mark.rule("4.7")
def test_quota_benches_long_and_is_probed() -> None:
    """15, 30, 60, 60 minutes, one probe after each; an answer starts it again."""
    world = World()
    lengths = []
    for _ in range(4):
        lease = world.begin()
        world.fail(lease, FAILURE_REASON_QUOTA_EXHAUSTED)
        lengths.append(world.tracker.returns_in(A))
        world.pass_bench()

    assert [900, 1800, 3600, 3600] == pytest.approx(lengths)

    probe = world.begin()
    assert probe.probe
    world.tracker.succeed(probe)
    world.fail(world.begin(), FAILURE_REASON_QUOTA_EXHAUSTED)
    assert 900 == pytest.approx(world.tracker.returns_in(A))


@pytest.mark.rule("4.7")
@pytest.mark.parametrize(("reported", "expected"), [(60.0, 60), (9e4, 86_400)])
def test_a_quota_whose_reset_is_told(reported: float, expected: float) -> None:
    """Benched until then, neither longer nor shorter, and at most for a day."""
    world = World()

    world.fail(world.begin(), FAILURE_REASON_QUOTA_EXHAUSTED, reported)

    assert expected == pytest.approx(world.tracker.returns_in(A))


@pytest.mark.rule("4.8")
def test_exactly_one_probe() -> None:
    """While it runs the others keep skipping; its first content opens the door."""
    world = World()
    world.bench()
    world.pass_bench()

    probe = world.begin()

    assert probe.probe
    assert all(isinstance(world.tracker.begin(A), Bench) for _ in range(99))
    assert TargetHealth.STATE_PROBING == world.shown().state

    world.tracker.first_content(probe)

    assert not world.begin().probe
    assert TargetHealth.STATE_ACTIVE == world.shown().state
    # What the probe comes to after that counts as for any attempt.
    world.fail(probe)
    assert 1 == world.shown().consecutive_failures


@pytest.mark.rule("4.8")
def test_a_failed_probe_benches_again_and_longer() -> None:
    """One failure is enough, and n goes up."""
    world = World()
    world.bench()
    world.pass_bench()

    bench = world.fail(world.begin())

    assert bench is not None
    assert 2 == bench.count
    assert 8 == pytest.approx(world.tracker.returns_in(A))


@pytest.mark.rule("4.8")
def test_a_probe_that_tells_nothing_leaves_it_to_the_next() -> None:
    """Cancelled, the lease is back and the next call probes."""
    world = World()
    world.bench()
    world.pass_bench()
    world.tracker.release(world.begin())

    assert TargetHealth.STATE_BENCHED == world.shown().state
    assert world.begin().probe


@pytest.mark.rule("4.9")
def test_stale_results_are_inert() -> None:
    """Results of attempts begun before the last change of state change nothing."""
    world = World()
    before = [world.begin() for _ in range(4)]
    world.bench()
    until = world.tracker.returns_in(A)

    world.fail(before[0])
    world.tracker.succeed(before[1])

    assert until == world.tracker.returns_in(A)
    world.pass_bench()
    world.tracker.succeed(world.begin())
    world.fail(before[2])
    world.fail(before[3])
    assert 0 == world.shown().consecutive_failures
    assert not world.out()


def failures(world: World) -> None:
    """Benched, and back by the second probe, for the first reported nothing."""
    world.bench()
    world.pass_bench()
    world.tracker.release(world.begin())
    world.tracker.succeed(world.begin())


def rate_limit(world: World) -> None:
    """Benched, and back by time alone."""
    world.fail(world.begin(), FAILURE_REASON_RATE_LIMITED, 1)
    world.pass_bench()
    assert not world.out()


def operator(world: World) -> None:
    """Benched, and back by an operator's word."""
    world.bench()
    world.tracker.unbench(A)


@pytest.mark.rule("4.9")
@pytest.mark.parametrize(
    "ways", list(itertools.product([failures, rate_limit, operator], repeat=3))
)
def test_results_from_an_earlier_life_are_inert(
    ways: tuple[Callable[[World], None], ...],
) -> None:
    """However often the target was benched and came back since, in whatever way."""
    world = World()
    stale: list[Lease] = []
    for way in ways:
        stale.append(world.begin())
        way(world)
    for lease in stale:
        assert world.fail(lease) is None

    assert TargetHealth.STATE_ACTIVE == world.shown().state
    assert 0 == world.shown().consecutive_failures


@pytest.mark.rule("4.8", "4.9")
def test_results_of_others_do_not_decide_a_probe() -> None:
    """Neither of an attempt from before the bench nor of a probe that was overtaken."""
    ends: list[Callable[[World, Lease], object]] = [
        lambda world, lease: world.tracker.first_content(lease),
        lambda world, lease: world.tracker.succeed(lease),
        lambda world, lease: world.tracker.release(lease),
        lambda world, lease: world.fail(lease),
    ]
    for end in ends:
        world = World()
        world.bench()
        world.pass_bench()
        overtaken = world.begin()
        world.tracker.unbench(A)
        before = world.begin()
        world.bench()
        world.pass_bench()
        assert world.begin().probe

        end(world, overtaken)
        end(world, before)

        assert TargetHealth.STATE_PROBING == world.shown().state
        assert isinstance(world.tracker.begin(A), Bench)


@pytest.mark.rule("4.9")
def test_a_stale_result_is_the_cause_of_no_change() -> None:
    """A bench that time has ended is reported as ended by time, no matter who ends
    meanwhile."""
    world = World(die=0.0)
    stale = [world.begin() for _ in range(4)]
    world.fail(world.begin(), FAILURE_REASON_RATE_LIMITED, 30)
    version = world.tracker.changes.version
    world.now += 31

    world.tracker.first_content(stale[0])
    world.tracker.succeed(stale[1])
    world.tracker.release(stale[2])
    world.fail(stale[3])
    world.tracker.expire()

    news = world.tracker.changes_since(version)
    assert news is not None
    assert [HealthChange.CAUSE_EXPIRED] == [change.cause for change in news[1]]


@pytest.mark.rule("4.10")
def test_the_last_resort_is_no_probe() -> None:
    """It neither prolongs a bench nor ends its cooldown by failing."""
    world = World()
    world.bench()
    until = world.tracker.returns_in(A)

    lease = world.begin(last_resort=True)
    assert (True, False) == (lease.last_resort, lease.probe)
    assert world.fail(lease) is None

    assert until == world.tracker.returns_in(A)
    assert 1 == world.shown().bench.consecutive_benches


@pytest.mark.rule("4.10")
@pytest.mark.parametrize("probing", [False, True])
def test_a_last_resort_that_answers_brings_the_target_back(probing: bool) -> None:
    """Also while another call probes."""
    world = World()
    world.bench()
    if probing:
        world.pass_bench()
        assert world.begin().probe
    version = world.tracker.changes.version

    world.tracker.succeed(world.begin(last_resort=True))

    assert TargetHealth.STATE_ACTIVE == world.shown().state
    news = world.tracker.changes_since(version)
    assert news is not None
    assert HealthChange.CAUSE_LAST_RESORT_SUCCEEDED == news[1][-1].cause
    assert 1 == world.bench().count


@pytest.mark.rule("4.10")
def test_whom_the_last_resort_spares() -> None:
    """Operators, quotas, and delays that a provider asked for."""
    world = World()
    world.bench("a/failing")
    world.fail(world.begin("a/quota"), FAILURE_REASON_QUOTA_EXHAUSTED)
    world.fail(world.begin("a/limited"), FAILURE_REASON_RATE_LIMITED, 30)
    world.bench("a/operator")
    world.tracker.bench("a/operator", None, "maintenance")
    names = ["a/quota", "a/limited", "a/operator", "a/failing", "a/well"]

    assert ["a/failing", "a/well"] == sorted(world.tracker.last_resorts(names))
    for name in names[:3]:
        assert isinstance(world.tracker.begin(name, last_resort=True), Bench)


@pytest.mark.rule("4.10")
def test_those_that_answered_most_come_first() -> None:
    """In the order of the chain where they are alike."""
    world = World(settings=HealthSettings(failure_threshold=1, bench_failure_share=0.1))
    for name, answers in [("a/never", 0), ("a/mostly", 4), ("a/rarely", 1)]:
        for _ in range(answers):
            world.tracker.succeed(world.begin(name))
        world.bench(name)

    ordered = world.tracker.last_resorts(["a/never", "a/rarely", "a/mostly"])

    assert ["a/mostly", "a/rarely", "a/never"] == ordered


def drawn(world: World, caller: str, most: int = 100) -> int:
    """How many tokens in a row a caller gets."""
    for number in range(most):
        if not world.tracker.draw(A, caller):
            return number
    return most


@pytest.mark.rule("4.10")
def test_tokens_are_few_and_shared() -> None:
    """Twenty in all; no matter who drains the bucket leaves some for others."""
    world = World()
    world.bench()

    first, second, third = (drawn(world, name) for name in "abc")

    assert (15, 4, 1) == (first, second, third)
    assert 0 == drawn(world, "d")


@pytest.mark.rule("4.10")
@pytest.mark.parametrize(("calls", "expected"), [(10, 1), (100, 5)])
def test_tokens_come_back_slowly(calls: int, expected: int) -> None:
    """One a second, or one for each twenty calls."""
    world = World()
    world.bench()
    for caller in ("a", "b", "c", "d"):
        drawn(world, caller)

    for _ in range(calls):
        world.now += 1.0001 / calls
        world.tracker.ask_last_resort(A)

    assert expected == sum(drawn(world, caller) for caller in ("e", "f", "g"))


@pytest.mark.rule("4.10")
def test_an_answer_fills_the_bucket() -> None:
    """What has come back is as good as new."""
    world = World()
    world.bench()
    drawn(world, "a")
    world.tracker.succeed(world.begin(last_resort=True))

    world.bench()

    assert 15 == drawn(world, "a")


@pytest.mark.rule("4.11")
def test_an_operators_bench_lasts_until_its_time() -> None:
    """Nothing but time or Unbench lifts it; then the automatic state rules."""
    world = World()
    running = world.begin()
    shown = world.tracker.bench(A, 60, "maintenance")

    world.tracker.succeed(running)

    assert [TargetHealth.STATE_BENCHED] == [t.state for t in shown]
    bench = world.tracker.out_of_rotation(A)
    assert bench is not None
    assert (BenchRecord.ORIGIN_OPERATOR, "maintenance") == (bench.origin, bench.reason)
    world.tracker.bench(A, 90, "longer")
    world.now += 89
    assert world.out()
    world.now += 1
    assert not world.out()
    assert not world.begin().probe


@pytest.mark.rule("4.11")
def test_a_providers_bench_covers_models_first_named_later() -> None:
    """`provider/*` holds for all of its models until it is lifted itself."""
    world = World(configured=["a/1"])

    shown = world.tracker.bench("a/*", None, "key rotation")

    assert ["a/*", "a/1"] == [t.target for t in shown]
    assert world.out("a/named-later")
    assert not world.out("ab/1")
    with pytest.raises(BenchedByProvider) as refused:
        world.tracker.unbench("a/1")
    assert "a/*" == refused.value.target

    assert ["a/1"] == [t.target for t in world.tracker.unbench("a/*")]
    assert not world.out("a/named-later")
    assert [] == world.tracker.unbench("a/*")[1:]


@pytest.mark.rule("4.11")
def test_unbench_forgets_everything() -> None:
    """Records, count and n; attempts now running cannot bench it again."""
    world = World()
    stale = world.begin()
    world.bench()
    world.pass_bench()
    world.fail(world.begin())
    world.tracker.bench(A, None, "")

    shown = world.tracker.unbench(A)

    assert [TargetHealth.STATE_ACTIVE] == [t.state for t in shown]
    world.fail(stale)
    assert world.fail(world.begin()) is None
    bench = world.fail(world.begin())
    assert bench is not None
    assert 1 == bench.count


@pytest.mark.rule("4.12")
def test_a_probe_in_its_time_is_no_early_attempt() -> None:
    """Once a second is for early attempts; one at the very end of a bench is none."""
    world = World()
    world.bench()
    world.pass_bench()
    world.fail(world.begin())

    assert A == world.tracker.soonest([A])

    early = world.tracker.begin(A, early=True)
    assert isinstance(early, Lease)
    world.fail(early)
    assert world.tracker.soonest([A]) is None
    world.now += 1
    assert A == world.tracker.soonest([A])


@pytest.mark.rule("4.13")
def test_time_and_chance_are_given() -> None:
    """Two trackers with the same clock and die do the same."""
    first, second = World(die=0.3), World(die=0.3)

    assert first.bench() == second.bench()
    assert first.shown() == second.shown()


def test_a_snapshot_tells_how_a_target_does() -> None:
    """Counts, times, the last failure without the provider's own words."""
    world = World()
    world.tracker.succeed(world.begin())
    world.now += 1
    world.fail(world.begin())
    running = world.begin()

    shown = world.shown()

    assert (1, 1, 3, 1) == (
        shown.consecutive_failures,
        shown.active_attempts,
        shown.total_attempts,
        shown.total_failures,
    )
    assert 1000 == shown.last_success_time.seconds
    assert FAILURE_REASON_OVERLOADED == shown.last_failure.failure_reason
    assert "" == shown.last_failure.message
    world.tracker.release(running)


@pytest.mark.rule("1.5")
def test_names_that_callers_invent_are_bounded() -> None:
    """They vanish when there is nothing to remember, and are at most 10 000."""
    world = World(configured=["a/configured"])
    for number in range(10_100):
        world.tracker.release(world.begin(f"a/missing-{number}"))
        world.fail(world.begin(f"a/failing-{number}"))

    names = [shown.target for shown in world.tracker.snapshot()]

    assert 10_001 == len(names)
    assert "a/configured" in names
    assert "a/failing-10099" in names
    assert not [name for name in names if "missing" in name]
