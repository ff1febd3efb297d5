"""What of the tracker concerns operators, and what onlookers."""

from collections.abc import Sequence
from typing import Protocol

from majordomo.chain.changes import Change, Changes
from majordomo.v1.operator_service_pb2 import TargetHealth


class Onlooked(Protocol):
    """What changes of the targets' health, for any number of onlookers."""

    changes: Changes

    def expire(self) -> None:
        """Note what has changed by time alone."""

    def changes_since(
        self, version: int, names: Sequence[str] | None = None
    ) -> tuple[int, list[Change]] | None:
        """The oldest changes of `names`, or of all, after `version`, in order.

        With them goes the version that they lead up to. None if only a snapshot can
        tell, as for NOTHING_REPORTED.
        """

    def show(self, name: str) -> TargetHealth:
        """How one target, or the record for a provider, is doing."""


class Operated(Onlooked, Protocol):
    """The targets' health, shown and steered."""

    def bench(
        self, target: str, length: float | None, reason: str
    ) -> list[TargetHealth]:
        """Bench "provider/model-id" or "provider/*".

        `length` is in seconds, None for good. A second record replaces the first.
        Returns the targets now benched.
        """

    def unbench(self, target: str) -> list[TargetHealth]:
        """Lift the record, and forget failures and benches.

        Raises BenchedByProvider for one target under a record for its provider.
        Returns the targets now in rotation.
        """

    def snapshot(self, names: Sequence[str] | None = None) -> list[TargetHealth]:
        """How `names`, or all targets and records by name, are doing."""

    def names(self) -> list[str]:
        """All targets and records by name."""
