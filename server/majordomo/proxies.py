"""Which proxy leads to a URL: the one that is configured, or the environment's.

HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in lower case too, which goes first. An
entry of NO_PROXY is a host, which stands for its subdomains as well, an address, a
network such as 10.0.0.0/8, each of them with a port if need be, or "*" for all. What is
on this machine is never asked for by way of the environment's proxy.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Self
from urllib.parse import SplitResult, quote, unquote, urlsplit

from majordomo.loopback import on_this_machine

SCHEMES = ("http", "https", "socks5", "socks5h")

_DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


def check_proxy(url: str) -> str:
    """`url` if it can be a proxy's; ValueError, which shows nothing of it, if not."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in SCHEMES and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(
            "must be the URL of a proxy, such as http://proxy.example:3128 or "
            'socks5://proxy.example:1080, or "none"'
        )
    return url


def proxy_name(url: str) -> str:
    """host:port of a proxy, which may be reported."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or _DEFAULT_PORTS[parts.scheme]}"


def credentials(url: str) -> Iterator[str]:
    """What must not be disclosed of a proxy's URL, in each form that it may take."""
    parts = urlsplit(url)
    if parts.password:
        yield parts.password
        yield unquote(parts.password)
        yield quote(unquote(parts.password), safe="")
    elif parts.username:
        yield parts.username


@dataclass(frozen=True)
class EnvironmentProxies:
    """What the environment says of proxies; nothing by default."""

    by_scheme: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """The proxy of http and of https, for each that has one."""

    exceptions: tuple[str, ...] = ()
    """The entries of NO_PROXY."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Those of `environ`. Raises ValueError, which names the variable."""
        found = []
        for scheme in ("http", "https"):
            for name in (f"{scheme}_proxy", "all_proxy"):
                variable = name if environ.get(name) else name.upper()
                if url := environ.get(variable):
                    found.append((scheme, _usable(variable, url)))
                    break
        listed = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
        entries = (entry.strip().lower() for entry in listed.split(","))
        return cls(tuple(found), tuple(entry for entry in entries if entry))

    def proxy_for(self, url: str) -> str | None:
        """The URL of the proxy that leads to `url`; None for the direct way."""
        parts = urlsplit(url)
        proxy = dict(self.by_scheme).get(parts.scheme)
        if proxy is None or on_this_machine(parts.hostname or ""):
            return None
        if any(_excepts(entry, parts) for entry in self.exceptions):
            return None
        return proxy


def _usable(variable: str, url: str) -> str:
    try:
        return check_proxy(url if "://" in url else f"http://{url}")
    except ValueError as error:
        raise ValueError(f"{variable} of the environment {error}") from None


def _excepts(entry: str, url: SplitResult) -> bool:
    """Whether an entry of NO_PROXY stands for the host of `url`."""
    if entry == "*":
        return True
    host = (url.hostname or "").rstrip(".")
    address = _address(host)
    if "/" in entry:
        return address is not None and _within(address, entry)
    name, port = _split(entry)
    if port and port != str(url.port or _DEFAULT_PORTS[url.scheme]):
        return False
    if address is not None:
        return address == _address(name)
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split(entry: str) -> tuple[str, str]:
    """Host and port of an entry; a port of "" where there is none."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, rest.removeprefix(":")
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, ""


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _within(address: IPv4Address | IPv6Address, network: str) -> bool:
    try:
        return address in ip_network(network, strict=False)
    except ValueError:
        return False
