"""Providers that cannot be reached, or that speak something else than HTTP."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from majordomo.v1.operator_service_pb2 import TargetHealth
from testkit.upstream import PATIENCE, Connection, Upstream, answer, serve
from tests.faults.matrix import fault
from tests.faults.scene import POOL_ONLY, RPCS, answering, plays, rescued, scene, well

pytestmark = pytest.mark.usefixtures("transport")
BOTH = pytest.mark.parametrize("rpc", RPCS)


@pytest.fixture
def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def full_backlog() -> Iterator[str]:
    """Somebody listens and never accepts, and the system takes no more for him."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}"
        for filler in fillers:
            filler.close()


@pytest.fixture
def no_name() -> str:
    return "http://nope.invalid"


@pytest.mark.parametrize(
    ("where", "reason", "code"),
    [
        pytest.param("closed_port", "CONNECTION", "ECONNREFUSED", marks=fault(1)),
        pytest.param("full_backlog", "TIMEOUT", "", marks=fault(2)),
        pytest.param("no_name", "CONNECTION", "", marks=fault(3)),
    ],
)
@BOTH
async def test_no_connection(
    request: pytest.FixtureRequest, rpc: str, where: str, reason: str, code: str
) -> None:
    """The next target answers; the failure counts, and is named."""
    url = request.getfixturevalue(where)
    limit = 'connect_timeout = "200ms"' if where == "full_backlog" else ""
    async with scene(well, url=url, bad=limit) as it:
        got = await it.ask(rpc)
        health = await it.health()

        assert "rescued" == got.text
        assert rescued(reason) == got.attempts
        assert code == got.records[0].provider_error_code
        assert (1, 1) == (health.consecutive_failures, health.total_failures)
        assert [] == it.bad.requests
        assert 1 == len(it.good.requests)


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """The one authority that the server trusts."""
    authority = trustme.CA()
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return authority


@fault(4)
@pytest.mark.parametrize("wrong", ["", "untrusted", "expired", "of another host"])
async def test_certificates(authority: trustme.CA, wrong: str) -> None:
    """One that proves nothing is a failed connection: no request, no key goes out."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    before = datetime(2019, 1, 1, tzinfo=UTC)
    made = {
        "": lambda: authority.issue_cert("127.0.0.1"),
        "untrusted": lambda: trustme.CA().issue_cert("127.0.0.1"),
        "expired": lambda: authority.issue_cert(
            "127.0.0.1", not_before=before, not_after=past
        ),
        "of another host": lambda: authority.issue_cert("other.example"),
    }
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made[wrong]().configure_cert(tls)
    async with scene(well, tls=tls) as it:
        got = await it.ask()
        health = await it.health()

        assert "rescued" == got.text
        if wrong:
            assert rescued("CONNECTION") == got.attempts
            assert "certificate not valid" == got.records[0].message
            assert 1 == health.consecutive_failures
            assert [] == it.bad.requests
        else:
            assert ["bad/m SUCCEEDED"] == got.attempts


@fault(5)
async def test_plain_http_where_tls_is_expected(authority: trustme.CA) -> None:
    """A failed connection like another."""

    async def script(connection: Connection) -> None:
        await connection.send(answer(400, b"this is plain HTTP"))
        await connection.closed()

    async with Upstream(script) as plain:
        url = plain.url.replace("http:", "https:")
        async with scene(well, url=url) as it:
            got = await it.ask()

            assert rescued("CONNECTION") == got.attempts
            assert "TLS failed" == got.records[0].message
            assert 1 == (await it.health()).consecutive_failures


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("closed", marks=fault(6)),
        pytest.param("reset", marks=fault(7)),
    ],
)
@BOTH
async def test_a_new_connection_that_breaks(rpc: str, end: str) -> None:
    """Before any byte of an answer: the provider's failure, the next one answers."""
    async with scene(plays(end=end)) as it:
        got = await it.ask(rpc)

        assert "rescued" == got.text
        assert rescued("CONNECTION") == got.attempts
        assert 1 == len(it.bad.requests)
        assert 1 == (await it.health()).consecutive_failures


