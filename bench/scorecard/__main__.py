"""Run the scorecard: `python -m bench.scorecard --litellm PYTHON`.

Writes docs/scorecard.md by the rules of RULES.md. Takes about three minutes.
"""

import asyncio
import datetime as dt
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

import click

from bench.scorecard.contestants import LITELLM, MAJORDOMO, majordomo, proxy, router
from bench.scorecard.judge import LIMIT, ROWS, Came, verdict
from bench.scorecard.provider import OUTAGE, Provider
from majordomo.distribution import DISTRIBUTION

Call = Callable[[str, str], Awaitable[Came]]

PAGE = Path(__file__).parents[2] / "docs" / "scorecard.md"
PACE = 5.0
"""Calls a second in the row "outage"."""

_TAIL = 65.0


async def timed(call: Call, row: str, contestant: str) -> Came:
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(LIMIT + 2):
            came = await call(row, contestant)
    except TimeoutError:
        came = Came(hung=True)
    came.seconds = loop.time() - began
    return came


async def one(call: Call, provider: Provider, row: str, contestant: str) -> str:
    """A cell of the table."""
    came = await timed(call, row, contestant)
    primary = len(provider.seen[row, contestant, "primary"].calls)
    fallback = len(provider.seen[row, contestant, "fallback"].calls)
    reported = verdict(row, came)
    return f"{reported}; {primary}+{fallback} calls, {came.seconds:.1f} s"


async def outage(call: Call, provider: Provider, contestant: str) -> str:
    """The row "outage": a steady load while the primary goes and comes back."""
    loop = asyncio.get_running_loop()
    began = provider.began["outage", contestant] = loop.time()
    calls = []
    while (now := loop.time()) < began + OUTAGE[1] + _TAIL:
        calls.append(asyncio.create_task(timed(call, "outage", contestant)))
        await asyncio.sleep(max(0.0, began + len(calls) / PACE - now))
    verdicts = [verdict("outage", came) for came in await asyncio.gather(*calls)]
    seen = provider.seen["outage", contestant, "primary"]
    down = [at - began for at in seen.calls if OUTAGE[0] <= at - began < OUTAGE[1]]
    later = [at for at in down if at >= OUTAGE[0] + 5]
    most = max((sum(at <= b < at + 5 for b in later) for at in later), default=0)
    back = next((at - began for at in seen.answered if at - began >= OUTAGE[1]), None)
    lost = [reported for reported in verdicts if reported != "rescued"]
    reported = (
        "rescued" if not lost else f"{max(set(lost), key=lost.count)} x {len(lost)}"
    )
    again = "never back" if back is None else f"back after {back - OUTAGE[1]:.1f} s"
    return f"{reported}; {len(down)} calls while down, {most} in 5 s, {again}"


async def run(litellm: Path | None) -> dict[str, dict[str, str]]:
    """Every cell, by row and contestant."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        provider = await stack.enter_async_context(Provider())
        ours = await stack.enter_async_context(majordomo(provider, folder))
        calls: dict[str, Call] = dict.fromkeys(MAJORDOMO, ours.call)
        if litellm is not None:
            enter = stack.enter_async_context
            over_http = await enter(proxy(provider, folder, litellm))
            within = await enter(router(provider, folder, litellm))
            for name in LITELLM:
                http = name.startswith("proxy")
                calls[name] = over_http.call if http else within.call
        cells = [
            (row, name, asyncio.create_task(_cell(call, provider, row, name)))
            for row in ROWS
            for name, call in calls.items()
        ]
        table: dict[str, dict[str, str]] = {row: {} for row in ROWS}
        for row, name, task in cells:
            table[row][name] = await task
        return table


async def _cell(call: Call, provider: Provider, row: str, name: str) -> str:
    # Not all at once: what is measured is not how they bear a burst.
    await asyncio.sleep(0.3 * list(ROWS).index(row))
    if row == "outage":
        return await outage(call, provider, name)
    return await one(call, provider, row, name)


def page(table: dict[str, dict[str, str]], litellm: str) -> str:
    """The result as it is published."""
    names = {**MAJORDOMO, **(LITELLM if litellm else {})}
    today = dt.datetime.now(dt.UTC).date()
    versions = [f"majordomo {version(DISTRIBUTION)}", litellm or "without LiteLLM"]
    versions.append(f"Python {sys.version.split()[0]}")
    lines = [
        "# Scorecard",
        "",
        "What a caller gets when a provider fails, by the rules of",
        "[`bench/scorecard/RULES.md`](../bench/scorecard/RULES.md), which were written",
        "before the first run. Written by `make scorecard`.",
        "",
        f"{today}; {', '.join(versions)}; two cores, loopback.",
        "",
        "A cell has the verdict, the calls that primary and fallback saw, the time.",
        "",
    ]
    for group in (MAJORDOMO, LITELLM if litellm else {}):
        if not group:
            continue
        lines.append("| row | " + " | ".join(names[name] for name in group) + " |")
        lines.append("| --- |" + " --- |" * len(group))
        for row, title in ROWS.items():
            cells = " | ".join(table[row][name] for name in group)
            lines.append(f"| {title} | {cells} |")
        lines.append("")
    lines.append("| | failed | error | rescued |")
    lines.append("| --- | ---: | ---: | ---: |")
    for name, title in names.items():
        reported = [table[row][name] for row in ROWS]
        failed = sum("FAILED" in cell for cell in reported)
        rescued = sum(cell.startswith("rescued") for cell in reported)
        errors = len(reported) - failed - rescued
        lines.append(f"| {title} | {failed} | {errors} | {rescued} |")
    return "\n".join([*lines, ""])


@click.command()
@click.option("--litellm", type=click.Path(path_type=Path), help="Python that has it.")
@click.option("--write/--show", default=True, help="Write docs/scorecard.md, or not.")
def main(litellm: Path | None, write: bool) -> None:
    """Play every row for every contestant."""
    table = asyncio.run(run(litellm.absolute() if litellm else None))
    of_litellm = ""
    if litellm is not None:
        asked = "from importlib.metadata import version; print(version('litellm'))"
        done = subprocess.run(
            [litellm, "-c", asked], capture_output=True, text=True, check=True
        )
        of_litellm = f"LiteLLM {done.stdout.strip()}"
    text = page(table, of_litellm)
    if write:
        PAGE.write_text(text)
    click.echo(text)


main()
