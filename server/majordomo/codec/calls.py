"""Calls of tools and their results, paired as every API wants them.

APIs want each call answered, once, right after the turn that made it, and most want no
id twice. Conversations that come from elsewhere keep to none of that: ids are counted
again in every turn, a user speaks before a tool has answered, an answer was cut before
its tools were run.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    Message,
    Part,
    ToolResult,
)


class Call(NamedTuple):
    """One call, in the words of the API that it is sent to."""

    id: str
    name: str
    said_id: str
    """As the caller knows it."""

    path: str
    place: int
    """Among all calls of the conversation."""


class Result(NamedTuple):
    """What answers a call."""

    call: Call
    result: ToolResult
    path: str


NO_RESULT = ToolResult(parts=[Part(text="(no result: the tool was not run)")])
"""Stands for the result of a call that has none."""

_Place = tuple[int, int, ToolResult | None]
"""A message, a part in it, and the result that is there; None: it is a call."""


class Calls:
    """The calls of a conversation while it is read, and those that wait for results."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self.pending = False
        """There is something to settle()."""

        self._count = 0
        self._used: dict[str, int] = {}
        self._waiting: dict[str, deque[Call]] = {}
        self._results: list[Result] = []
        self._moved: set[tuple[int, int]] = set()
        self._places: dict[str, deque[_Place]] | None = None

    def uses(self, said_id: str) -> int:
        """How many calls had this id before, one more from now on."""
        uses = self._used.get(said_id, 0)
        self._used[said_id] = uses + 1
        return uses

    def add(self, id: str, name: str, said_id: str, path: str) -> Call:  # noqa: A002
        """A call that waits for its result from now on."""
        call = Call(id, name, said_id, path, self._count)
        self._count += 1
        self.pending = True
        if said_id in self._waiting:
            self._waiting[said_id].append(call)
        else:
            self._waiting[said_id] = deque((call,))
        return call

    def take(self, index: int, message: Message, wire_id: Callable[[str], str]) -> None:
        """Take the results in the message at `index`.

        `wire_id` gives the API's id of a call that is not in the conversation.
        """
        self.pending = True
        moved = self._moved
        for j, part in enumerate(message.parts):
            if moved and (index, j) in moved:
                continue
            result = part.tool_result
            path = f"prompt.messages[{index}].parts[{j}].tool_result"
            call = self._answered(result.tool_call_id)
            if call is None:
                id_ = result.tool_call_id
                call = Call(wire_id(id_), id_, id_, path, -1)
            self._results.append(Result(call, result, path))

    def settle(self, index: int, adapted: Callable[[str, str], None]) -> list[Result]:
        """The results of all calls before the message at `index`, in their order.

        Results that come later are moved here, and a call that has none is given one;
        `adapted` hears of it.
        """
        while self._waiting:
            call = self._answered(next(iter(self._waiting)))
            assert call is not None  # noqa: S101 - it waits
            found = self._later(call.said_id, index)
            if found is None:
                adapted(call.path, "without a result: one put in that says so")
                self._results.append(Result(call, NO_RESULT, call.path))
                continue
            i, j, result = found
            path = f"prompt.messages[{i}].parts[{j}].tool_result"
            adapted(path, "moved to its call")
            self._moved.add((i, j))
            self._results.append(Result(call, result, path))
        results, self._results = self._results, []
        self.pending = False
        if len(results) > 1:
            results.sort(key=lambda result: result.call.place)
        return results

    def _answered(self, said_id: str) -> Call | None:
        waiting = self._waiting.get(said_id)
        if not waiting:
            return None
        call = waiting.popleft()
        if not waiting:
            del self._waiting[said_id]
        return call

    def _later(self, said_id: str, index: int) -> tuple[int, int, ToolResult] | None:
        """The next result of this id from `index` on, unless a call comes first."""
        if self._places is None:
            self._places = _places(self._messages)
        places = self._places.get(said_id, deque())
        while places and places[0][0] < index:
            places.popleft()
        if not places or places[0][2] is None:
            return None
        i, j, result = places.popleft()
        assert result is not None  # noqa: S101 - it was looked at
        return i, j, result


def _places(messages: Sequence[Message]) -> dict[str, deque[_Place]]:
    """Where ids of calls stand, each in order."""
    places: dict[str, deque[_Place]] = {}
    for i, message in enumerate(messages):
        if message.role == ROLE_USER:
            continue
        for j, part in enumerate(message.parts):
            if message.role == ROLE_TOOL:
                result = part.tool_result
                place: _Place = (i, j, result)
                places.setdefault(result.tool_call_id, deque()).append(place)
            elif message.role == ROLE_ASSISTANT and part.HasField("tool_call"):
                places.setdefault(part.tool_call.id, deque()).append((i, j, None))
    return places
