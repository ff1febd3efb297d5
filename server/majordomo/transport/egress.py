"""The way out to a provider: by which proxy, with whose trust, over which HTTP."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from majordomo.proxies import EnvironmentProxies, credentials
from majordomo.transport.trust import Trust, environment_files, trust

DIRECT = "none"
"""The proxy of those that none leads to, whatever the environment says."""


@dataclass(frozen=True)
class Egress:
    """How a provider is reached."""

    trust: Trust
    proxy: str = field(default="", repr=False)
    """The proxy's URL, with credentials if it wants them; DIRECT; or "", by which the
    environment decides."""

    environment: EnvironmentProxies = field(default=EnvironmentProxies(), repr=False)

    @classmethod
    def direct(cls) -> Self:
        """By no proxy, with the authorities that this process trusts."""
        return cls(trust(environment_files(os.environ)))

    def proxy_for(self, url: str) -> str | None:
        """The URL of the proxy that leads to `url`; None for the direct way."""
        if self.proxy:
            return None if self.proxy == DIRECT else self.proxy
        return self.environment.proxy_for(url)

    def secrets(self) -> Iterator[str]:
        """What must never be disclosed of the proxies."""
        urls = [url for _, url in self.environment.by_scheme]
        for url in (self.proxy, *urls):
            if url not in ("", DIRECT):
                yield from credentials(url)
