"""TLS and mTLS: who is let in, and certificates that change."""

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from majordomo.config import ConfigError, parse
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from testkit.servers import Running, generate, running

HOST = "127.0.0.1"
YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


@dataclass
class Files:
    """Where a server's certificate, key and callers' roots lie."""

    folder: Path

    def __post_init__(self) -> None:
        self.authority = trustme.CA()
        self.callers = trustme.CA()
        self.callers.cert_pem.write_to_path(self.folder / "callers.pem")
        self.issue(self.authority)

    def issue(self, authority: trustme.CA) -> None:
        """A new certificate, as its files; each is replaced whole."""
        made = authority.issue_cert(HOST)
        chain = b"".join(pem.bytes() for pem in made.cert_chain_pems)
        for name, data in (("key", made.private_key_pem.bytes()), ("cert", chain)):
            fresh = self.folder / f"{name}.new"
            fresh.write_bytes(data)
            fresh.rename(self.folder / f"{name}.pem")

    def config(self, *, mutual: bool) -> str:
        client_ca = f'client_ca = "{self.folder}/callers.pem"' if mutual else ""
        return f"""
            [server]
            listen = "{HOST}:0"
            [server.tls]
            certificate = "{self.folder}/cert.pem"
            private_key = "{self.folder}/key.pem"
            {client_ca}
            [providers.acme]
            kind = "scripted"
        """


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@asynccontextmanager
async def calling(
    it: Running, roots: trustme.CA, shown: trustme.LeafCert | None = None
) -> AsyncIterator[Any]:
    """A caller that trusts `roots` and shows a certificate, on its own connection."""
    credentials = grpc.ssl_channel_credentials(
        roots.cert_pem.bytes(),
        shown.private_key_pem.bytes() if shown else None,
        b"".join(pem.bytes() for pem in shown.cert_chain_pems) if shown else None,
    )
    options = [("grpc.use_local_subchannel_pool", 1)]
    address = it.server.address
    async with grpc.aio.secure_channel(address, credentials, options) as channel:
        yield GenerationServiceStub(channel)


async def refused(stub: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Generate(generate("acme/echo"), timeout=20)
    return caught.value.code()


async def test_a_caller_that_trusts_the_certificate(files: Files) -> None:
    """Is answered; one that does not, and one in plain text, are not."""
    async with running(files.config(mutual=False)) as it:
        async with calling(it, files.authority) as stub:
            response = await stub.Generate(generate("acme/echo", "hi"))
        async with calling(it, trustme.CA()) as stub:
            distrustful = await refused(stub)
        plain = await refused(it.generation)

    assert "hi" == response.message.parts[0].text
    assert [grpc.StatusCode.UNAVAILABLE] * 2 == [distrustful, plain]


async def test_mutual_tls(files: Files) -> None:
    """Only a certificate of the callers' authority, that has not run out, is let in."""
    good = files.callers.issue_cert("checkout")
    strangers = {
        "none": None,
        "of another authority": trustme.CA().issue_cert("checkout"),
        "of the server's authority": files.authority.issue_cert("checkout"),
        "expired": files.callers.issue_cert("checkout", not_after=YESTERDAY),
    }
    async with running(files.config(mutual=True)) as it:
        async with calling(it, files.authority, good) as stub:
            response = await stub.Generate(generate("acme/echo", "hi"))
        reported = {}
        for name, shown in strangers.items():
            async with calling(it, files.authority, shown) as stub:
                reported[name] = await refused(stub)

    assert "hi" == response.message.parts[0].text
    assert dict.fromkeys(strangers, grpc.StatusCode.UNAVAILABLE) == reported


async def test_certificates_change_under_load(files: Files) -> None:
    """New handshakes have the new one, and no call is lost."""
    new = trustme.CA()
    swapped = asyncio.Event()
    done = 0

    async def caller(stub: Any) -> None:
        nonlocal done
        while not swapped.is_set():
            await stub.Generate(generate("acme/echo"))
            done += 1

    async with running(files.config(mutual=False)) as it:
        async with calling(it, files.authority) as stub:
            await stub.Generate(generate("acme/echo"))  # connected
            load = [asyncio.create_task(caller(stub)) for _ in range(10)]
            files.issue(new)
            async with calling(it, new) as other:
                response = await other.Generate(generate("acme/echo", "hi"))
            swapped.set()
            await asyncio.gather(*load)
            await stub.Generate(generate("acme/echo"))  # its connection still stands
        async with calling(it, files.authority) as stub:
            late = await refused(stub)

    assert "hi" == response.message.parts[0].text
    assert done >= 10
    assert grpc.StatusCode.UNAVAILABLE == late


@pytest.mark.parametrize("fault", ["truncated", "gone", "of another key"])
async def test_certificates_that_cannot_be_used_change_nothing(
    files: Files, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The old ones stay in use, and the log says so."""
    certificate = files.folder / "cert.pem"
    async with running(files.config(mutual=False)) as it:
        match fault:
            case "truncated":
                certificate.write_bytes(certificate.read_bytes()[:400])
            case "gone":
                certificate.unlink()
            case _:
                other = trustme.CA().issue_cert(HOST)
                other.cert_chain_pems[0].write_to_path(certificate)
        with caplog.at_level(logging.ERROR, "majordomo"):
            async with calling(it, files.authority) as stub:
                response = await stub.Generate(generate("acme/echo", "hi"))

    assert "hi" == response.message.parts[0].text
    assert "the certificates stay as they were" in caplog.text
    assert "PRIVATE KEY" not in caplog.text


@pytest.mark.parametrize(
    ("name", "data", "reported"),
    [
        ("cert.pem", b"", "are no certificate and key"),
        ("key.pem", b"-----BEGIN", "are no certificate and key"),
        ("callers.pem", b"nothing", "holds no certificate"),
        ("key.pem", None, "cannot read"),
    ],
)
def test_a_server_with_such_files_does_not_start(
    files: Files, name: str, data: bytes | None, reported: str
) -> None:
    """The configuration's error names the file."""
    path = files.folder / name
    path.write_bytes(data) if data is not None else path.unlink()

    with pytest.raises(ConfigError, match=reported) as caught:
        parse(files.config(mutual=True))

    assert "server.tls" in str(caught.value)
    assert name in str(caught.value)
