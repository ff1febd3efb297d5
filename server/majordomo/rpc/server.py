"""The server: everything put together, started, and drained."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, nullcontext, suppress
from types import TracebackType
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from majordomo.chain.engine import Engine
from majordomo.chain.tracker import Tracker
from majordomo.config import Config
from majordomo.config.reload import Source, keep_current
from majordomo.contract import SERVICES
from majordomo.loopback import host_of, on_this_machine
from majordomo.registry import Registry
from majordomo.rpc.core import core_server
from majordomo.rpc.generation import GenerationService
from majordomo.rpc.health_feed import HealthFeed
from majordomo.rpc.interceptors.admission import AdmissionInterceptor
from majordomo.rpc.interceptors.auth import AuthInterceptor
from majordomo.rpc.interceptors.errors import ErrorInterceptor
from majordomo.rpc.interceptors.streams import MOST_SENT, StreamInterceptor
from majordomo.rpc.interceptors.telemetry import TelemetryInterceptor
from majordomo.rpc.listening import listen
from majordomo.rpc.memory import MOST_RECEIVED
from majordomo.rpc.onlookers import HealthService, Onlookers, Reflection
from majordomo.rpc.operator import OperatorService
from majordomo.rpc.scope import current_record
from majordomo.secrets import hide
from majordomo.telemetry.service import Telemetry
from majordomo.v1.generation_service_pb2_grpc import (
    add_GenerationServiceServicer_to_server,
)
from majordomo.v1.operator_service_pb2_grpc import add_OperatorServiceServicer_to_server

_REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"
_METADATA = 16 << 10
"""Bytes of a call's metadata, at most: one limit, where gRPC has one above which it
refuses at random and one above which it always does."""

_STREAMS = 12_000
"""Calls of one connection that are open, or were and are not yet forgotten. Beyond them
gRPC resets new ones, without a word of ours: that is what ends a rapid reset."""

_PENDING = 40_000
"""Calls that wait to be answered; gRPC drops those beyond, without our word."""

_WINDOW = 16 << 10
"""Bytes of a stream that gRPC takes before anybody reads it."""

FAREWELL = 0.1
"""Seconds in which calls that are on their way receive that the server is draining.

grpc.aio drops the call that it takes while it is stopped; its caller sees CANCELLED.
"""

OPTIONS = (
    ("grpc.max_receive_message_length", MOST_RECEIVED),
    ("grpc.max_send_message_length", MOST_SENT),
    ("grpc.max_metadata_size", _METADATA),
    ("grpc.absolute_max_metadata_size", _METADATA),
    # 31 KB may be 31 MiB: packed messages are ours to refuse.
    ("grpc.per_message_decompression", 0),
    # What nobody has begun to read is held back at the caller: the window does not
    # grow. A message that is read has a window of its size.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", _WINDOW),
    ("grpc.max_concurrent_streams", _STREAMS),
    ("grpc.server.max_pending_requests", _PENDING),
    ("grpc.server.max_pending_requests_hard_limit", _PENDING),
    # Clients may ping through the long silence of a model that reasons.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A peer that vanished is noticed, and its call at a provider let go.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # A port that is taken is an error, not a second server on it.
    ("grpc.so_reuseport", 0),
)

_PROBE_OPTIONS = (
    *(option for option in OPTIONS if option[0] != "grpc.max_receive_message_length"),
    ("grpc.max_receive_message_length", 4 << 10),
)
"""As `OPTIONS`, for questions that are a service's name."""

_FIXED = (
    "listen",
    "tls",
    "reflection",
    "metrics_listen",
    "health_listen",
    "max_connection_age",
    "batch_threads",
)
"""What holds from the start of a server to its end."""

_log = logging.getLogger("majordomo")


