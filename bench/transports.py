"""Transports for talking to providers: how each reports faults, and what it costs.

    python -m bench.transports [--rounds N]

Prints two Markdown tables: faults (bench/faults.py) by transport, and the CPU of a
request by medians of interleaved rounds: this process, all threads, one core; the
provider on another. Compare within one run only; ratios are what counts. pyreqwest is
left out where it is not installed.
"""

import argparse
import asyncio
import importlib
import importlib.util
import os
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterator,
    Mapping,
)
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
from httpx_aiohttp import AiohttpTransport

from bench.faults import CONNECT_TIMEOUT, FAULTS, Client, authority, chunks
from bench.processes import build_native, native
from majordomo.transport.base import Head, Response, failure, never
from majordomo.transport.egress import Egress
from majordomo.transport.pool import PooledTransport
from majordomo.v1.attempt_pb2 import FailureReason

_PATIENCE = 3.0
"""Seconds after which a client has missed a fault."""

_TIMEOUTS = {"timeout": {"connect": CONNECT_TIMEOUT, "pool": CONNECT_TIMEOUT}}


def _by_type(error: BaseException) -> str:
    """The types of an exception and of what it came from."""
    names = []
    current: BaseException | None = error
    while current is not None:
        names.append(type(current).__name__)
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)
    return " from ".join(names)


def _by_reason(error: BaseException) -> str:
    """What the walk is reported."""
    reported = failure(error)
    reason = FailureReason.Name(reported.reason).removeprefix("FAILURE_REASON_")
    return f"{reason}: {reported.message}"


@dataclass(frozen=True)
class Candidate:
    """A transport on trial; `report` shows what it reported of a fault."""

    name: str
    client: Callable[[], Client]
    report: Callable[[BaseException], str] = _by_type


class _Plain:
    """A transport of httpx's as it is: nothing of what majordomo adds."""

    def __init__(
        self, inner: httpx.AsyncBaseTransport, extensions: Mapping[str, Any] = _TIMEOUTS
    ) -> None:
        self._inner = inner
        self._extensions = dict(extensions)
        self.aclose = inner.aclose

    async def post(
        self, head: Head, body: bytes, resend: Callable[[], bool] = never
    ) -> Response:
        request = httpx.Request(
            "POST",
            head.url,
            headers=head.headers,
            content=body,
            extensions=self._extensions,
        )
        return _PlainResponse(await self._inner.handle_async_request(request))


class _PlainResponse:
    def __init__(self, response: httpx.Response) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self.status = response.status_code
        self.headers = response.headers.raw
        self._stream = response.stream
        self._chunks = aiter(response.stream)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    def batch(self, seconds: float) -> None:
        """It is read as it comes."""

    async def aclose(self) -> None:
        if isinstance(self._chunks, AsyncGenerator):
            await self._chunks.aclose()
        await self._stream.aclose()


def _httpx() -> Client:
    return Client(_Plain(httpx.AsyncHTTPTransport()))


def _aiohttp() -> Client:
    return Client(_Plain(AiohttpTransport()))


def _pyreqwest() -> Client:
    # Its adapter makes one limit of the whole request out of httpx's timeouts, so
    # that the connect timeout has to be the client's.
    builder: Any = importlib.import_module("pyreqwest.client").ClientBuilder()
    adapter: Any = importlib.import_module("pyreqwest.compatibility.httpx")
    client = (
        builder.connect_timeout(timedelta(seconds=CONNECT_TIMEOUT))
        .add_root_certificate_pem(authority().cert_pem.bytes())
        .follow_redirects(enable=False)
        .no_proxy()
        .build()
    )
    return Client(_Plain(adapter.HttpxTransport(client), {}))


def _majordomo() -> Client:
    return Client(PooledTransport(CONNECT_TIMEOUT, Egress.direct().trust.context))


