"""The transport against a provider that misbehaves at every step of an exchange."""

import asyncio
import gzip
import json
import os
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import httpx
import pytest
import trustme

from majordomo.chain.failure import CERTIFICATE_NOT_VALID, Failure
from majordomo.chain.target import Answer, Exchange, Life, Piece
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.transport import parked, pool
from majordomo.transport import provider as http
from majordomo.transport.base import failure
from majordomo.transport.egress import Egress
from majordomo.transport.pool import _below
from majordomo.transport.provider import HttpProvider
from majordomo.transport.trust import environment_files, trust
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONNECTION,
    FAILURE_REASON_CREDENTIALS,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_PROVIDER_ERROR,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_TIMEOUT,
    FailureReason,
)
from majordomo.v1.errors_pb2 import CallFailure
from testkit.servers import failed, generate, prompt, running
from testkit.upstream import (
    CHUNKED,
    DONE,
    LAST_CHUNK,
    PATIENCE,
    Connection,
    Script,
    Upstream,
    answer,
    chunk,
    completion,
    event,
    serve,
    streamed,
)

KEY = "sk-canary-4711"


@dataclass
class Outcome:
    """All that an exchange yielded, and how it ended."""

    exchange: Exchange
    texts: list[str] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    answer: Answer | None = None
    failure: Failure | None = None

    @property
    def text(self) -> str:
        if self.answer is not None and self.answer.message is not None:
            return "".join(part.text for part in self.answer.message.parts)
        return "".join(self.texts)

    @property
    def failed(self) -> tuple[str, str]:
        assert self.failure is not None, f"answered: {self.text}"
        return FailureReason.Name(self.failure.reason), self.failure.message


POOL, HTTPX = "pool", "httpx"
POOL_ONLY = pytest.mark.parametrize("transport", [POOL], indirect=True)
"""What httpx does otherwise, or cannot do: docs/transport.md has the reasons."""

_transports: list[str] = []


@pytest.fixture(autouse=True, params=[POOL, HTTPX])
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    """What providers are reached by; httpx as for HTTP/2, which nobody speaks here."""
    name: str = request.param
    _transports.append(name)
    yield name
    _transports.pop()


def to(url: str, connect_timeout: float = PATIENCE) -> aclosing[HttpProvider]:
    """A provider at `url`, closed at the end of the block."""
    headers = {"authorization": f"Bearer {KEY}"}
    codec = OpenAICompatible("acme")
    files = environment_files(os.environ)
    egress = Egress(trust(files, http2=_transports[-1] == HTTPX))
    provider = HttpProvider(
        codec, url, headers, connect_timeout=connect_timeout, egress=egress
    )
    return aclosing(provider)


async def ask(
    provider: HttpProvider, *, stream: bool = False, text: str = "hello"
) -> Outcome:
    exchange = await provider.prepare("m-1", prompt(text), stream=stream)
    outcome = Outcome(exchange)
    try:
        async for piece in exchange.run():
            match piece:
                case Answer():
                    outcome.answer = piece
                case Life():
                    outcome.lives.append(piece)
                case _:
                    outcome.texts += [delta.text for delta in piece]
    except Failure as failure:
        outcome.failure = failure
    return outcome


async def begun(
    provider: HttpProvider, *, stream: bool = True
) -> AsyncGenerator[Piece]:
    exchange = await provider.prepare("m-1", prompt(), stream=stream)
    return exchange.run()


def name(reason: FailureReason) -> str:
    return FailureReason.Name(reason)


CONNECTION = name(FAILURE_REASON_CONNECTION)
MALFORMED = name(FAILURE_REASON_MALFORMED_RESPONSE)
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])


# No connection.


@pytest.mark.rule("8.1")
@BOTH
async def test_a_refused_connection(stream: bool) -> None:
    """Nobody listens: CONNECTION, with the system's own code."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    async with to(f"http://127.0.0.1:{port}") as provider:
        outcome = await ask(provider, stream=stream)

    assert (CONNECTION, "connection refused") == outcome.failed
    assert outcome.failure is not None
    assert "ECONNREFUSED" == outcome.failure.code


@pytest.mark.rule("5.4", "8.1")
async def test_a_connection_that_takes_too_long() -> None:
    """Nobody accepts and the backlog is full: TIMEOUT after the connect limit."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.settimeout(0)
                filler.connect_ex(("127.0.0.1", port))
            async with to(f"http://127.0.0.1:{port}", 0.2) as provider:
                outcome = await ask(provider)
        finally:
            for filler in fillers:
                filler.close()

    assert (name(FAILURE_REASON_TIMEOUT), "connect timed out") == outcome.failed


@pytest.mark.rule("8.1")
async def test_a_name_that_is_none() -> None:
    """A host that no name server knows: CONNECTION."""
    async with to("http://nope.invalid") as provider:
        outcome = await ask(provider)

    assert (CONNECTION, "name not resolved") == outcome.failed


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """The one authority that the transport trusts."""
    authority = trustme.CA()
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return authority


def server_tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


