"""Providers behind an egress proxy, with authorities of their own, over HTTP/2."""

import asyncio
import json
import logging
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from google.oauth2.credentials import Credentials

from majordomo.chain.failure import CERTIFICATE_NOT_VALID, PROXY_REFUSED, Failure
from majordomo.config import ConfigError, parse
from majordomo.config.reload import Source
from majordomo.providers.gemini.google_token import GoogleToken
from majordomo.proxies import EnvironmentProxies
from majordomo.transport.egress import Egress
from testkit.servers import Running, generate, running, stream
from testkit.upstream import (
    CHUNKED,
    DONE,
    LAST_CHUNK,
    PATIENCE,
    Connection,
    Upstream,
    answer,
    chunk,
    event,
    serve,
)
from tests.faults.scene import Got, answering, ask, got, health, outline, read_text
from tests.proxies import Http2Provider, HttpProxy, SocksProxy, chat_answer

PASSWORD = "hunter2-canary"
"""Of a proxy, and to be seen nowhere."""

RPC = pytest.mark.parametrize("rpc", ["Generate", "Stream"])


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """The one authority that the server trusts."""
    authority = trustme.CA()
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return authority


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.delenv(name, raising=False)


def tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def well(connection: Connection) -> None:
    """A provider's script: it answers "well"."""
    while request := await connection.request():
        await connection.send(answering(request, "well"))


def provider(url: str, more: str = "", kind: str = "openai-compatible") -> str:
    return f"""
        [providers.acme]
        kind = "{kind}"
        base_url = "{url}"
        {more}
        """


def two(body: bytes) -> bytes:
    return chat_answer(body, "two")


def first(got: Got) -> tuple[str, str, str]:
    """How the first attempt ended: outcome and reason, message, code."""
    record = got.records[0]
    return outline([record])[0], record.message, record.provider_error_code


# The way through.


@pytest.mark.rule("2.24")
@RPC
async def test_a_tunnel_to_a_name_that_only_the_proxy_knows(
    rpc: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS_PROXY leads there by CONNECT, with its credentials; the key goes on."""
    async with Upstream(well, tls(authority, "llm.example")) as upstream:
        leads = {"llm.example": upstream.port}
        async with HttpProxy(leads, f"user:{PASSWORD}") as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@{proxy.name}")
            async with running(provider("https://llm.example/v1")) as it:
                got = await ask(it, rpc, chain="acme/m")

    assert ["acme/m SUCCEEDED"] == got.attempts
    assert ["CONNECT llm.example:443 HTTP/1.1"] == proxy.asked
    assert "proxy-authorization" not in upstream.requests[0].headers


@pytest.mark.rule("2.24")
@RPC
async def test_plain_text_by_way_of_a_proxy(
    rpc: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY gets the request itself, and passes it on."""
    async with Upstream(well) as upstream:
        leads = {"llm.example": upstream.port}
        async with HttpProxy(leads, f"user:{PASSWORD}") as proxy:
            # In lower case gRPC reads it too, for the test's own channel.
            monkeypatch.setenv("HTTP_PROXY", f"http://user:{PASSWORD}@{proxy.name}")
            async with running(provider("http://llm.example/v1")) as it:
                got = await ask(it, rpc, chain="acme/m")

    assert ["acme/m SUCCEEDED"] == got.attempts
    assert ["POST http://llm.example/v1/chat/completions HTTP/1.1"] == proxy.asked
    assert "/v1/chat/completions" == upstream.requests[0].path
    assert "proxy-authorization" not in upstream.requests[0].headers


@pytest.mark.rule("2.24")
@RPC
@pytest.mark.parametrize("credentials", ["", f"user:{PASSWORD}"])
async def test_socks(
    rpc: str, credentials: str, authority: trustme.CA, tmp_path: Path
) -> None:
    """SOCKS5 receives the name; its URL may come from a file, as a key does."""
    async with Upstream(well, tls(authority, "llm.example")) as upstream:
        leads = {"llm.example": upstream.port}
        async with SocksProxy(leads, credentials) as proxy:
            path = tmp_path / "proxy"
            at = f"{credentials}@" if credentials else ""
            path.write_text(f"socks5://{at}{proxy.name}\n")
            settings = provider("https://llm.example/v1", f'proxy = "file:{path}"')
            async with running(settings) as it:
                got = await ask(it, rpc, chain="acme/m")

    assert ["acme/m SUCCEEDED"] == got.attempts
    assert ["llm.example:443"] == proxy.asked


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("openai", ""),
        ("openai", 'api = "chat"'),
        ("anthropic", ""),
        ("gemini", ""),
        ("openai-compatible", ""),
    ],
)
async def test_every_kind_over_http_goes_by_its_proxy(
    kind: str, more: str, authority: trustme.CA
) -> None:
    """What is configured for the provider leads there, whatever it speaks."""
    url = "https://llm.example/v1"
    async with (
        Upstream(well, tls(authority, "llm.example")) as upstream,
        HttpProxy({"llm.example": upstream.port}) as proxy,
        running(provider(url, f'{more}\nproxy = "{proxy.url}"', kind)) as it,
    ):
        await ask(it, chain="acme/m", transient_retries=0)

    assert ["CONNECT llm.example:443 HTTP/1.1"] == proxy.asked
    assert 1 == len(upstream.requests)


