"""Calls under random faults, once with memory and once without, on the same coins.

What a call comes to at a target is drawn from the seed, the call and the attempt, so
that two ways to walk the same calls meet the same faults. Time is virtual, the engine
is the real one.
"""

import asyncio
import functools
import random
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import count

from majordomo.chain.call import Call, CallFailed, Policy
from majordomo.chain.changes import Change
from majordomo.chain.engine import Engine
from majordomo.chain.evidence import Lease
from majordomo.chain.failure import Failure
from majordomo.chain.health import Bench, HealthSettings
from majordomo.chain.target import Answer, Exchange, Peer, Piece, Target
from majordomo.chain.tracker import Tracker
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_PROVIDER_ERROR,
    FAILURE_REASON_RATE_LIMITED,
    Attempt,
)
from majordomo.v1.content_pb2 import ROLE_ASSISTANT, Message, Part
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_STOP,
    Completion,
    PartDelta,
    Prompt,
)
from majordomo.v1.operator_service_pb2 import HealthChange
from tests.chain.fakes import VirtualLoop, loop_clock

WARM_UP = 15.0
"""Seconds whose calls are not counted."""

_FOREVER = 100_000.0


class Forgetful(Tracker):
    """Remembers nothing: every target is always in rotation."""

    def _keeps_out(self, target: str, now: float) -> Bench | None:
        return None

    def fail(self, lease: Lease, attempt: Attempt, *, counts: bool) -> Bench | None:
        self.release(lease)
        return None


FAULTS: dict[str, Callable[[], Failure]] = {
    "503": lambda: Failure(FAILURE_REASON_OVERLOADED, "by chance"),
    "500": lambda: Failure(FAILURE_REASON_PROVIDER_ERROR, "by chance"),
    "malformed": lambda: Failure(FAILURE_REASON_MALFORMED_RESPONSE, "by chance"),
    "cut": lambda: Failure(FAILURE_REASON_MALFORMED_RESPONSE, "by chance"),
    "429": lambda: Failure(FAILURE_REASON_RATE_LIMITED, "by chance"),
    "429 for 1 s": lambda: Failure(
        FAILURE_REASON_RATE_LIMITED, "by chance", retry_delay=1.0
    ),
}
"""Transient ones by kind; "silent" is one more."""


@dataclass(frozen=True)
class Request:
    """One call that somebody makes."""

    caller: str = "us"
    policy: Policy = Policy()
    remaining: float | None = None
    """Seconds until its deadline."""

    poison: str = ""
    """The fault that its prompt brings about wherever it goes; "" for none."""

    stream: bool = False


@dataclass(frozen=True)
class Weather:
    """How the providers do, and what is asked of them."""

    targets: int = 1
    chance: float = 0.0
    """Of a fault, at each attempt."""

    kinds: tuple[str, ...] = ("503",)
    """Of faults, each as likely."""

    answer: float = 0.1
    """Seconds that an answer takes, in the mean."""

    rate: float = 10.0
    """Calls a second."""

    seconds: float = 60.0
    """How long calls come, the warm-up excluded."""

    together: bool = False
    """One coin for a call, wherever it goes."""

    down: Callable[[str, float], bool] = lambda name, now: False
    """Whether a target does not work at all at a moment."""

    window: float = 0.0
    """Seconds of a rate window, 0 for no limit; a refusal shows when it ends."""

    paid: float = 0.0
    """Calls a second that are paid for."""

    requests: Callable[[random.Random], Request] = lambda dice: Request()


@dataclass
class Provider:
    """Implements chain.target.Provider, by the weather's coins."""

    name: str
    weather: Weather
    seed: int
    attempts: dict[str, int] = field(default_factory=dict)
    calls: list[float] = field(default_factory=list)
    """When it was called."""

    served: list[float] = field(default_factory=list)
    """When it had answered."""

    spent: dict[int, int] = field(default_factory=dict)
    """Calls that were served in each window."""

    async def prepare(
        self, model: str, prompt: Prompt, *, stream: bool | None, **_: object
    ) -> Exchange:
        return _Exchange(self, prompt, stream=bool(stream))

    async def aclose(self) -> None:
        """Nothing to let go of."""

    def fault(self, call: str, poison: str, now: float) -> tuple[str, random.Random]:
        """What goes wrong at the next attempt of `call`, "" for nothing."""
        attempt = self.attempts.get(call, 0)
        self.attempts[call] = attempt + 1
        dice = random.Random(f"{self.seed} {call} {self.name} {attempt}")
        own = dice.random()
        shared = random.Random(f"{self.seed} {call}").random()
        coin = shared if self.weather.together else own
        kind = dice.choice(self.weather.kinds)
        if poison:
            return poison, dice
        if coin < self.weather.chance or self.weather.down(self.name, now):
            return kind, dice
        return "", dice

    def refused(self, now: float) -> float | None:
        """Seconds until the rate window ends, if what was paid for in it is used."""
        weather = self.weather
        if not weather.window:
            return None
        number = int(now / weather.window)
        spent = self.spent.get(number, 0)
        if spent < max(1, round(weather.paid * weather.window)):
            self.spent[number] = spent + 1
            return None
        return (number + 1) * weather.window - now


