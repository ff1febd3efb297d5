"""Streams that watch the server itself: its health, and what it can be asked.

They have no end of their own, and would hold up a drain for all of its grace.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from grpc_health.v1 import health, health_pb2

from majordomo.errors import ServerDraining


class Onlookers:
    """Ends such streams when the server drains."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def close(self) -> None:
        """End all, and turn new ones away."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Surrounds a stream, within its task. Raises ServerDraining."""
        task = asyncio.current_task()
        if self._closed or task is None:
            raise ServerDraining
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            # The caller may have cancelled at the same time: then nobody learns.
            if not self._closed or task.uncancel():
                raise
            raise ServerDraining from None
        finally:
            self._tasks.discard(task)


class HealthService(health.aio.HealthServicer):  # type: ignore[misc]
    """grpc.health.v1, whose watches end when the server drains."""

    def __init__(self, onlookers: Onlookers) -> None:
        super().__init__()
        self._onlookers = onlookers

    async def Watch(  # noqa: N802 - the method's name
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> None:
        """Answer with each new state of `request.service`."""
        with self._onlookers.watching():
            await super().Watch(request, context)


class Reflection:
    """Any version of grpc.reflection, whose streams end when the server drains."""

    def __init__(self, servicer: Any, onlookers: Onlookers) -> None:
        self._servicer = servicer
        self._onlookers = onlookers

    async def ServerReflectionInfo(  # noqa: N802 - the method's name
        self, requests: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[Any]:
        """Answer each request in turn."""
        with self._onlookers.watching():
            async for response in self._servicer.ServerReflectionInfo(
                requests, context
            ):
                yield response
