"""What the client tries again by itself, and what it leaves."""

import asyncio
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from majordomo import errors
from majordomo.client import (
    AllBenched,
    AsyncClient,
    ChainExhausted,
    ChainRateLimited,
    ServerDraining,
    user,
)
from majordomo.client.channel import channel_options
from majordomo.rpc.generation import GenerationService
from majordomo.rpc.interceptors.errors import ErrorInterceptor
from majordomo.v1.generation_service_pb2 import ChainOptions, GenerateResponse
from testkit.servers import running
from tests.client.conftest import Ask
from tests.client.servers import serving

ONCE = ChainOptions(transient_retries=0)


class Doors:
    """Counts the calls that come to any server, and turns the first ones away."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, closed: int) -> None:
        self.calls = 0
        self._closed = closed
        # Asked once by every call, before anything else.
        monkeypatch.setattr(
            GenerationService,
            "draining",
            property(lambda _: self._knock(), lambda *_: None),
            raising=False,
        )

    def _knock(self) -> bool:
        self.calls += 1
        return self.calls <= self._closed


@pytest.mark.parametrize("method", ["generate", "stream", "explain"])
async def test_a_draining_server_is_asked_again(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Three times in all, behind what may be another replica each time."""
    doors = Doors(monkeypatch, closed=2)
    async with running() as it:
        await ask(it.server.address, method, "hi", chain="acme/echo")

    assert 3 == doors.calls


async def test_a_server_that_keeps_draining_is_left(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third refusal is the caller's error."""
    doors = Doors(monkeypatch, closed=9)
    async with running() as it:
        with pytest.raises(ServerDraining) as refused:
            await ask(it.server.address, "generate", "hi", chain="acme/echo")

    assert 3 == doors.calls
    assert 1 == refused.value.retry_delay


async def test_large_requests_are_asked_again_too(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC itself gives up on those over 256 KiB."""
    doors = Doors(monkeypatch, closed=1)
    async with running() as it:
        address = it.server.address
        await ask(address, "generate", "x" * (2 << 20), chain="acme/text:ok")

    assert 2 == doors.calls


@pytest.mark.parametrize("method", ["generate", "stream"])
@pytest.mark.parametrize(
    ("chain", "error"),
    [
        ("acme/status:503", ChainExhausted),
        ("acme/status:429+retry-after:9", ChainRateLimited),
    ],
)
async def test_a_chain_that_failed_is_not_run_again(
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    chain: str,
    error: type[Exception],
) -> None:
    """Its providers have seen one attempt: the server's pushback is honoured."""
    doors = Doors(monkeypatch, closed=0)
    async with running() as it:
        address = it.server.address
        with pytest.raises(error):
            await ask(address, method, "hi", chain=chain, options=ONCE)
        (target,) = (await ask(address, "health")).targets

    assert (1, 1) == (doors.calls, target.total_attempts)


async def test_a_benched_chain_is_not_asked_again(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be as benched as before."""
    doors = Doors(monkeypatch, closed=0)
    async with running() as it:
        await ask(it.server.address, "bench", "acme/echo")
        with pytest.raises(AllBenched):
            await ask(it.server.address, "generate", "hi", chain="acme/echo")

    assert 1 == doors.calls


async def test_another_replica_answers() -> None:
    """Calls go round; what a draining server refuses is answered by the other."""
    refused: list[Any] = []
    whole = GenerateResponse(message=user("hi"))

    async def refuse(request: Any, context: Any) -> GenerateResponse:
        refused.append(request)
        raise errors.ServerDraining

    async def answer(request: Any, context: Any) -> GenerateResponse:
        return whole

    async with (
        serving("Generate", refuse, interceptors=[ErrorInterceptor()]) as first,
        serving("Generate", answer) as second,
        AsyncClient(f"ipv4:{first},{second}") as client,
    ):
        answers = [await client.generate("hi")]
        while not refused:
            answers.append(await client.generate("hi"))

    assert [whole] * len(answers) == answers


async def test_a_full_server_is_left_alone_for_as_long_as_it_says() -> None:
    """The next try comes after the second that it asks for, not after gRPC's 0.2."""
    came: list[float] = []
    time = asyncio.get_running_loop().time
    whole = GenerateResponse(message=user("hi"))

    async def full(request: Any, context: Any) -> GenerateResponse:
        came.append(time())
        if len(came) == 1:
            raise errors.ServerOverloaded
        return whole

    async with (
        serving("Generate", full, interceptors=[ErrorInterceptor()]) as port,
        AsyncClient(f"ipv4:{port}") as client,
    ):
        answer = await client.generate("hi")

    assert whole == answer
    assert 2 == len(came)
    assert came[1] - came[0] >= 1.0


def test_the_core_knows_every_option() -> None:
    """It ignores names that it does not know, and many write a wrong one."""
    spec = find_spec("grpc._cython.cygrpc")
    assert spec is not None
    assert spec.origin is not None
    core = Path(spec.origin).read_bytes()

    options = channel_options("localhost:50051")
    unknown = [name for name, _ in options if name.encode() + b"\0" not in core]

    assert [] == unknown
