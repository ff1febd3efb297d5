"""The numbers that anyone who is on call looks at, drawn from a server's page of
metrics.

Below each panel's title stands what to ask Prometheus for the same.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from scripts.observability_load import Samples

WINDOW = 5
"""Scrapes, a second apart, over which rates are taken."""

GOOD, MENDED, WAITING, BAD, QUIET = (
    "#2f8a53",
    "#4f86c6",
    "#d98a1f",
    "#c23b32",
    "#5b6675",
)
_OTHERS = (BAD, WAITING, "#7d4f9e", "#8c6d46", "#b0568c", "#56707a")
_STATES = {1.0: ("active", GOOD), 2.0: ("benched", BAD), 3.0: ("probing", WAITING)}
_MODEL = ("gen_ai_provider_name", "gen_ai_request_model")
_USAGE = "gen_ai_client_inference_usage_"

Scrapes = Sequence[tuple[float, Samples]]
Series = dict[tuple[str, ...], float]
Panel = Callable[[Axes, Scrapes], None]


def draw(scrapes: Scrapes) -> Figure:
    """All panels."""
    figure = Figure(figsize=(13, 9.8), facecolor="white")
    figure.text(0.03, 0.962, "majordomo", size=15, weight="bold")
    about = "a server under a mixed load, its page read once a second"
    figure.text(0.03, 0.94, about, size=9, color=QUIET)
    _tiles(figure, scrapes[-1][1])
    for number, (title, query, panel) in enumerate(_PANELS):
        row, column = divmod(number, 2)
        left, bottom = (0.03, 0.54)[column], 0.585 - 0.268 * row
        figure.text(left, bottom + 0.204, title, size=10.5, weight="bold")
        figure.text(
            left, bottom + 0.186, query, size=7.5, color=QUIET, family="monospace"
        )
        indent = 0.09 if row else 0.015  # names of targets stand there
        axes = figure.add_axes((left + indent, bottom, 0.435 - indent, 0.172))
        axes.tick_params(length=0)
        panel(axes, scrapes)
    return figure


def total(samples: Samples, name: str, *by: str, **only: str) -> Series:
    """The sums of the series of `name` that are `only`, by the labels `by`."""
    sums: Series = defaultdict(float)
    for (found, pairs), value in samples.items():
        labels = dict(pairs)
        if found == name and only.items() <= labels.items():
            sums[tuple(labels[label] for label in by)] += value
    return dict(sums)


def rates(scrapes: Scrapes, name: str, *by: str) -> dict[tuple[str, ...], list[float]]:
    """A second, at each scrape that has one WINDOW before it."""
    shown = [(when, total(samples, name, *by)) for when, samples in scrapes]
    keys = sorted(shown[-1][1])
    return {
        key: [
            (now.get(key, 0) - then.get(key, 0)) / (late - soon)
            for (soon, then), (late, now) in zip(shown, shown[WINDOW:], strict=False)
        ]
        for key in keys
    }


def quantile(share: float, buckets: Sequence[tuple[float, float]]) -> float:
    """As Prometheus's histogram_quantile has it, from (upper bound, count below)."""
    wanted = share * buckets[-1][1]
    for (lower, before), (upper, below) in pairwise([(0.0, 0.0), *buckets]):
        if below >= wanted:
            within = (wanted - before) / (below - before)
            return lower + (upper - lower) * within
    raise ValueError("nothing was measured")


def _tiles(figure: Figure, last: Samples) -> None:
    calls = total(last, "majordomo_calls_total", "outcome")
    recovered = calls["recovered",]
    answered = calls["first_try",] + recovered + calls.get(("restarted",), 0)
    tokens = sum(
        value
        for kind in ("input", "output")
        for value in total(last, f"{_USAGE}{kind}_tokens_total").values()
    )
    states = total(last, "majordomo_target_state", "target")
    tiles = [
        ("calls", f"{sum(calls.values()):.0f}", "black"),
        ("answered", f"{answered / sum(calls.values()):.1%}", GOOD),
        ("of those, recovered", f"{recovered:.0f}", MENDED),
        ("benches", f"{total(last, 'majordomo_benches_total')[()]:.0f}", BAD),
        ("targets out now", f"{sum(s > 1 for s in states.values())}", "black"),
        ("tokens", f"{tokens:,.0f}".replace(",", " "), "black"),
    ]
    for number, (name, value, color) in enumerate(tiles):
        axes = figure.add_axes((0.03 + 0.1585 * number, 0.842, 0.1525, 0.08))
        axes.set_facecolor("#f5f7fa")
        axes.set_xticks([])
        axes.set_yticks([])
        for side in axes.spines.values():
            side.set_visible(False)
        axes.text(0.06, 0.6, value, size=18, weight="bold", color=color, va="center")
        axes.text(0.06, 0.2, name, size=8.5, color=QUIET, va="center")


def _calls(axes: Axes, scrapes: Scrapes) -> None:
    found = {
        key: values
        for (key,), values in rates(scrapes, "majordomo_calls_total", "outcome").items()
    }
    colors = {"first_try": GOOD, "recovered": MENDED}
    errors = [key for key in found if key not in colors]
    colors |= dict(zip(errors, _OTHERS, strict=False))
    axes.stackplot(
        [when for when, _ in scrapes[WINDOW:]],
        *(found[key] for key in colors),
        colors=list(colors.values()),
        labels=list(colors),
    )
    _over_time(axes, scrapes)
    axes.set_ylim(0, 4.6)
    axes.legend(ncols=3, loc="upper left", fontsize=7.5, frameon=False)


