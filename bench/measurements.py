"""What is measured: each function is one table, each figure a list with one a round.

Subjects take turns within a round, so that what else the machine does meets all of them
alike. Every measurement is bounded in time.
"""

import contextlib
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc

from bench import sampling
from bench.processes import cpu, memory, native
from bench.subjects import (
    OTHERS,
    Outcome,
    Served,
    Subject,
    Work,
    WorkFailedError,
    traced,
    upstream,
)
from majordomo.v1.operator_service_pb2 import BenchRequest
from majordomo.v1.operator_service_pb2_grpc import OperatorServiceStub

Figures = dict[str, dict[str, list[float]]]
"""By row and figure, the rounds."""

OURS = ("echo", "majordomo")

HELD = 300


@dataclass
class Session:
    """What the measurements of a run share."""

    provider: str
    folder: Path
    serve: Mapping[str, Callable[[str, Path], Served]]
    subjects: Mapping[str, Subject]
    image: str
    quick: bool = False
    rounds: int | None = None
    profile: bool = False
    failed: list[str] = field(default_factory=list)
    """What could not be measured, and why."""

    @property
    def base_url(self) -> str:
        return f"http://{self.provider}/v1"

    def turns(self, usual: int) -> int:
        return self.rounds or (max(1, usual // 3) if self.quick else usual)

    def span(self, work: Work) -> Work:
        """The work, shorter in a quick run."""
        if not self.quick:
            return work
        return replace(work, seconds=work.seconds * 0.4, calls=work.calls // 3)

    def among(self, *names: str) -> list[Subject]:
        return [self.subjects[name] for name in names if name in self.subjects]

    @property
    def all(self) -> list[Subject]:
        return list(self.subjects.values())


Job = tuple[str, Subject, Work]


def _rounds(session: Session, jobs: Iterable[Job], rounds: int) -> Figures:
    """Do the jobs by turns; CPU, latencies and calls of each."""
    jobs = [(row, subject, session.span(work)) for row, subject, work in jobs]
    figures: Figures = defaultdict(lambda: defaultdict(list))
    latencies: dict[str, list[float]] = defaultdict(list)

    def attempt(row: str, subject: Subject, work: Work) -> Outcome | None:
        """A peer that fails loses its row, and not everybody's."""
        try:
            return subject.run(work)
        except WorkFailedError as error:
            if subject.name not in OTHERS:
                raise
            _progress(f" {error}")
            session.failed.append(f"{row}: {error}")
            figures.pop(row, None)
            latencies.pop(row, None)
            jobs.remove((row, subject, work))
            return None

    for _, subject, work in jobs:
        subject.run(replace(work, seconds=work.seconds / 4), may_fail=True)  # warm
    for number in range(session.turns(rounds)):
        _progress(f" {number + 1}")
        for row, subject, work in list(jobs):
            if (outcome := attempt(row, subject, work)) is None:
                continue
            figures[row]["cpu_us"].append(outcome.cpu_us)
            figures[row]["calls"].append(outcome.calls)
            latencies[row].extend(outcome.latencies_ms)
    for row, values in latencies.items():
        values.sort()
        figures[row]["p50_ms"] = [values[len(values) // 2]]
        figures[row]["p99_ms"] = [values[int(len(values) * 0.99)]]
    if session.profile:
        for row, subject, work in jobs:
            if subject.name == "majordomo":
                with sampling.split(subject.pid, row):
                    subject.run(work)
    return figures


def unary(session: Session) -> Figures:
    """Whole answers, 16 in flight."""
    jobs = [(subject.name, subject, Work()) for subject in session.all]
    return _rounds(session, jobs, 6)


def steady(session: Session) -> Figures:
    """Whole answers at 100 calls a second, whatever is in flight."""
    work = Work(rate=100, seconds=4)
    subjects = session.among("echo", "majordomo", "Portkey", "LiteLLM")
    return _rounds(session, [(who.name, who, work) for who in subjects], 3)


def burst(session: Session) -> Figures:
    """Streams of 200 chunks that come at once, 16 in flight."""
    work = Work(streamed=True)
    return _rounds(session, [(who.name, who, work) for who in session.all], 5)


def paced(session: Session) -> Figures:
    """Streams of 200 chunks, one every 5 ms, 16 in flight that begin evenly spread."""
    work = Work(model="pace-5ms", streamed=True, stagger_ms=5 / 16)
    return _rounds(session, [(who.name, who, work) for who in session.all], 5)


def inside(session: Session) -> Figures:
    """Answers of 200 tokens that take 4 seconds, asked for whole and as streams.

    64 in flight that begin evenly spread: 16 begin and end in each second.
    """
    (ours,) = session.among("majordomo")
    work = Work(in_flight=64, seconds=6, stagger_ms=4000 / 64)
    models = {"asked for whole": "delay-4s", "as a stream": "auto/pace-20ms"}
    jobs = [(row, ours, replace(work, model=it)) for row, it in models.items()]
    return _rounds(session, jobs, 3)


def failover(session: Session) -> Figures:
    """A target that answers 503, then one that answers, beside a plain call."""
    able = [who for who in session.all if who.name not in ("echo", "openai package")]
    jobs = []
    for who in able:
        jobs.append((f"{who.name}, plain", who, Work()))
        jobs.append((f"{who.name}, failover", who, Work(model="failover")))
    return _rounds(session, jobs, 5)


def skip(session: Session) -> Figures:
    """A chain of two whose first is benched, and one whose second is."""
    (ours,) = session.among("majordomo")
    with grpc.insecure_channel(ours.address) as channel:
        OperatorServiceStub(channel).Bench(BenchRequest(target="up/benched"))
    jobs = [(word, ours, Work(model=word, seconds=1.2)) for word in ("no skip", "skip")]
    # Small differences need many turns.
    return _rounds(session, jobs, 18)


def latency(session: Session) -> Figures:
    """What is added to an answer that takes 60 ms, one call at a time."""
    work = Work(model="delay-60ms", in_flight=1, seconds=6)
    direct = Subject("upstream", os.getpid(), 0.0, upstream(session.provider))
    subjects = [direct, *(who for who in session.all if who.name != "echo")]
    figures = _rounds(session, [(who.name, who, work) for who in subjects], 4)
    floor = figures.pop("upstream")
    for row in figures.values():
        del row["cpu_us"]
        for figure in ("p50_ms", "p99_ms"):
            row[f"added_{figure}"] = [row[figure][0] - floor["p50_ms"][0]]
    return figures


def in_flight(session: Session) -> Figures:
    """Whole answers, 16, 128 and 1 000 at once."""
    jobs = [
        (f"{who.name}, {many}", who, Work(in_flight=many))
        for many in (16, 128, 1000)
        for who in session.among(*OURS)
    ]
    return _rounds(session, jobs, 6)


def images(session: Session) -> Figures:
    """An image of 1 MB with every call, 4 in flight."""
    work = Work(image=session.image, in_flight=4)
    return _rounds(session, [(who.name, who, work) for who in session.all], 3)


def tracing(session: Session) -> Figures:
    """majordomo without spans, and with 0, 5 and 100 % of the calls recorded."""
    with contextlib.ExitStack() as stack:
        collector = stack.enter_context(
            native("collector", session.folder / "native.log")
        )
        subjects = {"off": session.subjects["majordomo"]}
        for share in (0.0, 0.05, 1.0):
            subject = stack.enter_context(
                traced(session.base_url, session.folder, collector, share)
            )
            subjects[f"{share:.0%}"] = subject
        figures = _rounds(
            session, [(row, who, Work()) for row, who in subjects.items()], 5
        )
        steady = Work(rate=300, seconds=6)
        jobs = [(row, who, steady) for row, who in subjects.items()]
        for row, values in _rounds(session, jobs, 3).items():
            for figure in ("p50_ms", "p99_ms"):
                figures[row][figure] = values[figure]
    return figures


def life(session: Session) -> Figures:
    """From the start until it serves; memory idle, and with 128 calls in flight."""
    figures: Figures = defaultdict(lambda: defaultdict(list))
    for number in range(session.turns(3)):
        _progress(f" {number + 1}")
        for name, serve in session.serve.items():
            with serve(session.base_url, session.folder) as subject:
                time.sleep(0.5)  # what it does after it is ready
                figures[name]["ready_seconds"].append(subject.ready_seconds)
                figures[name]["start_cpu_seconds"].append(cpu(subject.pid))
                figures[name]["idle_mb"].append(memory(subject.pid))
                work = session.span(Work(in_flight=128, seconds=4))
                outcome = subject.run(work, may_fail=True)
                figures[name]["loaded_mb"].append(outcome.peak_mb)
    return figures


def held(session: Session) -> Figures:
    """300 streams at once, 10 chunks a second each, for 20 seconds.

    They begin within 3 seconds: what is asked is whether they are held, not what a
    storm of calls does.
    """
    chunks = 60 if session.quick else 200
    work = Work(
        model=f"held-100ms-{chunks}",
        streamed=True,
        rate=HELD / 3,
        seconds=3,
        words=chunks,
        patience=chunks / 10 + 15,
    )
    figures: Figures = {}
    for name in ("majordomo", "Portkey", "LiteLLM"):
        if name not in session.serve:
            continue
        with session.serve[name](session.base_url, session.folder) as subject:
            subject.run(Work(seconds=1))
            outcome = subject.run(work, may_fail=True)
        figures[name] = {
            "lost": [HELD * chunks - outcome.chunks],
            "broken": [outcome.errors],
            "late": [outcome.late],
            "latest_ms": [outcome.latest_ms],
            "peak_mb": [outcome.peak_mb],
            "cores": [outcome.cpu_seconds / outcome.seconds],
        }
    return figures


def _progress(word: str) -> None:
    print(word, end="", file=sys.stderr, flush=True)


Measure = Callable[[Session], Figures]

ALL: dict[str, Measure] = {
    "unary": unary,
    "steady": steady,
    "burst": burst,
    "paced": paced,
    "inside": inside,
    "failover": failover,
    "skip": skip,
    "latency": latency,
    "in-flight": in_flight,
    "images": images,
    "tracing": tracing,
    "life": life,
    "held": held,
}
