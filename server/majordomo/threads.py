"""Work that blocks for as long as it likes, and holds up nobody else.

The event loop's own threads are few and everybody's: what hangs in all of them stops
whatever else is to run there, and the process waits for them at its end.
"""

import asyncio
import errno
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def in_own_thread(
    work: Callable[P, T], *arguments: P.args, **named: P.kwargs
) -> asyncio.Future[T]:
    """What `work` returns, from a thread of its own that nothing waits for.

    Cancelling gives up on it; the thread goes on to its end, or that of the process.
    How many there are at once is the caller's to bound. Raises OSError (ENOMEM) where
    the system allows no further thread.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work(*arguments, **named))
        except BaseException as error:
            outcome.set_exception(error)

    outcome.set_running_or_notify_cancel()
    try:
        Thread(target=run, name="majordomo-own", daemon=True).start()
    except RuntimeError:
        raise OSError(errno.ENOMEM, "no further thread") from None
    return asyncio.wrap_future(outcome)
