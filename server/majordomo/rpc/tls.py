"""TLS for the server, with certificates that may be replaced while it runs."""

import logging

import grpc

from majordomo.config.schema import TlsConfig
from majordomo.files import signature

_log = logging.getLogger("majordomo")


class Certificates:
    """What is shown to callers, and whom their certificates must come from.

    Read again when one of the files changes: the next handshake has the new ones.
    Files that cannot be used change nothing, and the log says so.
    """

    def __init__(self, config: TlsConfig) -> None:
        self._config = config
        self._seen = signature(config.files)
        self._initial = self._read()

    def server_credentials(self) -> grpc.ServerCredentials:
        """For `add_secure_port`. gRPC asks at every handshake, on its own thread."""
        return grpc.dynamic_ssl_server_credentials(
            self._initial,
            self._changed,  # type: ignore[arg-type]
            require_client_authentication=self._config.client_ca is not None,
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """What to use from now on; None: what was used before."""
        try:
            now = signature(self._config.files)
            if now == self._seen:
                return None
            self._seen = now
            self._config.check()
            fresh = self._read()
        except (OSError, ValueError) as error:
            _log.error("the certificates stay as they were: %s", str(error))
            return None
        _log.info("new certificates are in use")
        return fresh

    def _read(self) -> grpc.ServerCertificateConfiguration:
        config = self._config
        pair = (config.private_key.read_bytes(), config.certificate.read_bytes())
        roots = config.client_ca.read_bytes() if config.client_ca else None
        return grpc.ssl_server_certificate_configuration([pair], roots)
