"""A day in the life of a few targets, in virtual time, out of one seed.

Calls arrive at random, providers fail at random, operators and configurations come in
between; the engine and the tracker are the real ones. After every event the world is
checked for what must hold at any time.
"""

import asyncio
import functools
import random
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field

from majordomo.chain.call import Call, CallFailed, Policy
from majordomo.chain.engine import Engine
from majordomo.chain.events import Answered, Content, Restarted
from majordomo.chain.evidence import Lease
from majordomo.chain.failure import Failure
from majordomo.chain.health import LONGEST_RETRY_DELAY, Bench, HealthSettings
from majordomo.chain.target import (
    Answer,
    ConcurrencyLimit,
    Exchange,
    Peer,
    Piece,
    Target,
    Timeouts,
)
from majordomo.chain.tracker import Tracker
from majordomo.errors import BenchedByProvider
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_SKIPPED,
    FAILURE_REASON_CONNECTION,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_PROVIDER_ERROR,
    FAILURE_REASON_QUOTA_EXHAUSTED,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_UNSUPPORTED,
    BenchRecord,
)
from majordomo.v1.content_pb2 import ROLE_ASSISTANT, Message, Part
from majordomo.v1.generation_service_pb2 import (
    ALL_BENCHED_POLICY_FAIL,
    ALL_BENCHED_POLICY_LAST_RESORT,
    ALL_BENCHED_POLICY_TRY_SOONEST,
    ALL_BENCHED_POLICY_WAIT,
    FINISH_REASON_STOP,
    INTERRUPTION_POLICY_FAIL,
    INTERRUPTION_POLICY_RESTART,
    Completion,
    PartDelta,
    Prompt,
)
from majordomo.v1.operator_service_pb2 import TargetHealth
from tests.chain.fakes import VirtualLoop, loop_clock

_ALL_BENCHED = [
    ALL_BENCHED_POLICY_LAST_RESORT,
    ALL_BENCHED_POLICY_FAIL,
    ALL_BENCHED_POLICY_TRY_SOONEST,
    ALL_BENCHED_POLICY_WAIT,
]
_INTERRUPTION = [INTERRUPTION_POLICY_FAIL, INTERRUPTION_POLICY_RESTART]

_MOMENT = 0.001
"""Seconds that may pass between a limit and what it ends."""


@dataclass
class Behaviour:
    """How a provider does, as time goes by."""

    latency: float = 0.2
    """Seconds to the first content, on average."""

    error_rate: float = 0.0
    outages: list[tuple[float, float]] = field(default_factory=list)
    """From when to when nothing works."""

    silent: bool = False
    """In an outage it says nothing, instead of failing."""

    rate: float | None = None
    """Calls a second that are paid for, as many as in a minute at once; others are
    asked to come back later."""

    breaks: float = 0.0
    """How often an answer breaks off after its first content."""

    quota: float = 0.0
    """How often the account is found to be used up."""

    def down(self, now: float) -> bool:
        return any(start <= now < end for start, end in self.outages)


class SimulatedProvider:
    """Implements chain.target.Provider, by chance."""

    def __init__(self, world: "World", name: str, behaviour: Behaviour) -> None:
        self.name = name
        self.behaviour = behaviour
        self.calls: list[float] = []
        """When it was called."""

        self.served = 0
        self.running = 0
        self._world = world
        self._allowance = 1.0
        self._refilled = 0.0

    async def prepare(
        self, model: str, prompt: Prompt, *, stream: bool | None, **_: object
    ) -> Exchange:
        chance = self._world.dice.random() if self._world.mishaps else 1.0
        if chance < 0.02:
            raise Failure(FAILURE_REASON_UNSUPPORTED, "by chance")
        if chance < 0.1:
            await asyncio.sleep(0)  # as if an image had been scaled
        return _SimulatedExchange(self._world, self, stream=bool(stream))

    async def aclose(self) -> None:
        """Nothing to let go of."""

    def limited(self, now: float) -> float | None:
        """Seconds to stay away, for a call at `now` beyond what is paid for."""
        rate = self.behaviour.rate
        if rate is None:
            return None
        passed = now - self._refilled
        self._refilled = now
        self._allowance = min(max(1.0, 60 * rate), self._allowance + passed * rate)
        if self._allowance >= 1:
            self._allowance -= 1
            return None
        return (1 - self._allowance) / rate


