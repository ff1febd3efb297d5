"""A log in a pipe that nobody reads for a while."""

import os
from itertools import islice

from majordomo.telemetry.background_writer import BackgroundWriter

WIDTH = 100


def test_what_is_lost_is_counted() -> None:
    """Writing goes on; what gets through is whole, and shows how many did not."""
    entries = 10_000
    reading, writing = os.pipe()
    with open(reading) as pipe, BackgroundWriter(writing) as log:
        for number in range(entries):
            log.write(f"{number:0{WIDTH}}\n")
        lines = list(islice(pipe, 4096))
    os.close(writing)

    reported = [line for line in lines if "lost" in line]
    numbers = [int(line) for line in lines if "lost" not in line]
    lost = sum(
        int(line.removesuffix(" entries of this log are lost\n")) for line in reported
    )
    assert sorted(set(numbers)) == numbers
    assert 0 < lost <= entries - len(numbers)