async def test_a_certificate_of_a_trusted_authority(authority: trustme.CA) -> None:
    """TLS works, with the authorities that SSL_CERT_FILE names."""
    tls = server_tls(authority.issue_cert("127.0.0.1"))
    async with (
        Upstream(serve(completion("over TLS")), tls) as upstream,
        to(upstream.url) as provider,
    ):
        outcome = await ask(provider)

    assert "over TLS" == outcome.text


@pytest.mark.rule("8.1")
@pytest.mark.parametrize("fault", ["untrusted", "expired", "of another host"])
async def test_a_certificate_that_proves_nothing(
    authority: trustme.CA, fault: str
) -> None:
    """Checks are never turned off: CONNECTION, and no request is sent."""
    if fault == "untrusted":
        certificate = trustme.CA().issue_cert("127.0.0.1")
    elif fault == "expired":
        past = datetime(2020, 1, 1, tzinfo=UTC)
        before = datetime(2019, 1, 1, tzinfo=UTC)
        certificate = authority.issue_cert(
            "127.0.0.1", not_before=before, not_after=past
        )
    else:
        certificate = authority.issue_cert("other.example")
    async with (
        Upstream(serve(completion("no")), server_tls(certificate)) as upstream,
        to(upstream.url) as provider,
    ):
        outcome = await ask(provider)

        assert (CONNECTION, "certificate not valid") == outcome.failed
        assert outcome.failure is not None
        assert CERTIFICATE_NOT_VALID == outcome.failure.code
        assert [] == upstream.requests
        for _ in range(20):
            await asyncio.sleep(0)  # the provider's end of it closes, too


@POOL_ONLY
@pytest.mark.rule("2.6")
async def test_a_certificate_is_not_tried_again(authority: trustme.CA) -> None:
    """It would be the same; a connection that is reset is tried again."""
    stranger = server_tls(trustme.CA().issue_cert("127.0.0.1"))
    accepted = []

    async def script(connection: Connection) -> None:
        accepted.append(connection.number)
        connection.reset()

    async with (
        Upstream(serve(completion("no")), stranger) as false,
        Upstream(script) as broken,
        running(
            f"""
            [providers.false]
            kind = "openai-compatible"
            base_url = "{false.url}"
            [providers.broken]
            kind = "openai-compatible"
            base_url = "{broken.url}"
            """
        ) as it,
    ):
        reported = await failed(it.generation.Generate(generate("false/m,broken/m")))

    attempts = [attempt.target for attempt in reported.details[CallFailure].attempts]
    assert ["false/m", "broken/m", "broken/m"] == attempts


@pytest.mark.rule("8.1")
async def test_a_server_that_speaks_no_tls(authority: trustme.CA) -> None:
    """Plain HTTP where TLS is expected: CONNECTION."""

    async def script(connection: Connection) -> None:
        await connection.send(answer(400, b"this is plain HTTP"))
        await connection.closed()

    async with (
        Upstream(script) as upstream,
        to(upstream.url.replace("http:", "https:")) as provider,
    ):
        outcome = await ask(provider)

    assert (CONNECTION, "TLS failed") == outcome.failed


@pytest.mark.rule("8.1")
async def test_a_reset_in_the_tls_handshake(authority: trustme.CA) -> None:
    """Broken before TLS stands: CONNECTION."""

    async def script(connection: Connection) -> None:
        connection.reset()

    async with (
        Upstream(script) as upstream,
        to(upstream.url.replace("http:", "https:")) as provider,
    ):
        outcome = await ask(provider)

    assert outcome.failed[0] == CONNECTION


def kinds(base: type[BaseException]) -> list[type[BaseException]]:
    """An exception's class and all that are made of it."""
    found = [base]
    for kind in base.__subclasses__():
        found += kinds(kind)
    return sorted(set(found), key=lambda kind: kind.__qualname__)


@pytest.mark.rule("8.1")
@pytest.mark.parametrize("base", [aiohttp.ClientError, httpx.HTTPError, OSError])
def test_every_exception_has_a_meaning(base: type[BaseException]) -> None:
    """It may pass by itself, and nothing that the exception quotes is reported."""
    for kind in kinds(base):
        error = kind.__new__(kind)
        error.args = (KEY,)
        error.__cause__ = OSError(KEY)

        reported = failure(error)

        assert reported.transient
        assert reported.message
        assert KEY not in f"{reported} {reported.message} {reported.code}"


# No answer.


def end(connection: Connection, how: str) -> None:
    if how == "reset":
        connection.reset()
    else:
        connection.close()


ENDS = pytest.mark.parametrize(
    ("how", "message"),
    [
        ("reset", "connection reset"),
        ("closed", "connection closed before an answer"),
    ],
)


@pytest.mark.rule("2.7", "8.1")
@ENDS
@BOTH
async def test_a_new_connection_that_breaks_is_the_providers_failure(
    how: str, message: str, stream: bool
) -> None:
    """Before any byte of an answer, but not reused: CONNECTION, sent once."""

    async def script(connection: Connection) -> None:
        await connection.request()
        end(connection, how)

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        outcome = await ask(provider, stream=stream)

        assert (CONNECTION, message) == outcome.failed
        assert 1 == len(upstream.requests)


