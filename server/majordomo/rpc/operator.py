"""OperatorService: the health of targets, shown and steered."""

import os
import secrets
import socket
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from grpc.aio import ServicerContext

from majordomo.chain.clock import Clock, seconds
from majordomo.chain.tracker import Tracker
from majordomo.names import MalformedChain
from majordomo.registry import Registry
from majordomo.rpc.validation import InvalidRequest, Violation
from majordomo.v1.operator_service_pb2 import (
    BenchRequest,
    BenchResponse,
    HealthSnapshotRequest,
    HealthSnapshotResponse,
    UnbenchRequest,
    UnbenchResponse,
)
from majordomo.v1.operator_service_pb2_grpc import OperatorServiceServicer

_LONGEST_REASON = 256
_LONGEST_BENCH = 366 * 86_400.0

INSTANCE_ID = (
    f"majordomo/{version('majordomo')} "
    f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
)
"""This process: version, host, process id, and a word that no other process has."""


class OperatorService(OperatorServiceServicer):
    """Shows and steers the health of targets."""

    def __init__(
        self, tracker: Tracker, registry: Registry, clock: Clock = Clock()
    ) -> None:
        self._tracker = tracker
        self._registry = registry
        self._clock = clock

    async def HealthSnapshot(  # noqa: N802 - gRPC's name
        self,
        request: HealthSnapshotRequest,
        context: ServicerContext[Any, Any],  # noqa: ARG002 - gRPC's signature
    ) -> HealthSnapshotResponse:
        names = None
        if request.chain:
            targets = await self._registry.catalog.resolve(request.chain)
            names = [target.name for target in targets]
        return HealthSnapshotResponse(
            instance_id=INSTANCE_ID,
            snapshot_time=self._clock.timestamp(),
            targets=self._tracker.snapshot(names),
        )

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

    def _target(self, target: str) -> Iterator[Violation]:
        """What is wrong with the form of `target`. Raises UnknownProvider."""
        try:
            self._registry.catalog.check_benchable(target)
        except MalformedChain as error:
            yield Violation("target", str(error))
