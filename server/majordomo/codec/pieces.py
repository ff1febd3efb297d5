"""An answer put together from its pieces, in whatever order a wire sends them.

Every decoder writes into `Pieces`. A wire that names its blocks opens a `Block` for
each and adds pieces to whichever is named; on one that does not, text goes on with the
text before it. The parts are numbered as they begin, what belongs together is joined,
and broken text is repaired across pieces (rule 3.6). What shows nothing (rule 3.1),
such as the state of reasoning that nobody asked to see, or white space, is held back
until content comes. A unary answer goes the same way and is read back as a message
(`majordomo.deltas`).
"""

from collections.abc import Sequence
from uuid import uuid4

from majordomo.chain.failure import Failure
from majordomo.codec.arguments import Arguments
from majordomo.codec.json_text import repair
from majordomo.v1.attempt_pb2 import FAILURE_REASON_MALFORMED_RESPONSE
from majordomo.v1.content_pb2 import Blob, Citation, MediaReference, OpaquePart
from majordomo.v1.generation_service_pb2 import (
    Completion,
    Omission,
    PartDelta,
    ToolCallDelta,
)

TEXT, REASONING, TOOL_CALL, OTHER = range(4)
"""Kinds of blocks; plain numbers, for they are compared once a piece. OTHER are those
that come whole: media, and what only its provider can read."""

_MOST_CITATIONS = 1000
"""Of a part."""

_MOST_OMISSIONS = 32
_MOST_BYTES = 1 << 20
"""Of media in one piece: small enough for what gRPC clients take."""


class Block:
    """What becomes one part of the answer."""

    index = -1
    """Of its part; -1 until it has begun."""

    shown = False
    """Something of it went out."""

    held = ""
    """Half a character, until the rest of it comes."""

    call: ToolCallDelta | None = None
    """Of a tool call, until it goes out: how it begins."""

    arguments: Arguments | None = None
    """Of a tool call."""

    length = 0
    """Of a text: the code points that went out."""

    wide: list[tuple[int, str]] | None = None
    """Of a text: what of it is not ASCII, and where that begins, in code points."""

    cited = 0
    """Of a text: its citations."""

    whole: bool | None = None
    """Of a tool call that is done: whether its arguments are one object."""

    def __init__(self, kind: int) -> None:
        self.kind = kind

    @property
    def whole_by_now(self) -> bool:
        """Of a tool call: its arguments may end here."""
        return self.arguments is not None and self.arguments.whole


