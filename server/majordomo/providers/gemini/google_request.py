"""Requests of google-auth's by httpx: they go the way that the provider's own go.

Imports google-auth, an extra: to be imported where a token is wanted.
"""

from collections.abc import Mapping
from typing import Any

from majordomo.distribution import require

require("vertex")

import google.auth.transport
import httpx
from google.auth.exceptions import TransportError

from majordomo.transport.egress import Egress

_PATIENCE = 30.0
"""Seconds for a step of a request that has no limit of its own."""

_TOKEN_SERVER = "https://oauth2.googleapis.com"  # noqa: S105 - an address


class EgressRequest(google.auth.transport.Request):
    """Over TLS by the proxy of `egress`, and with its trust.

    What asks in plain text is this machine's metadata server, and goes there straight.
    """

    def __init__(self, egress: Egress) -> None:
        proxy = egress.proxy_for(_TOKEN_SERVER)
        self._client = httpx.Client(
            verify=egress.trust.context,
            mounts={"https://": httpx.HTTPTransport(egress.trust.context, proxy=proxy)},
            trust_env=False,
        )

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> "_Response":
        """What answers it. Raises google-auth's TransportError, without a reason."""
        try:
            response = self._client.request(
                method, url, content=body, headers=headers, timeout=timeout or _PATIENCE
            )
        except httpx.HTTPError as error:
            # Its words may quote the proxy, or the request.
            raise TransportError(type(error).__name__) from None  # type: ignore[no-untyped-call]
        return _Response(response)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


class _Response(google.auth.transport.Response):
    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    @property
    def data(self) -> bytes:
        return self._response.content
