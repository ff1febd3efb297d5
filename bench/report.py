"""Figures as tables: on the terminal, and in bench/RESULTS.md."""

import os
import platform
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from bench.aims import CHUNKS, Results, verdicts
from bench.measurements import Figures
from bench.subjects import BUILD
from majordomo.distribution import DISTRIBUTION

HERE = Path(__file__).parent
PAGE = HERE / "RESULTS.md"
METHOD = HERE / "METHOD.md"
PROFILE = HERE / "PROFILE.md"


@dataclass(frozen=True)
class Column:
    title: str
    figure: str
    scale: float = 1.0
    digits: int = 0
    ratio_to: str = ""
    """Put the ratio to this row beside the figure."""


@dataclass(frozen=True)
class Table:
    title: str
    columns: tuple[Column, ...]
    said: str = ""


CPU = Column("CPU a call, us", "cpu_us", ratio_to="majordomo")
P50 = Column("p50, ms", "p50_ms", digits=1)
P99 = Column("p99, ms", "p99_ms", digits=1)
PER_CHUNK = Column("CPU a chunk, us", "cpu_us", scale=1 / CHUNKS, digits=1)

TABLES = {
    "unary": Table(
        "Unary, 16 in flight",
        (CPU, P50, P99),
        "p50 and p99 are those of a server at its limit: 16 calls wait for one core.",
    ),
    "steady": Table(
        "Unary at 100 calls a second",
        (CPU, P50, P99),
        "A server that mostly waits wakes for every message, and pays for it. The"
        " libraries call for themselves, as fast as they can: they are not here.",
    ),
    "burst": Table(
        "Streams of 200 chunks in a burst, 16 in flight",
        (CPU, PER_CHUNK, P50, P99),
        "majordomo sends as one message what has arrived together; the echo sends 200.",
    ),
    "paced": Table(
        "Streams of 200 chunks, one every 5 ms, 16 in flight",
        (CPU, PER_CHUNK, P50, P99),
        "Without anything between, a stream takes 1 000 ms. The streams begin one after"
        " another, evenly over 5 ms: those that all begin at once are written at once,"
        " by an echo whose timers then fall together.",
    ),
    "inside": Table(
        "Whole answers of 200 tokens in 4 s, 64 in flight",
        (Column("CPU a call, us", "cpu_us", ratio_to="asked for whole"), P50, P99),
        "A provider that answers after 4 s, and one that streams 50 tokens a second to"
        " majordomo, whose caller waits for all of them. 16 calls begin and end in each"
        " second.",
    ),
    "failover": Table(
        "Failover from a target that answers 503, 16 in flight",
        (CPU, P50, P99),
        "Nobody retries or benches here, so that every call is a failover.",
    ),
    "skip": Table(
        "A benched target skipped, 16 in flight",
        (Column("CPU a call, us", "cpu_us", ratio_to="no skip"), P50, P99),
        "The same chain of two targets; the benched one stands first, or last. The aim"
        " is judged by the median of the turns' ratios.",
    ),
    "latency": Table(
        "Latency added to an answer that takes 60 ms, one call at a time",
        (
            Column("added p50, ms", "added_p50_ms", digits=2),
            Column("added p99, ms", "added_p99_ms", digits=2),
            P50,
        ),
        "Added to the p50 of the native load calling the provider directly. What the"
        " openai package and TensorZero add is within the caller's own process.",
    ),
    "in-flight": Table("Unary, 16, 128 and 1 000 in flight", (CPU, P50, P99)),
    "images": Table("An image of 1 MB with every call, 4 in flight", (CPU, P50, P99)),
    "tracing": Table(
        "majordomo, traced",
        (Column("CPU a call, us", "cpu_us", ratio_to="off"), P50, P99),
        "CPU with 16 in flight; p50 and p99 at a steady 300 calls a second. Spans go to"
        " a collector by OTLP over gRPC.",
    ),
    "life": Table(
        "Start and memory",
        (
            Column("ready after, s", "ready_seconds", digits=2),
            Column("CPU until ready, s", "start_cpu_seconds", digits=2),
            Column("idle, MB", "idle_mb"),
            Column("128 in flight, MB", "loaded_mb"),
        ),
        "Resident memory of all processes, 0.5 s after the start, and the most under"
        " load. Files are cached.",
    ),
    "held": Table(
        "300 streams held at 10 chunks a second each, on one core",
        (
            Column("chunks lost", "lost"),
            Column("streams broken", "broken"),
            Column("over 250 ms late", "late"),
            Column("latest, ms", "latest_ms"),
            Column("memory, MB", "peak_mb"),
            Column("cores used", "cores", digits=2),
        ),
        "They begin within 3 s and last for 20 (6 in a quick run). Each chunk carries"
        " the time at which the provider sent it. A stream that takes 15 s longer than"
        " it should is broken off.",
    ),
}


