"""What every test must keep: nothing is left behind."""

import asyncio
import gc
import inspect
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# CI repeats what it did before; everybody else searches on. How long an example takes
# is known from the machine, and not by the code.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")

_PATIENCE = 20.0
"""Seconds that the kernel and other threads may take to let go."""


def _children() -> set[str]:
    """The process ids of this process's children (empty where /proc is not)."""
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        return set()
    children: set[str] = set()
    for task in tasks.iterdir():
        try:
            children.update((task / "children").read_text().split())
        except OSError:
            continue
    return children


def _describe(child: str) -> str:
    """A process's id, state and command, for anyone who has to find where it began."""
    folder = Path("/proc", child)
    try:
        state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return f"{child} (gone)"
    return f"{child} {state} {command}"


def _sockets() -> set[str]:
    """The sockets that this process holds (empty where /proc is not)."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        return set()
    sockets = set()
    for descriptor in descriptors.iterdir():
        try:
            name = os.readlink(descriptor)
        except OSError:
            continue
        if name.startswith("socket:"):
            sockets.add(name)
    return sockets


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No child process or socket outlives a test that began it."""
    children, sockets = _children(), _sockets()
    yield
    left_children, left_sockets = _children() - children, _sockets() - sockets
    if not left_children and not left_sockets:
        return
    deadline = time.monotonic() + _PATIENCE
    while left_children or left_sockets:
        gc.collect()
        if time.monotonic() > deadline:
            processes = [_describe(child) for child in left_children]
            pytest.fail(f"left: processes {processes}, sockets {left_sockets}")
        time.sleep(_LOOK)
        left_children &= _children()
        left_sockets &= _sockets()


@pytest.fixture(autouse=True)
def no_task_left_of_a_coroutine(
    request: pytest.FixtureRequest, nothing_left: None
) -> None:
    """Tasks end within their loop, before sockets are looked for.

    A fixture that is asked for by name ends after the one that asks, which is
    therefore not `nothing_left` itself.
    """
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("no_task_left")


@pytest.fixture
async def no_task_left() -> AsyncIterator[None]:
    """No task outlives a test; what is cancelled may end first."""
    sockets = _sockets()
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        await asyncio.wait(left, timeout=_PATIENCE)
        running = [task for task in left if not task.done()]
        assert running == []
    # What grpc.aio still holds goes when its last events are handled: by this loop.
    for _ in range(200):
        if _sockets() <= sockets:
            break
        gc.collect()
        await asyncio.sleep(_LOOK)


_LOOK = 0.01
"""Seconds between two looks."""