@pytest.mark.rule("2.24")
async def test_none_refuses_the_environments_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A provider inside is reached straight."""
    async with HttpProxy() as proxy, Upstream(well) as upstream:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        # A name that is this machine's, and not known as such.
        url = f"http://{socket.gethostname()}:{upstream.port}"
        monkeypatch.setattr(socket, "getaddrinfo", _loopback(upstream.port))
        async with running(provider(url, 'proxy = "none"')) as it:
            got = await ask(it, chain="acme/m")

    assert ["acme/m SUCCEEDED"] == got.attempts
    assert [] == proxy.asked


def _loopback(port: int) -> Callable[..., Any]:
    def found(*_: object, **__: object) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, ("127.0.0.1", port))]

    return found


@pytest.mark.parametrize("refuses", [0, 403])
async def test_googles_tokens_go_the_same_way(
    refuses: int, authority: trustme.CA
) -> None:
    """By the provider's proxy, with its trust; what fails has no reason in words."""
    token = {"access_token": "ya29.fresh", "expires_in": 3600, "token_type": "Bearer"}
    granted = answer(200, json.dumps(token).encode(), content_type="application/json")
    credentials = Credentials(  # type: ignore[no-untyped-call]
        None,
        refresh_token="refresh",
        token_uri="https://oauth2.googleapis.com/token",
        client_id="id",
        client_secret="secret",
    )
    async with (
        Upstream(serve(granted), tls(authority, "oauth2.googleapis.com")) as upstream,
        HttpProxy(
            {"oauth2.googleapis.com": upstream.port}, "u:canary", refuses=refuses
        ) as proxy,
    ):
        egress = Egress(Egress.direct().trust, f"http://u:canary@{proxy.name}")
        fetched = GoogleToken(credentials, egress)()
        if refuses:
            with pytest.raises(Failure, match="no token from Google: TransportError"):
                await fetched
        else:
            assert "ya29.fresh" == await fetched

    assert {"CONNECT oauth2.googleapis.com:443 HTTP/1.1"} == {*proxy.asked}


# Proxies that do not let it through.


@dataclass(frozen=True)
class Trouble:
    """What a proxy does, and what is reported of it; {} is the proxy."""

    settings: Mapping[str, Any]
    reason: str
    message: str
    code: str = ""


@pytest.mark.rule("8.11")
@pytest.mark.parametrize(
    "trouble",
    [
        Trouble({"refuses": 403}, "CONNECTION", "proxy {} answered 403", PROXY_REFUSED),
        Trouble(
            {"credentials": "user:another"},
            "CONNECTION",
            "proxy {} answered 407",
            PROXY_REFUSED,
        ),
        Trouble({"refuses": 502}, "CONNECTION", "proxy {} answered 502"),
        Trouble({"silent": True}, "TIMEOUT", "proxy {}: connect timed out"),
        Trouble(
            {"leads": {"llm.example": 1}},
            "CONNECTION",
            "proxy {}: connection closed before an answer",
        ),
    ],
    ids=lambda trouble: trouble.message,
)
async def test_a_proxy_that_lets_nothing_through(trouble: Trouble) -> None:
    """The failure names the proxy, without credentials, and none of the provider."""
    async with HttpProxy(**trouble.settings) as proxy:
        url = f"http://user:{PASSWORD}@{proxy.name}"
        got = await _by(url, 'connect_timeout = "500ms"')

    expected = (
        f"acme/m FAILED {trouble.reason}",
        trouble.message.format(proxy.name),
        trouble.code,
    )
    assert expected == first(got)
    assert PASSWORD not in str(got.failure)


