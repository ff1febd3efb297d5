"""Which URLs of media go on to a provider, which fetches what they name.

A service on the Internet fetches from there. A server in our own network could be made
to fetch from that, on behalf of anyone who may send a prompt.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from majordomo.chain.failure import Failure
from majordomo.v1.attempt_pb2 import FAILURE_REASON_UNSUPPORTED
from majordomo.v1.content_pb2 import Part

_PLAIN = re.compile(
    r"https://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d+)?(?:[/?#][!-\[\]-~]*)?",
    re.IGNORECASE,
)
"""A URL of which everybody reads the same host."""

_NUMBER = re.compile(r"(?:0x[0-9a-f]*|\d+)\.?", re.IGNORECASE)
"""What the last label of a host is where it is taken for an address, in any form."""

_INNER = ("localhost", "internal", "local", "localdomain", "lan", "corp", "intranet")
"""Last labels of names that mean something in a private network alone."""

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""Addresses that a gateway takes for the IPv4 address at their end (RFC 6052)."""


@dataclass(frozen=True, slots=True)
class MediaHosts:
    """Where media may be that a provider is sent the URLs of."""

    named: frozenset[str] = frozenset()
    """Hosts, and their subdomains, from which it may fetch, wherever they are."""

    others: bool = True
    """It may fetch from any other host that is not in a private network."""

    def check(self, parts: Iterable[tuple[str, Part]]) -> None:
        """Raise Failure (UNSUPPORTED) for a reference of `parts` that may not go on."""
        for path, part in parts:
            if part.HasField("media_reference"):
                problem = self._problem(part.media_reference.uri)
                if problem:
                    text = f"{path}.media_reference.uri: {problem}"
                    raise Failure(FAILURE_REASON_UNSUPPORTED, text)

    def _problem(self, url: str) -> str:
        """Why `url` may not go on; empty if it may."""
        plain = _PLAIN.fullmatch(url)
        if not plain:
            return "must be https, a plain host, and no user"
        host = plain[1].lower().strip("[]").rstrip(".")
        if any(host == named or host.endswith(f".{named}") for named in self.named):
            return ""
        if not self.others:
            return "this target's media_hosts do not name its host"
        return "is in a private network" if _private(host) else ""


ANYWHERE_PUBLIC = MediaHosts()


def _private(host: str) -> bool:
    """It is, or may be taken for, an address or a name of a private network."""
    try:
        address = ip_address(host)
    except ValueError:
        last = host.rpartition(".")[2]
        return "." not in host or last in _INNER or bool(_NUMBER.fullmatch(last))
    if isinstance(address, IPv6Address):
        # An IPv4 address within goes where that goes; of others the Internet's alone.
        inner = address.ipv4_mapped or address.sixtofour
        if address in _TRANSLATED:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        return not (inner or address).is_global
    return not address.is_global