class Pieces:
    """The content of one answer as it comes in."""

    _omitted: dict[str, str] | None = None
    """Why something is not carried, by its type."""

    def __init__(self) -> None:
        self.broken = False
        """Text may hold surrogates from now on."""

        self.alive = False
        """Something was read that shows nothing, but for which the model worked."""

        self.texts: list[Block] = []
        """Those that have begun, in their order."""

        self._deltas: list[PartDelta] = []
        self._run: list[str] = []
        self._current: Block | None = None
        self._last: Block | None = None
        """That began last, unless its state has ended it."""

        self._next = 0
        self._halves: list[Block] = []
        self._calls: list[Block] = []
        self._places: list[Block] = []
        self._placed: list[Block] = []
        self._content = False

    @property
    def tool_calls(self) -> bool:
        """Whether the answer holds a tool call."""
        return bool(self._calls)

    @property
    def empty(self) -> bool:
        """Whether nothing has begun yet."""
        return not self._next

    def add(self, block: Block, text: str) -> None:
        """Go on with a block of text or reasoning. `text` is not empty."""
        if block is not self._current:
            self._turn_to(block)
        self._run.append(text)

    def text(self, text: str) -> None:
        """Go on with the text that began last, or begin one. `text` is not empty."""
        self._go_on(TEXT, text)

    def reasoning(self, text: str) -> None:
        """Go on with the reasoning that began last, or begin one. Not empty."""
        self._go_on(REASONING, text)

    def tool_call(self, id: str, name: str) -> Block:  # noqa: A002
        """Begin a tool call. An empty `id` is made up."""
        block = Block(TOOL_CALL)
        block.call = ToolCallDelta(
            id=repair(id) or f"call_{uuid4().hex[:24]}", name=repair(name)
        )
        block.arguments = Arguments()
        self._calls.append(block)
        self._turn_to(block)
        return block

    def arguments(self, block: Block, fragment: str) -> None:
        """Go on with the arguments of a call, unless it is done; not empty."""
        assert block.arguments is not None  # noqa: S101
        if block.whole is not None:
            return
        if shown := block.arguments.add(fragment):
            self.add(block, shown)
        self.alive = True

    def keep_place(self, block: Block) -> None:
        """What begins later stands after `block`, which may come to show something."""
        self._places.append(block)

    def leave_place(self, block: Block) -> None:
        """Nothing more comes of it."""
        if block.index < 0:
            self._places.remove(block)

    def begin(self, block: Block) -> None:
        """Give it the next place, unless it has one."""
        if block.index < 0:
            self._turn_to(block)

    def state(self, block: Block, state: bytes) -> None:
        """End a block with its provider_state."""
        self.begin(block)
        self.flush()
        if block.kind == TOOL_CALL:
            self._end_arguments(block)
        delta = PartDelta(part_index=block.index, provider_state=state)
        if block.kind == REASONING:
            delta.reasoning = ""
        elif block.kind == TEXT:
            delta.text = ""
        block.shown = True
        self._deltas.append(delta)
        if block is self._last:
            self._last = None

    def cite(self, block: Block, citations: Sequence[Citation]) -> None:
        """Name sources of a text that has begun, or begins with them."""
        self.begin(block)
        self.flush()
        taken = citations[: _MOST_CITATIONS - block.cited]
        if len(taken) < len(citations):
            self.omit("citations", f"more than {_MOST_CITATIONS} of one text")
        block.cited += len(taken)
        if taken:
            block.shown = True
            delta = PartDelta(part_index=block.index, text="", citations=taken)
            self._deltas.append(delta)

    def opaque(self, block: Block, part: OpaquePart, state: bytes = b"") -> None:
        """Place what only its provider can read, and end it with its state.

        It is no content: what shows nothing else decides no failover (rule 3.1).
        """
        self.alive = True
        self._place(block, PartDelta(opaque=part, provider_state=state))

    def media(self, block: Block, media_type: str, data: bytes) -> None:
        """Go on with media, which are content. `data` is not empty."""
        self._content = True
        if block.shown:
            media_type = ""
        for at in range(0, len(data), _MOST_BYTES):
            blob = Blob(media_type=media_type, data=data[at : at + _MOST_BYTES])
            self._place(block, PartDelta(blob=blob))
            media_type = ""

    def reference(self, block: Block, media_type: str, uri: str) -> None:
        """Place media that are at a URL, which are content."""
        self._content = True
        reference = MediaReference(media_type=media_type, uri=uri)
        self._place(block, PartDelta(media_reference=reference))

    def omit(self, kind: str, why: str) -> None:
        """The answer does not carry something; `kind` is its provider's word for it."""
        self.alive = True
        if self._omitted is None:
            self._omitted = {}
        if len(self._omitted) < _MOST_OMISSIONS:
            self._omitted.setdefault(repair(kind)[:64], why)

    def account(self, completion: Completion) -> Completion:
        """`completion`, with what the answer does not carry."""
        if self._omitted is not None:
            for kind, why in self._omitted.items():
                completion.omissions.append(Omission(type=kind, description=why))
        return completion

    def take(self) -> list[PartDelta]:
        """What has come since the last take(), each part's adjacent pieces joined.

        Nothing as long as nothing of it is content.
        """
        self.flush()
        if not self._content:
            return []
        deltas = self._deltas
        self._deltas = []
        return deltas

    def end(self, *, cut: bool = False) -> None:
        """The answer is complete: so are its parts.

        A call without arguments has the empty object, a half character at the end is
        U+FFFD. Raises Failure (MALFORMED_RESPONSE) for a call whose arguments are no
        object, unless the answer was `cut`, perhaps within the call.
        """
        self.flush()
        for block in self._calls:
            self._end_arguments(block)
        for block in self._halves:
            if block.held:
                block.held = ""
                self._emit(block, "\N{REPLACEMENT CHARACTER}")
        for block in self._placed:
            if not block.shown and block.kind != OTHER:
                self._emit(block, "")
        if self._calls and not cut and not all(b.whole for b in self._calls):
            raise Failure(
                FAILURE_REASON_MALFORMED_RESPONSE,
                "the arguments of a tool call are no JSON object",
            )

    def rest(self) -> list[PartDelta]:
        """What was not taken, content or not."""
        deltas, self._deltas = self._deltas, []
        return deltas

    def _widen(self, block: Block, text: str) -> None:
        if block.wide is None:
            block.wide = []
        block.wide.append((block.length, text))

    def _place(self, block: Block, delta: PartDelta) -> None:
        """Add to a block that comes whole, and not as text."""
        self.begin(block)
        self.flush()
        block.shown = True
        delta.part_index = block.index
        self._deltas.append(delta)

    def _go_on(self, kind: int, text: str) -> None:
        block = self._last
        if block is None or block.kind != kind:
            block = Block(kind)
        self.add(block, text)

    def _turn_to(self, block: Block) -> None:
        if self._current is not None:
            self.flush()
        if self._places:
            self._number_places(block)
        if block.index < 0:
            self._number(block)
        self._current = block

    def _number_places(self, before: Block) -> None:
        """Number what keeps a place before a block that is new."""
        if before.index >= 0:
            return
        places, self._places = self._places, []
        for block in places:
            self._number(block)
        self._placed += places

    def _number(self, block: Block) -> None:
        block.index = self._next
        self._next += 1
        self._last = block
        if block.kind == TEXT:
            self.texts.append(block)

    def flush(self) -> None:
        """Close the run of pieces: what has come of a text is counted then."""
        block = self._current
        if block is None or not (self._run or block.call):
            return
        text = "".join(self._run)
        self._run.clear()
        if self.broken:
            text = self._joined(block, text)
        if text or block.call:
            self._emit(block, text)

    def _joined(self, block: Block, text: str) -> str:
        """`text` repaired, its last half character held until the rest comes."""
        text = block.held + text
        block.held = ""
        if "\ud800" <= text[-1:] <= "\udbff":
            block.held = text[-1]
            self._halves.append(block)
            text = text[:-1]
        return repair(text)

    def _end_arguments(self, block: Block) -> None:
        """The call is done: show what of its arguments was held."""
        if block.whole is None:
            assert block.arguments is not None  # noqa: S101
            text, block.whole = block.arguments.end()
            if text:
                self._emit(block, repair(text))

    def _emit(self, block: Block, text: str) -> None:
        if block.kind == TOOL_CALL:
            call = block.call or ToolCallDelta()
            block.call = None
            call.arguments_json_fragment = text
            delta = PartDelta(part_index=block.index, tool_call=call)
            self._content = True
        else:
            if block.kind == TEXT:
                delta = PartDelta(text=text)
                if block.index:
                    delta.part_index = block.index
                if not text.isascii():
                    self._widen(block, text)
                block.length += len(text)
            else:
                delta = PartDelta(part_index=block.index, reasoning=text)
            if not self._content:
                self._content = text != "" and not text.isspace()
                self.alive = True
        block.shown = True
        self._deltas.append(delta)
