"""Recorded provider traffic, kept outside of the project."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded HTTP exchange."""

    id: str
    provider: str
    kind: str
    """unary, stream or error."""

    request: Any
    status: int
    headers: dict[str, str]
    body: bytes


def recordings(*providers: str) -> list[Recording]:
    """Those of the providers whose names begin so.

    Where MAJORDOMO_RECORDINGS names no folder, the module is skipped. A folder without
    recordings is an error.
    """
    folder = os.environ.get("MAJORDOMO_RECORDINGS")
    if not folder:
        pytest.skip("MAJORDOMO_RECORDINGS is not set", allow_module_level=True)
    found = [_read(path) for path in sorted(Path(folder).glob("*.json"))]
    if not found:
        pytest.fail(f"MAJORDOMO_RECORDINGS names {folder}, which holds no recordings")
    return [
        recording for recording in found if recording.provider.startswith(providers)
    ]


def _read(path: Path) -> Recording:
    data = json.loads(path.read_text(encoding="utf-8"))
    response = data["response"]
    body = response["body"]
    if not isinstance(body, str):
        body = json.dumps(body)
    return Recording(
        id=data["id"],
        provider=data["provider"],
        kind=data["kind"],
        request=data["request"]["json"],
        status=response["status"],
        headers=response["headers"],
        body=body.encode(),
    )
