"""Waiting with an end, on a real event loop."""

import asyncio
import socket
import time
from typing import Any

import pytest

from majordomo.chain.timing import RearmableTimeout
from tests.chain.fakes import virtual_time


@virtual_time
async def test_waits_no_longer_than_told() -> None:
    """At the moment named, what is awaited is cancelled."""
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError), RearmableTimeout().until(loop.time() + 3):
        await asyncio.sleep(100)

    assert 3 == pytest.approx(loop.time(), abs=0.01)


@virtual_time
async def test_leaves_no_timer() -> None:
    """What ends in time is not cancelled afterwards."""
    loop = asyncio.get_running_loop()
    with RearmableTimeout().until(loop.time() + 3):
        await asyncio.sleep(1)

    await asyncio.sleep(100)


@virtual_time
async def test_a_cancellation_from_outside_goes_on() -> None:
    """Also when it comes together with the end of the time."""

    async def wait() -> None:
        with RearmableTimeout().until(asyncio.get_running_loop().time() + 3):
            await asyncio.sleep(100)

    for moment in (1, 3):
        task = asyncio.create_task(wait())
        asyncio.get_running_loop().call_later(moment, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task


@virtual_time
async def test_one_wait_after_another() -> None:
    """Each has its own end, later or sooner than the one before."""
    loop = asyncio.get_running_loop()
    rearmable = RearmableTimeout()
    ends = []
    for bound in (3, 5, 1):
        with rearmable.until(loop.time() + bound):
            await asyncio.sleep(0.5)
        began = loop.time()
        with pytest.raises(TimeoutError), rearmable.until(began + bound):
            await asyncio.sleep(100)
        ends.append(loop.time() - began)
    rearmable.end()

    assert [3, 5, 1] == pytest.approx(ends, abs=0.01)


@virtual_time
async def test_one_timer_for_many_waits() -> None:
    """It is not set again while waits end in time, and is let go of at the end."""
    loop: Any = asyncio.get_running_loop()
    rearmable = RearmableTimeout()
    for _ in range(100):
        with rearmable.until(loop.time() + 30):
            await asyncio.sleep(0)
    timers = [timer for timer in loop._scheduled if not timer.cancelled()]
    rearmable.end()
    left = [timer for timer in loop._scheduled if not timer.cancelled()]

    assert 1 == len(timers)
    assert [] == left


@virtual_time
async def test_the_time_between_waits_is_not_bounded() -> None:
    """Nobody is cancelled who does not wait."""
    loop = asyncio.get_running_loop()
    rearmable = RearmableTimeout()
    with rearmable.until(loop.time() + 1):
        await asyncio.sleep(0)
    await asyncio.sleep(5)
    with rearmable.until(loop.time() + 1):
        await asyncio.sleep(0.5)
    rearmable.end()


@pytest.mark.rule("5.5")
async def test_data_that_has_arrived_wins_over_an_expired_timer() -> None:
    """After a stall of the loop, what lies in the socket is read first."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    try:
        loop = asyncio.get_running_loop()

        def stall() -> None:
            theirs.sendall(b"in time\n")
            time.sleep(0.2)  # the fault itself: the loop stands still

        loop.call_soon(stall)
        with RearmableTimeout().until(loop.time() + 0.1):
            line = await reader.readline()

        assert b"in time\n" == line
    finally:
        writer.close()
        await writer.wait_closed()
        theirs.close()
