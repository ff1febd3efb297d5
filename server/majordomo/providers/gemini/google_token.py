"""Tokens of Google's OAuth, from the machine's application default credentials.

Needs google-auth, the extra majordomo-grpc[vertex].
"""

import asyncio
from contextlib import closing
from typing import Any

from majordomo.chain.failure import Failure
from majordomo.distribution import MissingExtra, require
from majordomo.threads import in_own_thread
from majordomo.transport.egress import Egress
from majordomo.v1.attempt_pb2 import FAILURE_REASON_CREDENTIALS

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class GoogleToken:
    """The token in force, got again some minutes before it runs out.

    It is asked for by the way of `egress`, by default directly.
    """

    def __init__(self, credentials: Any = None, egress: Egress | None = None) -> None:
        self._credentials = credentials
        self._egress = egress
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
            # google-auth's errors may quote what the token server reported.
            why = error if isinstance(error, MissingExtra) else type(error).__name__
            raise Failure(FAILURE_REASON_CREDENTIALS, f"no token from Google: {why}")
        return refresh.result()

    def _refreshed(self) -> str:
        require("vertex")
        import google.auth  # noqa: PLC0415 - an extra

        from majordomo.providers.gemini.google_request import (  # noqa: PLC0415
            EgressRequest,
        )

        with closing(EgressRequest(self._egress or Egress.direct())) as request:
            if self._credentials is None:
                self._credentials, _ = google.auth.default([_SCOPE], request)
            if not self._credentials.valid:
                self._credentials.refresh(request)
        return str(self._credentials.token)
