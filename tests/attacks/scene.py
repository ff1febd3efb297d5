"""A server of its own process under attack, and a healthy caller beside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc

from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub
from testkit.processes import Serving, serving
from testkit.servers import generate

OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)
SCRIPTED = '[providers.acme]\nkind = "scripted"\n'


@dataclass
class Healthy:
    """Calls one after another, as long as its block lasts."""

    seconds: list[float] = field(default_factory=list)
    """What each answered call took."""

    failed: list[grpc.aio.AioRpcError] = field(default_factory=list)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def calls(self, address: str, metadata: Any) -> None:
        async with grpc.aio.insecure_channel(address, OWN_CONNECTION) as channel:
            stub: Any = GenerationServiceStub(channel)
            while True:
                begun = perf_counter()
                try:
                    await stub.Generate(generate("acme/text:ok"), metadata=metadata)
                except grpc.aio.AioRpcError as error:
                    self.failed.append(error)
                else:
                    self.seconds.append(perf_counter() - begun)
                self._ended.set()

    async def answered(self, more: int) -> None:
        """Wait until as many further calls have been answered."""
        wanted = len(self.seconds) + more
        while len(self.seconds) < wanted and not self.failed:
            self._ended.clear()
            await self._ended.wait()

    def quantile(self, share: float) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * share)]


@dataclass
class Scene:
    server: Serving
    healthy: Healthy

    @property
    def address(self) -> str:
        return self.server.address

    def memory(self, what: str = "VmRSS") -> int:
        """MiB that the server takes; "VmHWM" is the most that it ever took."""
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(what))
        return int(line.split()[1]) >> 10


@asynccontextmanager
async def attacked(
    path: Path, server: str = "", more: str = "", metadata: Any = ()
) -> AsyncIterator[Scene]:
    """Serve a scripted provider; `server` and `more` are further TOML.

    `metadata` is the healthy caller's.
    """
    file = path / "majordomo.toml"
    file.write_text(f"[server]\n{server}\n{SCRIPTED}{more}")
    async with serving(file, stderr=asyncio.subprocess.DEVNULL) as process:
        healthy = Healthy()
        calling = asyncio.create_task(healthy.calls(process.address, metadata))
        try:
            await healthy.answered(20)
            yield Scene(process, healthy)
        finally:
            calling.cancel()
            with suppress(asyncio.CancelledError):
                await calling