class _SimulatedExchange(Exchange):
    def __init__(
        self, world: "World", provider: SimulatedProvider, *, stream: bool
    ) -> None:
        super().__init__([], streamed=stream)
        self._world = world
        self._provider = provider
        self._stream = stream

    async def run(self) -> AsyncGenerator[Piece]:
        self._provider.running += 1
        try:
            async with aclosing(self._run()) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self._provider.running -= 1

    async def _run(self) -> AsyncGenerator[Piece]:
        world, provider = self._world, self._provider
        loop, dice, behaviour = world.loop, world.dice, provider.behaviour
        world.called(provider)
        delay = provider.limited(loop.time())
        if delay is not None:
            raise Failure(FAILURE_REASON_RATE_LIMITED, "slow down", retry_delay=delay)
        if dice.random() < behaviour.quota:
            raise Failure(FAILURE_REASON_QUOTA_EXHAUSTED, "no money")
        down = behaviour.down(loop.time())
        if down and behaviour.silent:
            await asyncio.sleep(100_000)
        await asyncio.sleep(dice.expovariate(1 / behaviour.latency))
        if down or dice.random() < behaviour.error_rate:
            reason = dice.choice(
                [
                    FAILURE_REASON_CONNECTION,
                    FAILURE_REASON_OVERLOADED,
                    FAILURE_REASON_PROVIDER_ERROR,
                ]
            )
            asked = dice.choice([None, None, None, dice.uniform(0, 20)])
            raise Failure(reason, "by chance", retry_delay=asked)
        if self._stream:
            yield [PartDelta(text="one ")]
            if dice.random() < behaviour.breaks:
                raise Failure(FAILURE_REASON_CONNECTION, "broke off")
            await asyncio.sleep(dice.expovariate(1 / behaviour.latency))
            yield [PartDelta(text="two")]
        provider.served += 1
        completion = Completion(finish_reason=FINISH_REASON_STOP)
        message = Message(role=ROLE_ASSISTANT, parts=[Part(text="one two")])
        yield Answer(completion, None if self._stream else message)


class WatchedTracker(Tracker):
    """Knows which leases are out, and has the world checked at every step."""

    world: "World"

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
        before = self.show(target)
        got = super().begin(
            target,
            early=early,
            last_resort=last_resort,
            again=again,
            limit=limit,
            streamed=streamed,
            inert=inert,
        )
        if isinstance(got, Lease):
            self.world.admitted(target, before, got, early=early)
            self.world.leases.append(got)
        self.world.check()
        return got

    def release(self, lease: Lease) -> None:
        super().release(lease)
        if lease in self.world.leases:
            self.world.leases.remove(lease)
            self.world.check()