@POOL_ONLY
@pytest.mark.rule("2.7")
@ENDS
@BOTH
async def test_a_reused_connection_that_breaks_is_the_pools_failure(
    how: str, message: str, stream: bool
) -> None:
    """Sent once more, at once, on a new connection; nobody hears of it."""
    reply = streamed(["good"]) if stream else completion("good")

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(reply)
        if await connection.request():
            end(connection, how)

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        first = await ask(provider, stream=stream)
        second = await ask(provider, stream=stream)

        assert ["good", "good"] == [first.text, second.text]
        assert 3 == len(upstream.requests)
        assert 2 == len(upstream.connections)
        assert upstream.requests[1] == upstream.requests[2]


@POOL_ONLY
@pytest.mark.rule("2.7")
async def test_it_is_repeated_once_and_never_on_another_old_connection() -> None:
    """With more stale connections in the pool, the second try gets a new one."""
    both = asyncio.Barrier(2)

    async def script(connection: Connection) -> None:
        await connection.request()
        if connection.number < 2:
            await both.wait()
            await connection.send(completion("good"))
            await connection.request()
        connection.reset()

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        await asyncio.gather(ask(provider), ask(provider))
        outcome = await ask(provider)

        assert (CONNECTION, "connection reset") == outcome.failed
        assert 4 == len(upstream.requests)
        assert 3 == len(upstream.connections)


