"""The span tree of a call.

    SERVER    majordomo.v1.GenerationService/Stream
    └─ chain
       ├─ event majordomo.target.skipped
       ├─ CLIENT    chat gpt-5-mini        one for each attempt
       │    └─ event majordomo.target.benched
       └─ event majordomo.failover

The SERVER span is begun with the call, for its id goes back to the caller; the rest is
built from the finished attempts, with their own times. Nothing is held in a context
across an await. Prompts, answers and providers' own words are never recorded.
"""

import time
from collections.abc import Iterable, Mapping
from itertools import islice

from grpc import StatusCode as RpcCode
from opentelemetry.context import Context
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from majordomo.chain.call import Call
from majordomo.chain.clock import seconds
from majordomo.chain.target import Target
from majordomo.telemetry import semconv
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_CANCELLED,
    ATTEMPT_OUTCOME_SKIPPED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    FAILURE_REASON_CANCELLED,
    FAILURE_REASON_DEADLINE,
    FAILURE_REASON_NOT_REACHED,
    Attempt,
    AttemptOutcome,
    FailureReason,
    Usage,
)
from majordomo.v1.errors_pb2 import ErrorReason
from majordomo.v1.generation_service_pb2 import (
    Completion,
    FinishReason,
    GenerationConfig,
)

_PROPAGATOR = TraceContextTextMapPropagator()
_PROPAGATED = frozenset(_PROPAGATOR.fields)

# A span that does not fit into a message is lost together with its whole batch.
_LONGEST = 256
_MOST_STOPS = 16

_SERVER_ERRORS = frozenset(
    {
        RpcCode.UNKNOWN,
        RpcCode.DEADLINE_EXCEEDED,
        RpcCode.UNIMPLEMENTED,
        RpcCode.INTERNAL,
        RpcCode.UNAVAILABLE,
        RpcCode.DATA_LOSS,
    }
)
"""The codes that are a server's own errors, by the conventions for RPC spans."""


class Trace:
    """One call's trace, from its begin to its end."""

    def __init__(
        self, tracer: Tracer, method: str, metadata: Iterable[tuple[str, str | bytes]]
    ) -> None:
        self._tracer = tracer
        self._span: Span = tracer.start_span(
            method,
            context=_parent(metadata),
            kind=SpanKind.SERVER,
            attributes={semconv.RPC_SYSTEM: "grpc", semconv.RPC_METHOD: method},
        )
        context = self._span.get_span_context()
        self.trace_id = format_trace_id(context.trace_id) if context.is_valid else ""
        """In hex; empty where there is no trace."""

        self.call: Call | None = None
        """Set by the servicer, once it knows what is asked."""

    def end(self, code: RpcCode) -> None:
        """Build what is missing and end the SERVER span with the call's status."""
        span = self._span
        if not span.is_recording():
            return
        ended = time.time_ns()  # building takes longer than many a call
        span.set_attribute(semconv.RPC_STATUS_CODE, code.name)
        if code in _SERVER_ERRORS:
            span.set_attribute(semconv.ERROR_TYPE, code.name)
            span.set_status(Status(StatusCode.ERROR))
        if self.call is not None and self.call.started_nanoseconds:
            summary = _summary(self.call, code)
            span.set_attributes(summary)
            for key, value in self.call.labels.items():
                span.set_attribute(semconv.LABEL + key, value)
            _chain(self._tracer, set_span_in_context(span), self.call, summary)
        span.end(ended)


def _parent(metadata: Iterable[tuple[str, str | bytes]]) -> Context:
    """The caller's context, from its W3C headers; an empty one without."""
    carrier = {
        key: value
        for key, value in metadata
        if key in _PROPAGATED and isinstance(value, str)
    }
    return _PROPAGATOR.extract(carrier, Context()) if carrier else Context()


def _summary(call: Call, code: RpcCode) -> dict[str, AttributeValue]:
    """What the chain and the SERVER span say of the whole call."""
    tried = [a for a in call.attempts if a.outcome != ATTEMPT_OUTCOME_SKIPPED]
    skipped = [
        a
        for a in call.attempts
        if a.outcome == ATTEMPT_OUTCOME_SKIPPED
        and a.failure_reason != FAILURE_REASON_NOT_REACHED
    ]
    summary: dict[str, AttributeValue] = {
        semconv.GENERATION_ID: call.generation_id,
        semconv.ATTEMPTS: len(tried),
        semconv.SKIPPED: len(skipped),
        semconv.FAILOVERS: max(len({a.target for a in tried}) - 1, 0),
        semconv.OUTCOME: _outcome(call, code),
    }
    if call.completion is not None:
        summary[semconv.TARGET] = call.completion.target
    return summary