@dataclass
class World:
    """All that there is, and what has happened."""

    seed: int
    behaviours: dict[str, Behaviour]
    settings: HealthSettings = HealthSettings()
    mishaps: bool = False
    """Requests do not fit, and places are full, by chance."""

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.loop = asyncio.get_running_loop()
        clock = loop_clock()
        self.tracker = WatchedTracker(
            self.settings, clock, self.dice.random, self.behaviours
        )
        self.tracker.world = self
        self.engine = Engine(self.tracker, clock, self.dice.random)
        self.leases: list[Lease] = []
        self.ended = 0
        self.answered = 0
        self.benched_seconds = dict.fromkeys(self.behaviours, 0.0)
        self.first_benched: dict[str, float] = {}
        self._seen = self.loop.time()
        self._was_out: set[str] = set()
        self.targets: dict[str, Target] = {}
        self.providers: dict[str, SimulatedProvider] = {}
        for name, behaviour in self.behaviours.items():
            provider = SimulatedProvider(self, name, behaviour)
            self.providers[name] = provider
            of, _, model = name.partition("/")
            limit = self.dice.choice([None, None, 20]) if self.mishaps else None
            self.targets[name] = Target(
                *(name, of, model, provider, Peer(of)),
                timeouts=Timeouts(first_content=3.0, stall=3.0, attempt=10.0),
                concurrency_limits=(ConcurrencyLimit(limit),),
                streams=self.mishaps and self.dice.random() < 0.3,
            )

    # What happens.

    async def one_call(
        self,
        chain: Iterable[str],
        policy: Policy = Policy(),
        *,
        stream: bool = False,
        remaining: float | None = None,
        patience: float | None = None,
    ) -> Call:
        """Walk a chain; `patience`: the caller goes away after so many seconds."""
        targets = tuple(self.targets[name] for name in chain)
        call = Call(
            *("g", Prompt(), "chain", targets),
            stream=stream,
            policy=policy,
            time_remaining=remaining,
        )
        began = self.loop.time()
        task = asyncio.create_task(self._walk(call))
        done, _ = await asyncio.wait({task}, timeout=patience)
        if not done:
            task.cancel()
            await asyncio.wait({task})
        elif (error := task.exception()) is not None:
            raise error
        self._call_ended(call, self.loop.time() - began, cancelled=not done)
        return call

    async def _walk(self, call: Call) -> None:
        text = ""
        try:
            async with aclosing(self.engine.walk(call)) as events:
                async for event in events:
                    match event:
                        case Content(deltas):
                            text += "".join(delta.text for delta in deltas)
                        case Restarted():
                            text = ""
                        case Answered(Answer(message=None)):
                            assert text == "one two"
                        case Answered(Answer(message=message)):
                            assert message is not None
                            assert message.parts[0].text == "one two"
        except CallFailed:
            assert call.error is not None
            assert call.completion is None

    # What must hold.

    def check(self) -> None:
        """At any time: states, leases and benches go together."""
        now = self.loop.time()
        for name in self._was_out:
            self.benched_seconds[name] += now - self._seen
        self._seen = now
        self._was_out = set()
        for name in self.providers:
            health = self.tracker._targets[name]
            current = [
                lease
                for lease in self.leases
                if lease.target == name and lease.probe and lease.epoch == health.epoch
            ]
            out = [lease for lease in self.leases if lease.target == name]
            assert health.running == len(out), (name, health.running, out)
            if health.state == TargetHealth.STATE_PROBING:
                assert len(current) == 1, (name, current)
            assert health.returns <= now + LONGEST_RETRY_DELAY + _MOMENT
            if self.tracker.out_of_rotation(name) is not None:
                self._was_out.add(name)
                self.first_benched.setdefault(name, now)

    def admitted(
        self, name: str, before: TargetHealth, lease: Lease, *, early: bool
    ) -> None:
        """An attempt begins only at who is active, as the one probe, or at last."""
        operators = before.bench.origin == BenchRecord.ORIGIN_OPERATOR
        assert not operators, (name, before)
        if lease.last_resort:
            assert not lease.probe
            assert before.bench.failure_reason != FAILURE_REASON_QUOTA_EXHAUSTED
            return
        assert before.state != TargetHealth.STATE_PROBING
        if before.state == TargetHealth.STATE_BENCHED:
            assert lease.probe
            over = before.bench.expire_time.ToNanoseconds() / 1e9
            wall = self.engine._clock.wall_nanoseconds() / 1e9
            assert early or over <= wall + _MOMENT
            if early:
                assert before.bench.failure_reason != FAILURE_REASON_QUOTA_EXHAUSTED
        else:
            assert not lease.probe

    def called(self, provider: SimulatedProvider) -> None:
        provider.calls.append(self.loop.time())

    def _call_ended(self, call: Call, took: float, *, cancelled: bool) -> None:
        self.ended += 1
        self.answered += call.completion is not None
        outcomes = [call.completion is not None, call.error is not None, call.cancelled]
        assert sum(outcomes) == 1, outcomes
        assert cancelled == call.cancelled
        if call.time_remaining is not None:
            assert took <= call.time_remaining + _MOMENT
        made = [a for a in call.attempts if a.outcome != ATTEMPT_OUTCOME_SKIPPED]
        waits = call.policy.all_benched == ALL_BENCHED_POLICY_WAIT
        most = len(call.targets) * (call.policy.transient_retries + 1)
        # While it waits a call comes back to a target at most once a second or so.
        assert len(made) <= most + (200 if waits else 1), len(made)
        numbers = [attempt.number for attempt in call.attempts]
        assert numbers == list(range(1, len(numbers) + 1))
        if not cancelled and call.completion is None:
            reported = {attempt.target for attempt in call.attempts}
            assert reported == {target.name for target in call.targets}
        self.check()

    def over(self) -> None:
        """When all calls have ended nothing is left of them."""
        assert self.leases == []
        assert 0 == self.tracker.changes.listeners
        for target in self.targets.values():
            assert [0] == [
                concurrency.used for concurrency in target.concurrency_limits
            ]
        assert all(provider.running == 0 for provider in self.providers.values())


