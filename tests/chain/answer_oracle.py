"""What a walk over targets with faulty answers must come to, from rule 3.17 alone.

Every target is tried once and no time passes. What a stream's caller ends up with is
modelled as what is on its screen: content is added, a Restart wipes it.
"""

from collections.abc import Sequence, Set
from typing import NamedTuple


class Told(NamedTuple):
    """What one target does: says `text`, and then stops, or fails."""

    text: str
    faults: tuple[str, ...] = ()
    """All that is wrong with it as an answer, the first first."""

    fails: bool = False


GOOD = '{"n": 1}'
KINDS = {
    "good": Told(GOOD),
    "empty": Told("", ("EMPTY", "NOT_JSON", "SCHEMA")),
    "cut": Told('{"n"', ("LENGTH", "NOT_JSON", "SCHEMA")),
    "cut before it spoke": Told("", ("LENGTH", "NOT_JSON", "SCHEMA")),
    "cut too late": Told(GOOD, ("LENGTH",)),
    "refused": Told("I cannot.", ("REFUSED", "NOT_JSON", "SCHEMA")),
    "filtered": Told("", ("REFUSED", "NOT_JSON", "SCHEMA")),
    "chatty": Told("Sure! 1", ("NOT_JSON", "SCHEMA")),
    "of another form": Told('{"n": "one"}', ("SCHEMA",)),
    "gone": Told("", fails=True),
    "broken": Told('{"n', fails=True),
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
        told = KINDS[kind]
        shown = stream and bool(told.text)
        if shown:
            restarts += showing is not None
            screen, showing = told.text, place  # what was there before is void
        if told.fails:
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
        fault = next((f for f in told.faults if f in wanted), "") if judged else ""
        attempts.append(fault)
        if not fault:
            restarts += showing not in (None, place)
            return End(place, "", told.text, attempts, restarts)
        kept = kept or (place, fault)
    if kept is None:
        return End(None, "", screen, attempts, restarts, broke_off)
    place, fault = kept
    restarts += showing not in (None, place)
    return End(place, fault, KINDS[chain[place]].text, attempts, restarts)
