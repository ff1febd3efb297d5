"""The pictures of bench/RESULTS.md, in bench/plots; needs the extra `plots`."""

from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

from bench.aims import CHUNKS, Results

mpl.use("agg")
import matplotlib.pyplot as plt

FOLDER = Path(__file__).with_name("plots")

_OURS = "#1b6ca8"
_ECHO = "#b9b9b9"
_OTHERS = "#d98c3f"
_STYLE: Any = {  # its keys are literals to the types of matplotlib
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "font.size": 10,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 110,
}


def draw(results: Results) -> None:
    """Every picture that there are figures for."""
    FOLDER.mkdir(exist_ok=True)
    with plt.rc_context(_STYLE):
        for name, measures, picture in (
            ("cpu", ("unary", "burst", "paced"), _cpu),
            ("latency", ("latency",), _latency),
            ("in-flight", ("in-flight",), _in_flight),
            ("memory", ("life",), _memory),
        ):
            if all(measure in results for measure in measures):
                figure = picture(results)
                # Nothing of the machine or the hour in the file.
                figure.savefig(FOLDER / f"{name}.png", metadata={"Software": None})
                plt.close(figure)


def _cpu(results: Results) -> Any:
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.2))
    for axis, measure, scale, title in (
        (axes[0], "unary", 1.0, "unary: us of CPU a call"),
        (axes[1], "burst", 1 / CHUNKS, "in a burst: us of CPU a chunk"),
        (axes[2], "paced", 1 / CHUNKS, "one every 5 ms: us of CPU a chunk"),
    ):
        rows = {
            row: median(values["cpu_us"]) * scale
            for row, values in results[measure].items()
        }
        _bars(axis, rows, title)
    return figure


def _latency(results: Results) -> Any:
    figure, axes = plt.subplots(1, 2, figsize=(10, 2.8))
    for axis, name in zip(axes, ("p50", "p99"), strict=True):
        rows = {
            row: values[f"added_{name}_ms"][0]
            for row, values in results["latency"].items()
        }
        _bars(axis, rows, f"added to an answer of 60 ms: {name}, ms", digits=1)
    return figure


def _in_flight(results: Results) -> Any:
    figure, axis = plt.subplots(figsize=(6, 3.2))
    counts: list[int] = sorted(
        {int(row.rpartition(", ")[2]) for row in results["in-flight"]}
    )
    for who, colour in (("majordomo", _OURS), ("echo", _ECHO)):
        rows = results["in-flight"]
        costs = [median(rows[f"{who}, {count}"]["cpu_us"]) for count in counts]
        axis.plot(counts, costs, marker="o", color=colour, label=who)
    axis.set_xscale("log")
    axis.set_xticks(counts, [f"{count:,}".replace(",", " ") for count in counts])
    axis.minorticks_off()
    axis.set_ylim(bottom=0)
    axis.set_xlabel("calls in flight")
    axis.set_title("unary: us of CPU a call")
    axis.legend(frameon=False)
    return figure


def _memory(results: Results) -> Any:
    figure, axes = plt.subplots(1, 2, figsize=(10, 3))
    for axis, name, title in (
        (axes[0], "idle_mb", "memory idle, MB"),
        (axes[1], "loaded_mb", "memory with 128 calls in flight, MB"),
    ):
        rows = {row: median(values[name]) for row, values in results["life"].items()}
        _bars(axis, rows, title)
    return figure


def _bars(
    axis: Any,
    rows: dict[str, float],
    title: str,
    *,
    digits: int = 0,
) -> None:
    """Bars that lie, the least on top, each with its figure."""
    names = sorted(rows, key=rows.__getitem__, reverse=True)
    colours = {"majordomo": _OURS, "echo": _ECHO}
    bars = axis.barh(
        names,
        [rows[name] for name in names],
        color=[colours.get(name, _OTHERS) for name in names],
    )
    shown = [f" {rows[name]:,.{digits}f}".replace(",", " ") for name in names]
    axis.bar_label(bars, shown)
    axis.margins(x=0.2)
    axis.set_title(title)
    axis.xaxis.set_visible(False)
    axis.spines["bottom"].set_visible(False)