def random_world(seed: int) -> World:
    """A few targets, each with its own troubles."""
    dice = random.Random(f"world {seed}")
    names = [f"p{number % 2}/m{number}" for number in range(dice.randint(1, 4))]
    behaviours = {}
    for name in names:
        starts = sorted(dice.uniform(0, 120) for _ in range(dice.randint(0, 2)))
        behaviours[name] = Behaviour(
            latency=dice.choice([0.05, 0.3, 1.0]),
            error_rate=dice.choice([0, 0, 0.02, 0.3]),
            outages=[(start, start + dice.uniform(1, 40)) for start in starts],
            silent=dice.random() < 0.3,
            rate=dice.choice([None, None, None, dice.uniform(0.2, 3)]),
            breaks=dice.choice([0, 0.05, 0.3]),
            quota=dice.choice([0, 0, 0, 0.01]),
        )
    settings = HealthSettings(
        failure_threshold=dice.choice([1, 2, 3]),
        cooldown_base=dice.choice([0.5, 5.0]),
        cooldown_cap=dice.choice([5.0, 60.0]),
    )
    return World(seed, behaviours, settings, mishaps=True)


async def live(seed: int, calls: int) -> World:
    """Let `calls` calls, and all that happens beside them, run their course."""
    world = random_world(seed)
    dice = world.dice
    names = list(world.targets)
    pace = dice.choice([1.0, 5.0, 20.0])
    running: set[asyncio.Task[Call]] = set()
    for _ in range(calls):
        await asyncio.sleep(dice.expovariate(pace))
        _meddle(world, names)
        policy = Policy(
            transient_retries=dice.randint(0, 3),
            all_benched=dice.choice(_ALL_BENCHED),
            interruption=dice.choice(_INTERRUPTION),
        )
        running.add(
            asyncio.create_task(
                world.one_call(
                    dice.sample(names, dice.randint(1, len(names))),
                    policy,
                    stream=dice.random() < 0.5,
                    remaining=dice.choice([None, dice.uniform(0.1, 20)]),
                    patience=dice.choice([None, None, None, dice.uniform(0, 2)]),
                )
            )
        )
    for task in running:
        await task
    world.over()
    assert world.ended == calls
    return world


def _meddle(world: World, names: list[str]) -> None:
    """Now and then an operator, or a new configuration, comes by."""
    dice, tracker = world.dice, world.tracker
    chance = dice.random()
    name = dice.choice(names)
    target = dice.choice([name, name.partition("/")[0] + "/*"])
    if chance < 0.02:
        tracker.bench(target, dice.choice([None, dice.uniform(0, 30)]), "by chance")
    elif chance < 0.06:
        try:
            tracker.unbench(target)
        except BenchedByProvider as refused:
            tracker.unbench(refused.target)
    elif chance < 0.07:
        settings = HealthSettings(failure_threshold=dice.randint(1, 3))
        tracker.configure(settings, names)
    world.check()


def run(seed: int, calls: int = 200) -> World:
    """One life, in a loop of its own."""
    # Nothing but the loop itself moves here: no need to look at the selector often.
    loop_factory = functools.partial(VirtualLoop, noop_cycles=1)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(live(seed, calls))
