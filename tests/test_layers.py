"""Arrows point inwards: the chain knows neither HTTP nor gRPC."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "strangers"),
    [
        ("majordomo.chain.engine", ["httpx", "grpc", "opentelemetry", "majordomo.rpc"]),
        ("majordomo.providers.openai_chat.codec", ["httpx", "grpc", "majordomo.rpc"]),
    ],
)
def test_a_layer_imports_nothing_outside_of_it(
    module: str, strangers: list[str]
) -> None:
    """A fresh interpreter that imports the layer has not loaded the strangers."""
    program = (
        f"import sys, {module}\n"
        f"print(*[name for name in {strangers!r} if name in sys.modules])"
    )

    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "" == found.stdout.strip()
