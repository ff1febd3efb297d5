"""What a walk over targets with faulty answers must come to, from rule 3.17 alone.

Every target is tried once and no time passes. What a stream's caller ends up with is
modelled as what is on its screen: content is added, a Restart wipes it.
"""

from collections.abc import Sequence, Set
from typing import NamedTuple


class FailedCall(NamedTuple):
    """What one target does: says `text`, and then stops, or fails."""

    text: str
    faults: tuple[str, ...] = ()
    """All that is wrong with it as an answer, the first first."""

    fails: bool = False


GOOD = '{"n": 1}'
KINDS = {
    "good": FailedCall(GOOD),
    "empty": FailedCall("", ("EMPTY", "NOT_JSON", "SCHEMA")),
    "cut": FailedCall('{"n"', ("LENGTH", "NOT_JSON", "SCHEMA")),
    "cut before it spoke": FailedCall("", ("LENGTH", "NOT_JSON", "SCHEMA")),
    "cut too late": FailedCall(GOOD, ("LENGTH",)),
    "refused": FailedCall("I cannot.", ("REFUSED", "NOT_JSON", "SCHEMA")),
    "filtered": FailedCall("", ("REFUSED", "NOT_JSON", "SCHEMA")),
    "chatty": FailedCall("Sure! 1", ("NOT_JSON", "SCHEMA")),
    "of another form": FailedCall('{"n": "one"}', ("SCHEMA",)),
    "gone": FailedCall("", fails=True),
    "broken": FailedCall('{"n', fails=True),
}


class End(NamedTuple):
    """How the call ended."""

    target: int | None
    """The place of the target that answered; None: none did."""

    fault: str
    screen: str
    attempts: list[str]
    """For each target that was tried what was wrong: a fault, "fails", or nothing."""

    restarts: int = 0
    """How often the screen was wiped."""

    broke_off: bool = False
    """It failed after content had reached the caller."""


def walk(chain: Sequence[str], wanted: Set[str], *, stream: bool, restart: bool) -> End:
    """What comes of asking the targets of `chain`, each of one of KINDS, in order."""
    attempts: list[str] = []
    kept: tuple[int, str] | None = None
    screen = ""
    showing: int | None = None
    restarts = 0
    broke_off = False
    judges_all = not stream or (restart and bool(wanted - {"EMPTY"}))
    for place, kind in enumerate(chain):
        reported = KINDS[kind]
        shown = stream and bool(reported.text)
        if shown:
            restarts += showing is not None
            screen, showing = reported.text, place  # what was there before is void
        if reported.fails:
            attempts.append("fails")
            if not shown:
                continue
            broke_off = True
            if not restart:
                return End(None, "", screen, attempts, broke_off=True)
            if kept is not None and kept[1] == "EMPTY":
                kept = None
            continue
        judged = judges_all or not shown
        fault = next((f for f in reported.faults if f in wanted), "") if judged else ""
        attempts.append(fault)
        if not fault:
            restarts += showing not in (None, place)
            return End(place, "", reported.text, attempts, restarts)
        kept = kept or (place, fault)
    if kept is None:
        return End(None, "", screen, attempts, restarts, broke_off)
    place, fault = kept
    restarts += showing not in (None, place)
    return End(place, fault, KINDS[chain[place]].text, attempts, restarts)
