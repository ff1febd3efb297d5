"""The transports that faults are played to."""

import pytest

from tests.faults import scene


@pytest.fixture(params=["", "http2 = true"], ids=["pool", "httpx"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """bad/m is reached by the pool; and by httpx, for HTTP/2, which it has not."""
    over: str = request.param
    monkeypatch.setattr(scene, "OVER", over)
    return over
