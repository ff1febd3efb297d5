"""What has changed lately, for any number of onlookers at the cost of none.

A change is what somebody who looks at a target would see: where it stands, its bench,
and whether calls get through. Of each target only the newest change is kept. Changes
are numbered; an onlooker remembers the number it has received up to, asks for what is
newer, and so misses steps in between but never the newest state.
"""

from collections import OrderedDict
from collections.abc import Callable
from itertools import takewhile
from typing import NamedTuple

from majordomo.chain.health import ACTIVE, BENCHED, Bench
from majordomo.v1.operator_service_pb2 import HealthChange, TargetHealth

NOTHING_REPORTED = -1
"""The version of an onlooker that needs a snapshot first."""

NEVER = float("inf")
"""A moment that does not come."""

_MOST_CHANGES = 20_000
"""Twice the names that callers may bring (rule 1.5)."""

_MOST_AT_ONCE = 1000
"""Changes that an onlooker holds while its reader lets it wait."""


class View(NamedTuple):
    """What is seen of a target."""

    state: TargetHealth.State
    bench: Bench | None
    out: bool
    """Calls skip it."""

    @property
    def expiry(self) -> float:
        """The monotonic moment at which time alone changes it; or NEVER."""
        if not self.out or self.state != BENCHED or self.bench is None:
            return NEVER
        return NEVER if self.bench.until is None else self.bench.until


WELL = View(ACTIVE, None, out=False)


class Change(NamedTuple):
    """The newest change of one target."""

    version: int
    target: str
    cause: HealthChange.Cause
    moment: float
    """Monotonic seconds."""

    view: View
    """As it was seen then."""


class Changes:
    """The newest change of each target, and what was seen of it then."""

    def __init__(self) -> None:
        self.version = 0
        """The number of the newest change."""

        self.next_expiry = NEVER
        """No bench that was seen ends before this monotonic moment."""

        self._subscribers: set[Callable[[Change], None]] = set()
        self._listeners: set[Callable[[], None]] = set()
        self._views: dict[str, View] = {}  # of those that are not well
        self._latest: OrderedDict[str, Change] = OrderedDict()  # by version
        self._horizon = 0  # what changed up to here may be forgotten

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call `callback` with every change, within the walk; returns what ends it."""
        self._subscribers.add(callback)
        return lambda: self._subscribers.discard(callback)

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` whenever there is something to look at; returns what ends it.

        It is called within the walk, and must only make a note of it.
        """
        self._listeners.add(callback)
        return lambda: self._listeners.discard(callback)

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def note(
        self, target: str, view: View, cause: HealthChange.Cause, moment: float
    ) -> None:
        """`target` is seen as `view` now: a change, unless it was seen so before."""
        if self._views.get(target, WELL) == view:
            return
        if view == WELL:
            del self._views[target]
        else:
            self._views[target] = view
        self.next_expiry = min(self.next_expiry, view.expiry)
        self.version += 1
        change = Change(self.version, target, cause, moment, view)
        self._latest[target] = change
        self._latest.move_to_end(target)
        if len(self._latest) > _MOST_CHANGES:
            _, oldest = self._latest.popitem(last=False)
            self._horizon = oldest.version
        for subscriber in tuple(self._subscribers):
            subscriber(change)
        self.notify()

    def forget(self) -> None:
        """Let every onlooker begin again with a snapshot."""
        self.version += 1
        self._horizon = self.version
        self._latest.clear()
        self.notify()

    def knows(self, version: int) -> bool:
        """Whether no change after `version` is forgotten."""
        return version >= self._horizon

    def since(self, version: int) -> list[Change]:
        """The oldest 1 000 changes after `version`, in order."""
        newest_first = reversed(self._latest.values())
        newer = list(takewhile(lambda change: change.version > version, newest_first))
        newer.reverse()
        return newer[:_MOST_AT_ONCE]

    def last(self, target: str) -> Change | None:
        """The newest change of `target`, if it is remembered."""
        return self._latest.get(target)

    def known(self) -> set[str]:
        """Those that are not well, or of which a change is remembered."""
        return {*self._views, *self._latest}

    def expired(self, now: float) -> list[tuple[str, float]]:
        """Whose bench is over, by what was seen, and since when; to be noted."""
        self.next_expiry = NEVER
        over = []
        for target, view in self._views.items():
            if view.expiry <= now:
                over.append((target, view.expiry))
            else:
                self.next_expiry = min(self.next_expiry, view.expiry)
        return over

    def notify(self) -> None:
        """Have the listeners look again."""
        for listener in tuple(self._listeners):
            listener()
