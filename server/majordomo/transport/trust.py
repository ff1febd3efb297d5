"""Whose certificates a provider may show, and which one it is shown.

What the files say when they are read is all that is known here: the configuration is
read again when one of them changes, and a provider whose trust is another one then gets
new connections.
"""

import hashlib
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import httpx

_FILE, _FOLDER = "SSL_CERT_FILE", "SSL_CERT_DIR"

_MOST_CONTEXTS = 16
"""Of those that are alike, one serves all providers: it takes a megabyte."""


@dataclass(frozen=True)
class TrustFiles:
    """Where authorities, a certificate and its key are; all in PEM form."""

    authorities: Path | None = None
    """Without it and `folder` certifi's."""

    folder: Path | None = None
    """Authorities by the hashes of their names, as OpenSSL looks them up."""

    certificate: Path | None = None
    key: Path | None = None

    def paths(self) -> list[Path]:
        """All that are named."""
        named = (self.authorities, self.folder, self.certificate, self.key)
        return [path for path in named if path is not None]


@dataclass(frozen=True)
class Trust:
    """A TLS context, and what makes it another one."""

    files: TrustFiles
    state: tuple[str, ...]
    """Equal for as long as the files hold the same."""

    http2: bool
    context: ssl.SSLContext = field(compare=False, repr=False)


def environment_files(environ: Mapping[str, str]) -> TrustFiles:
    """The authorities that SSL_CERT_FILE and SSL_CERT_DIR name."""
    file, folder = environ.get(_FILE), environ.get(_FOLDER)
    return TrustFiles(
        authorities=Path(file) if file else None,
        folder=Path(folder) if folder else None,
    )


def check_environment(files: TrustFiles) -> None:
    """Raise ValueError, which names the variable, where one of them is of no use."""
    for variable, path in ((_FILE, files.authorities), (_FOLDER, files.folder)):
        if path is not None:
            try:
                check_authorities(path)
            except ValueError as error:
                raise ValueError(f"{variable} of the environment: {error}") from None


def check_authorities(path: Path) -> Path:
    """`path`, a file or a folder of authorities. Raises ValueError."""
    _state(path)
    if path.is_file():
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except ssl.SSLError:
            raise ValueError(f"{path} holds no certificate in PEM form") from None
    return path


def trust(files: TrustFiles, *, http2: bool = False) -> Trust:
    """What the files say now; `http2` is offered to the provider. Raises ValueError."""
    state = tuple(_state(path) for path in files.paths())
    return Trust(files, state, http2, _context(files, state, http2))


@lru_cache(maxsize=_MOST_CONTEXTS)
def _context(
    files: TrustFiles,
    state: tuple[str, ...],  # noqa: ARG001 - another one is another context
    http2: bool,  # noqa: ARG001 - httpx notes in it what it offers
) -> ssl.SSLContext:
    if files.authorities is None and files.folder is None:
        context = httpx.create_ssl_context(trust_env=False)
    else:
        try:
            context = ssl.create_default_context(
                cafile=files.authorities, capath=files.folder
            )
        except ssl.SSLError:
            problem = f"{files.authorities} holds no certificate in PEM form"
            raise ValueError(problem) from None
    if files.certificate is not None:
        try:
            context.load_cert_chain(files.certificate, files.key, password="")
        except (ssl.SSLError, ValueError):
            raise ValueError(
                f"{files.certificate} and {files.key} are no certificate and its key, "
                "in PEM form and without a password"
            ) from None
    return context


def _state(path: Path) -> str:
    """What changes when the content of a file does, or what is in a folder."""
    try:
        if path.is_dir():
            with os.scandir(path) as entries:
                listed = sorted((it.name, it.stat().st_mtime_ns) for it in entries)
            content = repr(listed).encode()
        else:
            content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    return hashlib.sha256(content).hexdigest()
