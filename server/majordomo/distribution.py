"""The distribution that this package comes in: its name, its extras, what to install.

Installed alone it is the client: `majordomo.client`, `majordomo.v1` and the little that
they need. All else is of the extra `server`, or of one beside it.
"""

from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec

DISTRIBUTION = "majordomo-grpc"

_MODULES = {
    "server": (
        "aiohttp",
        "click",
        "grpc",
        "grpc_health",
        "grpc_reflection",
        "httpcore",
        "httptools",
        "httpx",
        "jsonschema_rs",
        "msgspec",
        "opentelemetry",
        "PIL",
        "platformdirs",
        "prometheus_client",
        "pydantic",
        "structlog",
        "tree_sitter",
        "tree_sitter_toml",
        "yarl",
    ),
    "local": ("xllamacpp",),
    "otlp": ("opentelemetry.exporter.otlp.proto.grpc",),
    "vertex": ("google.auth", "requests"),
}
"""What each extra brings, by the names that are imported."""


class MissingExtra(ImportError):
    """Something of `extra` is not installed; the message says what to install."""

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(
            f"{module} is not installed, of the extra {extra}: {installing(extra)}",
            name=module,
        )
        self.extra = extra


def installing(extra: str) -> str:
    """The command that installs the server with `extra`."""
    extras = ",".join(dict.fromkeys(["server", extra]))
    return f"pip install '{DISTRIBUTION}[{extras}]'"


def is_installed(extra: str) -> bool:
    """Whether all that `extra` brings is there; nothing is imported but packages."""
    return not any(_missing(extra))


@cache
def require(extra: str) -> None:
    """Raise MissingExtra unless all that `extra` brings is there."""
    for module in _missing(extra):
        raise MissingExtra(extra, module)


def _missing(extra: str) -> Iterator[str]:
    return (module for module in _MODULES[extra] if not _is_found(module))


def _is_found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package around it
        return False