def _failures(axes: Axes, scrapes: Scrapes) -> None:
    found = rates(scrapes, "majordomo_attempts_total", "target", "error_type")
    failed = [(key, values) for key, values in found.items() if key[1]]
    failed.sort(key=lambda it: -sum(it[1]))
    for (key, values), color in zip(failed, _OTHERS, strict=False):
        label = f"{key[0]}  {key[1]}"
        times = [when for when, _ in scrapes[WINDOW:]]
        axes.plot(times, values, color=color, label=label, drawstyle="steps-mid")
        axes.fill_between(times, values, color=color, alpha=0.2, step="mid")
    _over_time(axes, scrapes)
    axes.set_ylim(0, 1)
    axes.legend(ncols=2, loc="upper left", fontsize=7.5, frameon=False)


def _states(axes: Axes, scrapes: Scrapes) -> None:
    targets = [
        key
        for (key,) in sorted(total(scrapes[0][1], "majordomo_target_state", "target"))
    ]
    for place, target in enumerate(targets):
        for (begin, samples), (end, _) in pairwise(scrapes):
            state = total(samples, "majordomo_target_state", target=target)[()]
            color = _STATES[state][1]
            axes.barh(place, end - begin, 0.55, begin, color=color, align="center")
    _name_rows(axes, targets)
    _over_time(axes, scrapes)
    patches = [Patch(color=color, label=name) for name, color in _STATES.values()]
    axes.legend(
        handles=patches,
        ncols=3,
        fontsize=7.5,
        frameon=False,
        loc="lower right",
        bbox_to_anchor=(1.0, 0.97),
        borderpad=0.1,
    )


def _steps(axes: Axes, scrapes: Scrapes) -> None:
    last = scrapes[-1][1]
    names = ("from", "to", "error_type")
    failovers = total(last, "majordomo_failovers_total", *names)
    skips = total(last, "majordomo_skips_total", "target", "reason")
    rows = [
        *((f"{a} → {b}", why, n, BAD) for (a, b, why), n in sorted(failovers.items())),
        *((f"{a} skipped", why, n, MENDED) for (a, why), n in sorted(skips.items())),
    ]
    most = max(count for *_, count, _ in rows)
    for place, (_, why, count, color) in enumerate(rows):
        axes.barh(place, count, 0.55, color=color)
        axes.text(count + most * 0.012, place, f"{count:.0f}  {why}", va="center")
    _name_rows(axes, [what.replace(" → ", "\n→ ") for what, *_ in rows])
    axes.set_xlim(0, most * 1.25)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def _durations(axes: Axes, scrapes: Scrapes) -> None:
    last = scrapes[-1][1]
    name = "gen_ai_client_inference_duration_seconds_bucket"
    found = total(last, name, *_MODEL, "le", error_type="")
    models = sorted({key[:2] for key in found})
    for place, model in enumerate(models):
        buckets = sorted(
            (float(key[2]), count) for key, count in found.items() if key[:2] == model
        )
        middle, late = (quantile(share, buckets) for share in (0.5, 0.95))
        axes.plot([middle, late], [place, place], color=MENDED, lw=5, alpha=0.5)
        axes.plot(middle, place, "o", color=MENDED, ms=9)
        axes.plot(late, place, "|", color=MENDED, ms=14, mew=2.5)
        words = f"{middle * 1000:.0f} to {late * 1000:.0f} ms"
        axes.text(late * 1.08, place, words, va="center")
    _name_rows(axes, ["/".join(model) for model in models])
    axes.set_xscale("log")
    axes.set_xlim(0.02, 2)
    axes.set_xticks([0.02, 0.1, 0.5, 2], ["20 ms", "100 ms", "500 ms", "2 s"])
    axes.minorticks_off()
    axes.grid(axis="x", color="#e6eaef", lw=0.7)
    axes.set_axisbelow(True)


def _tokens(axes: Axes, scrapes: Scrapes) -> None:
    last = scrapes[-1][1]
    read = total(last, f"{_USAGE}input_tokens_total", *_MODEL)
    wrote = total(last, f"{_USAGE}output_tokens_total", *_MODEL)
    models = sorted({*read, *wrote})
    for kind, (sums, color) in {
        "input": (read, "#9fb4cf"),
        "output": (wrote, "#33517e"),
    }.items():
        shift = -0.19 if kind == "input" else 0.19
        for place, model in enumerate(models):
            count = sums.get(model, 0)
            axes.barh(place + shift, count, 0.34, color=color)
            words = f" {count:,.0f} {kind}".replace(",", " ")
            axes.text(count, place + shift, words, va="center", size=8)
    _name_rows(axes, ["/".join(model) for model in models])
    axes.set_xlim(0, max(*read.values(), *wrote.values()) * 1.2)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", labelcolor="#1f2937", labelsize=8.5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)


def _over_time(axes: Axes, scrapes: Scrapes) -> None:
    axes.set_xlim(0, scrapes[-1][0])
    axes.xaxis.set_major_formatter("{x:.0f} s")


_FAILED = (
    'sum by (target, error_type) (rate(majordomo_attempts_total{error_type!=""}[5s]))'
)
_LATE = 'histogram_quantile(0.95, ..._inference_duration_seconds_bucket{error_type=""})'
_PANELS: list[tuple[str, str, Panel]] = [
    (
        "Calls a second, by outcome",
        "sum by (outcome) (rate(majordomo_calls_total[5s]))",
        _calls,
    ),
    (
        "Failed attempts a second, by target and reason",
        _FAILED,
        _failures,
    ),
    ("State of each target", "majordomo_target_state", _states),
    (
        "Failovers and skips",
        "majordomo_failovers_total   majordomo_skips_total",
        _steps,
    ),
    (
        "How long attempts take that succeed: median to 95th percentile",
        _LATE,
        _durations,
    ),
    (
        "Tokens, by model",
        "gen_ai_client_inference_usage_input_tokens_total   ..._output_tokens_total",
        _tokens,
    ),
]
