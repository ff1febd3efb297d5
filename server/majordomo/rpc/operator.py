"""OperatorService: the health of targets, shown and steered."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncGenerator, Iterator, Sequence
from importlib.metadata import version
from typing import Any

from grpc.aio import ServicerContext

from majordomo.chain.changes import NOTHING_TOLD, Change
from majordomo.chain.clock import Clock, seconds
from majordomo.chain.tracker import Tracker
from majordomo.names import MalformedChain
from majordomo.registry import Registry
from majordomo.rpc.access import caller
from majordomo.rpc.health_feed import HealthFeed
from majordomo.rpc.validation import InvalidRequest, Violation
from majordomo.v1.operator_service_pb2 import (
    BenchRequest,
    BenchResponse,
    HealthChange,
    HealthSnapshotRequest,
    HealthSnapshotResponse,
    Heartbeat,
    UnbenchRequest,
    UnbenchResponse,
    WatchHealthRequest,
    WatchHealthResponse,
)
from majordomo.v1.operator_service_pb2_grpc import OperatorServiceServicer

_LONGEST_REASON = 256
_LONGEST_BENCH = 366 * 86_400.0
_HEARTBEAT_INTERVAL = 30.0
_SHORTEST_HEARTBEAT_INTERVAL = 1.0
_LONGEST_HEARTBEAT_INTERVAL = 3600.0

INSTANCE_ID = (
    f"majordomo/{version('majordomo')} "
    f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
)
"""This process: version, host, process id, and a word that no other process has."""


class OperatorService(OperatorServiceServicer):
    """Shows and steers the health of targets."""

    def __init__(
        self,
        tracker: Tracker,
        feed: HealthFeed,
        registry: Registry,
        clock: Clock = Clock(),
    ) -> None:
        self._tracker = tracker
        self._feed = feed
        self._registry = registry
        self._clock = clock

    async def HealthSnapshot(  # noqa: N802 - gRPC's name
        self,
        request: HealthSnapshotRequest,
        context: ServicerContext[Any, Any],  # noqa: ARG002 - gRPC's signature
    ) -> HealthSnapshotResponse:
        return self._snapshot(await self._names(request.chain))

    async def WatchHealth(  # noqa: N802 - gRPC's name
        self,
        request: WatchHealthRequest,
        context: ServicerContext[Any, Any],  # noqa: ARG002 - gRPC's signature
    ) -> AsyncGenerator[WatchHealthResponse]:
        with self._feed.watching():
            silence = _heartbeat_interval(request)
            names = await self._names(request.chain)
            loop = asyncio.get_running_loop()
            version, heartbeat = NOTHING_TOLD, 0.0
            while True:
                caller.get().terms.require("operate")  # its token may be gone by now
                news = self._tracker.changes_since(version, names)
                changes: Sequence[Change] = ()
                if news is not None:
                    version, changes = news
                else:
                    self._tracker.expire()
                    version = self._tracker.changes.version
                    yield WatchHealthResponse(snapshot=self._snapshot(names))
                    heartbeat = loop.time() + silence
                for change in changes:
                    yield WatchHealthResponse(change=self._change(change))
                    heartbeat = loop.time() + silence
                if not await self._feed.wait(version, heartbeat):
                    now = self._clock.timestamp()
                    yield WatchHealthResponse(heartbeat=Heartbeat(time=now))
                    heartbeat = loop.time() + silence

    async def Bench(  # noqa: N802 - gRPC's name
        self,
        request: BenchRequest,
        context: ServicerContext[Any, Any],  # noqa: ARG002 - gRPC's signature
    ) -> BenchResponse:
        violations = list(self._target(request.target))
        length = seconds(request.duration) if request.HasField("duration") else None
        if length is not None and not 0 < length <= _LONGEST_BENCH:
            violations.append(
                Violation("duration", "must be above 0 and at most 366 days, or unset")
            )
        if len(request.reason) > _LONGEST_REASON:
            violations.append(
                Violation("reason", f"must have at most {_LONGEST_REASON} characters")
            )
        if violations:
            raise InvalidRequest(violations)
        shown = self._tracker.bench(request.target, length, request.reason)
        return BenchResponse(targets=shown)

    async def Unbench(  # noqa: N802 - gRPC's name
        self,
        request: UnbenchRequest,
        context: ServicerContext[Any, Any],  # noqa: ARG002 - gRPC's signature
    ) -> UnbenchResponse:
        violations = list(self._target(request.target))
        if violations:
            raise InvalidRequest(violations)
        return UnbenchResponse(targets=self._tracker.unbench(request.target))

    async def _names(self, chain: str) -> Sequence[str] | None:
        """The targets of `chain`; None, for all, if it is empty."""
        if not chain:
            return None
        targets = await self._registry.catalog.resolve(chain)
        return [target.name for target in targets]

    def _snapshot(self, names: Sequence[str] | None) -> HealthSnapshotResponse:
        return HealthSnapshotResponse(
            instance_id=INSTANCE_ID,
            snapshot_time=self._clock.timestamp(),
            targets=self._tracker.snapshot(names),
        )

    def _change(self, change: Change) -> HealthChange:
        return HealthChange(
            change_time=self._clock.timestamp(change.moment),
            cause=change.cause,
            target=self._tracker.show(change.target),
        )

    def _target(self, target: str) -> Iterator[Violation]:
        """What is wrong with the form of `target`. Raises UnknownProvider."""
        try:
            self._registry.catalog.check_benchable(target)
        except MalformedChain as error:
            yield Violation("target", str(error))


def _heartbeat_interval(request: WatchHealthRequest) -> float:
    """In seconds. Raises InvalidRequest."""
    if not request.HasField("heartbeat_interval"):
        return _HEARTBEAT_INTERVAL
    interval = seconds(request.heartbeat_interval)
    if _SHORTEST_HEARTBEAT_INTERVAL <= interval <= _LONGEST_HEARTBEAT_INTERVAL:
        return interval
    wrong = Violation("heartbeat_interval", "must be 1 s to 1 h, or unset")
    raise InvalidRequest([wrong])
