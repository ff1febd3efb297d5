"""What operators have benched: records that nothing but time and `lift` ends."""

from collections.abc import Iterator

from majordomo.chain.health import Bench
from majordomo.v1.attempt_pb2 import BenchRecord


class Records:
    """Benches of targets by name, and of whole providers by "provider/*"."""

    def __init__(self) -> None:
        self._benches: dict[str, Bench] = {}

    def __iter__(self) -> Iterator[str]:
        """The names, of some the time may be over."""
        return iter(tuple(self._benches))

    def __contains__(self, name: str) -> bool:
        return name in self._benches

    def bench(self, name: str, now: float, length: float | None, reason: str) -> None:
        """Bench `name` for `length` seconds, None for good, in place of an earlier."""
        until = None if length is None else now + length
        self._benches[name] = Bench(BenchRecord.ORIGIN_OPERATOR, now, until, reason)

    def lift(self, name: str) -> None:
        """End the record of that name, if there is one."""
        self._benches.pop(name, None)

    def of(self, name: str, now: float) -> Bench | None:
        """The record of that very name; one whose time is over goes."""
        bench = self._benches.get(name)
        if bench is None or bench.until is None or now < bench.until:
            return bench
        del self._benches[name]
        return None

    def over(self, target: str, now: float) -> Bench | None:
        """What keeps `target` out: of its own record and its provider's the longer."""
        if not self._benches:
            return None
        return longest(self.of(target, now), self.of(wildcard(target), now))


def wildcard(target: str) -> str:
    """The name of the record for all of a target's provider: "provider/*"."""
    return target.partition("/")[0] + "/*"


def longest(one: Bench | None, other: Bench | None) -> Bench | None:
    """The one that lasts longer; the first if they end together."""
    if one is None or other is None:
        return one or other
    return other if _lasts(other) > _lasts(one) else one


def _lasts(bench: Bench) -> float:
    return float("inf") if bench.until is None else bench.until