@POOL_ONLY
@pytest.mark.rule("2.7")
@pytest.mark.parametrize("late", [False, True], ids=["benched", "late"])
@ENDS
async def test_a_request_is_not_always_sent_twice(
    how: str, message: str, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to a target benched meanwhile, nor beyond the time for it: its failure."""
    if late:
        monkeypatch.setattr(pool, "_RESENT_WITHIN", 0.0)

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(completion("good"))
        if await connection.request():
            end(connection, how)

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        await ask(provider)
        exchange = await provider.prepare("m-1", prompt(), stream=False)
        exchange.may_resend = lambda: late
        with pytest.raises(Failure, match=message):
            await anext(exchange.run())

        assert 2 == len(upstream.requests)
        assert not exchange.resent


@pytest.mark.rule("5.4")
async def test_reasoning_that_is_not_shown_is_a_sign_of_life() -> None:
    """Before any content it ends the wait for the first; none of it is content."""
    thought = {"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]}
    thoughts = b"data: %s\n\n" % json.dumps(thought).encode()
    events = [thoughts, thoughts, event("a"), thoughts, event("", "stop") + DONE]

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(CHUNKED)
        for number, one in enumerate(events):
            await connection.send(chunk(one))
            await read[number].wait()
        await connection.send(LAST_CHUNK)

    read = [asyncio.Event() for _ in events]
    async with Upstream(script) as upstream, to(upstream.url) as provider:
        pieces = []
        read[1].set()
        async for piece in await begun(provider):
            pieces.append(piece)
            for one in read:
                one.set()

    assert pieces[0] is Life.ALIVE
    deltas = [delta for it in pieces if isinstance(it, list) for delta in it]
    state = deltas.pop()
    assert (["a"], "") == ([delta.text for delta in deltas], state.reasoning)
    assert b"hmhmhm" in state.provider_state


@POOL_ONLY
@pytest.mark.rule("2.7")
async def test_a_provider_that_is_gone_is_told_as_it_is() -> None:
    """No new connection: refused, and nothing was sent twice."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(completion("good"))
        await connection.request()
        upstream._server.close()
        connection.close()

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        await ask(provider)
        outcome = await ask(provider)

        assert (CONNECTION, "connection refused") == outcome.failed
        assert not outcome.exchange.resent


@POOL_ONLY
@pytest.mark.rule("2.7")
async def test_an_answer_that_began_is_not_asked_for_again() -> None:
    """A reused connection that ends after the first bytes of an answer: failed."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(completion("good"))
        if await connection.request():
            await connection.send(b"HTTP/1.1 2")
            connection.close()

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        await ask(provider)
        outcome = await ask(provider)

        assert CONNECTION == outcome.failed[0]
        assert 2 == len(upstream.requests)


@pytest.mark.parametrize("turns", [0, 20], ids=["not read yet", "read"])
async def test_bytes_on_an_idle_connection_are_nobodys_answer(turns: int) -> None:
    """What a provider sends unasked is never taken for the next call's answer."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(completion(f"asked {connection.number}"))
        await connection.closed()

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        first = await ask(provider)
        await upstream.connections[0].send(completion("unasked"))
        for _ in range(turns):
            await asyncio.sleep(0)
        second = await ask(provider)

        assert ["asked 0", "asked 1"] == [first.text, second.text]


def playing(*steps: bytes | Callable[[], Awaitable[object]], how: str) -> Script:
    """A script: one request, then bytes and waits in turn, and an end."""

    async def script(connection: Connection) -> None:
        await connection.request()
        for step in steps:
            if isinstance(step, bytes):
                await connection.send(step)
            else:
                await step()
        if how == "waits":
            await connection.closed()
        else:
            end(connection, how)

    return script


@pytest.mark.parametrize("transport", [HTTPX], indirect=True)
@BOTH
async def test_by_httpx_a_connection_of_http11_serves_one_request(
    stream: bool, transport: str
) -> None:
    """So that what comes in the bytes of an answer, unasked, is nobody's."""
    reply = streamed(["asked"]) if stream else completion("asked")
    stray = streamed(["stray"]) if stream else completion("stray")
    script = serve(reply + stray)
    async with Upstream(script) as upstream, to(upstream.url) as provider:
        for _ in range(3):
            outcome = await ask(provider, stream=stream)

            assert "asked" == outcome.text
            assert 0 == upstream.clients()
        assert 3 == len(upstream.connections)


# No HTTP.


@pytest.mark.rule("8.1")
@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02 garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 30_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
    ],
    ids=["garbage", "long header", "many headers", "bad length"],
)
async def test_an_answer_that_is_no_http(data: bytes) -> None:
    """MALFORMED_RESPONSE, whatever it is, without waiting for more."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(data)
        await connection.closed()

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        outcome = await ask(provider)

    assert (MALFORMED, "protocol error") == outcome.failed


@POOL_ONLY
@pytest.mark.rule("8.1")
@pytest.mark.parametrize(
    "data", [b"<html>HTTP 0.9</html>", b"SSH-2.0-OpenSSH_9.6\r\n"], ids=["html", "ssh"]
)
async def test_a_head_that_will_never_be_one(data: bytes) -> None:
    """Its end is not waited for: its first bytes are enough."""
    async with (
        Upstream(playing(data, how="waits")) as upstream,
        to(upstream.url) as provider,
    ):
        outcome = await ask(provider)

    assert (MALFORMED, "protocol error") == outcome.failed


# Answers that break off.


@pytest.mark.rule("3.1", "8.1")
async def test_a_stream_reset_before_its_first_content() -> None:
    """Headers and a role are no content: nothing was yielded."""
    script = playing(CHUNKED + chunk(event()), how="reset")
    async with Upstream(script) as upstream, to(upstream.url) as provider:
        outcome = await ask(provider, stream=True)

    assert [] == outcome.texts
    assert outcome.failure is not None
    assert outcome.failure.transient


@pytest.mark.rule("3.4", "8.1")
@pytest.mark.parametrize("how", ["reset", "closed"])
async def test_a_stream_that_breaks_after_content(how: str) -> None:
    """What was yielded stays; the end is a failure, with what is known till then."""
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    received = asyncio.Event()
    frames = [chunk(event(f"{number} ", usage=usage)) for number in range(5)]
    script = playing(CHUNKED + b"".join(frames), received.wait, how=how)
    async with Upstream(script) as upstream, to(upstream.url) as provider:
        exchange = await provider.prepare("m-1", prompt(), stream=True)
        pieces = exchange.run()
        text = ""
        while text != "0 1 2 3 4 ":
            piece = await anext(pieces)
            assert isinstance(piece, list)
            text += "".join(delta.text for delta in piece)
        received.set()
        with pytest.raises(Failure) as raised:
            await anext(pieces)

    assert raised.value.transient
    assert 200 == exchange.http_status_code
    assert exchange.usage is not None
    assert 5 == exchange.usage.output_tokens


BODY = json.dumps({"choices": [{"message": {"content": "half an answer"}}]}).encode()


@pytest.mark.rule("8.1")
@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n" + BODY,
        CHUNKED + b"400\r\n" + BODY,
        CHUNKED + chunk(BODY),
    ],
    ids=["content-length", "within a chunk", "between chunks"],
)
@BOTH
async def test_a_body_that_is_cut_short(data: bytes, stream: bool) -> None:
    """A body without its end is no answer, even where it could be read as one."""
    script = playing(data, how="closed")
    async with Upstream(script) as upstream, to(upstream.url) as provider:
        outcome = await ask(provider, stream=stream)

    assert (MALFORMED, "answer cut short") == outcome.failed


@pytest.mark.rule("8.1")
@BOTH
async def test_a_body_whose_framing_is_broken(stream: bool, transport: str) -> None:
    """What follows is not to be trusted, and not waited for."""
    reported = {POOL: "protocol error", HTTPX: "answer cut short"}[transport]
    body = CHUNKED + chunk(BODY) + b"zzz\r\n"
    async with Upstream(serve(body)) as upstream, to(upstream.url) as provider:
        outcome = await ask(provider, stream=stream)

    assert (MALFORMED, reported) == outcome.failed


@pytest.mark.rule("3.4")
@pytest.mark.parametrize("framing", ["close", "chunked"])
async def test_a_stream_that_ends_in_good_order_without_its_marker(
    framing: str,
) -> None:
    """HTTP says that all is there, the wire says that it is not: no success."""
    data = event() + event("half")
    if framing == "close":
        data = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + data
    else:
        data = CHUNKED + chunk(data) + LAST_CHUNK
    script = playing(data, how="closed")
    async with Upstream(script) as upstream, to(upstream.url) as provider:
        outcome = await ask(provider, stream=True)

    assert ["half"] == outcome.texts
    assert MALFORMED == outcome.failed[0]


@pytest.mark.rule("3.4")
@pytest.mark.parametrize("framing", ["close", "chunked"])
async def test_a_stream_may_end_without_done(framing: str) -> None:
    """A finish reason and a clean end make an answer, content in the last bytes too."""
    data = event("whole") + event(" answer", "stop").rstrip(b"\n")
    if framing == "close":
        data = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + data
    else:
        data = CHUNKED + chunk(data) + LAST_CHUNK
    script = playing(data, how="closed")
    async with Upstream(script) as upstream, to(upstream.url) as provider:
        outcome = await ask(provider, stream=True)

    assert "whole answer" == outcome.text
    assert outcome.answer is not None


@pytest.mark.rule("3.4")
@pytest.mark.parametrize("beats", [False, True])
async def test_a_stream_that_is_parked_after_its_finish_reason(
    monkeypatch: pytest.MonkeyPatch, beats: bool
) -> None:
    """Silent, or with nothing but heartbeats, it is complete; its connection closes."""
    monkeypatch.setattr(parked, "LAST_WORDS", 0.05)
    over = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(CHUNKED + chunk(event("whole") + event("", "stop")))
        while beats and not over.is_set():
            await connection.send(chunk(b": heartbeat\n\n"))
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 0.01)
        await connection.closed()

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        outcome = await ask(provider, stream=True)
        over.set()
        await asyncio.wait(upstream.plays)

    assert "whole" == outcome.text
    assert outcome.answer is not None
    assert not outcome.answer.completion.HasField("usage")


@pytest.mark.rule("3.4")
async def test_what_comes_late_after_a_finish_reason_still_counts() -> None:
    """The count of the tokens, or an error."""
    counted = b'data: {"choices": [], "usage": {"prompt_tokens": 3}}\n\n'
    broken = b'data: {"error": {"message": "Too busy", "code": 503}}\n\n'
    for late in (counted, broken):
        reported = asyncio.Event()

        async def script(
            connection: Connection,
            late: bytes = late,
            reported: asyncio.Event = reported,
        ) -> None:
            await connection.request()
            await connection.send(CHUNKED + chunk(event("whole") + event("", "stop")))
            await reported.wait()
            await connection.send(chunk(late + DONE) + LAST_CHUNK)
            await connection.closed()

        async with (
            Upstream(script) as upstream,
            to(upstream.url) as provider,
            aclosing(await begun(provider)) as pieces,
        ):
            await anext(pieces)
            reported.set()
            if late is broken:
                with pytest.raises(Failure) as caught:
                    await anext(pieces)
                assert FAILURE_REASON_OVERLOADED == caught.value.reason
            else:
                end = await anext(pieces)
                assert isinstance(end, Answer)
                assert 3 == end.completion.usage.input_tokens


@pytest.mark.rule("3.11")
@pytest.mark.parametrize("media_type", ["text/event-stream", "application/json"])
async def test_a_whole_answer_that_comes_as_a_stream(media_type: str) -> None:
    """Whatever it is declared to be."""
    body = event("who") + event("le", "stop") + DONE
    reply = answer(200, body, **{"content-type": media_type})
    async with Upstream(serve(reply)) as upstream, to(upstream.url) as provider:
        outcome = await ask(provider)

    assert outcome.answer is not None
    assert "whole" == outcome.text


@pytest.mark.rule("3.1")
async def test_signs_of_life_are_told_between_the_pieces() -> None:
    """Reasoning that nobody asked to see; not a role or a comment."""
    role = b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n'
    hidden = b'data: {"choices": [{"delta": {"reasoning_content": "hm"}}]}\n\n'
    gone = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(CHUNKED + chunk(role) + chunk(b": hi\n\n"))
        await connection.send(chunk(hidden))
        await gone.wait()
        await connection.send(chunk(event("42", "stop") + DONE) + LAST_CHUNK)
        await connection.closed()

    async with (
        Upstream(script) as upstream,
        to(upstream.url) as provider,
        aclosing(await begun(provider)) as pieces,
    ):
        first = await anext(pieces)
        gone.set()
        content, end = [piece async for piece in pieces]

    assert Life.ALIVE is first
    assert isinstance(content, list)
    assert "42" == content[0].text
    assert isinstance(end, Answer)


# Answers that are none.


@pytest.mark.rule("8.1")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"cho', FAILURE_REASON_MALFORMED_RESPONSE),
        (b"", FAILURE_REASON_MALFORMED_RESPONSE),
        (
            b"<html>Log in to the hotel's network</html>",
            FAILURE_REASON_MALFORMED_RESPONSE,
        ),
        (
            b'{"error": {"message": "Too busy", "type": "overloaded_error"}}',
            FAILURE_REASON_OVERLOADED,
        ),
    ],
    ids=["half", "empty", "captive page", "error"],
)
@BOTH
async def test_a_200_that_is_no_answer(
    body: bytes, reason: FailureReason, stream: bool
) -> None:
    """The body decides; the status is noted all the same."""
    async with (
        Upstream(serve(answer(200, body))) as upstream,
        to(upstream.url) as provider,
    ):
        outcome = await ask(provider, stream=stream)

    assert name(reason) == outcome.failed[0]
    assert 200 == outcome.exchange.http_status_code


@pytest.mark.rule("8.1")
async def test_a_refusal_is_read_by_the_codec() -> None:
    """Status, headers and body reach the codec; the request's id is kept."""
    body = b'{"error": {"message": "Slow down", "code": "rate_limit_exceeded"}}'
    refusal = answer(429, body, Retry_After="7", X_Request_Id="req-1")
    async with (
        Upstream(serve(refusal)) as upstream,
        to(upstream.url) as provider,
    ):
        outcome = await ask(provider)

    assert (name(FAILURE_REASON_RATE_LIMITED), "Slow down") == outcome.failed
    assert outcome.failure is not None
    assert 7.0 == outcome.failure.retry_delay
    assert 429 == outcome.exchange.http_status_code
    assert "req-1" == outcome.exchange.provider_request_id


