"""Sockets that listen, on both families where the address names neither."""

import os
import socket

_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - to know them, not to bind them


def listening_socket(address: str) -> socket.socket:
    """A socket that listens on `address`, host:port.

    A wildcard of either family takes both where the machine has both, as gRPC's own
    ports do. Raises OSError.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        if host in _WILDCARDS and socket.has_dualstack_ipv6():
            return socket.create_server(
                ("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True
            )
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
        family, _, _, _, place = found[0]
        return socket.create_server((place[0], place[1]), family=family)
    except socket.gaierror:
        raise OSError(f"cannot listen on {address}: unknown host {host}") from None
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(f"cannot listen on {address}: {why}") from None