@pytest.mark.rule("2.6", "8.11")
@pytest.mark.parametrize(("status", "attempts"), [(403, 1), (407, 1), (502, 2)])
async def test_what_a_proxy_refuses_is_not_tried_again(
    status: int, attempts: int
) -> None:
    """It would refuse again; what it could not reach may be back."""
    async with HttpProxy(refuses=status) as proxy:
        got = await _by(proxy.url, transient_retries=1)

    assert attempts == len(got.records) == len(proxy.asked)


async def test_a_refusal_in_plain_text() -> None:
    """A 407 to a request that the proxy reads itself is the proxy's as well."""
    async with HttpProxy(credentials="user:another") as proxy:
        got = await _by(proxy.url, url="http://llm.example/v1")

    expected = (
        "acme/m FAILED CONNECTION",
        f"proxy {proxy.name} answered 407",
        PROXY_REFUSED,
    )
    assert expected == first(got)


@pytest.mark.parametrize(
    "settings", [{"reply": 5}, {"reply": 2}, {"credentials": "user:another"}]
)
async def test_a_socks_proxy_that_refuses(settings: dict[str, Any]) -> None:
    """It cannot connect, must not, or wants other credentials."""
    async with SocksProxy(**settings) as proxy:
        got = await _by(f"socks5://user:{PASSWORD}@{proxy.name}")
        plain = await _by(proxy.url)

    words = f"proxy {proxy.name}: refused, or could not connect"
    for one in (got, plain):
        if "credentials" in settings or one is plain:
            assert ("acme/m FAILED CONNECTION", words, "") == first(one)
        assert PASSWORD not in str(one.failure)


@pytest.mark.rule("2.24", "8.11")
async def test_a_port_where_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    """As at a provider, with the proxy's name; nothing of it in the log."""
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as server:
        name = f"127.0.0.1:{server.getsockname()[1]}"
    for scheme in ("http", "socks5"):
        got = await _by(f"{scheme}://user:{PASSWORD}@{name}")

        words = f"proxy {name}: connection refused"
        assert ("acme/m FAILED CONNECTION", words, "ECONNREFUSED") == first(got)
        assert PASSWORD not in str(got.failure)
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
async def test_something_that_is_no_proxy(kind: type[HttpProxy | SocksProxy]) -> None:
    """What it says there is no reason to blame this server's code."""

    async def script(connection: Connection) -> None:
        await connection.send(b"220 mail.example ready\r\n\r\n")
        await connection.closed()

    async with Upstream(script) as upstream:
        name = f"127.0.0.1:{upstream.port}"
        got = await _by(f"{kind.scheme}://{name}")

    assert "acme/m FAILED CONNECTION" == first(got)[0]
    assert first(got)[1].startswith(f"proxy {name}: ")


async def test_a_proxy_that_dies_within_an_answer(authority: trustme.CA) -> None:
    """The stream ends as one does whose provider breaks off."""
    endless = CHUNKED + b"".join(chunk(event("x" * 1000)) for _ in range(100))

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(endless)
        await connection.closed()

    async with Upstream(script, tls(authority, "llm.example")) as upstream:
        leads = {"llm.example": upstream.port}
        async with HttpProxy(leads, cut_after=50_000) as proxy:
            settings = provider("https://llm.example/v1", f'proxy = "{proxy.url}"')
            async with running(settings) as it:
                got = await ask(it, "Stream", chain="acme/m")

    assert "INTERRUPTED" in got.attempts[0]
    assert "answer cut short" == got.records[0].message
    assert got.text.startswith("xxx")


async def test_a_certificate_behind_a_proxy(authority: trustme.CA) -> None:
    """It is the provider that is not who it should be, and no request goes out."""
    stranger = tls(trustme.CA(), "llm.example")
    async with (
        Upstream(well, stranger) as upstream,
        HttpProxy({"llm.example": upstream.port}) as proxy,
    ):
        got = await _by(proxy.url)

    expected = (
        "acme/m FAILED CONNECTION",
        "certificate not valid",
        CERTIFICATE_NOT_VALID,
    )
    assert expected == first(got)
    assert [] == upstream.requests