def _candidates() -> list[Candidate]:
    found = [Candidate("httpx", _httpx), Candidate("httpx-aiohttp", _aiohttp)]
    if importlib.util.find_spec("pyreqwest"):
        found.append(Candidate("pyreqwest", _pyreqwest))
    return [*found, Candidate("majordomo", _majordomo, _by_reason)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    _show_faults()
    asyncio.run(_show_costs(options.rounds))


def _show_faults() -> None:
    names = [candidate.name for candidate in _candidates()]
    _row("fault", *names)
    _row("---", *("---" for _ in names))
    # Each in a process of its own: what one leaves behind must not disturb the next.
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), max_tasks_per_child=1
    ) as pool:
        for fault, *outcomes in zip(FAULTS, *pool.map(_tried, names), strict=True):
            _row(fault, *outcomes)


def _tried(name: str) -> list[str]:
    """What became of each fault with the candidate of that name."""
    (candidate,) = (found for found in _candidates() if found.name == name)
    # aiohttp advises against large bodies in one piece.
    warnings.filterwarnings("ignore", "Sending a large body", ResourceWarning)
    with tempfile.TemporaryDirectory() as folder:
        trusted = Path(folder, "authority.pem")
        authority().cert_pem.write_to_path(str(trusted))
        os.environ["SSL_CERT_FILE"] = str(trusted)
        return asyncio.run(_outcomes(candidate))


async def _outcomes(candidate: Candidate) -> list[str]:
    outcomes = []
    for fault in FAULTS.values():
        client = candidate.client()
        try:
            async with asyncio.timeout(_PATIENCE) as limit:
                outcome = await fault(client)
        except Exception as error:
            outcome = "HUNG" if limit.expired() else candidate.report(error)
        finally:
            await client.transport.aclose()
        outcomes.append(outcome)
    return outcomes


@dataclass(frozen=True)
class Load:
    """So many requests, so many at once."""

    name: str
    requests: int
    in_flight: int
    body: bytes = b'{"model":"plain"}'


_BURST = b'{"model":"plain","stream":true}'
_PACED = b'{"model":"pace-2ms","stream":true}'
LOADS = [
    Load("unary, 1 in flight", 1000, 1),
    Load("unary, 16 in flight", 1500, 16),
    Load("200 chunks in a burst, 16 in flight", 300, 16, _BURST),
    Load("200 chunks at 2 ms, 16 in flight", 48, 16, _PACED),
]


async def _show_costs(rounds: int) -> None:
    os.sched_setaffinity(0, {0})
    candidates = _candidates()
    print()
    _row("us CPU a request", *(candidate.name for candidate in candidates))
    _row("---", *("---:" for _ in candidates))
    for load in LOADS:
        clients = {candidate.name: candidate.client() for candidate in candidates}
        costs = defaultdict(list)
        with _provider() as url:
            for number in range(rounds + 1):
                for name, client in clients.items():
                    cost = await _measure(client, url, load)
                    if number:  # the first round warms up
                        costs[name].append(cost)
        for client in clients.values():
            await client.transport.aclose()
        medians = {name: statistics.median(costs[name]) for name in clients}
        ours = medians["majordomo"]
        shown = (f"{cost:.0f} ({cost / ours:.2f})" for cost in medians.values())
        _row(load.name, *shown)


async def _measure(client: Client, url: str, load: Load) -> float:
    """Microseconds of this process's CPU a request."""
    head = Head(httpx.URL(url), {"content-type": "application/json"})
    work = repeat(None, load.requests)  # shared: each worker takes the next

    async def worker() -> None:
        for _ in work:
            response = await client.transport.post(head, load.body)
            async for _ in chunks(response):
                pass
            await response.aclose()

    before = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(load.in_flight):
            group.create_task(worker())
    return (time.process_time() - before) / load.requests * 1e6


@contextmanager
def _provider() -> Iterator[str]:
    """The native upstream's URL."""
    build_native()
    with native("upstream", Path(os.devnull)) as address:
        yield f"http://{address}/v1/chat/completions"


def _row(*cells: str) -> None:
    print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
