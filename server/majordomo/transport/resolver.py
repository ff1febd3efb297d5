"""The addresses of a provider's host.

The system's resolver blocks, for half a minute where a name server is silent. Each
lookup has a thread of its own, so that it holds up no other provider, and nothing else
that the process does. The connector asks for a host once at a time, and a provider has
one: there are no more threads than providers.
"""

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from majordomo.threads import in_own_thread


class SystemResolver(AbstractResolver):
    """Asks the system, by getaddrinfo."""

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,
    ) -> list[ResolveResult]:
        """The addresses of `host`, the preferred one first; raises OSError."""
        found = await in_own_thread(
            socket.getaddrinfo,
            host,
            port,
            family,
            socket.SOCK_STREAM,
            flags=socket.AI_ADDRCONFIG,
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is held: a lookup that hangs is given up by anyone who waits for
        it."""
