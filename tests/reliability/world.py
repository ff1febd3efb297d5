"""Worlds: a chain of providers with their fates, and who calls it how often.

All worlds of a run are played at once by one real server, in a process of its own,
each on providers of its own. What is judged are shares and counts; where a limit is a
time, benches are known from the server's own watch.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from majordomo.v1.generation_service_pb2 import INTERRUPTION_POLICY_RESTART
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from majordomo.v1.operator_service_pb2 import HealthChange, WatchHealthRequest
from majordomo.v1.operator_service_pb2_grpc import OperatorServiceStub
from testkit.processes import serving
from testkit.servers import generate, stream
from tests.reliability.provider import Fate, Provider
from tests.reliability.wires import wires

if TYPE_CHECKING:
    from majordomo.v1.generation_service_pb2_grpc import GenerationServiceAsyncStub

PIECES = ("one ", "two")
WARM_UP = 5.0
"""Seconds in which a world is used and not judged."""

_ANSWER = "".join(PIECES)


@dataclass
class World:
    """`fates`: one for each target of the chain, asked with the seconds since begin."""

    name: str
    fates: Sequence[Callable[[float], Fate]]
    rate: float
    """Calls a second."""

    seconds: float
    rpc: str = "Generate"
    deadline: float = 20.0

    # What came of it. Moments are seconds since the world began.
    calls: list["Called"] = field(default_factory=list)
    asked: list[list["Request"]] = field(default_factory=list)
    """For each target."""

    changes: list[list["Changed"]] = field(default_factory=list)
    """For each target: what the server reported of its health."""

    @property
    def targets(self) -> list[str]:
        return [f"{self.name}-{place}/m" for place in range(len(self.fates))]

    def answered(self, since: float = 0.0) -> float:
        """The share of the calls begun after `since` that were answered."""
        judged = [call for call in self.calls if call.at >= since]
        return sum(call.target is not None for call in judged) / len(judged)

    def first(self, target: int, cause: "HealthChange.Cause", since: float) -> float:
        """When `target` changed so for the first time after `since`; else infinity."""
        return min(
            (c.at for c in self.changes[target] if c.cause == cause and c.at >= since),
            default=float("inf"),
        )


@dataclass
class Called:
    """A call, and which target answered it; None: none did."""

    at: float
    target: str | None = None
    error: str = ""


@dataclass
class Request:
    """What a provider was asked."""

    at: float
    well: bool


@dataclass
class Changed:
    """A change of a target's health, by the server's account."""

    at: float
    cause: "HealthChange.Cause"


class _Play:
    """A world while it is played."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.begin = 0.0
        world.changes = [[] for _ in world.fates]
        kinds = wires(*PIECES)
        self.providers = [
            Provider(kinds[place % len(kinds)], self._since(fate))
            for place, fate in enumerate(world.fates)
        ]

    def _since(self, fate: Callable[[float], Fate]) -> Callable[[float], Fate]:
        return lambda now: fate(now - self.begin)

    def config(self) -> str:
        """Its providers in TOML."""
        return "".join(
            f"""
            [providers."{name.partition("/")[0]}"]
            {provider.wire.settings}
            base_url = "{provider.url}"
            api_key = "env:PROVIDER_KEY"
            """
            for name, provider in zip(self.world.targets, self.providers, strict=True)
        )

    async def run(self, generation: "GenerationServiceAsyncStub") -> None:
        """Make all calls, evenly spaced; on a busy machine they take longer."""
        loop = asyncio.get_running_loop()
        world = self.world
        self.begin = due = loop.time()
        calls = []
        for _ in range(round(world.rate * world.seconds)):
            await asyncio.sleep(due - loop.time())
            called = Called(loop.time() - self.begin)
            world.calls.append(called)
            calls.append(asyncio.ensure_future(self._call(generation, called)))
            due = max(due + 1 / world.rate, loop.time())
        await asyncio.gather(*calls)
        world.asked = [
            [Request(a.at - self.begin, a.fate.fault is None) for a in provider.asked]
            for provider in self.providers
        ]

    async def _call(
        self, generation: "GenerationServiceAsyncStub", called: Called
    ) -> None:
        world = self.world
        chain = ",".join(world.targets)
        try:
            if world.rpc == "Generate":
                request = generate(chain)
                answer = await generation.Generate(request, timeout=world.deadline)
                said = "".join(part.text for part in answer.message.parts)
                target = answer.completion.target
            else:
                asked = stream(chain)
                asked.call.options.interruption_policy = INTERRUPTION_POLICY_RESTART
                events = generation.Stream(asked, timeout=world.deadline)
                said, target = await _read(events)
        except grpc.aio.AioRpcError as error:
            called.error = f"{error.code().name} {error.details()}"
            return
        assert _ANSWER == said
        called.target = target


async def _read(call: Any) -> tuple[str, str]:
    """What was reported and not voided, and by whom."""
    said, target = "", ""
    async for event in call:
        if event.HasField("restart"):
            said = ""
        said += event.part_delta.text
        target = event.completion.target or target
    return said, target


async def _watch(operator: Any, plays: Sequence[_Play]) -> None:
    """Note every change of health in the world that it belongs to."""
    loop = asyncio.get_running_loop()
    where = {
        name: (play, changes)
        for play in plays
        for name, changes in zip(play.world.targets, play.world.changes, strict=True)
    }
    async for event in operator.WatchHealth(WatchHealthRequest()):
        if event.HasField("change"):
            play, changes = where[event.change.target.target]
            now = loop.time() - play.begin
            changes.append(Changed(now, event.change.cause))


def play(worlds: Sequence[World], folder: Path) -> None:
    """Play all `worlds` at once; the server's configuration and log are in `folder`."""
    with (folder / "majordomo.log").open("wb") as log:
        asyncio.run(_play(worlds, folder / "majordomo.toml", log.fileno()))


async def _play(worlds: Sequence[World], config: Path, log: int) -> None:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        plays = [_Play(world) for world in worlds]
        for provider in (provider for one in plays for provider in one.providers):
            await enter(provider)
        _write(config, plays)
        environ = {**os.environ, "PROVIDER_KEY": "none"}
        server = await enter(serving(config, environ, stderr=log))
        channel = await enter(grpc.aio.insecure_channel(server.address))
        generation: Any = GenerationServiceStub(channel)
        watching = asyncio.ensure_future(_watch(OperatorServiceStub(channel), plays))
        try:
            await asyncio.gather(*(one.run(generation) for one in plays))
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


def _write(config: Path, plays: Sequence[_Play]) -> None:
    config.write_text("\n".join(one.config() for one in plays))
