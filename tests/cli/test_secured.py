"""The command line at a server with mTLS and tokens."""

import re
from pathlib import Path

import pytest
import trustme

from testkit.processes import serving
from tests.cli.command import majordomo


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """What the command line is informed of the server; the files are in `tmp_path`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, host in (("server", "majordomo.test"), ("caller", "operator")):
        made = authority.issue_cert(host)
        made.private_key_pem.write_to_path(tmp_path / f"{name}-key.pem")
        made.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    return {
        "MAJORDOMO_TLS_CA": f"{tmp_path}/ca.pem",
        "MAJORDOMO_TLS_CERT": f"{tmp_path}/caller.pem",
        "MAJORDOMO_TLS_KEY": f"{tmp_path}/caller-key.pem",
        "MAJORDOMO_TLS_SERVER_NAME": "majordomo.test",
    }


async def test_every_way_in_is_used(tmp_path: Path, environ: dict[str, str]) -> None:
    """A token made here, a certificate, and every replica behind a name."""
    made = await majordomo(
        *("token", "night", "--scope", "generate", "--scope", "operate")
    )
    found = re.search(r"token: (\S+)", made.stderr)
    assert found is not None
    config = tmp_path / "majordomo.toml"
    config.write_text(
        f"""
        [server]
        listen = "127.0.0.1:0"
        [server.tls]
        certificate = "{tmp_path}/server.pem"
        private_key = "{tmp_path}/server-key.pem"
        client_ca = "{tmp_path}/ca.pem"
        [providers.acme]
        kind = "scripted"
        {made.stdout}
        """
    )
    async with serving(config) as server:
        where = ("--address", server.address)
        allowed = {**environ, "MAJORDOMO_TOKEN": found[1]}
        answered = await majordomo(
            *("generate", "-c", "acme/echo", *where, "hello"), environ=allowed
        )
        ready = await majordomo("ready", *where, environ=environ)
        benched = await majordomo(
            "bench", "acme/x", "--all", server.address, environ=allowed
        )
        tokenless = await majordomo(
            *("generate", "-c", "acme/echo", *where, "hello"), environ=environ
        )
        plain = await majordomo("ready", *where)

    assert (0, "hello\n") == (answered.code, answered.stdout)
    assert (0, "ready\n") == (ready.code, ready.stdout)
    assert 0 == benched.code
    assert "acme/x" in benched.stdout
    assert 1 == tokenless.code
    assert "UNAUTHENTICATED" in tokenless.stderr
    assert 3 == plain.code


@pytest.mark.parametrize(
    ("environ", "reported"),
    [
        ({"MAJORDOMO_TLS_CA": "/nowhere/ca.pem"}, "cannot read /nowhere/ca.pem"),
        ({"MAJORDOMO_TLS_CERT": "c.pem"}, "--tls-cert and --tls-key go together"),
        (
            {"MAJORDOMO_TLS_CERT": "c.pem", "MAJORDOMO_TLS_KEY": "k.pem"},
            "--tls-cert needs --tls-ca too",
        ),
    ],
)
async def test_what_is_missing_is_told(environ: dict[str, str], reported: str) -> None:
    """A command line that cannot work ends with 2 and says why."""
    done = await majordomo("ready", environ=environ)

    assert 2 == done.code
    assert reported in done.stderr
