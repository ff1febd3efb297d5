"""The log: one JSON line a call, one a change of health, and what else is to be
reported.

On a terminal the same in colours. Prompts and answers are never in it, nor providers'
own words; keys that find their way into a text all the same are taken out of the line.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import structlog
from structlog.typing import EventDict, Processor

from majordomo.chain.call import Call
from majordomo.chain.changes import Change
from majordomo.chain.clock import CLOCK, Clock
from majordomo.contract import GENERATION
from majordomo.durations import NANOSECONDS, seconds
from majordomo.secrets import redact, where
from majordomo.telemetry import labels
from majordomo.telemetry.finished import FinishedCall
from majordomo.telemetry.record import CallRecord
from majordomo.v1.attempt_pb2 import Attempt, BenchRecord
from majordomo.v1.operator_service_pb2 import HealthChange

_GENERATION = f"{GENERATION}/"
_LONGEST = 256


class TextStream(Protocol):
    """What a log is written to."""

    def write(self, text: str, /) -> object:
        """Write `text`, now or soon."""


class _Events:
    """Calls and changes of health: lines like all others, without what loggers cost."""

    def __init__(self, stream: TextStream, renderer: Processor) -> None:
        self._stream = stream
        self._renderer = renderer

    def report(
        self, level: str, event: str, about: EventDict, time: int, foreign: str
    ) -> None:
        """Write the line of `event`, `time` nanoseconds after the Unix epoch.

        `about` is used up; `foreign` is what callers have chosen of it.
        """
        about["event"] = event
        about["level"] = level
        moment = datetime.fromtimestamp(time / NANOSECONDS, UTC)
        about["timestamp"] = moment.isoformat().replace("+00:00", "Z")
        line = redact(str(self._renderer(None, level, about)), foreign)
        self._stream.write(line + "\n")


_events: _Events | None = None


def configure(stream: TextStream, *, terminal: bool) -> None:
    """Write the process's log to `stream`: JSON lines, or for people at a terminal."""
    global _events
    renderer: Processor = structlog.dev.ConsoleRenderer() if terminal else _json
    _events = _Events(stream, renderer)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _exception,
                renderer,
                _redact,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)


def call_ended(finished: FinishedCall) -> None:
    """Log a call of GenerationService that has ended."""
    if _events is None or not finished.method.startswith(_GENERATION):
        return
    about: EventDict = {
        "method": finished.method.removeprefix(_GENERATION),
        "code": finished.code,
        "outcome": finished.outcome,
        "duration_s": round(finished.duration, 4),
    }
    _name(about, finished.trace_id, finished.span_id, finished.call)
    if finished.caller:
        about["caller"] = finished.caller
    call = finished.call
    foreign = ""
    if call is not None:
        foreign = call.chain
        about["chain"] = call.chain[:_LONGEST]
        about["attempts"] = [_attempt(attempt) for attempt in call.attempts]
        if call.labels:
            about["labels"] = call.labels
            foreign += " ".join((*call.labels, *call.labels.values()))
        completion = call.completion
        if completion is not None:
            about["target"] = completion.target
            if completion.answer_fault:
                about["answer_fault"] = labels.answer_fault(completion.answer_fault)
        _add_usage(about, finished)
    _events.report("info", "call", about, finished.ended_nanoseconds, foreign)


class HealthLog:
    """Logs changes of targets' health, under the call that made them."""

    def __init__(
        self, current: Callable[[], CallRecord | None], clock: Clock = CLOCK
    ) -> None:
        self._current = current
        self._clock = clock

    def changed(self, change: Change) -> None:
        """Log a change, as it is made."""
        if _events is None:
            return
        view = change.view
        about: EventDict = {
            "target": change.target,
            "state": labels.state(view.state),
            "cause": labels.cause(change.cause),
        }
        bench = view.bench
        if bench is not None:
            record = BenchRecord()
            bench.write(record, self._clock)
            about["since"] = record.start_time.ToJsonString()
            if record.HasField("expire_time"):
                about["until"] = record.expire_time.ToJsonString()
            if bench.origin == BenchRecord.ORIGIN_AUTOMATIC:
                about["reason"] = labels.failure_reason(bench.cause)
                about["consecutive_benches"] = bench.count
        call = self._current()
        # A timer runs under the call that happened to set it.
        if call is not None and change.cause != HealthChange.CAUSE_EXPIRED:
            _name(about, call.trace.trace_id, call.trace.span_id, call.call)
        level = "warning" if view.out else "info"
        now = self._clock.wall_nanoseconds()
        _events.report(level, "health", about, now, change.target)


def _name(about: EventDict, trace_id: str, span_id: str, call: Call | None) -> None:
    """Add the ids by which the call is found elsewhere."""
    if trace_id:
        about["trace_id"] = trace_id
        about["span_id"] = span_id
    if call is not None:
        about["generation_id"] = call.generation_id


def _attempt(attempt: Attempt) -> dict[str, Any]:
    about: dict[str, Any] = {
        "target": attempt.target,
        "outcome": labels.outcome(attempt.outcome),
        "duration_s": round(seconds(attempt.duration), 4),
    }
    if attempt.failure_reason:
        about["reason"] = labels.failure_reason(attempt.failure_reason)
    if attempt.http_status_code:
        about["http_status"] = attempt.http_status_code
    if attempt.provider_error_code:
        about["provider_code"] = attempt.provider_error_code
    if attempt.provider_request_id:
        about["provider_request_id"] = attempt.provider_request_id[:_LONGEST]
    if attempt.answer_fault:
        about["answer_fault"] = labels.answer_fault(attempt.answer_fault)
    if attempt.probe:
        about["probe"] = True
    if attempt.last_resort:
        about["last_resort"] = True
    if attempt.resent:
        about["resent"] = True
    if attempt.benched:
        about["benched"] = True
    return about


def _add_usage(about: EventDict, finished: FinishedCall) -> None:
    """What all attempts used, and what that cost."""
    total = finished.total_usage
    if total is None:
        return
    if total.HasField("usage"):
        used = total.usage.ListFields()
        about["usage"] = {field.name: count for field, count in used}
    if total.lower_bound:
        about["usage_lower_bound"] = True
    if finished.cost is not None:
        about["cost"] = finished.cost


_ENCODER = msgspec.json.Encoder(enc_hook=str, decimal_format="number")


def _json(logger: Any, method: str, event: EventDict) -> str:  # noqa: ARG001
    return _ENCODER.encode(event).decode()


def _exception(logger: Any, method: str, event: EventDict) -> EventDict:  # noqa: ARG001
    info = event.pop("exc_info", None)
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["exception"] = where(error)
    return event


def _redact(logger: Any, method: str, line: Any) -> str:  # noqa: ARG001
    return redact(line)
