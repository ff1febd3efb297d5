"""A configuration that changes while the server runs: validated, then swapped whole."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from majordomo.config import Config, ConfigError, read, validate
from majordomo.files import signature

POLL = 1.0
"""Seconds between two looks at the files."""

_log = logging.getLogger("majordomo")


class Source:
    """A configuration's file, if it has one, the environment, and files they name."""

    def __init__(self, path: Path | None, environ: Mapping[str, str]) -> None:
        self._path = path
        self._environ = environ
        self._own = [path] if path is not None else []
        self._files = self._own
        self._loaded = self._seen = signature(self._files)

    def load(self) -> Config:
        """What it says now. Raises ConfigError."""
        # Looked at before they are read: what changes meanwhile is noticed.
        self._loaded = signature(self._files)
        own = signature(self._own)
        settings = read(self._path, self._environ)
        named = settings.files(self._environ)
        self._files = [*self._own, *named]
        self._loaded = own + signature(named)
        return validate(settings, self._environ)

    def changed(self) -> bool:
        """Whether a file is another one than was loaded.

        True only when the look before saw the same: one that is just being written
        is left alone.
        """
        before, self._seen = self._seen, signature(self._files)
        return before == self._seen != self._loaded


async def keep_current(
    source: Source,
    apply: Callable[[Config], None],
    hangup: asyncio.Event,
    poll: float = POLL,
) -> None:
    """Load and apply again on every `hangup`, and when a file changes.

    What cannot be used is reported in the log and changes nothing. Looks at the files
    every `poll` seconds. Runs until it is cancelled.
    """
    while True:
        asked = await _wait(hangup, poll)
        if asked or await asyncio.to_thread(source.changed):
            await _reload(source, apply)


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """True as soon as `event` is set, and reset it; False after `seconds`."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    event.clear()
    return True


async def _reload(source: Source, apply: Callable[[Config], None]) -> None:
    try:
        apply(await asyncio.to_thread(source.load))
    except ConfigError as error:
        _log.error("not reloaded, all stays as it was: %s", str(error))
    except Exception as error:  # a service that runs must go on running
        _log.error("not reloaded, all stays as it was: %s", type(error).__name__)
    else:
        _log.info("reloaded the configuration")
