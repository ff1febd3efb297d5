"""A failover's trace as a waterfall, drawn from what Jaeger's API gives."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from majordomo.telemetry import semconv
from testkit.jaeger import Trace, logs, tags

SERVER, CHAIN, FAILED, WAITING, ANSWERED, EVENT, QUIET = (
    "#33517e",
    "#8ea4c4",
    "#c23b32",
    "#a9d3b6",
    "#2f8a53",
    "#d98a1f",
    "#5b6675",
)
_SHOWN = {
    "SERVER": (
        semconv.RPC_METHOD,
        semconv.RPC_STATUS_CODE,
        semconv.OUTCOME,
        semconv.TARGET,
        semconv.ATTEMPTS,
        semconv.FAILOVERS,
        semconv.SKIPPED,
    ),
    "attempt": (
        "error",
        semconv.ERROR_TYPE,
        semconv.HTTP_STATUS_CODE,
        semconv.ATTEMPT_NUMBER,
        semconv.ATTEMPT_TARGET,
        semconv.ATTEMPT_OUTCOME,
        semconv.ATTEMPT_PROBE,
    ),
    "answer": (
        semconv.GEN_AI_PROVIDER,
        semconv.GEN_AI_RESPONSE_MODEL,
        semconv.GEN_AI_RESPONSE_FINISH,
        semconv.GEN_AI_RESPONSE_FIRST_CHUNK,
        semconv.GEN_AI_USAGE_INPUT,
        semconv.GEN_AI_USAGE_OUTPUT,
        semconv.ATTEMPT_TARGET,
        semconv.ATTEMPT_OUTCOME,
    ),
}
"""What the boxes below the waterfall show of each span."""


@dataclass
class Row:
    """A line of the waterfall: a span, or an event where `length` is None."""

    label: str
    start: float
    length: float | None
    color: str
    words: str
    first_content: float = 0.0


def the_failover(traces: list[Trace]) -> Trace:
    """The first trace in which a target was tried twice, benched, and left."""
    return min(filter(_fails_over, traces), key=lambda it: _spans(it)[0]["startTime"])


def _fails_over(trace: Trace) -> bool:
    spans = _spans(trace)
    numbers = [tags(span).get(semconv.ATTEMPT_NUMBER) for span in spans]
    return numbers == [None, None, 1, 2, 3] and any(logs(spans[3]))


def _spans(trace: Trace) -> list[Trace]:
    """From the outside in, in the order of time."""
    spans: list[Trace] = trace["spans"]
    return sorted(spans, key=lambda it: (it["startTime"], -it["duration"]))


def draw(trace: Trace) -> Figure:
    """The waterfall, and below it what the spans say."""
    figure = Figure(figsize=(13, 7.4), facecolor="white")
    figure.text(
        0.02, 0.955, "A failover, as Jaeger gives it back", size=15, weight="bold"
    )
    reported = f"trace {trace['traceID']}"
    figure.text(0.02, 0.925, reported, size=9, color=QUIET, family="monospace")
    _waterfall(figure.add_axes((0.255, 0.46, 0.725, 0.42)), list(_rows(trace)))
    server, chain, _, second, answer = _spans(trace)
    boxes = {
        "SERVER span": _said(server, _SHOWN["SERVER"]),
        "second attempt, CLIENT": _said(second, _SHOWN["attempt"]),
        "its event, and the chain's": [*_event(second), ("", ""), *_event(chain)],
        "third attempt, CLIENT": _said(answer, _SHOWN["answer"]),
    }
    for number, (title, pairs) in enumerate(boxes.items()):
        _box(
            figure.add_axes((0.02 + 0.2425 * number, 0.03, 0.2325, 0.385)), title, pairs
        )
    return figure


def _rows(trace: Trace) -> Iterator[Row]:
    server, chain, *attempts = _spans(trace)
    begin = server["startTime"]
    method = server["operationName"].rpartition(".")[2]
    yield Row(method, *_times(server, begin), SERVER, tags(server)[semconv.OUTCOME])
    about = f"{semconv.CHAIN} = {tags(chain)[semconv.CHAIN]}"
    yield Row("└─ chain", *_times(chain, begin), CHAIN, about)
    for attempt in attempts:
        said = tags(attempt)
        error = said.get(semconv.ERROR_TYPE)
        if chain["logs"] and attempt is attempts[-1]:
            yield _event_row("   ├─ ", chain, begin, (semconv.EVENT_TO,))
        branch = "   └─ " if attempt is attempts[-1] else "   ├─ "
        words = f"{said[semconv.ATTEMPT_TARGET]}  HTTP {said[semconv.HTTP_STATUS_CODE]}"
        if error:
            words += f"  {error}"
        else:
            tokens = said[semconv.GEN_AI_USAGE_INPUT], said[semconv.GEN_AI_USAGE_OUTPUT]
            words += "  {} tokens in, {} out".format(*tokens)
        yield Row(
            branch + attempt["operationName"],
            *_times(attempt, begin),
            FAILED if error else ANSWERED,
            words,
            said.get(semconv.GEN_AI_RESPONSE_FIRST_CHUNK, 0.0) * 1000,
        )
        if attempt["logs"]:
            yield _event_row("   │  └─ ", attempt, begin, (semconv.EVENT_COOLDOWN,))


def _times(span: Trace, begin: int) -> tuple[float, float]:
    """Begin and length, in milliseconds."""
    return (span["startTime"] - begin) / 1000, span["duration"] / 1000


def _event_row(branch: str, span: Trace, begin: int, keys: tuple[str, ...]) -> Row:
    (log,) = span["logs"]
    (said,) = logs(span)
    words = "  ".join(f"{key} = {_short(said[key])}" for key in keys)
    when = (log["timestamp"] - begin) / 1000
    name = said["event"].removeprefix("majordomo.")
    return Row(f"{branch}◆ {name}", when, None, EVENT, words)


def _waterfall(axes: Axes, rows: list[Row]) -> None:
    whole = rows[0].length or 1.0
    for place, row in enumerate(rows):
        axes.text(
            -0.325,
            place,
            row.label,
            family="monospace",
            size=9.5,
            va="center",
            transform=axes.get_yaxis_transform(),
            color="#1f2937",
        )
        if place % 2 == 0:
            axes.axhspan(place - 0.5, place + 0.5, color="#f5f7fa", zorder=0)
        if row.length is None:
            axes.plot(row.start, place, "D", color=row.color, ms=8, zorder=3)
            end = row.start + whole * 0.012
        else:
            _bar(axes, place, row, row.length)
            end = row.start + row.length
        _words(axes, place, row, end, whole)
    axes.set_xlim(0, whole * 1.005)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.xaxis.set_major_formatter("{x:.0f} ms")
    axes.grid(axis="x", color="#dde3ea", lw=0.7, zorder=0)


def _bar(axes: Axes, place: int, row: Row, length: float) -> None:
    before = row.first_content
    content = row.start + before
    axes.barh(place, length - before, 0.58, content, color=row.color, zorder=2)
    if before:
        axes.barh(place, before, 0.58, row.start, color=WAITING, zorder=2)
        axes.annotate(
            f"first content after {before:.0f} ms",
            (content, place - 0.29),
            (content, place - 0.72),
            size=8,
            color=ANSWERED,
            ha="center",
            va="center",
            arrowprops={"arrowstyle": "-", "color": ANSWERED, "lw": 0.8},
        )


def _words(axes: Axes, place: int, row: Row, end: float, whole: float) -> None:
    """Beside the bar, or in front of it or on it where there is no room."""
    words = row.words if row.length is None else f"{row.words}   {row.length:.0f} ms"
    gap = whole * 0.008
    if end < whole * 0.62:
        axes.text(end + gap, place, words, va="center", size=9, zorder=4)
    elif row.start > whole * 0.4:
        axes.text(row.start - gap, place, words, va="center", ha="right", size=9)
    else:
        axes.text(gap, place, words, va="center", size=9, color="white", zorder=4)


Pairs = list[tuple[str, str]]


def _said(span: Trace, keys: tuple[str, ...]) -> Pairs:
    said = tags(span)
    return [(key, _short(said[key])) for key in keys if key in said]


def _event(span: Trace) -> Pairs:
    (said,) = logs(span)
    rest = [(f"  {key}", _short(it)) for key, it in said.items() if key != "event"]
    return [(f"◆ {said['event']}", ""), *rest]


def _short(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.3f}"
        case _:
            text = str(value).removeprefix("majordomo.v1.")
            return text if len(text) < 28 else text[:23] + "Z"


def _box(axes: Axes, title: str, pairs: Pairs) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("#f5f7fa")
    for side in axes.spines.values():
        side.set_visible(False)
    axes.text(0.04, 0.92, title, size=9.5, weight="bold", va="center")
    step = 0.83 / 12
    for number, (key, value) in enumerate(pairs):
        height = 0.82 - number * step
        color = EVENT if key.startswith("◆") else QUIET
        axes.text(0.04, height, key, size=7.6, color=color, va="center")
        axes.text(0.97, height, value, size=7.6, va="center", ha="right")
