"""Calls under random faults, once with memory and once without, on the same coins.

What a call comes to at a target is drawn from the seed, the call and the attempt, so
that two ways to walk the same calls meet the same faults. Time is virtual, the engine
is the real one.
"""

import asyncio
import functools
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TypeVar

from majordomo.chain.call import Call, CallFailed, Policy
from majordomo.chain.clock import Clock
from majordomo.chain.engine import Engine
from majordomo.chain.evidence import Lease
from majordomo.chain.failure import Failure
from majordomo.chain.health import Bench, HealthSettings
from majordomo.chain.target import Answer, Exchange, Peer, Piece, Target, Timeouts
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
    Prompt,
)
from tests.chain.fakes import VirtualLoop, loop_clock

T = TypeVar("T")

WARM_UP = 15.0
"""Seconds whose calls are not counted."""


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
"""By kind."""


@dataclass(frozen=True)
class Weather:
    """How the providers of one simulated hour do."""

    targets: int
    chance: float
    """Of a fault, at each attempt."""

    kinds: tuple[str, ...]
    """Of faults, each as likely."""

    answer: float
    """Seconds that an answer takes, in the mean."""

    rate: float
    """Calls a second."""

    calls: int
    together: bool = False
    """One coin for a call, wherever it goes."""

    up: Callable[[str, float], bool] = lambda name, now: True
    """Whether a target works at all at a moment."""


@dataclass
class Provider:
    """Implements chain.target.Provider, by the weather's coins."""

    name: str
    weather: Weather
    seed: int
    attempts: dict[str, int] = field(default_factory=dict)
    calls: list[float] = field(default_factory=list)
    served: int = 0

    async def fit(self, model: str, prompt: Prompt, *, stream: bool) -> Exchange:
        return _Exchange(self, prompt.system_instruction)

    async def aclose(self) -> None:
        """Nothing to let go of."""


class _Exchange(Exchange):
    def __init__(self, provider: Provider, call: str) -> None:
        super().__init__([])
        self._provider = provider
        self._call = call

    async def run(self) -> AsyncGenerator[Piece]:
        provider, weather = self._provider, self._provider.weather
        loop = asyncio.get_running_loop()
        provider.calls.append(loop.time())
        attempt = provider.attempts.get(self._call, 0)
        provider.attempts[self._call] = attempt + 1
        dice = random.Random(f"{provider.seed} {self._call} {provider.name} {attempt}")
        coin = dice.random()
        if weather.together:
            coin = random.Random(f"{provider.seed} {self._call}").random()
        kind = dice.choice(weather.kinds)
        if coin < weather.chance or not weather.up(provider.name, loop.time()):
            part = 0.5 if kind == "cut" else 0.0
            await asyncio.sleep(
                max(part * weather.answer, 0.05) * dice.uniform(0.5, 1.5)
            )
            raise FAULTS[kind]()
        await asyncio.sleep(weather.answer * dice.uniform(0.5, 1.5))
        provider.served += 1
        message = Message(role=ROLE_ASSISTANT, parts=[Part(text="hello")])
        yield Answer(Completion(finish_reason=FINISH_REASON_STOP), message)


@dataclass
class Outcome:
    """What became of the calls."""

    answered: int
    counted: int
    providers: dict[str, Provider]
    tracker: Tracker

    @property
    def share(self) -> float:
        return self.answered / max(1, self.counted)


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
    arrivals = random.Random(f"arrivals {seed}")
    loop = asyncio.get_running_loop()
    outcome = Outcome(0, 0, providers, tracker)

    async def one(number: int) -> None:
        counted = loop.time() >= WARM_UP
        outcome.counted += counted
        call = Call(
            "g", Prompt(system_instruction=str(number)), "c", targets, stream=False
        )
        try:
            async with aclosing(engine.walk(call)) as events:
                async for _ in events:
                    pass
        except CallFailed:
            return
        outcome.answered += counted

    tasks = []
    for number in range(weather.calls):
        await asyncio.sleep(arrivals.expovariate(weather.rate))
        tasks.append(asyncio.create_task(one(number)))
    for task in tasks:
        await task
    return outcome


def run(weather: Weather, seed: int, kind: type[Tracker] = Tracker) -> Outcome:
    """Let it all happen in a loop of its own."""
    loop_factory = functools.partial(VirtualLoop, noop_cycles=1)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(_live(weather, seed, kind))