@pytest.mark.rule("8.2")
async def test_a_refusal_whose_body_breaks_off_is_told_by_its_status() -> None:
    """The status is known already when the body of a refusal is cut."""
    head = b"HTTP/1.1 503 Busy\r\ncontent-length: 900\r\n\r\n{"
    async with (
        Upstream(playing(head, how="closed")) as upstream,
        to(upstream.url) as provider,
    ):
        outcome = await ask(provider)

    assert name(FAILURE_REASON_OVERLOADED) == outcome.failed[0]


@pytest.mark.rule("4.5", "8.1")
async def test_a_refusal_whose_body_hangs_is_told_by_its_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rate limit stays one, with its delay, and the connection is given up."""
    monkeypatch.setattr(http, "_LAST_WORDS", 0.05)
    head = b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 900\r\n\r\n{"

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(head)
        await connection.closed()

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        outcome = await ask(provider)
        await asyncio.gather(*upstream.plays)

    assert name(FAILURE_REASON_RATE_LIMITED) == outcome.failed[0]
    assert outcome.failure is not None
    assert 7.0 == outcome.failure.retry_delay


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({"Request_Id": "req-1"}, "req-1"),
        ({"X_Amzn_RequestId": "req-2"}, "req-2"),
        ({"CF_Ray": "ray-3", "X_Request_Id": "req-3"}, "req-3"),
        ({"X_Request_Id": "r" * 1000}, "r" * 128),
        ({}, ""),
    ],
)
async def test_a_requests_name_at_its_provider(
    headers: dict[str, str], kept: str
) -> None:
    """The most telling header is kept, bounded."""
    named = "".join(
        f"{header.replace('_', '-')}: {value}\r\n" for header, value in headers.items()
    )
    reply = completion("good").replace(b"\r\n", f"\r\n{named}".encode(), 1)
    async with Upstream(serve(reply)) as upstream, to(upstream.url) as provider:
        outcome = await ask(provider)

    assert kept == outcome.exchange.provider_request_id


async def test_a_redirect_is_not_followed() -> None:
    """Not even to the same host: it could lead anywhere, and take the key along."""
    async with Upstream(serve(completion("stolen"))) as elsewhere:
        redirect = answer(307, b"", location=f"{elsewhere.url}/v1/chat/completions")
        async with (
            Upstream(serve(redirect)) as upstream,
            to(upstream.url) as provider,
        ):
            outcome = await ask(provider)

        assert name(FAILURE_REASON_PROVIDER_ERROR) == outcome.failed[0]
        assert 307 == outcome.exchange.http_status_code
        assert [] == elsewhere.connections


# Bounds.


@BOTH
async def test_a_packed_body_is_not_unpacked(stream: bool) -> None:
    """None is asked for, so that none can be a bomb; good or bad, it is malformed."""
    for body in (gzip.compress(BODY), b"not gzip at all"):
        packed = answer(200, body, content_encoding="gzip")
        async with (
            Upstream(serve(packed)) as upstream,
            to(upstream.url) as provider,
        ):
            outcome = await ask(provider, stream=stream)

            assert MALFORMED == outcome.failed[0]
            assert "the answer is packed" in outcome.failed[1]
            assert "identity" == upstream.requests[0].headers["accept-encoding"]


@BOTH
async def test_an_endless_body(monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    """Reading stops at the bound, and the connection is closed."""
    monkeypatch.setattr(http, "LONGEST_BODY", 100_000)
    closed = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        try:
            await connection.send(CHUNKED)
            while True:
                await connection.send(chunk(b": ping\n\n" * 1000))
        except ConnectionError:
            closed.set()

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        outcome = await ask(provider, stream=stream)
        async with asyncio.timeout(PATIENCE):
            await closed.wait()

    assert (MALFORMED, "the answer is longer than 100000 bytes") == outcome.failed


async def test_an_endless_refusal() -> None:
    """Only so much of a refusal's body is read; what was read decides."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 401 No\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            await connection.send(chunk(b'{"error": {"code": "invalid_api_key"}}'))
            while True:
                await connection.send(chunk(b" " * 8000))
        except ConnectionError:
            return

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        outcome = await ask(provider)

    assert name(FAILURE_REASON_CREDENTIALS) == outcome.failed[0]


