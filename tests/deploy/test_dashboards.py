"""The dashboard and the alerts ask for what a server shows, and Prometheus agrees.

Without build/bin/prometheus and promtool (`scripts/build_prometheus.sh`) the tests that
need them skip; under CI they must run.
"""

import asyncio
import json
import os
import re
import socket
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import promql_parser as promql
import pytest
import yaml
from google.protobuf.duration_pb2 import Duration
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families as plain_text

from majordomo.chain.tracker import Tracker
from majordomo.telemetry.labels import error_reason, failure_reason, outcome
from majordomo.telemetry.metrics import Metrics
from majordomo.telemetry.prometheus import name_of
from majordomo.v1.attempt_pb2 import AttemptOutcome, FailureReason
from majordomo.v1.errors_pb2 import ErrorReason
from majordomo.v1.operator_service_pb2 import BenchRequest
from testkit.servers import Running, failed, generate, rest_of, running, stream
from testkit.upstream import Upstream, answer, serve

ROOT = Path(__file__).parents[2]
BIN = ROOT / "build" / "bin"
PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARD: Any = json.loads((GRAFANA / "dashboards" / "majordomo.json").read_text())
VARIABLES: Any = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
PANELS: Any = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES: Any = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
DOWN = "acme/status:503"
CONFIG = """
    [server]
    listen = "127.0.0.1:0"
    metrics_listen = "127.0.0.1:0"
    max_calls = 2
    [providers.acme]
    kind = "scripted"
    [providers.globex]
    kind = "openai-compatible"
    base_url = "{url}"
    [providers.globex.models.big.prices]
    input = 1
    output = 2
    [tiers]
    fast = "acme/status:503,acme/echo"
    odd = "acme/status:401,acme/cut:1,acme/status:500,acme/stall:1"
    more = "acme/resting,globex/big"
"""
CACHE_WRITE = "gen_ai_client_inference_usage_cache_write_input_tokens"

needs_prometheus = pytest.mark.skipif(
    not (BIN / "promtool").exists() and "CI" not in os.environ,
    reason="no Prometheus here: scripts/build_prometheus.sh builds it, and needs Go",
)

# The expressions.


def concrete(expression: str) -> str:
    """What Grafana makes of `expression` where all of everything is shown."""
    for name, window in (
        ("__rate_interval", "1m"),
        ("__range", "1h"),
        *((name, ".*") for name in VARIABLES),
    ):
        expression = re.sub(rf"\${name}\b", window, expression)
    return expression


def of_panels() -> Iterator[tuple[str, str, str]]:
    """Title, expression and legend of all that is drawn."""
    for panel in PANELS:
        for target in panel["targets"]:
            expression = concrete(target["expr"])
            yield panel["title"], expression, target.get("legendFormat", "")


EXPRESSIONS = [
    *((title, expression) for title, expression, _ in of_panels()),
    *((rule["alert"], rule["expr"]) for rule in RULES),
]


def visited(expression: str) -> Iterator[Any]:
    """All nodes of its tree."""
    found: list[Any] = []

    def visit(node: Any) -> None:
        found.append(node)
        if isinstance(node, promql.MatrixSelector):
            found.append(node.vector_selector)

    promql.walk(promql.parse(expression), visit)
    return iter(found)


def names(selector: promql.VectorSelector) -> list[str]:
    """The metrics that it may select."""
    if selector.name is not None:
        return [selector.name]
    [of_name] = [m for m in selector.matchers.matchers if m.name == "__name__"]
    return of_name.value.split("|")


def selectors(expression: str) -> list[promql.VectorSelector]:
    return [n for n in visited(expression) if isinstance(n, promql.VectorSelector)]


def grouped(expression: str) -> Iterator[tuple[list[str], set[str]]]:
    """What is grouped or matched by labels: the metrics in it, and the labels."""
    for node in visited(expression):
        match node:
            case promql.AggregateExpr(modifier=modifier) if modifier is not None:
                labels = modifier.labels
            case promql.BinaryExpr(modifier=modifier) if (
                modifier is not None and modifier.matching is not None
            ):
                labels = modifier.matching.labels
            case _:
                continue
        inner = [n for each in selectors(node.prettify()) for n in names(each)]
        yield inner, set(labels)


# What a server shows.

ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "model": "big",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "hello"},
        }
    ],
    "usage": {
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "total_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 5},
        "server_tool_use": {
            "web_search_requests": 1,
            "web_fetch_requests": 1,
            "code_execution_requests": 1,
        },
    },
}


@asynccontextmanager
async def serving() -> AsyncIterator[Running]:
    """A server of a scripted provider, and of one that counts all kinds of tokens."""
    body = json.dumps(ANSWER).encode()
    async with (
        Upstream(serve(*[answer(200, body)] * 1000)) as upstream,
        running(CONFIG.format(url=upstream.url)) as it,
    ):
        yield it


