"""What a call costs, beside an empty grpc.aio service in the same run.

    python -m bench [--rounds N] [--only WORD] [--profile]

CPU of the whole server process (user and system, all threads) a call, by medians of
interleaved rounds. The server has one core to itself, the callers, the provider and
the collector share another. Compare within one run only; ratios are what counts.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import sampling

CHUNKS = 200
PACE = 0.005
IN_FLIGHT = 16
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    name: str
    kind: str
    calls: int
    pace: float = 0.0


LOADS = [
    Load("unary", "unary", 3000),
    Load(f"stream, {CHUNKS} chunks in a burst", "stream", 150),
    Load(f"stream, {CHUNKS} chunks at {PACE * 1000:.0f} ms", "stream", 96, PACE),
]
SAMPLED = {"traced at 5 %": "0.05", "traced": "1"}
SUBJECTS = ["echo", "majordomo", *SAMPLED]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="loads whose name begins so")
    parser.add_argument("--profile", action="store_true", help="split by py-spy")
    options = parser.parse_args()
    for load in LOADS:
        if not load.name.startswith(options.only):
            continue
        with ExitStack() as stack:
            servers = {
                name: stack.enter_context(serve(name, load)) for name in SUBJECTS
            }
            for server in servers.values():
                measure(server, load, share=5)
            costs = defaultdict(list)
            for _ in range(options.rounds):
                for name, server in servers.items():
                    costs[name].append(measure(server, load))
            _report(load, costs)
            if options.profile:
                for name in SUBJECTS[1:]:
                    pid = servers[name][0]
                    with sampling.split(pid, f"{load.name}, {name}"):
                        measure(servers[name], load)


def _report(load: Load, costs: dict[str, list[float]]) -> None:
    print(f"\n{load.name} ({load.calls} calls a round, {IN_FLIGHT} in flight)")
    floor = statistics.median(costs["echo"])
    for name, values in costs.items():
        middle = statistics.median(values)
        print(
            f"  {name:<18} {middle:9.0f} us CPU a call   {middle / floor:5.2f} x echo"
            f"   (rounds {min(values):.0f} to {max(values):.0f})"
        )


def measure(server: tuple[int, str], load: Load, share: int = 1) -> float:
    """Microseconds of the server's CPU a call."""
    pid, port = server
    calls = max(load.calls // share, IN_FLIGHT)
    command = [*_on(1), "bench.load", port, load.kind]
    before = _cpu(pid)
    subprocess.run(
        [*command, str(calls), str(IN_FLIGHT)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return (_cpu(pid) - before) / calls * 1e6


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _on(core: int) -> list[str]:
    """How to start a Python module on one core."""
    core %= os.cpu_count() or 1
    return ["taskset", "--cpu-list", str(core), sys.executable, "-m"]


@contextmanager
def _process(core: int, *command: str, **environ: str) -> Iterator[tuple[int, str]]:
    """A Python process on one core: its id, and the first word of its last line."""
    process = subprocess.Popen(
        [*_on(core), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the log, a line a call
        text=True,
        env={**os.environ, **environ},
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip().rpartition(":")[2]
        if not port.isdigit():
            raise RuntimeError(f"{command[0]} did not start: {port!r}")
        yield process.pid, port
    finally:
        process.terminate()
        process.communicate(timeout=20)


@contextmanager
def serve(subject: str, load: Load) -> Iterator[tuple[int, str]]:
    chunks, pace = str(CHUNKS), str(load.pace)
    with ExitStack() as stack:
        if subject == "echo":
            yield stack.enter_context(_process(0, "bench.echo", chunks, pace))
            return
        environ = {}
        if subject in SAMPLED:
            _, port = stack.enter_context(_process(1, "bench.collector"))
            environ = {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{port}",
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": SAMPLED[subject],
            }
        _, port = stack.enter_context(_process(1, "bench.upstream", chunks, pace))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        config = Path(folder, "bench.toml")
        config.write_text(
            f"""
            [server]
            listen = "127.0.0.1:0"
            [providers.bench]
            kind = "openai-compatible"
            base_url = "http://127.0.0.1:{port}/v1"
            [tiers]
            bench = "bench/one"
            """
        )
        yield stack.enter_context(
            _process(0, "majordomo.cli", "serve", "--config", str(config), **environ)
        )


if __name__ == "__main__":
    main()