def _outcome(call: Call, code: RpcCode) -> str:
    if call.completion is not None:
        return "first_try" if len(call.attempts) == 1 else "recovered"
    if call.error is not None:
        return ErrorReason.Name(call.error).removeprefix("ERROR_REASON_").lower()
    # The walk did not come to its end: cancelled, deadline_exceeded, internal.
    return code.name.lower()


def _chain(
    tracer: Tracer, parent: Context, call: Call, summary: Mapping[str, AttributeValue]
) -> None:
    span = tracer.start_span(
        "chain",
        context=parent,
        attributes={**summary, semconv.CHAIN: call.chain},
        start_time=call.started_nanoseconds,
    )
    inside = set_span_in_context(span)
    targets = {target.name: target for target in call.targets}
    failed: Attempt | None = None
    for attempt in call.attempts:
        start = attempt.start_time.ToNanoseconds()
        if attempt.outcome == ATTEMPT_OUTCOME_SKIPPED:
            if attempt.failure_reason != FAILURE_REASON_NOT_REACHED:
                span.add_event(semconv.TARGET_SKIPPED, _skip(attempt), start)
            continue
        if failed is not None and failed.target != attempt.target:
            elapsed = (start - call.started_nanoseconds) / 1e9
            span.add_event(
                semconv.FAILOVER,
                {
                    semconv.EVENT_FROM: failed.target,
                    semconv.EVENT_TO: attempt.target,
                    semconv.EVENT_REASON: _reason(failed),
                    semconv.EVENT_ELAPSED: elapsed,
                },
                start,
            )
        _attempt(tracer, inside, call, attempt, targets[attempt.target])
        failed = attempt
    span.end(call.ended_nanoseconds)


def _skip(attempt: Attempt) -> dict[str, AttributeValue]:
    event: dict[str, AttributeValue] = {
        semconv.EVENT_TARGET: attempt.target,
        semconv.EVENT_REASON: _reason(attempt),
    }
    if attempt.bench.HasField("expire_time"):
        expire = attempt.bench.expire_time.ToNanoseconds()
        left = expire - attempt.start_time.ToNanoseconds()
        event[semconv.EVENT_BENCH_REMAINING] = max(left, 0) / 1e9
    return event


def _attempt(
    tracer: Tracer, parent: Context, call: Call, attempt: Attempt, target: Target
) -> None:
    start = attempt.start_time.ToNanoseconds()
    end = start + attempt.duration.ToNanoseconds()
    known: dict[str, AttributeValue] = {
        semconv.GEN_AI_OPERATION: "chat",
        semconv.GEN_AI_PROVIDER: target.peer.provider_name,
        semconv.GEN_AI_REQUEST_MODEL: target.model,
        semconv.GEN_AI_REQUEST_STREAM: call.stream,
        semconv.ATTEMPT_NUMBER: attempt.number,
        semconv.ATTEMPT_TARGET: attempt.target,
        semconv.ATTEMPT_PROBE: attempt.probe,
        semconv.ATTEMPT_OUTCOME: AttemptOutcome.Name(attempt.outcome)
        .removeprefix("ATTEMPT_OUTCOME_")
        .lower(),
        **_request(call.prompt.config),
    }
    if target.peer.server_address:
        known[semconv.SERVER_ADDRESS] = target.peer.server_address
        known[semconv.SERVER_PORT] = target.peer.server_port
    if attempt.http_status_code:
        known[semconv.HTTP_STATUS_CODE] = attempt.http_status_code
    if attempt.HasField("first_content_latency"):
        latency = seconds(attempt.first_content_latency)
        known[semconv.GEN_AI_RESPONSE_FIRST_CHUNK] = latency
    if attempt.HasField("usage"):
        known.update(_usage(attempt.usage))
    if attempt.HasField("retry_delay"):
        known[semconv.ATTEMPT_RETRY_DELAY] = seconds(attempt.retry_delay)
    if attempt.provider_error_code:
        known[semconv.ATTEMPT_PROVIDER_CODE] = attempt.provider_error_code
    if attempt.outcome == ATTEMPT_OUTCOME_SUCCEEDED and call.completion is not None:
        known.update(_response(call.completion))
    error = _is_error(attempt)
    if error:
        known[semconv.ERROR_TYPE] = _reason(attempt)
    span = tracer.start_span(
        f"chat {target.model}",
        context=parent,
        kind=SpanKind.CLIENT,
        attributes=known,
        start_time=start,
    )
    if attempt.benched:
        span.add_event(semconv.TARGET_BENCHED, _benched(attempt), end)
    if error:
        span.set_status(Status(StatusCode.ERROR))
    span.end(end)


