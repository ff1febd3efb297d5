"""An answer put together from its pieces, in whatever order a wire sends them.

Every decoder writes into `Pieces`; it numbers the parts in order of appearance,
joins what belongs together, and mends broken text across pieces (rule 3.6). What is
no content (rule 3.1), such as the state of reasoning that nobody asked to see, is held
back until content comes. A unary answer goes the same way and is read back as a message
(`majordomo.deltas`).
"""

from uuid import uuid4

from majordomo.providers.json_text import mend
from majordomo.v1.generation_service_pb2 import PartDelta, ToolCallDelta

_NOTHING, _TEXT, _REASONING, _TOOL_CALL = range(4)
"""Kinds of parts; plain numbers, for they are compared once a piece."""


class Pieces:
    """The content of one answer as it comes in."""

    def __init__(self) -> None:
        self.broken = False
        """Text may hold surrogates from now on."""

        self.reasons = False
        """The model was seen to reason, though nothing of that is shown."""

        self._kinds: list[int] = []
        self._deltas: list[PartDelta] = []
        self._current = -1
        self._kind = _NOTHING
        self._run: list[str] = []
        self._begun: dict[int, ToolCallDelta] = {}
        self._without_arguments: set[int] = set()
        self._held: dict[int, str] = {}
        self._content = False

    @property
    def tool_calls(self) -> bool:
        """Whether the answer holds a tool call."""
        return _TOOL_CALL in self._kinds

    @property
    def empty(self) -> bool:
        """Whether nothing has come yet."""
        return not self._kinds

    def text(self, text: str) -> None:
        """Go on with the text, or begin a new text part. `text` is not empty."""
        if self._kind != _TEXT:
            self._begin(_TEXT)
        self._run.append(text)

    def reasoning(self, text: str) -> None:
        """Go on with the reasoning, or begin a new part. `text` is not empty."""
        if self._kind != _REASONING:
            self._begin(_REASONING)
        self._run.append(text)

    def hidden_reasoning(self) -> int:
        """Begin a reasoning part, perhaps only to show its state; its index."""
        self._begin(_REASONING)
        return self._current

    def empty_text(self) -> int:
        """Begin a text part, perhaps only to show its state; its index."""
        self._begin(_TEXT)
        return self._current

    def state(self, state: bytes, index: int | None = None) -> None:
        """End the part at `index`, or the last one, with its provider_state."""
        self._flush()
        index = len(self._kinds) - 1 if index is None else index
        kind = self._kinds[index]
        if index in self._without_arguments:
            self.arguments(index, "{}")
            self._flush()
        delta = PartDelta(part_index=index, provider_state=state)
        if kind == _REASONING:
            delta.reasoning = ""
        elif kind == _TEXT:
            delta.text = ""
        self._deltas.append(delta)
        self._current = -1
        self._kind = _NOTHING

    def tool_call(self, id: str, name: str) -> int:  # noqa: A002
        """Begin a tool call; its part's index. An empty `id` is made up."""
        self._begin(_TOOL_CALL)
        self._begun[self._current] = ToolCallDelta(
            id=mend(id) or f"call_{uuid4().hex[:24]}", name=mend(name)
        )
        self._without_arguments.add(self._current)
        return self._current

    def arguments(self, index: int, fragment: str) -> None:
        """Go on with the arguments of the call at `index`; not empty."""
        if index != self._current:
            self._flush()
            self._current = index
            self._kind = _TOOL_CALL
        self._without_arguments.discard(index)
        self._run.append(fragment)

    def take(self) -> list[PartDelta]:
        """What has come since the last take(), each part's adjacent pieces joined."""
        self._flush()
        if not self._content:
            return []
        deltas = self._deltas
        self._deltas = []
        return deltas

    def end(self) -> None:
        """The answer is complete: so are its parts.

        A call without arguments has the empty object, a half character at the end
        is U+FFFD.
        """
        for index in sorted(self._without_arguments):
            self.arguments(index, "{}")
        self._flush()
        held, self._held = self._held, {}
        for index in held:
            self._emit(index, "\N{REPLACEMENT CHARACTER}")
        self._content = True  # what was held back is all that there is

    def _begin(self, kind: int) -> None:
        self._flush()
        self._current = len(self._kinds)
        self._kind = kind
        self._kinds.append(kind)

    def _flush(self) -> None:
        run = self._run
        if not run and self._current not in self._begun:
            return
        text = run[0] if len(run) == 1 else "".join(run)
        run.clear()
        if self.broken:
            text = self._joined(self._current, text)
        if text or self._current in self._begun:
            self._emit(self._current, text)

    def _joined(self, index: int, text: str) -> str:
        """`text` mended, its last half character held until the rest comes."""
        text = self._held.pop(index, "") + text
        if "\ud800" <= text[-1:] <= "\udbff":
            self._held[index] = text[-1]
            text = text[:-1]
        return mend(text)

    def _emit(self, index: int, text: str) -> None:
        kind = self._kinds[index]
        if kind == _TEXT:
            delta = PartDelta(part_index=index, text=text)
        elif kind == _REASONING:
            delta = PartDelta(part_index=index, reasoning=text)
        else:
            call = self._begun.pop(index, None) or ToolCallDelta()
            call.arguments_json_fragment = text
            delta = PartDelta(part_index=index, tool_call=call)
        self._deltas.append(delta)
        self._content = True
