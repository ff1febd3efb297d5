"""Calls that have been answered, until the caller has the answer.

gRPC keeps what a caller does not read, for as long as it likes. After a while the call
is cut.
"""

import asyncio
import gc
import logging
from asyncio import Task
from collections.abc import Collection, Iterator
from typing import Any

PATIENCE = 60.0
"""Seconds in which an answer, or how a call failed, must have been read."""

_LOOK = 1.0
"""Seconds between two looks."""

_log = logging.getLogger("majordomo")


class Leaving:
    """Cuts the calls whose answers stay unread (rule 5.5)."""

    def __init__(self) -> None:
        self._since: dict[Task[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, task: Task[Any]) -> None:
        """The call that `task` handles has only to be read; `end` once it is."""
        loop = asyncio.get_running_loop()
        self._since[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(_LOOK, self._look)

    def end(self, task: Task[Any]) -> None:
        self._since.pop(task, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        late = loop.time() - PATIENCE
        unread = [task for task, since in self._since.items() if since < late]
        if unread:
            _log.warning(
                "cut %d calls whose answers were left unread for %.0f s",
                len(unread),
                PATIENCE,
            )
            cut(unread)
        waiting = bool(self._since)
        self._timer = loop.call_later(_LOOK, self._look) if waiting else None


def cut(tasks: Collection[Task[Any]]) -> None:
    """End the calls that these tasks handle, whatever gRPC waits for.

    grpc.aio has no way to end a call whose status is on its way. It lets go of the
    call, which resets its stream, when the task is gone that handles it and so is the
    one that waits for the caller to cancel.
    """
    for waiter in _waiters(set(tasks)):
        waiter.cancel()
    for task in tasks:
        task.cancel()


def _waiters(tasks: set[Task[Any]]) -> Iterator[Task[Any]]:
    """The tasks that wait for the callers of `tasks` to cancel.

    grpc.aio runs both for each call and shows neither: the one holds the other.
    """
    for task in asyncio.all_tasks():
        if task.get_name() == "rpc_task":
            for held in gc.get_referents(task.get_coro()):
                if not tasks.isdisjoint(_tasks(held)):
                    yield task


def _tasks(holder: object) -> Iterator[Task[Any]]:
    return (held for held in gc.get_referents(holder) if isinstance(held, Task))
