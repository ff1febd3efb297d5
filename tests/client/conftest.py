"""Both clients, one way to use them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from majordomo.client import AsyncClient, AsyncEvents, Client, Events

Ask = Callable[..., Awaitable[Any]]
"""`ask(address, method, *args, **kwargs)`: the method's result; a stream's events."""


@pytest.fixture(params=["async", "sync"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Call a method of a new client, of each kind in turn; `client=` is its own."""
    return _async if request.param == "async" else _sync


async def _async(
    address: str, method: str, *args: Any, client: Mapping[str, Any] = {}, **kwargs: Any
) -> Any:
    async with AsyncClient(address, **client) as majordomo:
        result = getattr(majordomo, method)(*args, **kwargs)
        if isinstance(result, AsyncEvents):
            return [event async for event in result]
        return await result


async def _sync(
    address: str, method: str, *args: Any, client: Mapping[str, Any] = {}, **kwargs: Any
) -> Any:
    def call() -> Any:
        with Client(address, **client) as majordomo:
            result = getattr(majordomo, method)(*args, **kwargs)
            return list(result) if isinstance(result, Events) else result

    return await asyncio.to_thread(call)