async def mixed_load(it: Running) -> None:
    """Calls that end in every way that the dashboard distinguish."""
    ask = it.generation
    await ask.Generate(generate("globex/big"))
    for _ in range(2):
        await rest_of(ask.Stream(stream(f"{DOWN},acme/echo", "one two")))
    await failed(ask.Generate(generate("acme/status:401")))
    await failed(ask.Stream(stream("acme/cut:1", "one two three")))
    await failed(ask.Generate(generate("acme/status:500")))
    rest = BenchRequest(target="acme/resting", duration=Duration(seconds=3600))
    await it.operator.Bench(rest)
    held = [ask.Stream(stream("acme/stall:1", "one two")) for _ in range(2)]
    for call in held:
        await call.read()
    await failed(ask.Generate(generate("acme/echo")))
    for call in held:
        call.cancel()


async def page(it: Running, accept: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"http://{it.server.metrics_address}/metrics"
        return (await client.get(url, headers={"Accept": accept})).text


@pytest.mark.parametrize(
    ("accept", "parse"),
    [
        ("text/plain", plain_text),
        ("application/openmetrics-text; version=1.0.0", open_metrics),
    ],
)
async def test_every_metric_and_label_is_there(accept: str, parse: Any) -> None:
    """Of each expression, on the page of a server that has seen calls of all kinds."""
    async with serving() as it:
        await mixed_load(it)
        text = await page(it, accept)
    # What Prometheus puts to each sample, and what it makes itself.
    scraped = {"job", "instance"}
    shown: dict[str, set[str]] = defaultdict(set, up=scraped)
    for family in parse(text):
        for sample in family.samples:
            shown[sample.name] |= scraped | sample.labels.keys()

    for title, expression in EXPRESSIONS:
        chosen = selectors(expression)
        assert chosen, title
        for selector in chosen:
            for name in names(selector):
                asked = {each.name for each in selector.matchers.matchers}
                assert asked - {"__name__"} <= shown.get(name, set()), (title, name)
        for inner, labels in grouped(expression):
            there = set().union(*(shown[name] for name in inner))
            assert labels <= there, (title, expression)


def test_every_metric_is_drawn() -> None:
    """Nothing is measured that the dashboard leaves out, but what its text tells."""
    drawn = {
        name.removesuffix("_bucket").removesuffix("_total")
        for _, expression in EXPRESSIONS
        for selector in selectors(expression)
        for name in names(selector)
    }
    measured = {name_of(it.instrument) for it in Metrics(lambda: 0, Tracker()).read()}

    assert measured - {CACHE_WRITE} == drawn - {"up"}


def test_every_value_is_one() -> None:
    """What expressions compare labels with are words of ours."""
    reasons = {failure_reason(it) for it in FailureReason.values()}
    errors = {error_reason(it) for it in ErrorReason.values()}
    outcomes = {outcome(it) for it in AttemptOutcome.values()}
    answered = {"first_try", "recovered", "restarted", "cancelled"}
    services = "majordomo.v1.GenerationService"
    vocabulary = {
        "outcome": outcomes | errors | answered,
        "error_type": reasons | {""},
        "reason": reasons | errors,
        "job": {"majordomo", ".*"},
        "rpc_method": {f"{services}/(Generate", "Stream)"},
    }
    compared = [
        (matcher.name, value)
        for _, expression in EXPRESSIONS
        for selector in selectors(expression)
        for matcher in selector.matchers.matchers
        for value in matcher.value.split("|")
        if value != ".*"
    ]

    assert {"outcome", "error_type", "reason", "job", "rpc_method"} == {
        name for name, _ in compared
    }
    for name, value in compared:
        assert value in vocabulary[name]


def test_legends() -> None:
    """Each names labels that its expression keeps."""
    for title, expression, legend in of_panels():
        kept = set().union(*(labels for _, labels in grouped(expression)))
        assert set(re.findall(r"{{(\w+)}}", legend)) <= kept, title


# The dashboard as Grafana takes it.


def test_datasource_is_a_variable() -> None:
    """It may be imported wherever there is a Prometheus."""
    assert "datasource" == VARIABLES["datasource"]["type"]
    assert "prometheus" == VARIABLES["datasource"]["query"]
    expected = {"type": "prometheus", "uid": "${datasource}"}
    for panel in PANELS:
        for asked in (panel, *panel["targets"]):
            assert expected == asked["datasource"]


def test_variables_ask_for_labels_that_are_there() -> None:
    """Of a metric that the panels know as well, narrowed by those before."""
    known = {n for _, expr in EXPRESSIONS for s in selectors(expr) for n in names(s)}
    before: set[str] = set()
    for name, variable in VARIABLES.items():
        if variable["type"] == "query":
            query = variable["query"]["query"]
            [(expression, label)] = re.findall(r"^label_values\((.*), (\w+)\)$", query)
            [selector] = selectors(concrete(expression))
            assert set(names(selector)) <= known
            assert label in {"job", "instance", "target"}
            assert set(re.findall(r"\$(\w+)", expression)) <= before
        before.add(name)


def test_panels_do_not_overlap() -> None:
    """Each has its place on the grid and an id of its own."""
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]

    assert len(cells) == len(set(cells))
    assert {x for x, _ in cells} == set(range(24))
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_panels_explain_themselves() -> None:
    """A title and a description, for who is woken by an alert."""
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith(".")