@POOL_ONLY
@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_a_refusal_before_the_request_was_read() -> None:
    """A provider may refuse what is too long for it without reading all of it."""

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(answer(503, b""))
        await done.wait()

    done = asyncio.Event()
    async with Upstream(script) as upstream, to(upstream.url) as provider:
        async with asyncio.timeout(PATIENCE):
            outcome = await ask(provider, text="long " * 4_000_000)
        done.set()

    assert name(FAILURE_REASON_OVERLOADED) == outcome.failed[0]


# Connections that serve again.


@POOL_ONLY
@pytest.mark.parametrize(
    "reply",
    [completion("good"), streamed(["good"]), answer(503, b'{"error": {}}')],
    ids=["unary", "stream", "refusal"],
)
async def test_a_connection_serves_again(reply: bytes) -> None:
    """After an answer, a stream and a failure alike: one connection for all."""
    async with Upstream(serve(reply)) as upstream, to(upstream.url) as provider:
        for _ in range(3):
            await ask(provider, stream=reply.startswith(CHUNKED))

        assert 3 == len(upstream.requests)
        assert 1 == len(upstream.connections)


async def test_what_a_failed_answer_leaves_unread_is_nobodys() -> None:
    """Events behind an error, there before the error is reported, go with their
    stream."""
    error = b'data: {"error": {"message": "Too busy", "type": "overloaded_error"}}\n\n'
    behind = chunk(event("stale")) + chunk(event("", "stop") + DONE) + LAST_CHUNK

    async def script(connection: Connection) -> None:
        if connection.number == 0:
            await connection.request()
            await connection.send(CHUNKED + chunk(event("first")))
            await reported.wait()
            await connection.send(chunk(error) + behind)
        while await connection.request():
            await connection.send(streamed(["good"]))

    reported = asyncio.Event()
    async with Upstream(script) as upstream, to(upstream.url) as provider:
        pieces = await begun(provider)
        await anext(pieces)
        reported.set()
        with pytest.raises(Failure):
            await anext(pieces)
        outcome = await ask(provider, stream=True)

        assert "good" == outcome.text


