"""Tokens of Google's OAuth, from the machine's application default credentials.

Needs google-auth, the extra majordomo-grpc[vertex].
"""

import asyncio
from typing import Any

from majordomo.chain.failure import Failure
from majordomo.distribution import MissingExtra, require
from majordomo.threads import in_own_thread
from majordomo.v1.attempt_pb2 import FAILURE_REASON_CREDENTIALS

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class GoogleToken:
    """The token in force, got anew some minutes before it runs out."""

    def __init__(self, credentials: Any = None) -> None:
        self._credentials = credentials
        self._refresh: asyncio.Future[str] | None = None

    async def __call__(self) -> str:
        """A token; Failure (CREDENTIALS) where there is none to be had."""
        credentials = self._credentials
        if credentials is not None and credentials.valid:
            return str(credentials.token)
        # One at a time, for all that wait: it may hang, and they may be cancelled.
        refresh = self._refresh
        if refresh is None or refresh.done():
            refresh = self._refresh = in_own_thread(self._refreshed)
        await asyncio.wait({refresh})
        if error := refresh.exception():
            # google-auth's errors may quote what the token server said.
            why = error if isinstance(error, MissingExtra) else type(error).__name__
            raise Failure(FAILURE_REASON_CREDENTIALS, f"no token from Google: {why}")
        return refresh.result()

    def _refreshed(self) -> str:
        require("vertex")
        import google.auth  # noqa: PLC0415 - an extra
        from google.auth.transport.requests import Request  # noqa: PLC0415

        if self._credentials is None:
            self._credentials, _ = google.auth.default(scopes=[_SCOPE])
        if not self._credentials.valid:
            self._credentials.refresh(Request())
        return str(self._credentials.token)
