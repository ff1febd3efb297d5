"""A server with two targets: `bad/m`, whose provider the test plays, and `good/m`."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from majordomo.v1.attempt_pb2 import Attempt, AttemptOutcome, FailureReason
from majordomo.v1.errors_pb2 import CallFailure
from majordomo.v1.generation_service_pb2 import (
    Call,
    ChainOptions,
    Completion,
    GenerateRequest,
    StreamRequest,
    StreamResponse,
)
from majordomo.v1.operator_service_pb2 import HealthSnapshotRequest, TargetHealth
from testkit.servers import FailedCall, Running, failed, prompt, running, text_of
from testkit.upstream import (
    PATIENCE,
    Connection,
    Request,
    Script,
    Upstream,
    completion,
    streamed,
)

RPCS = ("Generate", "Stream")

POOL_ONLY = pytest.mark.parametrize("transport", [""], indirect=True, ids=["pool"])
"""httpx does otherwise: docs/transport.md."""

OVER = ""
"""What is set for bad/m besides, in TOML: see `transport` in conftest."""


@dataclass
class Got:
    """What a caller got of a call; `attempts` are as `outline` writes them."""

    code: grpc.StatusCode
    attempts: list[str]
    records: Sequence[Attempt]
    completion: Completion | None = None
    text: str = ""
    """Of a stream all of it, also what was voided."""

    events: list[StreamResponse] = field(default_factory=list)
    reported: FailedCall | None = None

    @property
    def failure(self) -> FailedCall:
        """What received a call that failed."""
        assert self.reported is not None, f"answered: {self.text}"
        return self.reported

    @property
    def status(self) -> tuple[grpc.StatusCode, str]:
        """The code and the reason of a call that failed."""
        return self.code, self.failure.reason


@dataclass
class Scene:
    """What the test looks at."""

    it: Running
    bad: Upstream
    good: Upstream

    async def ask(self, rpc: str = "Generate", **more: Any) -> Got:
        return await ask(self.it, rpc, **more)

    async def health(self, target: str = "bad/m") -> TargetHealth:
        return await health(self.it, target)


@asynccontextmanager
async def scene(
    script: Script,
    *,
    chain: str = "transient_retries = 0",
    health: str = "",
    server: str = "",
    bad: str = "",
    kind: str = "openai-compatible",
    url: str = "",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Scene]:
    """Serve with `script` as the provider of bad/m; the texts are TOML.

    `url` leads bad/m elsewhere.
    """
    async with AsyncExitStack() as stack:
        played = await stack.enter_async_context(Upstream(script, tls))
        good = await stack.enter_async_context(Upstream(well))
        it = await stack.enter_async_context(
            running(
                f"""
[server]
listen = "127.0.0.1:0"
default_chain = "bad/m,good/m"
{server}
[chain]
{chain}
[health]
{health}
[providers.bad]
kind = "{kind}"
base_url = "{url or played.url}"
{bad}
{OVER}
[providers.good]
kind = "openai-compatible"
base_url = "{good.url}"
"""
            )
        )
        yield Scene(it, played, good)


async def ask(
    it: Running,
    rpc: str = "Generate",
    *,
    chain: str = "",
    text: str = "hello",
    timeout: float | None = None,  # noqa: ASYNC109 - the call's own deadline
    **options: Any,
) -> Got:
    """Make a call and wait for its end; `options` are those of ChainOptions."""
    wishes = ChainOptions(**options)
    if rpc == "Generate":
        request = GenerateRequest(
            call=Call(chain=chain, prompt=prompt(text), options=wishes)
        )
        call: Any = it.generation.Generate(request, timeout=timeout)
        return await got(call)
    streaming = StreamRequest(
        call=Call(chain=chain, prompt=prompt(text), options=wishes)
    )
    return await got(it.generation.Stream(streaming, timeout=timeout))


async def got(call: Any, read: Sequence[StreamResponse] = ()) -> Got:
    """All that comes of a call, after what was `read` of it already."""
    events = list(read)
    answer = None
    with suppress(grpc.aio.AioRpcError):
        if hasattr(call, "read"):
            while (event := await call.read()) is not grpc.aio.EOF:
                events.append(event)
        else:
            answer = await call
    code = await call.code()
    if code != grpc.StatusCode.OK:
        reported = await failed(call)
        records = reported.details.get(CallFailure, CallFailure()).attempts
        text = text_of(events)
        return Got(code, outline(records), records, None, text, events, reported)
    if answer is not None:
        end = answer.completion
        text = "".join(part.text for part in answer.message.parts)
    else:
        end = events[-1].completion
        text = text_of(events)
    return Got(code, outline(end.attempts), end.attempts, end, text, events)


async def read_text(call: Any, text: str) -> list[StreamResponse]:
    """Read a stream until it has brought `text`."""
    events: list[StreamResponse] = []
    while text_of(events) != text:
        event: Any = await call.read()
        assert event is not grpc.aio.EOF, text_of(events)
        events.append(event)
    return events


def outline(attempts: Sequence[Attempt]) -> list[str]:
    """A line an attempt: target, outcome, reason."""
    lines = []
    for attempt in attempts:
        outcome = AttemptOutcome.Name(attempt.outcome)
        words = [attempt.target, outcome.removeprefix("ATTEMPT_OUTCOME_")]
        if attempt.failure_reason:
            reason = FailureReason.Name(attempt.failure_reason)
            words.append(reason.removeprefix("FAILURE_REASON_"))
        lines.append(" ".join(words))
    return lines


def rescued(reason: str) -> list[str]:
    """The attempts of a call where bad/m failed for `reason` and good/m answered."""
    return [f"bad/m FAILED {reason}", "good/m SUCCEEDED"]


def ended(outcome: str) -> list[str]:
    """The attempts of a call that ended at bad/m."""
    return [f"bad/m {outcome}", "good/m SKIPPED NOT_REACHED"]


async def health(it: Running, target: str = "bad/m") -> TargetHealth:
    snapshot = await it.operator.HealthSnapshot(HealthSnapshotRequest(chain=target))
    return snapshot.targets[0]


async def quiet(it: Running, target: str = "bad/m") -> TargetHealth:
    """The health of `target` once no attempt runs at it."""
    async with asyncio.timeout(PATIENCE):
        while (shown := await health(it, target)).active_attempts:
            pass
    return shown


def answering(request: Request, text: str) -> bytes:
    """`text` as the answer that was asked for, whole or streamed."""
    if json.loads(request.body).get("stream"):
        return streamed([text])
    return completion(text)


async def well(connection: Connection) -> None:
    """A script: answers "rescued" to whatever is asked."""
    while request := await connection.request():
        await connection.send(answering(request, "rescued"))


def plays(*steps: bytes | Callable[[], Awaitable[object]], end: str = "") -> Script:
    """A script: a request, then bytes and waits in turn, and an end.

    The end is "reset" or "closed"; without it the client has to close.
    """

    async def script(connection: Connection) -> None:
        await connection.request()
        for step in steps:
            if isinstance(step, bytes):
                await connection.send(step)
            else:
                await step()
        if end == "reset":
            connection.reset()
        elif end == "closed":
            connection.close()
        else:
            await connection.closed()

    return script