@POOL_ONLY
async def test_the_end_of_a_body_may_follow_its_answer() -> None:
    """A comment and the end of the framing come later: it serves again still."""
    whole = event("whole") + event("", "stop") + DONE

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(CHUNKED + chunk(whole))
        await connection.request()
        await connection.send(streamed(["again"]))
        await connection.closed()

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        async with aclosing(await begun(provider)) as pieces:
            await anext(pieces)
            await upstream.connections[0].send(chunk(b": bye\n\n") + LAST_CHUNK)
            end = [piece async for piece in pieces]
        outcome = await ask(provider, stream=True)

        assert isinstance(end[0], Answer)
        assert "again" == outcome.text
        assert 1 == len(upstream.connections)


async def test_an_answer_does_not_wait_for_the_end_of_its_body() -> None:
    """After the marker the answer is whole; what still hangs is let go of."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(
            CHUNKED + chunk(event("whole") + event("", "stop") + DONE)
        )
        await connection.closed()

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        outcome = await ask(provider, stream=True)
        await asyncio.wait(upstream.plays)

    assert "whole" == outcome.text
    assert outcome.answer is not None


async def test_a_connection_closed_while_idle_is_not_used() -> None:
    """A new one is, and the provider sees each request once."""
    gone = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(completion("good"))
        connection.close()
        gone.set()

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        for _ in range(3):
            outcome = await ask(provider)
            await gone.wait()

            assert "good" == outcome.text
        assert 3 == len(upstream.requests)


# Calls that are given up.


@pytest.mark.rule("5.6")
@pytest.mark.parametrize("head", [b"", CHUNKED, CHUNKED + chunk(event("a"))])
@BOTH
async def test_a_cancelled_call_closes_the_connection(
    head: bytes, stream: bool
) -> None:
    """Before the head of the answer, after it, and within its body."""
    waiting = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(head)
        waiting.set()
        await connection.closed()

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        call = asyncio.ensure_future(ask(provider, stream=stream))
        await waiting.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.gather(*upstream.plays)


@pytest.mark.rule("5.6")
async def test_a_stream_that_is_closed_closes_the_connection(transport: str) -> None:
    """aclose() between two pieces: at once, nothing is left to a task of its own.

    Of httpx's own generators one is, which ends at the next turn.
    """
    frames = CHUNKED + chunk(event("one"))

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(frames)
        await connection.closed()

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        pieces = await begun(provider)
        await anext(pieces)
        tasks = asyncio.all_tasks()
        await pieces.aclose()
        await asyncio.sleep(0)

        if transport == POOL:
            assert set() == asyncio.all_tasks() - tasks
        assert 0 == upstream.clients()
        await asyncio.gather(*upstream.plays)


@pytest.mark.rule("5.6")
async def test_over_tls_too_it_is_closed_at_once(authority: trustme.CA) -> None:
    """No farewell is awaited from a provider that may never send one."""
    tls = server_tls(authority.issue_cert("127.0.0.1"))

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(CHUNKED + chunk(event("one")))
        await closed.wait()

    closed = asyncio.Event()
    async with Upstream(script, tls) as upstream, to(upstream.url) as provider:
        pieces = await begun(provider)
        await anext(pieces)
        before = upstream.clients()
        await pieces.aclose()
        await asyncio.sleep(0)
        after = upstream.clients()
        closed.set()

    assert 1 == before
    assert 0 == after


@pytest.mark.rule("5.6")
@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_a_request_given_up_is_not_sent_to_its_end() -> None:
    """What lies unsent when the call is cancelled stays unsent, and unpaid."""
    size = 20_000_000
    begins, given_up = asyncio.Event(), asyncio.Event()
    received = 0

    async def script(connection: Connection) -> None:
        nonlocal received
        await connection.head()
        begins.set()
        await given_up.wait()
        received = len(await connection.closed())

    async with Upstream(script) as upstream, to(upstream.url) as provider:
        call = asyncio.ensure_future(ask(provider, text="x" * size))
        await begins.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        given_up.set()
        await asyncio.gather(*upstream.plays)

    assert received < size


async def test_closing_the_provider_closes_its_connections() -> None:
    """Those that are idle, for the provider's own process ends some day too."""
    async with Upstream(serve(completion("good"))) as upstream:
        async with to(upstream.url) as provider:
            await ask(provider)
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*upstream.plays)