def test_alerts_say_what_to_do() -> None:
    """How bad it is, what has happened, and what it means."""
    for rule in RULES:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert {"summary", "description"} == rule["annotations"].keys()


# What Prometheus makes of it.


async def promtool(*arguments: str | Path, text: str = "") -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(BIN / "promtool", *arguments), stdin=PIPE, stdout=PIPE, stderr=STDOUT
    )
    output, _ = await process.communicate(text.encode())
    return process.returncode, output.decode()


@needs_prometheus
async def test_configuration_and_rules_are_valid() -> None:
    """promtool finds nothing to say against the example and its rules."""
    config = PROMETHEUS / "prometheus.yml"

    assert 0 == (await promtool("check", "config", "--lint-fatal", config))[0]
    rules = PROMETHEUS / "alerts.yaml"
    code, output = await promtool("check", "rules", "--lint-fatal", rules)
    assert (0, True) == (code, f"{len(RULES)} rules found" in output)


@needs_prometheus
async def test_alerts_fire(tmp_path: Path) -> None:
    """Each for the series that it is about; and the tests of it do find faults."""
    tests = ROOT / "tests" / "deploy" / "alerts_test.yaml"
    tested = {
        case["alertname"]
        for test in yaml.safe_load(tests.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert {rule["alert"] for rule in RULES} == tested
    code, output = await promtool("test", "rules", tests)
    assert 0 == code, output

    bent = (PROMETHEUS / "alerts.yaml").read_text().replace("> 0.01", "> 0.1")
    (tmp_path / "alerts.yaml").write_text(bent)
    (tmp_path / "tests.yaml").write_text(
        tests.read_text().replace("../../deploy/prometheus/alerts.yaml", "alerts.yaml")
    )
    code, output = await promtool("test", "rules", tmp_path / "tests.yaml")
    assert (1, True) == (code, "MajordomoChainsExhausted" in output)


@needs_prometheus
async def test_the_page_is_clean() -> None:
    """Names, units, types and help texts are as promtool wants them."""
    async with serving() as it:
        await mixed_load(it)
        text = await page(it, "text/plain")

    assert (0, "") == await promtool("check", "metrics", text=text)


@asynccontextmanager
async def prometheus(scraped: str, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """One by our configuration, but that it scrapes `scraped`, and often."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms"}
    config["rule_files"] = [str(PROMETHEUS / "alerts.yaml")]
    [job] = config["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [scraped]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = await asyncio.create_subprocess_exec(
        BIN / "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        stdout=DEVNULL,
        stderr=PIPE,
    )
    assert process.stderr is not None
    try:
        said = b""
        async for line in process.stderr:
            said += line
            if b"ready to receive web requests" in line:
                break
        else:
            raise AssertionError(said)
        rest = asyncio.create_task(process.stderr.read())
        base = f"http://{address}/api/v1/"
        async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
            yield client
    finally:
        process.kill()
        await process.wait()
    await rest


@needs_prometheus
async def test_every_panel_shows_something(tmp_path: Path) -> None:
    """A real Prometheus scrapes a real server, and answers each panel's question."""
    waiting = {expression: title for title, expression, _ in of_panels()}
    alerts = {"MajordomoCredentialsRefused", "MajordomoCallsShed"}
    async with (
        serving() as it,
        prometheus(it.server.metrics_address, tmp_path) as client,
    ):

        async def ask(path: str, **words: str) -> Any:
            answer = (await client.get(path, params=words)).json()
            assert "success" == answer["status"], (words, answer)
            return answer["data"]

        # While all is well, so that it is known since when something is not.
        while not (await ask("query", query="majordomo_target_state == 1"))["result"]:
            pass
        firing: set[str] = set()
        while waiting or not alerts <= firing:
            await mixed_load(it)
            for expression in list(waiting):
                if (await ask("query", query=expression))["result"]:
                    del waiting[expression]
            now = (await ask("alerts"))["alerts"]
            firing = {
                it["labels"]["alertname"] for it in now if it["state"] == "firing"
            }

        [table] = [panel for panel in PANELS if panel["title"] == "Targets"]
        rows = {}
        for target in table["targets"]:
            found = await ask("query", query=concrete(target["expr"]))
            for row in found["result"]:
                rows[target["refId"], row["metric"]["target"]] = row
        assert "overloaded" == rows["why", DOWN]["metric"]["error_type"]
        assert "credentials" == rows["why", "acme/status:401"]["metric"]["error_type"]
        assert rows["state", DOWN]["value"][1] in {"2", "3"}
        assert 0 < float(rows["since", DOWN]["value"][1]) / 1000 <= time.time()
        assert {("since", "acme/echo"), ("why", "acme/echo")}.isdisjoint(rows)