def _is_error(attempt: Attempt) -> bool:
    """A failed attempt is one; the caller's cancel is not."""
    if attempt.outcome == ATTEMPT_OUTCOME_SUCCEEDED:
        return False
    return (
        attempt.outcome != ATTEMPT_OUTCOME_CANCELLED
        or attempt.failure_reason == FAILURE_REASON_DEADLINE
    )


def _benched(attempt: Attempt) -> dict[str, AttributeValue]:
    bench = attempt.bench
    length = bench.expire_time.ToNanoseconds() - bench.start_time.ToNanoseconds()
    return {
        semconv.EVENT_TARGET: attempt.target,
        semconv.EVENT_UNTIL: bench.expire_time.ToJsonString(),
        semconv.EVENT_COOLDOWN: length / 1e9,
        semconv.EVENT_CAUSE: _reason(attempt),
        semconv.EVENT_CONSECUTIVE_BENCHES: bench.consecutive_benches,
    }


def _reason(attempt: Attempt) -> str:
    name = FailureReason.Name(attempt.failure_reason or FAILURE_REASON_CANCELLED)
    return name.removeprefix("FAILURE_REASON_").lower()


def _request(config: GenerationConfig) -> dict[str, AttributeValue]:
    known: dict[str, AttributeValue] = {}
    for key, name in _REQUEST:
        if config.HasField(key):
            known[name] = getattr(config, key)
    if config.stop_sequences:
        first = islice(config.stop_sequences, _MOST_STOPS)
        known[semconv.GEN_AI_REQUEST_STOP] = [stop[:_LONGEST] for stop in first]
    return known


def _response(completion: Completion) -> dict[str, AttributeValue]:
    known: dict[str, AttributeValue] = {}
    if completion.provider_model:
        known[semconv.GEN_AI_RESPONSE_MODEL] = completion.provider_model[:_LONGEST]
    if completion.provider_response_id:
        response_id = completion.provider_response_id[:_LONGEST]
        known[semconv.GEN_AI_RESPONSE_ID] = response_id
    if completion.finish_reason:
        finish = FinishReason.Name(completion.finish_reason)
        finish = finish.removeprefix("FINISH_REASON_").lower()
        known[semconv.GEN_AI_RESPONSE_FINISH] = [finish]
    return known


def _usage(usage: Usage) -> dict[str, AttributeValue]:
    return {name: getattr(usage, key) for key, name in _USAGE if usage.HasField(key)}


_REQUEST = (
    ("max_output_tokens", semconv.GEN_AI_REQUEST_MAX_TOKENS),
    ("temperature", semconv.GEN_AI_REQUEST_TEMPERATURE),
    ("top_p", semconv.GEN_AI_REQUEST_TOP_P),
    ("top_k", semconv.GEN_AI_REQUEST_TOP_K),
    ("seed", semconv.GEN_AI_REQUEST_SEED),
)
_USAGE = (
    ("input_tokens", semconv.GEN_AI_USAGE_INPUT),
    ("output_tokens", semconv.GEN_AI_USAGE_OUTPUT),
    ("cache_read_tokens", semconv.GEN_AI_USAGE_CACHE_READ),
    ("cache_write_tokens", semconv.GEN_AI_USAGE_CACHE_WRITE),
    ("cache_write_tokens", semconv.GEN_AI_USAGE_CACHE_CREATION),
    ("reasoning_tokens", semconv.GEN_AI_USAGE_REASONING),
)
