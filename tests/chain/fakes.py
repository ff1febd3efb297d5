"""Targets made of scripts, and the virtual time that they run in."""

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec

import looptime

from majordomo.chain.call import Call, CallFailed, Policy
from majordomo.chain.clock import Clock
from majordomo.chain.engine import Engine
from majordomo.chain.events import Answered, Content, Event
from majordomo.chain.failure import Failure
from majordomo.chain.health import HealthSettings
from majordomo.chain.target import (
    Answer,
    ConcurrencyLimit,
    Exchange,
    Life,
    Peer,
    Piece,
    Target,
    Timeouts,
)
from majordomo.chain.tracker import Tracker
from majordomo.v1.attempt_pb2 import Attempt, Usage
from majordomo.v1.content_pb2 import ROLE_ASSISTANT, Message, Part
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_STOP,
    Adaptation,
    Completion,
    FinishReason,
    PartDelta,
    Prompt,
)

P = ParamSpec("P")

VirtualLoop = looptime.make_event_loop_class(asyncio.SelectorEventLoop)
"""An event loop whose time passes only while everything waits."""


def virtual_time(
    test: Callable[P, Coroutine[None, None, None]],
) -> Callable[P, None]:
    """Run an async test in virtual time: an hour's wait takes no time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


EPOCH = 1_700_000_000


@dataclass(frozen=True)
class Wait:
    """Seconds in which the provider says nothing."""

    seconds: float


@dataclass(frozen=True)
class Stops:
    """The answer is complete, for a reason other than that all is reported."""

    why: FinishReason


Step = str | Wait | Failure | Life | Stops | None
"""Content, a silence, a failure, a sign of life, or None: the answer is complete."""


class ScriptedExchange(Exchange):
    def __init__(
        self,
        steps: Sequence[Step],
        adaptations: list[Adaptation],
        *,
        stream: bool,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(adaptations, streamed=stream)
        self._usage = usage
        self.steps = steps
        self.stream = stream
        self.closed = False

    async def run(self) -> AsyncGenerator[Piece]:
        text = ""
        try:
            for step in self.steps:
                match step:
                    case Wait(seconds):
                        await asyncio.sleep(seconds)
                    case Failure():
                        raise step
                    case Life():
                        yield step
                    case str():
                        text += step
                        if self.stream:
                            yield [PartDelta(text=step)]
                    case Stops(why):
                        yield self._answer(text, why)
                    case None:
                        yield self._answer(text)
        finally:
            self.closed = True

    def _answer(self, text: str, why: FinishReason = FINISH_REASON_STOP) -> Answer:
        completion = Completion(finish_reason=why, usage=self.usage)
        if self.stream:
            return Answer(completion)
        message = Message(role=ROLE_ASSISTANT, parts=[Part(text=text)])
        return Answer(completion, message)


@dataclass
class ScriptedProvider:
    """One script an attempt, in order; the last one repeats."""

    scripts: list[Sequence[Step]]
    unsupported: Failure | None = None
    adapts: str = ""
    """The field of the request that has to be adapted."""

    usage: Usage | None = None
    """What every attempt counts."""

    exchanges: list[ScriptedExchange] = field(default_factory=list)

    async def prepare(
        self, model: str, prompt: Prompt, *, stream: bool | None, **_: object
    ) -> Exchange:
        if self.unsupported is not None:
            raise self.unsupported
        script = self.scripts[min(len(self.exchanges), len(self.scripts) - 1)]
        adaptations = [Adaptation(field=self.adapts)] if self.adapts else []
        exchange = ScriptedExchange(
            script, adaptations, stream=bool(stream), usage=self.usage
        )
        self.exchanges.append(exchange)
        return exchange

    async def aclose(self) -> None:
        """Nothing to let go of."""


OK: Sequence[Step] = ("hello", None)


def target(
    name: str,
    *scripts: Sequence[Step],
    unsupported: Failure | None = None,
    adapts: str = "",
    timeouts: Timeouts = Timeouts(),
    reasons: bool = False,
    concurrency_limits: tuple[ConcurrencyLimit, ...] = (),
    usage: Usage | None = None,
) -> Target:
    """A target whose attempts follow `scripts`; without any they answer."""
    provider, _, model = name.partition("/")
    scripted = ScriptedProvider(list(scripts) or [OK], unsupported, adapts, usage)
    return Target(
        name,
        provider,
        model,
        scripted,
        Peer(provider),
        timeouts,
        reasons,
        concurrency_limits,
    )


def exchanges(of: Target) -> list[ScriptedExchange]:
    """What was asked of a scripted target."""
    provider = of.provider
    assert isinstance(provider, ScriptedProvider)
    return provider.exchanges


def loop_clock() -> Clock:
    """The event loop's time, which looptime moves."""
    loop = asyncio.get_running_loop()
    return Clock(loop.time, lambda: round((EPOCH + loop.time()) * 1e9))


def engine(
    settings: HealthSettings = HealthSettings(),
    random: Callable[[], float] = lambda: 1.0,
) -> tuple[Engine, Tracker]:
    """An engine in the loop's time, without jitter unless `random` brings some."""
    clock = loop_clock()
    tracker = Tracker(settings, clock, random)
    return Engine(tracker, clock, random), tracker


def call(
    *targets: Target,
    stream: bool = False,
    policy: Policy = Policy(),
    time_remaining: float | None = None,
    prompt: Prompt | None = None,
) -> Call:
    return Call(
        generation_id="g",
        prompt=prompt or Prompt(),
        chain=",".join(t.name for t in targets),
        targets=targets,
        stream=stream,
        policy=policy,
        time_remaining=time_remaining,
    )


@dataclass
class Result:
    """What came out of a walk."""

    call: Call
    events: list[Event]
    failed: CallFailed | None = None

    @property
    def text(self) -> str:
        return "".join(
            delta.text
            for event in self.events
            if isinstance(event, Content)
            for delta in event.deltas
        )

    @property
    def answer(self) -> Answer:
        last = self.events[-1]
        assert isinstance(last, Answered)
        return last.answer

    @property
    def attempts(self) -> list[Attempt]:
        return self.call.attempts


async def walk(engine: Engine, call: Call) -> Result:
    """Walk to the end, whatever it is."""
    result = Result(call, [])
    try:
        async for event in engine.walk(call):
            result.events.append(event)
    except CallFailed as failed:
        result.failed = failed
    return result