# What is sent.


async def test_what_a_request_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key, the body's type and length; no cookie, and no proxy in between."""
    for proxy in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:1")
        monkeypatch.setenv(proxy.upper(), "http://127.0.0.1:1")
    for exception in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(exception, "")
    reply = completion("good").replace(b"\r\n", b"\r\nset-cookie: id=1\r\n", 1)
    async with (
        Upstream(serve(reply)) as upstream,
        to(f"http://localhost:{upstream.port}/v1/") as provider,
    ):
        await ask(provider)
        await ask(provider)

        assert 2 == len(upstream.requests)
        for request in upstream.requests:
            assert ("POST", "/v1/chat/completions") == (request.method, request.path)
            assert f"Bearer {KEY}" == request.headers["authorization"]
            assert "application/json" == request.headers["content-type"]
            assert f"localhost:{upstream.port}" == request.headers["host"]
            assert str(len(request.body)) == request.headers["content-length"]
            assert "cookie" not in request.headers


async def test_a_stream_split_into_single_bytes() -> None:
    """Framing is not content: each byte in a chunk of its own, the same text."""
    body = event() + event("Zwölf ") + event("Bären") + event("", "stop") + DONE
    split = b"".join(chunk(bytes([byte])) for byte in body)
    async with (
        Upstream(serve(CHUNKED + split + LAST_CHUNK)) as upstream,
        to(upstream.url) as provider,
    ):
        outcome = await ask(provider, stream=True)

    assert "Zwölf Bären" == outcome.text


@POOL_ONLY
@pytest.mark.rule("5.7")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_pieces_that_nobody_waits_for_come_together(
    tls: bool, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket itself is left alone meanwhile; the connection serves again."""
    below = []

    def watched(transport: asyncio.Transport) -> asyncio.ReadTransport:
        below.append((transport, found := _below(transport)))
        return found

    monkeypatch.setattr(pool, "_below", watched)

    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(CHUNKED + chunk(event("first ")))
            await first.wait()
            for _ in range(40):
                await connection.send(chunk(event("x")))
                await asyncio.sleep(0.005)  # the provider's pace
            await connection.send(chunk(event("", "stop") + DONE) + LAST_CHUNK)

    context = server_tls(authority.issue_cert("127.0.0.1")) if tls else None
    async with Upstream(script, context) as upstream, to(upstream.url) as provider:
        for _ in range(2):
            first = asyncio.Event()
            exchange = await provider.prepare("m-1", prompt(), stream=True)
            exchange.batch = 5.0
            texts = []
            async for piece in exchange.run():
                first.set()
                if isinstance(piece, list):
                    texts.append("".join(delta.text for delta in piece))

            assert "first " + "x" * 40 == "".join(texts)
            assert len(texts) < 10
        assert 1 == len(upstream.connections)
    ((transport, found),) = below
    assert tls == (found is not transport)
    assert isinstance(found, asyncio.ReadTransport)
