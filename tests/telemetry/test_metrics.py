"""What a server counts of real calls, as Prometheus and a collector get to see it."""

from typing import Any

import httpx
import pytest
from google.protobuf.duration_pb2 import Duration
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families as plain_text

from majordomo.chain.tracker import Tracker
from majordomo.telemetry.metrics import BOUNDS, Counter, Histogram, Metrics
from majordomo.v1.operator_service_pb2 import BenchRequest
from testkit.servers import Running, failed, generate, rest_of, running, stream

CONFIG = """
    [server]
    listen = "127.0.0.1:0"
    metrics_listen = "127.0.0.1:0"
    {settings}
    [providers.acme]
    kind = "scripted"
    [tiers]
    known = "acme/status:503,acme/echo"
"""
DOWN = "acme/status:503"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def page(it: Running, accept: str = "text/plain") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        address = f"http://{it.server.metrics_address}/metrics"
        return await client.get(address, headers={"Accept": accept})


async def samples(it: Running) -> Samples:
    """All that Prometheus would store of the page."""
    text = (await page(it)).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in plain_text(text)
        for sample in family.samples
    }


def of(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


async def test_a_failover_and_a_skip() -> None:
    """Which target failed, why, who took over, and that it is benched since."""
    async with running(CONFIG.format(settings="")) as it:
        for _ in range(2):
            await rest_of(it.generation.Stream(stream(f"{DOWN},acme/echo", "one two")))

        found = await samples(it)

        assert 2 == of(found, "majordomo_calls_total", outcome="recovered")
        failures = {"target": DOWN, "outcome": "failed", "error_type": "overloaded"}
        assert 2 == of(found, "majordomo_attempts_total", **failures)
        answers = {"target": "acme/echo", "outcome": "succeeded", "error_type": ""}
        assert 2 == of(found, "majordomo_attempts_total", **answers)
        assert 1 == of(found, "majordomo_skips_total", target=DOWN, reason="benched")
        step = {"from": DOWN, "to": "acme/echo", "error_type": "overloaded"}
        assert 1 == of(found, "majordomo_failovers_total", **step)
        assert 1 == of(
            found, "majordomo_benches_total", target=DOWN, cause="overloaded"
        )
        assert 2 == of(found, "majordomo_target_state", target=DOWN)
        model = {
            "gen_ai_operation_name": "chat",
            "gen_ai_provider_name": "acme",
            "gen_ai_request_model": "echo",
        }
        usage = "gen_ai_client_inference_usage_output_tokens_total"
        assert 4 == of(found, usage, **model)
        first_chunk = "gen_ai_client_inference_time_to_first_chunk_seconds_count"
        assert 2 == of(found, first_chunk, **model)
        duration = "gen_ai_client_inference_duration_seconds_bucket"
        assert 2 == of(found, duration, **model, error_type="", le="+Inf")


async def test_what_a_caller_was_refused() -> None:
    """Calls count by the reason that was reported, also those that were never
    walked."""
    fails = '[chain]\n    all_benched_policy = "fail"'
    async with running(CONFIG.format(settings=fails)) as it:
        await failed(it.generation.Generate(generate("nope")))
        await failed(it.generation.Generate(generate(DOWN)))
        await failed(it.generation.Generate(generate(DOWN)))

        found = await samples(it)

        for outcome in ("unknown_tier", "chain_exhausted", "all_benched"):
            assert 1 == of(found, "majordomo_calls_total", outcome=outcome)
        method = "majordomo.v1.GenerationService/Generate"
        calls = {"rpc_method": method, "rpc_response_status_code": "UNAVAILABLE"}
        assert 2 == of(found, "rpc_server_call_duration_seconds_count", **calls)


async def test_an_operator_s_bench() -> None:
    """Counted with its cause; the gauge follows at once."""
    async with running(CONFIG.format(settings="")) as it:
        request = BenchRequest(target="acme/echo", duration=Duration(seconds=60))
        await it.operator.Bench(request)

        found = await samples(it)

        about = {"target": "acme/echo", "cause": "operator"}
        assert 1 == of(found, "majordomo_benches_total", **about)
        assert 2 == of(found, "majordomo_target_state", target="acme/echo")


async def test_calls_in_flight_and_turned_away() -> None:
    """The gauge counts what runs now; a full server says so."""
    async with running(CONFIG.format(settings="max_calls = 1")) as it:
        call = it.generation.Stream(stream("acme/stall:1", "one two"))
        await call.read()
        await failed(it.generation.Generate(generate("acme/echo")))

        found = await samples(it)

        assert 1 == of(found, "majordomo_calls_in_flight")
        assert 1 == of(found, "majordomo_shed_total", reason="server_overloaded")
        call.cancel()


async def test_open_metrics_too() -> None:
    """The format that newer Prometheus asks for; who measured stands in it."""
    async with running(CONFIG.format(settings="")) as it:
        await it.generation.Generate(generate("acme/echo"))

        answer = await page(it, "application/openmetrics-text; version=1.0.0")

        parsed = open_metrics(answer.text)  # type: ignore[no-untyped-call]
        families = {family.name: family for family in parsed}
        (target,) = families["target"].samples
        assert "majordomo" == target.labels["service_name"]
        assert "gen_ai_client_inference_duration_seconds" in families


async def test_only_the_page_is_there() -> None:
    """Nothing else is served on the side port."""
    async with running(CONFIG.format(settings="")) as it:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://{it.server.metrics_address}/")

        assert 404 == answer.status_code


@pytest.mark.rule("1.5")
async def test_names_that_callers_invent_are_no_labels() -> None:
    """Of a model that the configuration does not name, its provider alone."""
    async with running(CONFIG.format(settings="")) as it:
        await failed(it.generation.Generate(generate("acme/status:500")))

        found = await samples(it)

    about = {"outcome": "failed", "error_type": "provider_error"}
    assert 2 == of(found, "majordomo_attempts_total", target="acme/_other", **about)
    benched = {"target": "acme/_other", "cause": "provider_error"}
    assert 1 == of(found, "majordomo_benches_total", **benched)
    assert not any("status:500" in str(labels) for _, labels in found)


def test_series_are_bounded() -> None:
    """Beyond a thousand the rest share one; nothing that was counted is lost."""
    counter = Counter("c", "1", "A test's.", ("target",))
    histogram = Histogram("h", "s", "A test's.", ("target",))
    for number in range(3000):
        counter.add(1, f"a/{number}")
        histogram.record(0.5, f"a/{number}")

    assert (1001, 3000) == (len(counter.series), sum(counter.series.values()))
    assert 2000 == counter.series["_other",]
    shares = histogram.distributions()
    assert (1001, 2000) == (len(shares), sum(shares["_other",].counts))


@pytest.mark.parametrize(
    ("value", "bucket"), [(0.0, 0), (0.01, 0), (0.011, 1), (81.92, 13), (82.0, 14)]
)
def test_bounds_belong_to_their_buckets(value: float, bucket: int) -> None:
    """A value at a bound is below it, as Prometheus's "le" has it."""
    histogram = Histogram("h", "s", "A test's.")
    histogram.record(value)

    (share,) = histogram.distributions().values()

    assert len(BOUNDS) + 1 == len(share.counts)
    assert (1, value) == (share.counts[bucket], share.sum)


def test_a_reading_stays_as_it_was() -> None:
    """Who writes it down may take their time."""
    metrics: Any = Metrics(lambda: 3, Tracker())
    before = metrics.read()
    metrics._calls.add(1, "first_try")

    values = {reading.instrument.name: reading.values for reading in before}
    assert {} == values["majordomo.calls"]
    assert {(): 3} == values["majordomo.calls.in_flight"]
