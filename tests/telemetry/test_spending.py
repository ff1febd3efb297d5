"""Who spent what: callers' names, usage of all attempts, and its cost."""

import hashlib
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from testkit.collector import Collector, attributes
from testkit.servers import failed, generate, rest_of, running, stream
from tests.telemetry.test_metrics import of, samples

TOKEN = "token-of-checkout"
CONFIG = f"""
    [server]
    listen = "127.0.0.1:0"
    metrics_listen = "127.0.0.1:0"
    [tokens.checkout]
    sha256 = "{hashlib.sha256(TOKEN.encode()).hexdigest()}"
    scopes = ["generate"]
    [chain]
    interruption_policy = "restart"
    [providers.acme]
    kind = "scripted"
    [providers.acme.models.dear]
    script = ["text:one two three"]
    [providers.acme.models.dear.prices]
    input = 0.1
    output = 0.7
    [providers.acme.models.broken]
    script = ["cut:1"]
    [providers.acme.models.broken.prices]
    input = 100
    output = 100
    [tiers]
    fast = "acme/broken,acme/dear"
"""
BEARER = [("authorization", f"Bearer {TOKEN}")]


def line_of(log: io.StringIO) -> dict[str, Any]:
    """The one call's line; its numbers as they are written."""
    (line,) = (line for line in log.getvalue().splitlines() if '"event":"call"' in line)
    reported: dict[str, Any] = json.loads(line, parse_float=Decimal)
    return reported


@pytest.mark.rule("2.22")
async def test_who_spent_what(log: io.StringIO, collector: Collector) -> None:
    """By the token's name, in the line, on the span and in metrics, to the digit."""
    async with running(CONFIG) as it:
        request = generate("acme/dear", "one two")
        await it.generation.Generate(request, metadata=BEARER)
        found = await samples(it)

    line = line_of(log)
    assert ("checkout", Decimal("0.0000023")) == (line["caller"], line["cost"])
    (server,) = (span for span in collector.spans() if not span.parent_span_id)
    assert {"enduser.id": "checkout", "majordomo.cost": 2.3e-06}.items() <= attributes(
        server.attributes
    ).items()
    (attempt,) = (span for span in collector.spans() if span.name == "chat dear")
    assert 2.3e-06 == attributes(attempt.attributes)["majordomo.attempt.cost"]
    spent = {
        "enduser_id": "checkout",
        "gen_ai_provider_name": "acme",
        "gen_ai_request_model": "dear",
    }
    assert 2 == of(found, "majordomo_caller_input_tokens_total", **spent)
    assert 3 == of(found, "majordomo_caller_output_tokens_total", **spent)
    assert 2.3e-06 == of(found, "majordomo_caller_cost_total", **spent)


@pytest.mark.rule("2.21")
async def test_what_a_restarted_stream_used(log: io.StringIO) -> None:
    """The line has all that was counted, and that it may not be all."""
    async with running(CONFIG) as it:
        request = stream("fast", "one two")
        events = await rest_of(it.generation.Stream(request, metadata=BEARER))

    total = events[-1].completion.total_usage
    line = line_of(log)
    assert total.lower_bound
    assert line["usage_lower_bound"]
    assert line["usage"] == {
        field.name: count for field, count in total.usage.ListFields()
    }
    assert {"input_tokens": 2, "output_tokens": 3} == line["usage"]


@pytest.mark.rule("2.22")
async def test_a_call_that_is_refused_has_a_name(log: io.StringIO) -> None:
    """Whose token it is is known before what is asked for is looked at."""
    async with running(CONFIG) as it:
        await failed(it.generation.Generate(generate("nope"), metadata=BEARER))

    assert ("checkout", "unknown_tier") == (
        line_of(log)["caller"],
        line_of(log)["outcome"],
    )


@pytest.mark.rule("2.22")
async def test_nobody_in_particular(log: io.StringIO) -> None:
    """Without tokens and certificates a caller has no name, and a call no cost."""
    async with running() as it:
        await it.generation.Generate(generate("acme/echo"))

    assert set() == {"caller", "cost"} & line_of(log).keys()


@pytest.mark.rule("2.22")
async def test_a_certificate_has_a_name(tmp_path: Path, log: io.StringIO) -> None:
    """The first alternative name on it."""
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    shown = authority.issue_cert("checkout.example", common_name="x")
    credentials = grpc.ssl_channel_credentials(
        authority.cert_pem.bytes(),
        shown.private_key_pem.bytes(),
        shown.cert_chain_pems[0].bytes(),
    )
    config = f"""
        [server]
        listen = "127.0.0.1:0"
        [server.tls]
        certificate = "{tmp_path}/cert.pem"
        private_key = "{tmp_path}/key.pem"
        client_ca = "{tmp_path}/ca.pem"
        [providers.acme]
        kind = "scripted"
    """
    async with running(config) as it:
        address = it.server.address
        async with grpc.aio.secure_channel(address, credentials) as channel:
            stub: Any = GenerationServiceStub(channel)
            await stub.Generate(generate("acme/echo"), timeout=20)

    assert "checkout.example" == line_of(log)["caller"]
