"""OperatorService: the health of targets, shown and steered."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncGenerator, Sequence
from importlib.metadata import version
from typing import Any

from grpc.aio import ServicerContext

from majordomo.chain.changes import NOTHING_REPORTED, Change
from majordomo.chain.clock import CLOCK, Clock
from majordomo.chain.faces import Operated
from majordomo.chain.records import wildcard
from majordomo.distribution import DISTRIBUTION
from majordomo.durations import seconds
from majordomo.errors import InvalidRequest, MalformedChain, Violation
from majordomo.registry import Registry
from majordomo.rpc.health_feed import HealthFeed
from majordomo.rpc.pages import PAGE_SIZE, page_of
from majordomo.rpc.scope import current, current_record
from majordomo.v1.operator_service_pb2 import (
    BenchRequest,
    BenchResponse,
    HealthChange,
    HealthSnapshotPiece,
    HealthSnapshotRequest,
    HealthSnapshotResponse,
    Heartbeat,
    ProviderBench,
    TargetHealth,
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
    f"majordomo/{version(DISTRIBUTION)} "
    f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
)
"""This process: version, host, process id, and a word that no other process has."""


class OperatorService(OperatorServiceServicer):
    """Shows and steers the health of targets."""

    def __init__(
        self,
        tracker: Operated,
        feed: HealthFeed,
        registry: Registry,
        clock: Clock = CLOCK,
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
        chain = await self._names(request.chain)
        names = self._tracker.names() if chain is None else chain
        targets = [name for name in names if not _is_provider(name)]
        page, token = page_of(targets, request, by_name=chain is None)
        first = chain is None and not request.page_token
        return HealthSnapshotResponse(
            instance_id=INSTANCE_ID,
            snapshot_time=self._clock.timestamp(),
            targets=self._tracker.snapshot(page),
            next_page_token=token,
            provider_benches=self._provider_benches(names) if first else (),
        )

    async def WatchHealth(  # noqa: N802 - gRPC's name
        self,
        request: WatchHealthRequest,
        context: ServicerContext[Any, Any],  # noqa: ARG002 - gRPC's signature
    ) -> AsyncGenerator[WatchHealthResponse]:
        with self._feed.watching():
            silence = _heartbeat_interval(request)
            names = await self._names(request.chain)
            loop = asyncio.get_running_loop()
            version, heartbeat = NOTHING_REPORTED, 0.0
            while True:
                current.get().caller.terms.require(
                    "operate"
                )  # its token may be gone by now
                news = self._tracker.changes_since(version, names)
                changes: Sequence[Change] = ()
                if news is not None:
                    version, changes = news
                else:
                    self._tracker.expire()
                    version = self._tracker.changes.version
                    for piece in self._pieces(names):
                        yield WatchHealthResponse(snapshot=piece)
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
        scope, violations = self._scope(request)
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
        covered = self._tracker.bench(scope, length, request.reason)
        response = BenchResponse()
        for health in covered:
            if _is_provider(health.target):
                response.provider_bench.CopyFrom(_provider_bench(health))
            else:
                response.targets.append(health)
        _record(request)
        return response

    async def Unbench(  # noqa: N802 - gRPC's name
        self,
        request: UnbenchRequest,
        context: ServicerContext[Any, Any],  # noqa: ARG002 - gRPC's signature
    ) -> UnbenchResponse:
        scope, violations = self._scope(request)
        if violations:
            raise InvalidRequest(violations)
        response = UnbenchResponse(targets=self._tracker.unbench(scope))
        _record(request)
        return response

    async def _names(self, chain: str) -> Sequence[str] | None:
        """The targets of `chain`; None, for all, if it is empty."""
        if not chain:
            return None
        targets = await self._registry.catalog.resolve(chain)
        return [target.name for target in targets]

    def _pieces(self, names: Sequence[str] | None) -> list[HealthSnapshotPiece]:
        """A snapshot of one moment, in pieces that gRPC's clients take."""
        now = self._clock.timestamp()
        shown = self._tracker.snapshot(names)
        targets = [health for health in shown if not _is_provider(health.target)]
        pieces = [
            HealthSnapshotPiece(
                instance_id=INSTANCE_ID,
                snapshot_time=now,
                targets=targets[start : start + PAGE_SIZE],
                more=start + PAGE_SIZE < len(targets),
            )
            for start in range(0, max(len(targets), 1), PAGE_SIZE)
        ]
        providers = (health for health in shown if _is_provider(health.target))
        pieces[0].provider_benches.extend(map(_provider_bench, providers))
        return pieces

    def _provider_benches(self, names: Sequence[str]) -> list[ProviderBench]:
        providers = [name for name in names if _is_provider(name)]
        return [_provider_bench(one) for one in self._tracker.snapshot(providers)]

    def _change(self, change: Change) -> HealthChange:
        shown = HealthChange(
            change_time=self._clock.timestamp(change.moment), cause=change.cause
        )
        health = self._tracker.show(change.target)
        if _is_provider(change.target):
            shown.provider.CopyFrom(_provider_bench(health))
        else:
            shown.target.CopyFrom(health)
        return shown

    def _scope(
        self, request: BenchRequest | UnbenchRequest
    ) -> tuple[str, list[Violation]]:
        """The tracker's name for what `request` names, and what is wrong with it.

        Raises UnknownProvider.
        """
        catalog = self._registry.catalog
        match request.WhichOneof("scope"):
            case "provider":
                catalog.check_provider(request.provider)
                return wildcard(request.provider), []
            case "target":
                try:
                    catalog.check_target(request.target)
                except MalformedChain as error:
                    return request.target, [Violation("target", str(error))]
                return request.target, []
        return "", [Violation("target", "is required, or else provider")]


def _record(request: BenchRequest | UnbenchRequest) -> None:
    """Note in the call's trace what it has changed."""
    record = current_record()
    if record is not None:
        record.trace.on_operation(request)


def _is_provider(name: str) -> bool:
    """Whether the tracker means a whole provider by `name`."""
    return name.endswith("/*")


def _provider_bench(health: TargetHealth) -> ProviderBench:
    """The record for a provider, from what the tracker shows under its name."""
    bench = health.bench if health.HasField("bench") else None
    return ProviderBench(provider=health.target.removesuffix("/*"), bench=bench)


def _heartbeat_interval(request: WatchHealthRequest) -> float:
    """In seconds. Raises InvalidRequest."""
    if not request.HasField("heartbeat_interval"):
        return _HEARTBEAT_INTERVAL
    interval = seconds(request.heartbeat_interval)
    if _SHORTEST_HEARTBEAT_INTERVAL <= interval <= _LONGEST_HEARTBEAT_INTERVAL:
        return interval
    wrong = Violation("heartbeat_interval", "must be 1 s to 1 h, or unset")
    raise InvalidRequest([wrong])
