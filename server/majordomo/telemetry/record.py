"""Calls of ours while they run, each with its record; observers get it at the end."""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence

from majordomo.chain.call import Call
from majordomo.secrets import where
from majordomo.telemetry.finished import (
    FinishedCall,
    Observer,
    attempts_of,
    cost_of,
    outcome_of,
    usage_of,
)
from majordomo.telemetry.spans import Trace, Traces
from majordomo.v1.attempt_pb2 import Attempt
from majordomo.v1.errors_pb2 import ErrorReason

_log = logging.getLogger("majordomo")

_LULL = 0.01
"""Seconds from the end of a call until the observers are given it, and with it those
that have ended meanwhile."""


class CallRecord:
    """What is known of one call. Anyone who handles it reports what happens.

    `finish` comes last, when the status is on its way.
    """

    __slots__ = (
        "_began",
        "_code",
        "_duration",
        "_ended_nanoseconds",
        "_reason",
        "_recorder",
        "call",
        "caller",
        "method",
        "trace",
    )

    def __init__(self, method: str, trace: Trace, recorder: "Recorder") -> None:
        self.method = method
        """As in "majordomo.v1.GenerationService/Stream"."""

        self.trace = trace
        self.call: Call | None = None
        """Where a chain is walked, once it is known which."""

        self.caller = ""
        """Who calls: the name of a token, or of a certificate; empty for others."""

        self._recorder = recorder
        self._began = time.perf_counter()
        self._reason: ErrorReason | None = None
        self._code = ""
        self._duration = 0.0
        self._ended_nanoseconds = 0

    def on_caller(self, name: str) -> None:
        """It is let in, as a call of `name`."""
        self.caller = name

    def on_call(self, call: Call) -> None:
        """Its chain is walked from here on."""
        self.call = call

    def on_attempt(self, attempt: Attempt) -> None:
        """An attempt has failed, or a target was skipped, and the call goes on."""
        if self.call is not None:
            self.trace.on_attempt(self.call, attempt)

    def on_error(self, reason: ErrorReason) -> None:
        """Its caller is about to be reported that it failed."""
        self._reason = reason

    def finish(self, code: str) -> None:
        """The call has ended with the status code of this name."""
        self._code = code
        self._duration = time.perf_counter() - self._began
        self._ended_nanoseconds = time.time_ns()
        self._recorder.finished(self)

    def summary(self) -> FinishedCall:
        """The call, once it has ended."""
        begun, skipped = attempts_of(self.call)
        return FinishedCall(
            self.method,
            self.trace.trace_id,
            self.trace.span_id,
            self.call,
            self._code,
            self._reason,
            self._duration,
            self._ended_nanoseconds,
            begun,
            skipped,
            max(len({attempt.target for attempt in begun}) - 1, 0),
            outcome_of(self._code, self._reason, self.call, begun),
            self.caller,
            None if self.call is None else usage_of(self.call),
            None if self.call is None else cost_of(self.call, begun),
        )


class Recorder:
    """Begins the records of calls, and gives them to `observers` soon after their end.

    Those that end within a hundredth of a second are reported together: one after
    another they cost half as much.
    """

    def __init__(self, traces: Traces, observers: Sequence[Observer] = ()) -> None:
        self._traces = traces
        self._observers = observers
        self._ended: list[CallRecord] = []
        self.in_flight = 0
        """Calls that have begun and not ended."""

    def begin(
        self, method: str, metadata: Iterable[tuple[str, str | bytes]]
    ) -> CallRecord:
        """The record of a call of `method` that came with `metadata`."""
        self.in_flight += 1
        return CallRecord(method, self._traces.begin(method, metadata), self)

    def finished(self, record: CallRecord) -> None:
        """Have `record` reported soon."""
        self.in_flight -= 1
        if not self._ended:
            asyncio.get_running_loop().call_later(_LULL, self.report)
        self._ended.append(record)

    def report(self) -> None:
        """Give the observers the calls that have ended by now."""
        records, self._ended = self._ended, []
        ended = []
        for record in records:
            finished = record.summary()
            ended.append(finished)
            self._observe(record.trace.end, finished)
        for observer in self._observers:
            for finished in ended:
                self._observe(observer, finished)

    def _observe(self, observer: Observer, finished: FinishedCall) -> None:
        try:
            observer(finished)
        except Exception as error:
            _log.error("a bug in the record of a call: %s", where(error))
