"""What a run's figures say of the aims."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from bench.measurements import Figures

Results = dict[str, Figures]

CHUNKS = 200
INTERPRETED = ("Portkey", "openai package", "LiteLLM")


class MissingError(Exception):
    """A figure that an aim needs was not measured."""


@dataclass(frozen=True)
class Verdict:
    aim: str
    found: str
    met: bool | None
    """None: not measured."""

    @property
    def word(self) -> str:
        return {True: "met", False: "**not met**", None: "not measured"}[self.met]


def figure(results: Results, measure: str, row: str, name: str) -> float:
    """The median of a figure's rounds."""
    try:
        return median(results[measure][row][name])
    except KeyError:
        raise MissingError from None


def verdicts(results: Results) -> list[Verdict]:
    """Every aim, in the order of the report."""

    def cost(measure: str, row: str = "majordomo") -> float:
        return figure(results, measure, row, "cpu_us")

    def unary_echo() -> tuple[str, bool]:
        ratio = cost("unary") / cost("unary", "echo")
        return f"{ratio:.2f} times", ratio <= 1.9

    def unary_portkey() -> tuple[str, bool]:
        ratio = cost("unary", "Portkey") / cost("unary")
        return f"Portkey needs {ratio:.1f} times as much", ratio >= 3

    def unary_openai() -> tuple[str, bool]:
        ratio = cost("unary", "openai package") / cost("unary")
        return f"the package needs {ratio:.1f} times as much", ratio > 1

    def in_bursts() -> tuple[str, bool]:
        chunk = cost("burst") / CHUNKS
        return f"{chunk:.1f} us", chunk <= 10

    def at_a_pace() -> tuple[str, bool]:
        ratio = cost("paced") / cost("paced", "echo")
        return f"{ratio:.2f} times", ratio <= 1.3

    def inside() -> tuple[str, bool]:
        ratio = cost("inside", "as a stream") / cost("inside", "asked for whole")
        return f"{ratio:.2f} times", ratio <= 2

    def over() -> tuple[str, bool]:
        plain = cost("failover", "majordomo, plain")
        ratio = cost("failover", "majordomo, failover") / plain
        return f"{ratio:.2f} times", ratio <= 1.5

    def skipped() -> tuple[str, bool]:
        pairs = zip(
            results["skip"]["skip"]["cpu_us"],
            results["skip"]["no skip"]["cpu_us"],
            strict=True,
        )
        more = 100 * (median(one / other for one, other in pairs) - 1)
        return f"{more:+.1f} %", more <= 3

    def added() -> tuple[str, bool]:
        ours = figure(results, "latency", "majordomo", "added_p50_ms")
        theirs = {
            who: figure(results, "latency", who, "added_p50_ms") for who in INTERPRETED
        }
        reported = ", ".join(f"{who} {value:.1f}" for who, value in theirs.items())
        native = figure(results, "latency", "TensorZero", "added_p50_ms")
        reported += f"; native: TensorZero {native:.1f}"
        return f"{ours:.1f} ms; {reported}", ours < min(theirs.values())

    def growth() -> tuple[str, bool]:
        ours, floor = (
            cost("in-flight", f"{who}, 1000") / cost("in-flight", f"{who}, 16")
            for who in ("majordomo", "echo")
        )
        return f"{ours:.2f} times; the echo {floor:.2f}", ours <= 1.1 * floor

    def streams() -> tuple[str, bool]:
        lost, late, latest, peak = (
            figure(results, "held", "majordomo", name)
            for name in ("lost", "late", "latest_ms", "peak_mb")
        )
        reported = f"{lost:.0f} lost, {late:.0f} late, the latest {latest:.0f} ms"
        return f"{reported}, {peak:.0f} MB", not lost and not late and peak < 350

    def idle() -> tuple[str, bool]:
        megabytes = figure(results, "life", "majordomo", "idle_mb")
        return f"{megabytes:.0f} MB", megabytes < 90

    def ready() -> tuple[str, bool]:
        seconds = figure(results, "life", "majordomo", "ready_seconds")
        return f"{seconds:.2f} s", seconds <= 1.5

    aims: list[tuple[str, Callable[[], tuple[str, bool]]]] = [
        ("1. Unary: at most 1.9 times the echo", unary_echo),
        ("1. Unary: Portkey needs at least 3 times as much", unary_portkey),
        ("1. Unary: less than the openai package without a gateway", unary_openai),
        ("2. Streams in bursts: at most 10 us a chunk", in_bursts),
        ("2. Streams at a pace: at most 1.3 times the echo's", at_a_pace),
        ("2. Whole answers as streams, 50 tokens/s: at most twice a whole one", inside),
        ("3. Failover from a 503: at most 1.5 times a plain call", over),
        ("3. Skip of a benched target: at most 3 % more", skipped),
        ("4. Added p50: below every peer in an interpreter", added),
        ("5. From 16 to 1 000 in flight: at most 1.1 times the echo's growth", growth),
        ("6. 300 streams: none lost, none over 250 ms late, under 350 MB", streams),
        ("7. Idle: under 90 MB", idle),
        ("7. Serving within 1.5 s of its start", ready),
    ]
    reported = []
    for aim, judge in aims:
        try:
            reported.append(Verdict(aim, *judge()))
        except (MissingError, KeyError):
            reported.append(Verdict(aim, "", None))
    return reported
