"""Which hosts are this machine: nothing stands between it and itself."""

from ipaddress import ip_address


def on_this_machine(host: str) -> bool:
    """Whether `host` means the loopback, by its name or as an address."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def host_of(address: str) -> str:
    """The host of "host:port"; brackets stand around an IPv6 address."""
    return address.rpartition(":")[0].strip("[]")
