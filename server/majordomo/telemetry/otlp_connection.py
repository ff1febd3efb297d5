"""How an exporter of OTLP connects: authorities, certificates, proxies.

The exporters read the files that the variables name as they are made, and know no more
of them: here one is made again when its files change.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc

from majordomo.files import signature
from majordomo.proxies import EnvironmentProxies

_FILES = ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
_AUTHORITIES = "SSL_CERT_FILE"
_ENDPOINT = "http://localhost:4317"

_log = logging.getLogger("majordomo")


class CurrentExporter:
    """An exporter that `make` makes, and makes again when one of `files` changes.

    Files that cannot be used change nothing, and the log says so.
    """

    def __init__(self, make: Callable[[], Any], files: list[Path]) -> None:
        self._make = make
        self._files = files
        self._seen = signature(files)
        self._exporter = make()

    def export(self, data: Any, *more: Any, **named: Any) -> Any:
        """As the exporter does."""
        seen = signature(self._files)
        if seen != self._seen:
            self._seen = seen
            self._renew()
        return self._exporter.export(data, *more, **named)

    def force_flush(self, *more: Any, **named: Any) -> bool:
        """As the exporter does."""
        done: bool = self._exporter.force_flush(*more, **named)
        return done

    def shutdown(self, *more: Any, **named: Any) -> None:
        """As the exporter does."""
        self._exporter.shutdown(*more, **named)

    def _renew(self) -> None:
        try:
            fresh = self._make()
        except Exception as error:
            why = type(error).__name__
            _log.error("the certificates for telemetry stay as they were: %s", why)
            return
        old, self._exporter = self._exporter, fresh
        old.shutdown()
        _log.info("telemetry goes out with new certificates")


def files(signal: str, environ: Mapping[str, str]) -> list[Path]:
    """Those that the exporter of TRACES or METRICS is made of."""
    named = [_variable(signal, name, environ) for name in _FILES]
    return [Path(name) for name in (*named, environ.get(_AUTHORITIES)) if name]


def grpc_settings(signal: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """What an exporter by gRPC does not take from the variables itself.

    Raises ValueError for a variable that names no proxy, OSError for a file.
    """
    settings: dict[str, Any] = {}
    if not environ.get("grpc_proxy"):  # which gRPC knows
        settings["channel_options"] = (_proxy_option(signal, environ),)
    authorities = environ.get(_AUTHORITIES)
    if authorities and not _variable(signal, "CERTIFICATE", environ):
        key, certificate = (
            Path(path).read_bytes() if path else None
            for path in (
                _variable(signal, "CLIENT_KEY", environ),
                _variable(signal, "CLIENT_CERTIFICATE", environ),
            )
        )
        settings["credentials"] = grpc.ssl_channel_credentials(
            Path(authorities).read_bytes(), key, certificate
        )
    return settings


def http_settings(signal: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """What an exporter by HTTP does not take from the variables itself."""
    authorities = environ.get(_AUTHORITIES)
    if authorities and not _variable(signal, "CERTIFICATE", environ):
        return {"certificate_file": authorities}
    return {}


def _proxy_option(signal: str, environ: Mapping[str, str]) -> tuple[str, Any]:
    endpoint = _variable(signal, "ENDPOINT", environ) or _ENDPOINT
    if "://" not in endpoint:
        plain = (_variable(signal, "INSECURE", environ) or "").lower() == "true"
        endpoint = f"{'http' if plain else 'https'}://{endpoint}"
    proxy = EnvironmentProxies.read(environ).proxy_for(endpoint)
    if proxy is None:
        return ("grpc.enable_http_proxy", 0)
    if not proxy.startswith("http://"):
        _log.warning(
            "telemetry goes out directly: gRPC needs a proxy of the form "
            "http://host:port; name one in grpc_proxy, or the collector in NO_PROXY"
        )
        return ("grpc.enable_http_proxy", 0)
    return ("grpc.http_proxy", proxy)


def _variable(signal: str, name: str, environ: Mapping[str, str]) -> str | None:
    """What is set for the signal, or for all."""
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_{name}")
    return own or environ.get(f"OTEL_EXPORTER_OTLP_{name}")
