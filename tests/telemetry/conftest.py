"""A server that is asked to trace, and where its spans go."""

import io
import logging
import os
from collections.abc import AsyncIterator

import pytest

from majordomo import secrets
from majordomo.telemetry import logs
from testkit.collector import Collector, collecting


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the one who runs the tests decides where spans go."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """The process's log, as `majordomo serve` writes it."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers)
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(logs, "_events", None)
    monkeypatch.setattr(secrets, "_keys", ())
    stream = io.StringIO()
    logs.configure(stream, terminal=False)
    return stream


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    """A collector to which every server begun in the test sends its spans.

    It has them all once the server has ended.
    """
    async with collecting() as it:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", it.address)
        yield it
