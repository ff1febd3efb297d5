"""Draw the pictures of docs/observability.md from what a real load leaves behind.

    python -m scripts.observability_pictures

Needs build/bin/jaeger (`make jaeger`), the embedded model (`majordomo model fetch`) and
about two minutes. What it saw is left in build/observability, for the page's examples.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from matplotlib import rc_context

from scripts import dashboard_picture, trace_picture
from scripts.observability_load import observe

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
BUILD = ROOT / "build" / "observability"

STYLE: Any = {
    "axes.edgecolor": "#c3cad3",
    "axes.labelcolor": "#5b6675",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "text.color": "#1f2937",
    "xtick.color": "#5b6675",
    "ytick.color": "#5b6675",
}


def main() -> None:
    """Load a server, keep what was seen, draw it."""
    seen = asyncio.run(observe())
    BUILD.mkdir(parents=True, exist_ok=True)
    trace = trace_picture.the_failover(seen.traces)
    (BUILD / "trace.json").write_text(json.dumps(trace, indent=2))
    (BUILD / "metrics.txt").write_text(seen.page)
    (BUILD / "log.jsonl").write_text(seen.log)
    IMAGES.mkdir(exist_ok=True)
    with rc_context(STYLE):
        pictures = {
            "failover-trace": trace_picture.draw(trace),
            "dashboard": dashboard_picture.draw(seen.scrapes),
        }
        for name, figure in pictures.items():
            figure.savefig(IMAGES / f"{name}.png", dpi=140, metadata={"Software": None})
            print(f"drew {name}.png")


if __name__ == "__main__":
    main()
