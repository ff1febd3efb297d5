"""Inputs that nobody meant: bytes bent at random, out of good ones."""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SECONDS = float(os.environ.get("MAJORDOMO_FUZZ_SECONDS", "1"))
"""How long each target is tried (`make fuzz` says more)."""

MOST = 200_000
"""Inputs, after which a target has had enough."""

MOST_GROWTH = 128 << 20
"""Bytes that the process may grow by while one target is tried."""

_WORDS = [
    b"null", b"true", b"NaN", b"-1", b"1e999", b"{}", b"[]", b'""', b'"\\ud83d"',
    b"\xff\xfe", b"\x00", b"\r", b"\n\n", b"data:", b"event: error\n", b"data: [DONE]",
    b"9" * 30, b"[" * 200, b'{"error":', b"\xef\xbb\xbf", b": comment\n",
]  # fmt: skip
_VALUES: list[Any] = [
    None, True, -1, 0, 1e308, 2**70, "", "x", "\ud83d", [], {}, [None], {"a": 1},
    "9" * 40, [[[[]]]], {"type": "text"}, {"error": {"message": "m"}},
]  # fmt: skip


def mutations(seeds: list[bytes], dice: random.Random) -> Iterator[bytes]:
    """For ever: a seed, bent a few times, or its JSON with other values in it."""
    while True:
        data = bytearray(dice.choice(seeds))
        if dice.random() < 0.4:
            data = bytearray(_other_json(bytes(data), dice))
        for _ in range(dice.choice([0, 1, 1, 2, 4])):
            _bend(data, seeds, dice)
        yield bytes(data)


def _bend(data: bytearray, seeds: list[bytes], dice: random.Random) -> None:
    at = dice.randrange(len(data) + 1)
    end = min(len(data), at + dice.choice([1, 2, 8, 64, 1024]))
    match dice.randrange(6):
        case 0:
            data[at:end] = bytes(dice.randrange(256) for _ in range(end - at))
        case 1:
            del data[at:end]
        case 2:
            data[at:at] = dice.choice(_WORDS)
        case 3:
            data[at:at] = data[at:end] * dice.choice([1, 3])
        case 4:
            del data[at:]
        case _:
            other = dice.choice(seeds)
            data[at:] = other[dice.randrange(len(other) + 1) :]


def _other_json(data: bytes, dice: random.Random) -> bytes:
    """One of the JSON texts in `data` (a body, or lines of events), one value bent."""
    lines = data.split(b"\n")
    places = [
        (number, brace)
        for number, line in enumerate(lines)
        if (brace := line.find(b"{")) >= 0
    ]
    if not places:
        return data
    number, brace = dice.choice(places)
    try:
        value = json.loads(lines[number][brace:])
    except ValueError:
        return data
    _replace(value, dice)
    lines[number] = lines[number][:brace] + json.dumps(value).encode()
    return b"\n".join(lines)


def _replace(value: Any, dice: random.Random) -> None:
    while isinstance(value, dict | list) and value:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = dice.choice(keys)
        inner = value[key]
        if not isinstance(inner, dict | list) or not inner or dice.random() < 0.3:
            value[key] = dice.choice(_VALUES)
            return
        value = inner


def hammer(seeds: list[bytes], attempt: Callable[[bytes, random.Random], None]) -> int:
    """Call `attempt` with mutations until the time is over; how often it was.

    What `attempt` raises is raised with the input that did it.
    """
    dice = random.Random(2026 if SECONDS <= 1 else None)
    before = resident()
    end = time.monotonic() + SECONDS
    done = 0
    for data in mutations(seeds, dice):
        try:
            attempt(data, dice)
        except Exception as error:
            raise AssertionError(
                f"{type(error).__name__} by {data[:2000]!r}"
            ) from error
        done += 1
        if done >= MOST or time.monotonic() > end:
            break
    assert resident() - before < MOST_GROWTH
    return done


def resident() -> int:
    """Bytes that the process holds in memory (0 where /proc is not)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