class _Exchange(Exchange):
    def __init__(self, provider: Provider, prompt: Prompt, *, stream: bool) -> None:
        super().__init__([], streamed=stream)
        self._provider = provider
        self._call, _, self._poison = prompt.system_instruction[0].text.partition(" ")
        self._stream = stream

    async def run(self) -> AsyncGenerator[Piece]:
        provider, weather = self._provider, self._provider.weather
        now = asyncio.get_running_loop().time
        provider.calls.append(now())
        delay = provider.refused(now())
        if delay is not None:
            await asyncio.sleep(0.02)
            raise Failure(
                FAILURE_REASON_RATE_LIMITED, "used", retry_delay=max(0, delay - 0.02)
            )
        kind, dice = provider.fault(self._call, self._poison, now())
        took = weather.answer * dice.uniform(0.5, 1.5)
        if kind == "silent":
            await asyncio.sleep(_FOREVER)
        if kind:
            await asyncio.sleep(took / 2 if kind == "cut" else min(took, 0.05))
            fault = FAULTS[kind]()
            raise fault
        if self._stream:
            await asyncio.sleep(took / 2)
            yield [PartDelta(text="hello")]
            took /= 2
        await asyncio.sleep(took)
        provider.served.append(now())
        completion = Completion(finish_reason=FINISH_REASON_STOP)
        message = Message(role=ROLE_ASSISTANT, parts=[Part(text="hello")])
        yield Answer(completion, None if self._stream else message)


@dataclass
class Outcome:
    """What became of the calls that were counted."""

    providers: dict[str, Provider]
    tracker: Tracker
    answered: dict[str, list[bool]] = field(default_factory=dict)
    """Whether each was, by caller."""

    benched: dict[str, list[float]] = field(default_factory=dict)
    """When each target was benched."""

    def share(self, caller: str = "us") -> float:
        """How many of the caller's calls were answered, from 0 to 1."""
        calls = self.answered.get(caller, [])
        return sum(calls) / max(1, len(calls))


async def _live(weather: Weather, seed: int, kind: type[Tracker]) -> Outcome:
    clock = loop_clock()
    dice = random.Random(f"jitter {seed}")
    names = [f"p{number}/m" for number in range(weather.targets)]
    tracker = kind(HealthSettings(), clock, dice.random, names)
    engine = Engine(tracker, clock, dice.random)
    providers = {name: Provider(name, weather, seed) for name in names}
    targets = tuple(
        Target(name, name[:2], "m", provider, Peer(name[:2]))
        for name, provider in providers.items()
    )
    loop = asyncio.get_running_loop()
    outcome = Outcome(providers, tracker, benched={name: [] for name in names})

    def note(change: Change) -> None:
        if change.cause == HealthChange.CAUSE_FAILURES:
            outcome.benched[change.target].append(loop.time())

    tracker.changes.subscribe(note)

    async def one(number: int, request: Request, counted: bool) -> None:
        name = Part(text=f"{number} {request.poison}")
        prompt = Prompt(system_instruction=[name])
        call = Call(
            *("g", prompt, "chain", targets),
            stream=request.stream,
            policy=request.policy,
            time_remaining=request.remaining,
            caller=request.caller,
        )
        try:
            async with aclosing(engine.walk(call)) as events:
                async for _ in events:
                    pass
        except CallFailed:
            pass
        if counted:
            answered = call.completion is not None
            outcome.answered.setdefault(request.caller, []).append(answered)

    arrivals = random.Random(f"arrivals {seed}")
    tasks = []
    for number in count():
        await asyncio.sleep(arrivals.expovariate(weather.rate))
        if loop.time() > WARM_UP + weather.seconds:
            break
        request = weather.requests(arrivals)
        counted = loop.time() >= WARM_UP
        tasks.append(asyncio.create_task(one(number, request, counted)))
    for task in tasks:
        await task
    return outcome


def run(weather: Weather, seed: int, kind: type[Tracker] = Tracker) -> Outcome:
    """Let it all happen in a loop of its own."""
    loop_factory = functools.partial(VirtualLoop, noop_cycles=1)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(_live(weather, seed, kind))


def mean(values: Iterable[float]) -> float:
    """Of at least one value."""
    kept = list(values)
    return sum(kept) / len(kept)
