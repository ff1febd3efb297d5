"""A child process that serves: started when needed, again when it dies, and ended.

The child says one line on stdout when it is ready, and ends when its stdin does.
It gets a session of its own, so that an interrupt from the terminal does not reach
it before the answers in the making are done.
"""

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence

from majordomo.chain.clock import Clock
from majordomo.chain.failure import Failure
from majordomo.v1.attempt_pb2 import FAILURE_REASON_CONNECTION

STEADY = 60.0
"""Seconds that a child has to serve for its death to be taken as an accident."""

_DELAY_BASE = 1.0
_DELAY_CAP = 60.0


class Restarts:
    """When a child that died may be started again.

    At once the first time, then after 1, 2, 4 ... 60 s, until one was steady.
    """

    def __init__(self) -> None:
        self._deaths = 0
        self._not_before = float("-inf")

    def died(self, now: float, served: float) -> None:
        """A child died at `now` after it had served for `served` seconds."""
        self._deaths = 1 if served >= STEADY else self._deaths + 1
        if self._deaths > 1:
            delay = _DELAY_BASE * 2 ** min(self._deaths - 2, 10)
            self._not_before = now + min(delay, _DELAY_CAP)

    def delay(self, now: float) -> float:
        """Seconds until the next start is allowed."""
        return max(0.0, self._not_before - now)


class Child:
    """Supervises one child process; what it runs is `command()`, asked each time.

    It may take `start_timeout` seconds to be ready, and `grace` seconds to end after
    its stdin did, until it is killed.
    """

    def __init__(
        self,
        command: Callable[[], Sequence[str]],
        *,
        start_timeout: float,
        grace: float = 5.0,
        clock: Clock = Clock(),
    ) -> None:
        self._command = command
        self._start_timeout = start_timeout
        self._grace = grace
        self._clock = clock
        self._restarts = Restarts()
        self._closed = False
        self._life: asyncio.Task[None] | None = None
        self._outcome: asyncio.Future[str] | None = None
        self.process_id: int | None = None
        """While it runs."""

    @property
    def alive(self) -> bool:
        """It is starting or serving, as far as is known."""
        return self._life is not None and not self._life.done()

    def start(self) -> asyncio.Future[str]:
        """Begin to start it, unless it is alive.

        The future shows why it will not serve; empty: it serves. Raises Failure
        (CONNECTION) if it keeps dying and is not due yet.
        """
        if self._outcome is not None and self.alive:
            return self._outcome
        if self._closed:
            raise _failure("its process is shut down")
        delay = self._restarts.delay(self._clock.monotonic())
        if delay > 0:
            raise _failure(f"its process keeps dying; again in {delay:.0f} s", delay)
        outcome = self._outcome = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live(outcome))
        self._life.add_done_callback(lambda _: _settle(outcome))
        return outcome

    async def ready(self) -> None:
        """Return when it serves; starts it if it is not alive.

        All who wait share one start, which goes on when one of them is cancelled.
        Raises Failure (CONNECTION).
        """
        problem = await asyncio.shield(self.start())
        if problem:
            raise _failure(problem)

    async def ended(self, within: float) -> bool:
        """Whether it ends, or has ended, within so many seconds."""
        if self._life is None:
            return True
        done, _ = await asyncio.wait([self._life], timeout=within)
        return bool(done)

    async def aclose(self) -> None:
        """End it and wait for its end; it cannot be started again."""
        self._closed = True
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait([self._life])

    async def _live(self, outcome: asyncio.Future[str]) -> None:
        """From the start to the end of one process."""
        ready_at: float | None = None
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command(), stdin=PIPE, stdout=PIPE, start_new_session=True
            )
            self.process_id = process.pid
            try:
                problem = await self._problem(process)
                outcome.set_result(problem)
                if not problem:
                    ready_at = self._clock.monotonic()
                    await process.wait()
            finally:
                await self._end(process)
        except OSError as error:
            outcome.set_result(f"its process could not be started: {error.strerror}")
        finally:
            self.process_id = None
            now = self._clock.monotonic()
            self._restarts.died(now, 0.0 if ready_at is None else now - ready_at)

    async def _problem(self, process: Process) -> str:
        """Why it will not serve; empty when it is ready."""
        assert process.stdout is not None  # noqa: S101 -- a pipe was asked for
        try:
            async with asyncio.timeout(self._start_timeout):
                if await process.stdout.readline():
                    return ""
                status = await process.wait()
        except TimeoutError:
            return f"its process was not ready within {self._start_timeout:.0f} s"
        return f"its process ended with status {status}; the server's log tells why"

    async def _end(self, process: Process) -> None:
        assert process.stdin is not None  # noqa: S101 -- a pipe was asked for
        process.stdin.close()
        try:
            # Not asyncio.timeout: in a task that was cancelled, as this one may be, it
            # raises no TimeoutError before Python 3.11.3.
            await asyncio.wait_for(process.wait(), self._grace)
        except TimeoutError:
            process.kill()
            await process.wait()


def _settle(outcome: asyncio.Future[str]) -> None:
    """For a life that was cancelled, which may have been before its first step."""
    if not outcome.done():
        outcome.set_result("its process is shut down")


def _failure(problem: str, delay: float | None = None) -> Failure:
    return Failure(FAILURE_REASON_CONNECTION, problem, retry_delay=delay)
