"""Where a server's time goes, by samples of its stacks."""

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The innermost frame that matches decides; the order is from the most telling.
_PARTS = {
    "spans": ("majordomo/telemetry", "opentelemetry"),
    "provider codec": (
        "majordomo/providers/openai",
        "majordomo/providers/sse",
        "majordomo/providers/event_stream",
        "majordomo/providers/pieces",
    ),
    "HTTP": (
        "majordomo/providers/http",
        "majordomo/providers/pool",
        "majordomo/providers/responses",
        "aiohttp",
    ),
    "chain": ("majordomo/chain",),
    "rpc": ("majordomo/rpc",),
    "event loop": ("asyncio/", "selectors"),
    "grpc.aio": ("grpc/", "threading.py"),  # its poller is a thread of its own
}


@contextmanager
def split(pid: int, title: str) -> Iterator[None]:
    """Sample process `pid` while the block runs, then print the shares."""
    with tempfile.TemporaryDirectory() as folder:
        stacks = Path(folder, "stacks.txt")
        sampler = subprocess.Popen(
            [
                Path(sys.executable).with_name("py-spy"),
                *("record", "--pid", str(pid), "--format", "raw", "--full-filenames"),
                *("--rate", "500", "--duration", "3600", "--output", str(stacks)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            sampler.send_signal(2)
            sampler.wait(timeout=30)
        shares: Counter[str] = Counter()
        for line in stacks.read_text().splitlines():
            stack, _, samples = line.rpartition(" ")
            shares[_part(stack)] += int(samples)
    total = shares.total() or 1
    print(f"  where it goes, {title}:")
    for part, count in shares.most_common():
        print(f"    {part:<16} {100 * count / total:5.1f} %")


def _part(stack: str) -> str:
    for frame in reversed(stack.split(";")):
        for part, places in _PARTS.items():
            if any(place in frame for place in places):
                return part
    return "other"
