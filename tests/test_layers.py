"""Arrows point inwards: no package knows those around it, and none goes in circles."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import majordomo

ROOT = Path(majordomo.__file__).parent

LAYERS: dict[str, str] = {
    # Each package, or module beside them, and those that it may import: all of them
    # stand above it, so that no arrow points outwards.
    "v1": "",
    "allocator": "",
    "distribution": "",
    "durations": "",
    "files": "",
    "loopback": "",
    "process": "",
    "secrets": "",
    "sockets": "",
    "text": "",
    "threads": "",
    "proxies": "loopback",
    "contract": "v1",
    "deltas": "v1",
    "schemas": "distribution",
    "errors": "text v1",
    "section": "distribution durations",
    "chain": "contract deltas distribution durations errors schemas text v1",
    "media": "chain distribution v1",
    "codec": "chain deltas distribution durations media schemas secrets text v1",
    "transport": "chain codec distribution media proxies schemas secrets threads v1",
    "providers": "chain codec deltas distribution durations media proxies schemas"
    " section threads transport v1",
    "config": "chain contract distribution errors files providers section transport v1",
    "registry": "chain config errors providers",
    "telemetry": "chain contract distribution durations files proxies secrets"
    " sockets v1",
    "rpc": "chain config contract distribution durations errors files loopback"
    " registry schemas secrets sockets telemetry text v1",
    "client": "contract deltas loopback v1",
    "cli": "allocator chain client config contract distribution durations process"
    " providers rpc telemetry v1",
    "__main__": "cli distribution process",
}

STRANGERS = {
    # Who may import what of others, by its first name.
    "aiohttp": "telemetry transport",
    "click": "cli __main__",
    "grpc": "client cli rpc telemetry v1",
    "grpc_health": "cli rpc",
    "grpc_reflection": "rpc",
    "httpx": "transport providers",
    "opentelemetry": "telemetry",
    "PIL": "media",
    "pydantic": "cli config providers section",
    "structlog": "telemetry",
}


def _modules() -> dict[str, ast.Module]:
    """All of ours by name, but what is generated."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        if "v1" not in parts:
            name = ".".join(parts).removesuffix(".__init__")
            found[name] = ast.parse(path.read_text(), path)
    return found


def _imports(tree: ast.Module) -> Iterator[str]:
    """What a module imports anywhere, also for the type checker alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


MODULES = _modules()


def _package(name: str) -> str:
    """The package of ours that a name is in, or the module beside them."""
    return name.partition(".")[2].partition(".")[0]


def _arrows(package: str) -> set[str]:
    """The packages of ours that one imports."""
    return {
        _package(imported)
        for name, tree in MODULES.items()
        if _package(name) == package
        for imported in _imports(tree)
        if imported.startswith("majordomo.")
    } - {package}


def test_the_table_has_every_package() -> None:
    """A new one needs its place."""
    packages = {_package(name) for name in MODULES} - {""}

    assert packages | {"v1"} == LAYERS.keys()


@pytest.mark.parametrize("package", LAYERS)
def test_a_package_imports_what_its_row_says(package: str) -> None:
    """And every row names only what stands above it: that leaves no circle."""
    allowed = set(LAYERS[package].split())

    assert set() == allowed - set(list(LAYERS)[: list(LAYERS).index(package)])
    assert set() == _arrows(package) - allowed


def test_no_module_is_imported_by_what_it_imports() -> None:
    """Not even around many corners, or for the type checker alone."""
    graph = {
        name: {
            next(
                module
                for module in (imported, imported.rpartition(".")[0])
                if module in MODULES
            )
            for imported in _imports(tree)
            if imported.startswith("majordomo.") and _package(imported) != "v1"
        }
        for name, tree in MODULES.items()
    }

    order = list(TopologicalSorter(graph).static_order())  # raises CycleError

    assert set(MODULES) == set(order)


@pytest.mark.parametrize("stranger", STRANGERS)
def test_what_is_others_is_known_where_it_belongs(stranger: str) -> None:
    """Providers' protocols, gRPC and OpenTelemetry each have their packages."""
    users = {
        _package(name)
        for name, tree in MODULES.items()
        if stranger in {imported.split(".")[0] for imported in _imports(tree)}
    }

    assert set() == users - set(STRANGERS[stranger].split())


@pytest.mark.parametrize(
    ("module", "strangers"),
    [
        ("majordomo.chain.engine", ["httpx", "grpc", "opentelemetry", "majordomo.rpc"]),
        ("majordomo.providers.openai_chat.codec", ["httpx", "grpc", "majordomo.rpc"]),
        ("majordomo.telemetry.service", ["httpx", "grpc", "majordomo.rpc"]),
        ("majordomo.client", ["httpx", "majordomo.chain.engine", "majordomo.rpc"]),
    ],
)
def test_a_layer_loads_nothing_outside_of_it(module: str, strangers: list[str]) -> None:
    """A fresh interpreter that imports the layer has not loaded the strangers."""
    program = (
        f"import sys, {module}\n"
        f"print(*[name for name in {strangers!r} if name in sys.modules])"
    )

    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "" == found.stdout.strip()