async def _by(
    proxy: str,
    more: str = "",
    *,
    url: str = "https://llm.example/v1",
    **options: Any,
) -> Got:
    """A call by way of `proxy`, whose URL may have credentials."""
    settings = provider(url, f'proxy = "env:PROXY"\n{more}')
    text = f'[server]\nlisten = "127.0.0.1:0"\n{settings}'
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROXY", proxy)
        async with running(text) as it:
            options.setdefault("transient_retries", 0)
            return await ask(it, chain="acme/m", **options)


# Authorities and certificates.


def written(path: Path, *blobs: trustme.Blob) -> Path:
    path.write_bytes(b"".join(blob.bytes() for blob in blobs))
    return path


@pytest.mark.parametrize("http2", [False, True], ids=["pool", "httpx"])
async def test_a_certificate_is_shown(tmp_path: Path, http2: bool) -> None:
    """With ca_file and client_certificate both ends know whom they speak to."""
    authority = trustme.CA()
    context = tls(authority, "127.0.0.1")
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    ours = authority.issue_cert("majordomo.example")
    bundle = written(tmp_path / "ca.pem", authority.cert_pem)
    certificate = written(tmp_path / "cert.pem", *ours.cert_chain_pems)
    key = written(tmp_path / "key.pem", ours.private_key_pem)
    trusting = f'ca_file = "{bundle}"\nhttp2 = {str(http2).lower()}'
    showing = f'client_certificate = "{certificate}"\nclient_key = "{key}"'
    async with Upstream(well, context) as upstream:
        async with running(provider(upstream.url, f"{trusting}\n{showing}")) as it:
            shown = await ask(it, chain="acme/m")
        async with running(provider(upstream.url, trusting)) as it:
            hidden = await ask(it, chain="acme/m")

    assert ["acme/m SUCCEEDED"] == shown.attempts
    assert "acme/m FAILED CONNECTION" == hidden.attempts[0]
    assert 1 == len(upstream.requests)