class Server:
    """A server made of a configuration; started and stopped as a context manager.

    Raises OSError where it cannot listen.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.address = ""
        """Where it listens, once it does: host:port, or unix:/path."""

        self.metrics_address = ""
        """Where the page for Prometheus is, host:port; empty without one."""

        self.health_address = ""
        """Where health is in plain text, host:port; empty without such a port."""

    async def __aenter__(self) -> "Server":
        config = self._config
        hide(config.secrets(), config.inner_hosts())
        self._registry = Registry(config)
        self._tracker = Tracker(
            config.health_settings(), configured=self._registry.catalog.names
        )
        self._held = AsyncExitStack()
        self._held.push_async_callback(self._registry.aclose)
        self._held.enter_context(_metadata_not_logged())
        try:
            with _patient_threads() if config.server.batch_threads else nullcontext():
                await self._start()
        except BaseException:
            await self._held.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop(grace=0)

    def reload(self, config: Config) -> None:
        """Answer the calls that come under `config`; those that run are not touched.

        The health of targets is kept where they are reached as before (rule 4.14).
        What it listens on cannot change.
        """
        for key in _FIXED:
            if getattr(config.server, key) != getattr(self._config.server, key):
                _log.warning("server.%s has changed; restart for it to hold", key)
        self._auth.configure(config.tokens)
        self._admission.configure(config.server.max_calls, config.server.memory_budget)
        self._feed.look()  # anyone who watches by a token that is gone
        hide(config.secrets(), config.inner_hosts())
        moved = self._registry.replace(config)
        names = self._registry.catalog.names
        self._tracker.configure(config.health_settings(), names, moved)
        self._config = config

    async def drain(self) -> None:
        """Turn new calls away and let those that run come to their end."""
        server = self._config.server
        await self._health.enter_graceful_shutdown()
        # Anyone who watches our health takes a moment to send callers elsewhere.
        await asyncio.sleep(server.drain_delay)
        self._generation.draining = True
        self._feed.close()
        self._onlookers.close()
        await asyncio.sleep(FAREWELL)
        await self.stop(grace=server.drain_grace)

    async def stop(self, grace: float) -> None:
        """End, after at most `grace` seconds for the calls that run."""
        await self._server.stop(grace)
        await self._held.aclose()

    async def _start(self) -> None:
        config = self._config
        tracker = self._tracker
        telemetry = Telemetry(tracker, current_record)
        self._held.push_async_callback(telemetry.stop)
        engine = Engine(tracker)
        self._generation = GenerationService(engine, self._registry)
        self._onlookers = Onlookers()
        self._health = HealthService(self._onlookers)
        tls = config.server.tls
        self._auth = AuthInterceptor(
            config.tokens, certificates=tls is not None and tls.client_ca is not None
        )
        self._admission = AdmissionInterceptor(
            config.server.max_calls, config.server.memory_budget
        )
        self._server = core_server(
            interceptors=[
                TelemetryInterceptor(telemetry.recorder),
                ErrorInterceptor(),
                self._auth,
                self._admission,
                StreamInterceptor(),
            ],
            options=(*OPTIONS, *_age(config.server.max_connection_age)),
        )
        add_GenerationServiceServicer_to_server(self._generation, self._server)
        self._feed = HealthFeed(tracker)
        # The log tells that a bench is over whether or not somebody watches.
        self._held.enter_context(self._feed.watching())
        operator = OperatorService(tracker, self._feed, self._registry)
        add_OperatorServiceServicer_to_server(operator, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if config.server.reflection:
            self._reflect()
        self.metrics_address = await telemetry.start(config.server.metrics_listen)
        probes = self._probes()
        # Last: a server that has a port and is not started keeps it.
        self.address = listen(self._server, config.server.listen, tls)
        _warn(config)
        for service in ("", *SERVICES):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        if probes is not None:
            await probes.start()
            self._held.push_async_callback(probes.stop, 0)

    def _reflect(self) -> None:
        """Serve reflection as v1alpha, which the library has, and as v1.

        The messages of both are the same; newer clients ask for v1 first.
        """
        names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        servicer = Reflection(reflection.aio.ReflectionServicer(names), self._onlookers)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            servicer, self._server
        )
        method = grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            reflection_pb2.ServerReflectionRequest.FromString,
            reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        handlers: dict[str, Any] = {"ServerReflectionInfo": method}
        generic = grpc.method_handlers_generic_handler(_REFLECTION_V1, handlers)
        self._server.add_generic_rpc_handlers((generic,))
        self._server.add_registered_method_handlers(_REFLECTION_V1, handlers)

    def _probes(self) -> grpc.aio.Server | None:
        """A server of grpc.health.v1 by itself, if one is wanted."""
        address = self._config.server.health_listen
        if address is None:
            return None
        server = core_server([ErrorInterceptor()], _PROBE_OPTIONS)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        self.health_address = listen(server, address, None)
        return server


def _age(limit: float | None) -> Iterator[tuple[str, int]]:
    """gRPC's option for the age of connections, in seconds."""
    if limit is not None:
        yield "grpc.max_connection_age_ms", max(1, round(limit * 1000))


@contextmanager
def _patient_threads() -> Iterator[None]:
    """Threads that begin in the block do not interrupt those that run.

    gRPC's wake for each message: each time they would take the processor from the event
    loop, which has to have it back to go on. Linux alone knows how to say so.
    """
    if sys.platform != "linux" or os.sched_getscheduler(0) != os.SCHED_OTHER:
        yield
        return
    with suppress(OSError):  # a sandbox may forbid it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextmanager
def _metadata_not_logged() -> Iterator[None]:
    """While a server runs. grpc.aio logs metadata that is no UTF-8: perhaps a token."""

    def tells_none(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("Invalid encoding on")

    log = logging.getLogger("grpc._cython.cygrpc")
    log.addFilter(tells_none)
    try:
        yield
    finally:
        log.removeFilter(tells_none)


def _warn(config: Config) -> None:
    """Anyone who listens beyond this machine should mean it."""
    server = config.server
    if server.listen.startswith("unix:") or on_this_machine(host_of(server.listen)):
        return
    if server.tls is None:
        _log.warning(
            "listening on %s without TLS: anyone on the way reads prompts, answers "
            "and tokens; set server.tls",
            server.listen,
        )
    if not config.tokens and (server.tls is None or server.tls.client_ca is None):
        _log.warning(
            "listening on %s without tokens: anyone in reach may call; set tokens, "
            "or server.tls.client_ca",
            server.listen,
        )


async def serve(source: Source, listening: Callable[[str], None]) -> None:
    """Serve what `source` says until SIGTERM or SIGINT, then drain.

    A second signal ends at once. On SIGHUP, and when its file changes, the
    configuration is loaded again. `listening` is called with the address once calls
    are taken. Raises ConfigError, and what `Server` raises.
    """
    signals: asyncio.Queue[int] = asyncio.Queue()
    hangup = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    config = source.load()
    async with Server(config) as server:
        current = asyncio.create_task(keep_current(source, server.reload, hangup))
        listening(server.address)
        received = await signals.get()
        current.cancel()
        _log.info("%s: draining", signal.Signals(received).name)
        drain = asyncio.create_task(server.drain())
        impatience = asyncio.create_task(signals.get())
        await asyncio.wait({drain, impatience}, return_when=asyncio.FIRST_COMPLETED)
        impatience.cancel()
        if not drain.done():
            _log.warning("a second signal: ending at once")
            drain.cancel()
        await asyncio.gather(current, drain, impatience, return_exceptions=True)
