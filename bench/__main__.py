"""What a call costs, beside the alternatives in the same run.

    python -m bench                     all of it; writes bench/RESULTS.md and the plots
    python -m bench --quick             the same in three minutes
    python -m bench --only unary        one measurement of majordomo and the echo
    python -m bench --only unary --peers
    python -m bench --render            write RESULTS.md again from the last run

The peers are those that `make peers` has installed. Compare within one run only; ratios
are what counts.
"""

import argparse
import datetime as dt
import json
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from PIL import Image

from bench import plots, report
from bench.aims import Results
from bench.measurements import ALL, Session
from bench.processes import build_native, native
from bench.subjects import OURS, Work, WorkFailedError, installed

LAST = Path(__file__).parents[1] / "build" / "bench.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="measurements whose name begins so")
    parser.add_argument("--peers", action="store_true", help="with --only: peers too")
    parser.add_argument("--rounds", type=int, help="instead of each one's own number")
    parser.add_argument("--quick", action="store_true", help="few and short rounds")
    parser.add_argument("--profile", action="store_true", help="split by py-spy")
    parser.add_argument("--render", action="store_true", help="the last run again")
    options = parser.parse_args()
    if options.render:
        last = json.loads(LAST.read_text())
        _write(last["results"], last["about"])
        return
    results, about = run(options)
    if not options.only:
        LAST.write_text(json.dumps({"results": results, "about": about}))
        _write(results, about)


def run(options: argparse.Namespace) -> tuple[Results, dict[str, Any]]:
    build_native()
    names = [name for name in ALL if name.startswith(options.only)]
    serve = dict(OURS)
    if options.peers or not options.only:
        serve |= installed()
    results: Results = {}
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        provider = stack.enter_context(native("upstream", folder / "native.log"))
        session = Session(
            provider=provider,
            folder=folder,
            serve=serve,
            subjects={
                name: stack.enter_context(start(f"http://{provider}/v1", folder))
                for name, start in serve.items()
            },
            image=_noise(folder),
            quick=options.quick,
            rounds=options.rounds,
            profile=options.profile,
        )
        for subject in session.all:  # an interpreter that compiles needs its time
            subject.run(session.span(Work(seconds=4)))
            subject.run(session.span(Work(streamed=True, seconds=2)))
        for name in names:
            print(f"{name}:", end="", file=sys.stderr, flush=True)
            begun = time.monotonic()
            try:
                results[name] = ALL[name](session)
            except WorkFailedError as error:
                session.failed.append(f"{name}: {error}")
                print(f" {error}", file=sys.stderr)
                continue
            print(f" ({time.monotonic() - begun:.0f} s)", file=sys.stderr)
            print(report.terminal(name, results[name]), flush=True)
    about = {
        **report.machine(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "minutes": (time.monotonic() - began) / 60,
        "quick": options.quick,
        "failed": session.failed,
    }
    return results, about


def _noise(folder: Path) -> str:
    """A PNG of 1 MB, which does not compress."""
    path = folder / "noise.png"
    pixels = random.Random(1).randbytes(590 * 590 * 3)
    Image.frombytes("RGB", (590, 590), pixels).save(path)
    return str(path)


def _write(results: Results, about: dict[str, Any]) -> None:
    plots.draw(results)
    report.PAGE.write_text(report.page(results, about))


if __name__ == "__main__":
    main()