def machine() -> dict[str, Any]:
    """Where a run was made, and of what."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "machine": f"{os.cpu_count()} cores of {found[1] if found else 'a processor'},"
        f" {memory:.0f} GiB, Linux {platform.release().split('-')[0]}",
        "versions": ", ".join(_versions()),
    }


def _versions() -> Iterator[str]:
    commit = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(commit, cwd=HERE, capture_output=True, text=True, check=False)
    yield f"majordomo {version(DISTRIBUTION)} ({done.stdout.strip() or 'no commit'})"
    yield f"Python {platform.python_version()}"
    for package in ("grpcio", "aiohttp", "protobuf"):
        yield f"{package} {version(package)}"
    for library in ("litellm", "openai", "tensorzero"):
        for path in BUILD.glob(f"{library}/lib/*/site-packages/{library}-*.dist-info"):
            yield path.name.removesuffix(".dist-info").replace("-", " ")
    gateway = BUILD / "portkey/node_modules/@portkey-ai/gateway/package.json"
    if gateway.exists():
        found = re.search(r'"version": "(.*?)"', gateway.read_text())
        yield f"Portkey {found[1] if found else 'of no version'}"
    for tool in (["node", "--version"], ["go", "env", "GOVERSION"]):
        done = subprocess.run(tool, capture_output=True, text=True, check=False)
        yield f"{tool[0]} {done.stdout.strip().lstrip('vgo')}"


def table(measure: str, figures: Figures) -> str:
    """One measurement in Markdown."""
    layout = TABLES[measure]
    columns = layout.columns
    lines = [
        "| | " + " | ".join(column.title for column in columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for row, values in figures.items():
        cells = [_cell(column, row, values, figures) for column in columns]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(
    column: Column, row: str, values: dict[str, list[float]], figures: Figures
) -> str:
    value = median(values[column.figure]) * column.scale
    shown = f"{value:,.{column.digits}f}".replace(",", " ")
    if floor := _floor(column.ratio_to, row, figures):
        shown += f" ({value / median(figures[floor][column.figure]):.2f})"
    return shown


def _floor(ratio_to: str, row: str, figures: Figures) -> str:
    """The row that a row is compared with."""
    if ratio_to in figures:
        return ratio_to
    if ratio_to == "majordomo" and ", " in row:
        who, _, rest = row.partition(", ")
        if rest == "failover":
            return f"{who}, plain"
        if rest.isdigit():
            return f"{who}, 16"
    return ""


def page(results: Results, about: dict[str, Any]) -> str:
    """bench/RESULTS.md."""
    judged = verdicts(results)
    how = "bench QUICK=1" if about["quick"] else "bench"
    written = (
        f"Written by `make {how}` on {about['date']};"
        f" it took {about['minutes']:.0f} minutes."
    )
    lines = [
        "# What a call costs, beside the alternatives",
        "",
        written,
        *(
            ["A quick run: few and short rounds, so its figures are coarse."]
            if about["quick"]
            else []
        ),
        "",
        f"{about['machine']}.",
        f"{about['versions']}.",
        "",
        METHOD.read_text(),
        "## The aims",
        "",
        "| aim | found | |",
        "| --- | --- | --- |",
        *(f"| {one.aim} | {one.found} | {one.word} |" for one in judged),
        "",
    ]
    if PROFILE.exists():
        lines += [PROFILE.read_text().strip(), ""]
    lines += ["## Pictures", ""]
    for name, alt in PLOTS.items():
        lines += [f"![{alt}](plots/{name}.png)", ""]
    for measure, layout in TABLES.items():
        if measure not in results:
            continue
        lines += [f"## {layout.title}", "", table(measure, results[measure]), ""]
        lines += [layout.said, ""] if layout.said else []
    if about["failed"]:
        lines += ["## Not measured", ""]
        lines += [f"- {why}" for why in about["failed"]]
        lines.append("")
    return "\n".join(lines)


PLOTS = {
    "cpu": "CPU a call, beside the alternatives",
    "latency": "Latency added to an answer of 60 ms",
    "in-flight": "CPU a call from 16 to 1 000 in flight",
    "memory": "Memory idle and under load",
}


def terminal(measure: str, figures: Figures) -> str:
    """A table for people who look at a terminal, with the spread of the rounds."""
    layout = TABLES[measure]
    lines = [layout.title]
    floor = figures.get("echo", {}).get("cpu_us")
    for row, values in figures.items():
        cells = [
            f"{column.title}: {_cell(column, row, values, figures)}"
            for column in layout.columns
        ]
        costs: Sequence[float] = values.get("cpu_us", ())
        if floor and costs:
            cells.append(f"{median(costs) / median(floor):.2f} x echo")
        if len(costs) > 1:
            cells.append(f"rounds {min(costs):.0f} to {max(costs):.0f}")
        lines.append(f"  {row:<22} " + "   ".join(cells))
    return "\n".join(lines)