@pytest.mark.rule("2.25")
@pytest.mark.parametrize("named", ["ca_file", "SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_authorities_that_are_replaced(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New connections trust what the file says now; a running call goes on."""
    old, new = trustme.CA(), trustme.CA()
    folder = tmp_path / "authorities"
    folder.mkdir()
    bundle = written(folder / "authority.pem", old.cert_pem)
    await _hashed(folder)
    more = f'ca_file = "{bundle}"' if named == "ca_file" else ""
    if not more:
        monkeypatch.setenv(named, str(folder if named.endswith("DIR") else bundle))
    path = tmp_path / "majordomo.toml"
    async with (
        Upstream(well, tls(old, "127.0.0.1")) as before,
        Upstream(well, tls(new, "127.0.0.1")) as after,
    ):
        text = '[server]\nlisten = "127.0.0.1:0"\n'
        for name, upstream in (("before", before), ("after", after)):
            text += provider(upstream.url, more).replace("acme", name)
        path.write_text(text)
        source = Source(path, os.environ)
        async with running(text) as it:
            first_look = await _both(it)
            known = (await health(it, "after/m")).total_failures
            source.load()
            source.changed()
            written(tmp_path / "fresh.pem", new.cert_pem).replace(bundle)
            await _hashed(folder)
            seen = [source.changed() for _ in range(2)]
            it.server.reload(source.load())
            second_look = await _both(it)
            kept = (await health(it, "after/m")).total_failures

    assert 1 == known == kept
    assert [False, True] == seen
    assert [True, False] == first_look
    assert [False, True] == second_look


@pytest.mark.rule("2.25")
async def test_a_running_call_goes_on(tmp_path: Path) -> None:
    """On its old connection, to its end; and a file of no use is named."""
    authority = trustme.CA()
    bundle = written(tmp_path / "ca.pem", authority.cert_pem)
    replaced = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(CHUNKED + chunk(event("begun ")))
        await replaced.wait()
        end = chunk(event("and ended", "stop") + DONE)
        await connection.send(end + LAST_CHUNK)
        await connection.closed()

    path = tmp_path / "majordomo.toml"
    async with Upstream(script, tls(authority, "127.0.0.1")) as upstream:
        path.write_text(
            '[server]\nlisten = "127.0.0.1:0"\n'
            + provider(upstream.url, f'ca_file = "{bundle}"')
        )
        async with running(path.read_text()) as it:
            call = it.generation.Stream(stream("acme/m"))
            events = await read_text(call, "begun ")
            written(bundle, trustme.CA().cert_pem)
            it.server.reload(Source(path, os.environ).load())
            replaced.set()
            ended = await got(call, events)
            bundle.write_text("nothing of use\n")
            with pytest.raises(ConfigError, match=f"ca_file: {bundle} holds no"):
                Source(path, os.environ).load()

    assert "begun and ended" == ended.text
    assert ["acme/m SUCCEEDED"] == ended.attempts


async def _hashed(folder: Path) -> None:
    """Name what is in `folder` as OpenSSL looks it up."""
    process = await asyncio.create_subprocess_exec("openssl", "rehash", str(folder))
    assert 0 == await process.wait()


async def _both(it: Running) -> list[bool]:
    """Whether before/m and after/m answer."""
    answered = []
    for target in ("before/m", "after/m"):
        got = await ask(it, chain=target, transient_retries=0)
        answered.append("SUCCEEDED" in got.attempts[0])
    return answered


# HTTP/2.


@RPC
async def test_http2(rpc: str, authority: trustme.CA) -> None:
    """Requests share a connection, where the provider speaks it."""
    certificate = authority.issue_cert("127.0.0.1").configure_cert
    async with (
        Http2Provider(certificate, two) as it,
        running(provider(f"{it.url}/v1", "http2 = true")) as serving,
    ):
        got = [await ask(serving, rpc, chain="acme/m") for _ in range(3)]

    assert [["acme/m SUCCEEDED"]] * 3 == [one.attempts for one in got]
    assert (3, 1) == (len(it.requests), it.connections)


async def test_http2_by_way_of_a_proxy(authority: trustme.CA) -> None:
    """One tunnel for all."""
    certificate = authority.issue_cert("llm.example").configure_cert
    url = "https://llm.example/v1"
    async with (
        Http2Provider(certificate, two) as it,
        HttpProxy({"llm.example": it.port}) as proxy,
        running(provider(url, f'http2 = true\nproxy = "{proxy.url}"')) as serving,
    ):
        got = [await ask(serving, chain="acme/m") for _ in range(3)]

    assert [["acme/m SUCCEEDED"]] * 3 == [one.attempts for one in got]
    assert ["CONNECT llm.example:443 HTTP/1.1"] == proxy.asked


async def test_requests_at_once_over_http2(authority: trustme.CA) -> None:
    """Each has a connection of its own, which serves again afterwards."""
    many = 5
    certificate = authority.issue_cert("127.0.0.1").configure_cert
    async with (
        Http2Provider(certificate, two, many) as it,
        running(provider(f"{it.url}/v1", "http2 = true")) as serving,
    ):
        for _ in range(2):
            calls = [ask(serving, chain="acme/m") for _ in range(many)]
            got = await asyncio.gather(*calls)

            assert [["acme/m SUCCEEDED"]] * many == [one.attempts for one in got]
    assert (2 * many, many) == (len(it.requests), it.connections)


@pytest.mark.rule("5.6")
async def test_a_call_over_http2_that_is_given_up(authority: trustme.CA) -> None:
    """Its connection closes, so that the provider stops; others go on."""
    certificate = authority.issue_cert("127.0.0.1").configure_cert
    async with (
        Http2Provider(certificate, two, together=2) as it,
        running(provider(f"{it.url}/v1", "http2 = true")) as serving,
    ):
        given_up = serving.generation.Generate(generate("acme/m"))
        async with asyncio.timeout(PATIENCE):
            await it.asked.wait()
            given_up.cancel()
            await it.left.wait()
        got = await ask(serving, chain="acme/m")

    assert ["acme/m SUCCEEDED"] == got.attempts
    assert (2, 2) == (len(it.requests), it.connections)


@pytest.mark.rule("2.7")
async def test_a_kept_connection_of_http2_that_breaks(authority: trustme.CA) -> None:
    """The request goes out once more, on a new one; the attempt says so."""
    certificate = authority.issue_cert("127.0.0.1").configure_cert
    async with (
        Http2Provider(certificate, two) as it,
        running(provider(f"{it.url}/v1", "http2 = true")) as serving,
    ):
        await ask(serving, chain="acme/m")
        it.hang_up = True
        got = await ask(serving, chain="acme/m")
        it.hang_up = True
        new = await ask(serving, chain="acme/m", transient_retries=0)

    assert ["acme/m SUCCEEDED"] == got.attempts == new.attempts
    assert got.records[0].resent
    assert (5, 3) == (len(it.requests), it.connections)


# What is configured.


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('proxy = "proxy.example:3128"', "must be the URL of a proxy"),
        ('proxy = "ftp://proxy.example"', "must be the URL of a proxy"),
        ('proxy = "http://"', "must be the URL of a proxy"),
        (f'proxy = "http://u:{PASSWORD}@p.example"', "must hold no credentials"),
        ('proxy = "env:NO_SUCH"', "the environment has no NO_SUCH"),
        ('ca_file = "/nowhere.pem"', "ca_file: cannot read /nowhere.pem"),
        ('ca_file = "{empty}"', "holds no certificate in PEM form"),
        ('client_key = "{empty}"', "client_key needs client_certificate too"),
        ('client_certificate = "{empty}"', "are no certificate and its key"),
        ('http2 = "yes"', "must be true or false"),
    ],
)
def test_a_bad_value_is_named_with_its_fix(
    more: str, words: str, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    with pytest.raises(ConfigError) as raised:
        parse(provider("https://llm.example", more.replace("{empty}", str(empty))))

    assert words in str(raised.value)
    assert "providers.acme" in str(raised.value)
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HTTPS_PROXY", f"gopher://u:{PASSWORD}@p", "HTTPS_PROXY of the environment"),
        ("SSL_CERT_FILE", "/nowhere.pem", "SSL_CERT_FILE of the environment: cannot"),
        ("SSL_CERT_DIR", "/nowhere", "SSL_CERT_DIR of the environment: cannot read"),
    ],
)
def test_a_bad_variable_is_named(variable: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(provider("https://llm.example"), {variable: value})

    assert words in str(raised.value)
    assert PASSWORD not in str(raised.value)


def test_credentials_of_proxies_are_secrets() -> None:
    """By whichever way they came, in each form that they may take."""
    environ = {"HTTPS_PROXY": "http://user:p%40ss-word@proxy.example:3128"}
    config = parse(provider("https://llm.example"), environ)

    assert {"p%40ss-word", "p@ss-word"} <= {*config.secrets()}
    assert "ss-word" not in repr(config)


@pytest.mark.rule("2.24")
@pytest.mark.parametrize(
    ("url", "no_proxy", "expected"),
    [
        ("https://api.example/v1", "", "http://s.example:1"),
        ("http://api.example/v1", "", "http://p.example:1"),
        ("https://api.example/v1", "*", None),
        ("https://api.example/v1", "api.example", None),
        ("https://api.example/v1", "example", None),
        ("https://api.example/v1", ".example", None),
        ("https://api.example/v1", "*.example", None),
        ("https://api.example/v1", " x.example , API.example ", None),
        ("https://api.example/v1", "pi.example", "http://s.example:1"),
        ("https://api.example/v1", "api.example:443", None),
        ("https://api.example/v1", "api.example:8443", "http://s.example:1"),
        ("https://api.example:8443/v1", "api.example:8443", None),
        ("https://10.1.2.3/v1", "10.0.0.0/8", None),
        ("https://11.1.2.3/v1", "10.0.0.0/8,10.1.2.3", "http://s.example:1"),
        ("https://10.1.2.3/v1", "10.1.2.3", None),
        ("https://[2001:db8::1]/v1", "2001:db8::/32", None),
        ("https://[2001:db8::1]:8443/v1", "[2001:db8::1]:8443", None),
        ("https://api.example/v1", "nonsense/8,,:", "http://s.example:1"),
        ("http://localhost:11434/v1", "", None),
        ("http://127.0.0.2:11434/v1", "", None),
        ("http://[::1]:11434/v1", "", None),
    ],
)
def test_which_proxy_leads_there(url: str, no_proxy: str, expected: str | None) -> None:
    environ = {
        "HTTPS_PROXY": "http://s.example:1",
        "https_proxy": "",
        "ALL_PROXY": "http://all.example",
        "http_proxy": "p.example:1",
        "HTTP_PROXY": "http://other.example:1",
        "NO_PROXY": no_proxy,
    }

    assert expected == EnvironmentProxies.read(environ).proxy_for(url)


def test_all_proxy_is_for_what_has_none_of_its_own() -> None:
    environ = {"ALL_PROXY": "socks5h://s.example", "http_proxy": "http://p.example"}
    found = EnvironmentProxies.read(environ)

    assert "socks5h://s.example" == found.proxy_for("https://api.example")
    assert "http://p.example" == found.proxy_for("http://api.example")