@fault(6, 7)
@pytest.mark.parametrize("end", ["closed", "reset"])
@BOTH
@POOL_ONLY
async def test_a_reused_connection_that_breaks(rpc: str, end: str) -> None:
    """The pool's fault: asked once more on a new one, no attempt counted; reported."""

    async def script(connection: Connection) -> None:
        request = await connection.request()
        assert request is not None
        await connection.send(answering(request, "good"))
        if await connection.request():
            if end == "reset":
                connection.reset()
            else:
                connection.close()

    async with scene(script) as it:
        first = await it.ask(rpc)
        second = await it.ask(rpc)
        health = await it.health()

        assert ["good", "good"] == [first.text, second.text]
        assert ["bad/m SUCCEEDED"] == second.attempts
        assert [False, True] == [one.records[0].resent for one in (first, second)]
        assert (3, 2) == (len(it.bad.requests), len(it.bad.connections))
        assert (2, 0) == (health.total_attempts, health.total_failures)


@pytest.mark.rule("2.7")
@fault(6, 7)
@BOTH
@POOL_ONLY
async def test_a_provider_that_dies_under_kept_connections(rpc: str) -> None:
    """Sent twice until it is benched, reported each time; then never again."""
    many = 8
    together, asked = asyncio.Barrier(many), asyncio.Barrier(many)
    benched = asyncio.Event()

    async def script(connection: Connection) -> None:
        request = await connection.request()
        if connection.number < many:
            await together.wait()
            assert request is not None
            await connection.send(answering(request, "good"))
            await connection.request()
            await asked.wait()
            if connection.number >= 2:
                await benched.wait()
        connection.reset()

    async with scene(script, health="bench_failure_share = 0.0") as it:
        await asyncio.gather(*(it.ask(rpc) for _ in range(many)))
        calls = asyncio.gather(*(it.ask(rpc) for _ in range(many)))
        async with asyncio.timeout(PATIENCE):
            while (await it.health()).state != TargetHealth.STATE_BENCHED:
                pass
        benched.set()
        seen = await calls

        assert ["rescued"] * many == [one.text for one in seen]
        failed = [one.records[0] for one in seen]
        assert 2 == sum(one.resent for one in failed)
        assert 2 * many + 2 == len(it.bad.requests)
        assert many == (await it.health()).total_failures


@fault(12)
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x00\x01\x02 garbage\r\n\r\n", id="garbage"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200_000 + b"\r\n\r\n", id="long header"
        ),
    ],
)
@BOTH
async def test_no_http(rpc: str, data: bytes) -> None:
    """Malformed, at once; the connection is given up."""
    await _is_no_http(rpc, data)


@fault(12)
@BOTH
@POOL_ONLY
async def test_http_09(rpc: str) -> None:
    """The same, of a head whose end would never come."""
    await _is_no_http(rpc, b"<html>HTTP 0.9</html>")


async def _is_no_http(rpc: str, data: bytes) -> None:
    async with scene(plays(data)) as it:
        got = await it.ask(rpc)
        await asyncio.gather(*it.bad.plays)

        assert "rescued" == got.text
        assert rescued("MALFORMED_RESPONSE") == got.attempts
        assert 1 == (await it.health()).consecutive_failures


@fault(31)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(gzip.compress(b" " * 20_000_000), id="bomb"),
        pytest.param(b"not gzip at all", id="not gzip"),
    ],
)
@BOTH
async def test_packed_bodies(rpc: str, body: bytes) -> None:
    """Nobody asked for them: malformed, and never unpacked."""
    packed = answer(200, body, content_encoding="gzip")
    async with scene(serve(packed)) as it:
        got = await it.ask(rpc)

        assert rescued("MALFORMED_RESPONSE") == got.attempts
        assert "identity" == it.bad.requests[0].headers["accept-encoding"]


@fault(32)
@BOTH
async def test_redirects(rpc: str) -> None:
    """They are not followed: not to another server, not to a machine's metadata."""
    async with Upstream(well) as internal:
        for location in (internal.url, "http://169.254.169.254/latest/meta-data/"):
            async with scene(serve(answer(302, b"", location=location))) as it:
                got = await it.ask(rpc)

                assert "rescued" == got.text
                assert rescued("PROVIDER_ERROR") == got.attempts
                assert 302 == got.records[0].http_status_code
                assert 1 == len(it.bad.requests)

        assert [] == internal.connections
