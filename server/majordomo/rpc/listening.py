"""Where the gRPC server listens: ports, and Unix sockets."""

import socket
import stat
from pathlib import Path

import grpc

from majordomo.config.schema import TlsConfig
from majordomo.rpc.tls import Certificates
from majordomo.sockets import listening_socket

_UNIX = "unix:"
_CONNECT_TIMEOUT = 1.0
"""Seconds in which a server that is alive accepts on its Unix socket."""


def listen(server: grpc.aio.Server, address: str, tls: TlsConfig | None) -> str:
    """Let `server` listen on `address`; returns it with the port that it got.

    Raises OSError with what is wrong and the fix.
    """
    if address.startswith(_UNIX):
        _make_way(Path(address.removeprefix(_UNIX)))
    try:
        if tls is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(
                address, Certificates(tls).server_credentials()
            )
    except RuntimeError:
        raise OSError(_why(address)) from None
    if address.startswith(_UNIX):
        return address
    return f"{address.rpartition(':')[0]}:{port}"


def _make_way(path: Path) -> None:
    """Refuse a Unix socket on which somebody answers; gRPC would take it over.

    What a server that is gone has left behind gRPC replaces.
    """
    if not path.parent.is_dir():
        raise OSError(f"cannot listen on unix:{path}: there is no folder {path.parent}")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(f"cannot listen on unix:{path}: it is a file, and no socket")
    if _answers(path):
        raise OSError(
            f"cannot listen on unix:{path}: another server does; stop it, or choose "
            "another path"
        )


def _answers(path: Path) -> bool:
    """Somebody accepts connections there, or has too many of them to accept more."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_CONNECT_TIMEOUT)
        try:
            probe.connect(str(path))
        except (TimeoutError, BlockingIOError):
            return True
        except OSError:
            return False
    return True


def _why(address: str) -> str:
    """What the system says to `address`; gRPC's core tells its log alone."""
    if not address.startswith(_UNIX):
        try:
            listening_socket(address).close()
        except OSError as error:
            return str(error)
    return f"cannot listen on {address}; is it taken?"
