"""The log: one JSON line a call, one a change of health, and what else is to be told.

On a terminal the same in colours. Prompts and answers are never in it, nor providers'
own words; keys that find their way into a text all the same are taken out of the line.
"""

import logging
import re
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
import structlog
from structlog.typing import EventDict, Processor

from majordomo.chain.changes import Change
from majordomo.chain.clock import Clock, seconds
from majordomo.telemetry import words
from majordomo.telemetry.observation import Observation, current
from majordomo.v1.attempt_pb2 import Attempt, BenchRecord, Usage
from majordomo.v1.operator_service_pb2 import HealthChange

_events: Any = None
"""Calls and changes of health go straight to structlog, which takes a third of what
logging's records take; all else that is logged goes by logging."""

REDACTED = "[redacted]"

_GENERATION = "majordomo.v1.GenerationService/"
_LONGEST = 256
_LIKE_A_KEY = re.compile(
    r"\b[Bb]earer\s+[\w.~+/-]{8,}=*|\b(?:sk-|AIza|gsk_|xai-)[\w-]{8,}"
)
_MARKS = ("earer", "sk-", "AIza", "gsk_", "xai-")
"""One of them is in all that the pattern finds."""

_secrets: frozenset[str] = frozenset()


class TextStream(Protocol):
    """What a log is written to."""

    def write(self, text: str, /) -> object:
        """Write `text`, now or soon."""


def hide(secrets: Iterable[str]) -> None:
    """Let none of `secrets` be seen in the log either, from now on.

    Calls may still run under those that were hidden before.
    """
    global _secrets
    _secrets |= {secret for secret in secrets if len(secret) >= 4}


def configure(stream: TextStream, *, terminal: bool) -> None:
    """Write the process's log to `stream`: JSON lines, or for people at a terminal."""
    global _events
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    renderer: Processor = structlog.processors.JSONRenderer(_json)
    if terminal:
        renderer = structlog.dev.ConsoleRenderer()
    last: list[Processor] = [_exception, renderer, _redact]
    _events = structlog.wrap_logger(
        _Lines(stream),
        processors=[structlog.processors.add_log_level, stamp, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                stamp,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)


class _Lines:
    """Where the events go that structlog has made lines of."""

    def __init__(self, stream: TextStream) -> None:
        self._stream = stream

    def info(self, line: str) -> None:
        self._stream.write(line + "\n")

    warning = info


def call_ended(observation: Observation) -> None:
    """Log a call of GenerationService that has ended."""
    if _events is None or not observation.method.startswith(_GENERATION):
        return
    about: dict[str, Any] = {
        "method": observation.method.removeprefix(_GENERATION),
        "code": observation.code.name,
        "outcome": observation.outcome,
        "duration_s": round(observation.duration, 4),
        **_ids(observation),
    }
    call = observation.call
    if call is not None:
        about["chain"] = call.chain[:_LONGEST]
        about["attempts"] = [_attempt(attempt) for attempt in call.attempts]
        if call.labels:
            about["labels"] = call.labels
        completion = call.completion
        if completion is not None:
            about["target"] = completion.target
            if completion.HasField("usage"):
                about["usage"] = _usage(completion.usage)
    _events.info("call", **about)


class HealthLog:
    """Logs changes of targets' health, under the call that made them."""

    def __init__(self, clock: Clock = Clock()) -> None:
        self._clock = clock

    def changed(self, change: Change) -> None:
        """Log a change, as it is made."""
        if _events is None:
            return
        view = change.view
        about: dict[str, Any] = {
            "target": change.target,
            "state": words.state(view.state),
            "cause": words.cause(change.cause),
        }
        bench = view.bench
        if bench is not None:
            record = bench.record(self._clock)
            about["since"] = record.start_time.ToJsonString()
            if record.HasField("expire_time"):
                about["until"] = record.expire_time.ToJsonString()
            if bench.origin == BenchRecord.ORIGIN_AUTOMATIC:
                about["reason"] = words.failure_reason(bench.cause)
                about["consecutive_benches"] = bench.count
        observation = current.get()
        # A timer runs under the call that happened to set it.
        if observation is not None and change.cause != HealthChange.CAUSE_EXPIRED:
            about.update(_ids(observation))
        tell = _events.warning if view.out else _events.info
        tell("health", **about)


def _ids(observation: Observation) -> dict[str, str]:
    trace = observation.trace
    ids = {"trace_id": trace.trace_id, "span_id": trace.span_id}
    if observation.call is not None:
        ids["generation_id"] = observation.call.generation_id
    return {name: value for name, value in ids.items() if value}


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
    if attempt.benched:
        about["benched"] = True
    return about


def _usage(usage: Usage) -> dict[str, int]:
    return {field.name: value for field, value in usage.ListFields()}


def _json(event: EventDict, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def where(error: BaseException) -> str:
    """The type of `error` and the places that it passed, innermost last.

    Its text is left out: it may quote what must not be told.
    """
    places = [type(error).__name__]
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        places.append(f"{code.co_filename}:{traceback.tb_lineno} in {code.co_name}")
        traceback = traceback.tb_next
    return " | ".join(places)


def _exception(logger: Any, method: str, event: EventDict) -> EventDict:  # noqa: ARG001
    info = event.pop("exc_info", None)
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["exception"] = where(error)
    return event


def _redact(logger: Any, method: str, line: Any) -> str:  # noqa: ARG001
    text: str = line
    for secret in _secrets:
        text = text.replace(secret, REDACTED)
    # To look for the marks is twenty times as fast as the pattern is to find nothing.
    if any(mark in text for mark in _MARKS):
        text = _LIKE_A_KEY.sub(REDACTED, text)
    return text
