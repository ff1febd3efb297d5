"""The log: one JSON line a call, one a change of health, and what else is to be told.

On a terminal the same in colours. Prompts and answers are never in it, nor providers'
own words; keys that find their way into a text all the same are taken out of the line.
"""

import logging
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import structlog
from structlog.typing import EventDict, Processor

from majordomo.chain.changes import Change
from majordomo.chain.clock import CLOCK, Clock
from majordomo.contract import GENERATION
from majordomo.durations import NANOSECONDS, seconds
from majordomo.secrets import redact, where
from majordomo.telemetry import words
from majordomo.telemetry.observation import Observation, current
from majordomo.v1.attempt_pb2 import Attempt, BenchRecord, Usage
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

    def tell(
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


def call_ended(observation: Observation) -> None:
    """Log a call of GenerationService that has ended."""
    if _events is None or not observation.method.startswith(_GENERATION):
        return
    about: EventDict = {
        "method": observation.method.removeprefix(_GENERATION),
        "code": observation.code.name,
        "outcome": observation.outcome,
        "duration_s": round(observation.duration, 4),
    }
    _name(about, observation)
    call = observation.call
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
            if completion.HasField("usage"):
                about["usage"] = _usage(completion.usage)
    _events.tell("info", "call", about, observation.ended_nanoseconds, foreign)


class HealthLog:
    """Logs changes of targets' health, under the call that made them."""

    def __init__(self, clock: Clock = CLOCK) -> None:
        self._clock = clock

    def changed(self, change: Change) -> None:
        """Log a change, as it is made."""
        if _events is None:
            return
        view = change.view
        about: EventDict = {
            "target": change.target,
            "state": words.state(view.state),
            "cause": words.cause(change.cause),
        }
        bench = view.bench
        if bench is not None:
            record = BenchRecord()
            bench.write(record, self._clock)
            about["since"] = record.start_time.ToJsonString()
            if record.HasField("expire_time"):
                about["until"] = record.expire_time.ToJsonString()
            if bench.origin == BenchRecord.ORIGIN_AUTOMATIC:
                about["reason"] = words.failure_reason(bench.cause)
                about["consecutive_benches"] = bench.count
        observation = current.get()
        # A timer runs under the call that happened to set it.
        if observation is not None and change.cause != HealthChange.CAUSE_EXPIRED:
            _name(about, observation)
        level = "warning" if view.out else "info"
        now = self._clock.wall_nanoseconds()
        _events.tell(level, "health", about, now, change.target)


def _name(about: EventDict, observation: Observation) -> None:
    """Add the ids by which the call is found elsewhere."""
    trace = observation.trace
    if trace.trace_id:
        about["trace_id"] = trace.trace_id
        about["span_id"] = trace.span_id
    if observation.call is not None:
        about["generation_id"] = observation.call.generation_id


def _attempt(attempt: Attempt) -> dict[str, Any]:
    about: dict[str, Any] = {
        "target": attempt.target,
        "outcome": words.outcome(attempt.outcome),
        "duration_s": round(seconds(attempt.duration), 4),
    }
    if attempt.failure_reason:
        about["reason"] = words.failure_reason(attempt.failure_reason)
    if attempt.http_status_code:
        about["http_status"] = attempt.http_status_code
    if attempt.provider_error_code:
        about["provider_code"] = attempt.provider_error_code
    if attempt.provider_request_id:
        about["provider_request_id"] = attempt.provider_request_id[:_LONGEST]
    if attempt.probe:
        about["probe"] = True
    if attempt.last_resort:
        about["last_resort"] = True
    if attempt.resent:
        about["resent"] = True
    if attempt.benched:
        about["benched"] = True
    return about


_TOKENS = tuple(field.name for field in Usage.DESCRIPTOR.fields)


def _usage(usage: Usage) -> dict[str, int]:
    return {name: getattr(usage, name) for name in _TOKENS if usage.HasField(name)}


_ENCODER = msgspec.json.Encoder(enc_hook=str)


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
