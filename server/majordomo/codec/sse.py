"""Server-sent events, read from bytes split anywhere.

The form is that of the HTML standard, section 9.2.6: lines end with LF, CRLF or CR,
an event ends with a blank line. Where providers leave the standard this parser
follows them: an event that the end of the body cuts off before its blank line
still counts, and JSON outside of any field (an error written into the middle of a
stream, a plain JSON answer to a streamed request) is taken for an event's data.
"""

from collections.abc import Iterator

from majordomo.chain.failure import Failure
from majordomo.v1.attempt_pb2 import FAILURE_REASON_MALFORMED_RESPONSE

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Longest event that is read (rule 6.2)."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Event = tuple[bytes, bytes]
"""An event's name, empty if it has none, and its data."""


class EventParser:
    """Reads the events of one body."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._partial: list[bytes] = []
        self._partial_size = 0
        self._ended_with_return = False
        self._first_line = True
        self._name = b""
        self._data: list[bytes] = []
        self._data_size = 0
        self._bare = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield the events that `data` completes; to be exhausted.

        Raises Failure (MALFORMED_RESPONSE) when an event grows too long; the
        events before it have been yielded by then.
        """
        if self._ended_with_return and data:
            # The line that CR ended is done; this may be the LF of a CRLF.
            self._ended_with_return = False
            if data[0] == 0x0A:
                data = data[1:]
        if data.endswith(b"\n"):
            end = len(data)
        else:
            end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
            if not end:
                self._hold(data)
                return
            self._ended_with_return = data.endswith(b"\r")
        lines = data[:end].splitlines()
        if self._partial:
            lines[0] = b"".join((*self._partial, lines[0]))
            self._partial = []
            self._partial_size = 0
        if self._first_line:
            self._first_line = False
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        for line in lines:
            if not line:
                name, self._name = self._name, b""
                if self._data:
                    value = b"\n".join(self._data)
                    self._data.clear()
                    self._data_size = 0
                    self._bare = False
                    yield name, value
            elif line.startswith(b"data:"):
                self._append(line[5:].removeprefix(b" "))
            elif line.startswith(b"event:"):
                self._name = line[6:].removeprefix(b" ")
            elif self._bare or line[:1] in (b"{", b"["):
                self._bare = True
                self._append(line)
        if end < len(data):
            self._hold(data[end:])

    def close(self) -> Iterator[Event]:
        """Yield the event that the end of the body completes, if there is one."""
        return self.feed(b"\n\n")

    def _hold(self, rest: bytes) -> None:
        self._partial.append(rest)
        self._partial_size += len(rest)
        self._bound()

    def _append(self, value: bytes) -> None:
        self._data.append(value)
        self._data_size += len(value)
        if self._data_size > self._max_event_bytes:
            self._bound()

    def _bound(self) -> None:
        if self._partial_size + self._data_size > self._max_event_bytes:
            raise Failure(
                FAILURE_REASON_MALFORMED_RESPONSE,
                f"an event is longer than {self._max_event_bytes} bytes",
            )
