"""The supervisor of a child process, with real processes."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from majordomo.chain.clock import Clock
from majordomo.chain.failure import Failure
from majordomo.providers.local.child import STEADY, Child, Restarts
from majordomo.v1.attempt_pb2 import FAILURE_REASON_CONNECTION

SERVES = "print('ready', flush=True); sys.stdin.read()"
DIES = "sys.exit(3)"
STUBBORN = "print('ready', flush=True); signal.pause()"
SILENT = "sys.stdin.read()"


@dataclass
class Time:
    """A clock that is set by hand."""

    now: float = 0.0

    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.now)


class Program:
    """What the child runs, with how often it was asked for."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.starts = 0

    def __call__(self) -> list[str]:
        self.starts += 1
        return [sys.executable, "-c", f"import signal, sys; {self.source}"]


async def failure_of(child: Child) -> Failure:
    with pytest.raises(Failure) as caught:
        await child.ready()
    assert FAILURE_REASON_CONNECTION == caught.value.reason
    return caught.value


async def test_all_who_wait_share_one_start() -> None:
    """Ten at once start one process, though the first of them is cancelled."""
    program = Program(SERVES)
    child = Child(program, start_timeout=30)

    waiting = [asyncio.create_task(child.ready()) for _ in range(10)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)

    assert isinstance(results[0], asyncio.CancelledError)
    assert [None] * 9 == results[1:]
    assert 1 == program.starts
    assert child.alive

    await child.aclose()

    assert not child.alive
    assert child.process_id is None


async def test_a_child_that_died_is_started_again() -> None:
    """The next one who needs it gets another process."""
    child = Child(Program(SERVES), start_timeout=30)
    await child.ready()
    first = child.process_id
    assert first is not None

    os.kill(first, signal.SIGKILL)
    assert await child.ended(within=30)
    await child.ready()

    assert child.process_id not in {None, first}

    await child.aclose()


async def test_a_child_that_dies_at_once_is_not_started_for_every_call() -> None:
    """Two starts, then a growing wait of which the failure tells."""
    time = Time()
    program = Program(DIES)
    child = Child(program, start_timeout=30, clock=time.clock())

    for _ in range(2):
        failure = await failure_of(child)
        assert "its process ended with status 3; the server's log tells why" == str(
            failure
        )
        assert await child.ended(within=30)
    for _ in range(5):
        assert 1.0 == (await failure_of(child)).retry_delay
    assert 2 == program.starts

    time.now = 1.0
    assert (await failure_of(child)).retry_delay is None
    assert await child.ended(within=30)
    assert 2.0 == (await failure_of(child)).retry_delay
    assert 3 == program.starts

    await child.aclose()


def test_the_delay_grows_to_its_cap_and_starts_anew() -> None:
    """0, 1, 2, 4 ... 60 s; one steady child makes the next death the first."""
    restarts = Restarts()
    delays = []
    for _ in range(9):
        restarts.died(now=0.0, served=STEADY - 1)
        delays.append(restarts.delay(now=0.0))

    assert [0, 1, 2, 4, 8, 16, 32, 60, 60] == delays
    assert 20 == restarts.delay(now=40.0)

    restarts.died(now=100.0, served=STEADY)

    assert 0 == restarts.delay(now=100.0)


async def test_a_child_that_is_never_ready() -> None:
    """Its time is bounded, and it is ended."""
    child = Child(Program(SILENT), start_timeout=0.2)

    failure = await failure_of(child)

    assert "its process was not ready within 0 s" == str(failure)
    assert await child.ended(within=30)
    await child.aclose()


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    """The system's reason is in the failure."""
    child = Child(lambda: [str(tmp_path / "none")], start_timeout=30)

    failure = await failure_of(child)

    assert "its process could not be started: No such file or directory" == str(failure)
    await child.aclose()


async def test_a_child_that_does_not_end_is_killed() -> None:
    """After the grace there is no process, and there will be none."""
    child = Child(Program(STUBBORN), start_timeout=30, grace=0.1)
    await child.ready()

    await child.aclose()

    assert not child.alive
    assert "its process is shut down" == str(await failure_of(child))


async def test_closing_before_it_starts_tells_those_who_wait() -> None:
    """Nobody waits for a child that was ended before its first step."""
    child = Child(program := Program(SERVES), start_timeout=30)
    outcome = child.start()

    await child.aclose()

    assert "its process is shut down" == await outcome
    assert 0 == program.starts


async def test_closing_while_it_starts_tells_those_who_wait(tmp_path: Path) -> None:
    """Nobody waits for a child that is being ended."""
    os.mkfifo(pipe := tmp_path / "pipe")
    child = Child(Program(f"open({str(pipe)!r}, 'w'); {SILENT}"), start_timeout=30)
    waiting = asyncio.create_task(failure_of(child))
    await asyncio.to_thread(pipe.read_bytes)

    await child.aclose()

    assert "its process is shut down" == str(await waiting)
