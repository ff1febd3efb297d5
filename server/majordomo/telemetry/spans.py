"""The span tree of a call.

    SERVER    majordomo.v1.GenerationService/Stream
    └─ chain
       ├─ event majordomo.target.skipped
       ├─ CLIENT    chat gpt-5-mini        one for each attempt
       │    └─ event majordomo.target.benched
       └─ event majordomo.failover

The SERVER span is begun with the call, for its id goes back to the caller; the rest is
built from the finished attempts, with their own times, once the status is sent. Only an
attempt that benched its target is built at once: skips and probes of other calls link
to it. Nothing is held in a context across an await. Prompts, answers and providers' own
words are never recorded.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    TracerProvider,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from majordomo.chain.call import Call
from majordomo.chain.records import wildcard
from majordomo.durations import seconds
from majordomo.telemetry import semconv
from majordomo.telemetry.finished import FinishedCall
from majordomo.telemetry.labels import answer_fault, finish_reason, outcome, why
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_CANCELLED,
    ATTEMPT_OUTCOME_SKIPPED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    FAILURE_REASON_BENCHED,
    FAILURE_REASON_DEADLINE,
    FAILURE_REASON_NOT_REACHED,
    Attempt,
    BenchRecord,
    Usage,
)
from majordomo.v1.generation_service_pb2 import Completion, GenerationConfig
from majordomo.v1.operator_service_pb2 import BenchRequest, UnbenchRequest

_PROPAGATOR = TraceContextTextMapPropagator()
_PROPAGATED = frozenset(_PROPAGATOR.fields)

# A span that does not fit into a message is lost together with its whole batch.
_LONGEST = 256
_MOST_STOPS = 16

_Benched = tuple[str, "BenchRecord.Origin"]
"""What is benched, and whether by its failures or by an operator."""

_MOST_BENCHED = 10_000
"""Targets of which is known what benched them: as many as the tracker keeps."""

_SERVER_ERRORS = frozenset(
    {
        "UNKNOWN",
        "DEADLINE_EXCEEDED",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
    }
)
"""The codes that are a server's own errors, by the conventions for RPC spans."""


class Traces:
    """Begins the traces of calls, and remembers which span benched which target."""

    def __init__(self, tracers: TracerProvider) -> None:
        self.tracer = tracers.get_tracer("majordomo")
        self._benched_by: OrderedDict[_Benched, SpanContext] = OrderedDict()

    def begin(
        self, method: str, metadata: Iterable[tuple[str, str | bytes]]
    ) -> "Trace":
        """The trace of a call of `method` that came with `metadata`."""
        return Trace(self, method, metadata)

    def benched(self, target: str, origin: BenchRecord.Origin, by: Span | None) -> None:
        """`by` is the span of what benched `target`, or "provider/*"; None: nobody's.

        It stands for that target and origin until the next.
        """
        key = target, origin
        self._benched_by.pop(key, None)
        if by is not None:
            self._benched_by[key] = by.get_span_context()
        if len(self._benched_by) > _MOST_BENCHED:
            self._benched_by.popitem(last=False)

    def who_benched(
        self, target: str, origin: BenchRecord.Origin
    ) -> SpanContext | None:
        """The span of what benched `target`, or all of its provider, last."""
        own = self._benched_by.get((target, origin))
        return own or self._benched_by.get((wildcard(target), origin))


class Trace:
    """One call's trace, from its begin to its end."""

    def __init__(
        self,
        traces: Traces,
        method: str,
        metadata: Iterable[tuple[str, str | bytes]],
    ) -> None:
        self._traces = traces
        self._tracer = traces.tracer
        self._span: Span = self._tracer.start_span(
            method,
            context=_parent(metadata),
            kind=SpanKind.SERVER,
            attributes={semconv.RPC_SYSTEM: "grpc", semconv.RPC_METHOD: method},
        )
        context = self._span.get_span_context()
        known = context.is_valid
        self.trace_id = format_trace_id(context.trace_id) if known else ""
        """In hex; empty where there is no trace."""

        self._recording = self._span.is_recording()
        self._chain: Span | None = None
        self._built: set[int] = set()  # attempts, by number

    @property
    def span_id(self) -> str:
        """Of the SERVER span, in hex; empty where there is no trace."""
        context = self._span.get_span_context()
        return format_span_id(context.span_id) if context.is_valid else ""

    def on_attempt(self, call: Call, attempt: Attempt) -> None:
        """An attempt has failed, or a target was skipped, and the call goes on."""
        if attempt.benched:
            # Of a call that is not recorded there is nothing to link to.
            span = self._attempt(call, attempt) if self._recording else None
            self._traces.benched(attempt.target, attempt.bench.origin, span)
        elif (
            self._recording
            and attempt.outcome == ATTEMPT_OUTCOME_SKIPPED
            and attempt.failure_reason == FAILURE_REASON_BENCHED
        ):
            for link in self._links(attempt, attempt.bench.origin):
                self._begun(call).add_link(link.context, link.attributes)

    def on_operation(self, request: BenchRequest | UnbenchRequest) -> None:
        """An operator's method has changed the health of targets."""
        match request:
            case BenchRequest():
                self._span.add_event(semconv.TARGET_BENCHED, _bench_asked(request))
                by = self._span if self._recording else None
                self._traces.benched(_scope(request), BenchRecord.ORIGIN_OPERATOR, by)
            case UnbenchRequest():
                about = {semconv.EVENT_TARGET: _scope(request)}
                self._span.add_event(semconv.TARGET_UNBENCHED, about)

    def end(self, finished: FinishedCall) -> None:
        """Build what is missing and end the SERVER span with the call's status."""
        if not self._recording:
            return
        code = finished.code
        known: dict[str, AttributeValue] = {semconv.RPC_STATUS_CODE: code}
        if code in _SERVER_ERRORS:
            known[semconv.ERROR_TYPE] = code
            self._span.set_status(Status(StatusCode.ERROR))
        if finished.caller:
            known[semconv.ENDUSER_ID] = finished.caller
        call = finished.call
        if call is not None and call.started_nanoseconds:
            summary = _summary(finished, call)
            known.update(summary)
            for key, value in call.labels.items():
                known[semconv.LABEL + key] = value
            self._walk(call, summary)
        elif finished.reason is not None:
            known[semconv.OUTCOME] = finished.outcome
        self._span.set_attributes(known)
        self._span.end(finished.ended_nanoseconds)

    def _walk(self, call: Call, summary: Mapping[str, AttributeValue]) -> None:
        """The chain span, and what is below it and not yet built."""
        if self._chain is not None:
            self._chain.set_attributes(summary)
        span = self._begun(call, summary)
        failed: Attempt | None = None
        for attempt in call.attempts:
            if attempt.outcome == ATTEMPT_OUTCOME_SKIPPED:
                if attempt.failure_reason != FAILURE_REASON_NOT_REACHED:
                    start = attempt.start_time.ToNanoseconds()
                    span.add_event(semconv.TARGET_SKIPPED, _skip(attempt), start)
                continue
            if failed is not None and failed.target != attempt.target:
                _fail_over(span, call, failed, attempt)
            if attempt.number not in self._built:
                self._attempt(call, attempt)
            failed = attempt
        span.end(call.ended_nanoseconds)

    def _begun(self, call: Call, known: Mapping[str, AttributeValue] = {}) -> Span:
        """The chain span; begun when it is first needed, with what is known by then."""
        if self._chain is None:
            self._chain = self._tracer.start_span(
                "chain",
                context=set_span_in_context(self._span),
                attributes={**known, semconv.CHAIN: call.chain},
                start_time=call.started_nanoseconds,
            )
        return self._chain

    def _attempt(self, call: Call, attempt: Attempt) -> Span:
        self._built.add(attempt.number)
        inside = set_span_in_context(self._begun(call))
        benched = attempt.probe or attempt.last_resort
        links = self._links(attempt, BenchRecord.ORIGIN_AUTOMATIC) if benched else ()
        return _attempt(self._tracer, inside, call, attempt, links)

    def _links(self, attempt: Attempt, origin: BenchRecord.Origin) -> list[Link]:
        """To the span of what benched the target of a skip, probe or last resort."""
        context = self._traces.who_benched(attempt.target, origin)
        if context is None:
            return []
        return [Link(context, {semconv.EVENT_TARGET: attempt.target})]


def _parent(metadata: Iterable[tuple[str, str | bytes]]) -> Context:
    """The caller's context, from its W3C headers; an empty one without."""
    carrier = {
        key: value
        for key, value in metadata
        if key in _PROPAGATED and isinstance(value, str)
    }
    return _PROPAGATOR.extract(carrier, Context()) if carrier else Context()


def _summary(finished: FinishedCall, call: Call) -> dict[str, AttributeValue]:
    """What the chain and the SERVER span say of the whole call."""
    summary: dict[str, AttributeValue] = {
        semconv.GENERATION_ID: call.generation_id,
        semconv.ATTEMPTS: len(finished.attempts),
        semconv.SKIPPED: len(finished.skipped),
        semconv.FAILOVERS: finished.failovers,
        semconv.OUTCOME: finished.outcome,
    }
    if call.completion is not None:
        summary[semconv.TARGET] = call.completion.target
    if finished.cost is not None:
        summary[semconv.COST] = float(finished.cost)
    return summary


def _fail_over(span: Span, call: Call, failed: Attempt, attempt: Attempt) -> None:
    start = attempt.start_time.ToNanoseconds()
    about: dict[str, AttributeValue] = {
        semconv.EVENT_FROM: failed.target,
        semconv.EVENT_TO: attempt.target,
        semconv.EVENT_REASON: why(failed),
        semconv.EVENT_ELAPSED: (start - call.started_nanoseconds) / 1e9,
    }
    span.add_event(semconv.FAILOVER, about, start)


def _scope(request: BenchRequest | UnbenchRequest) -> str:
    """What an operator names: "provider/model-id", or "provider/*"."""
    return wildcard(request.provider) if request.provider else request.target


def _bench_asked(request: BenchRequest) -> dict[str, AttributeValue]:
    about: dict[str, AttributeValue] = {
        semconv.EVENT_TARGET: _scope(request),
        semconv.EVENT_CAUSE: "operator",
    }
    if request.HasField("duration"):
        about[semconv.EVENT_COOLDOWN] = seconds(request.duration)
    return about


def _skip(attempt: Attempt) -> dict[str, AttributeValue]:
    event: dict[str, AttributeValue] = {
        semconv.EVENT_TARGET: attempt.target,
        semconv.EVENT_REASON: why(attempt),
    }
    if attempt.bench.HasField("expire_time"):
        expire = attempt.bench.expire_time.ToNanoseconds()
        left = expire - attempt.start_time.ToNanoseconds()
        event[semconv.EVENT_BENCH_REMAINING] = max(left, 0) / 1e9
    return event


def _attempt(
    tracer: Tracer,
    parent: Context,
    call: Call,
    attempt: Attempt,
    links: Sequence[Link],
) -> Span:
    target = call.target(attempt.target)
    start = attempt.start_time.ToNanoseconds()
    end = start + attempt.duration.ToNanoseconds()
    known: dict[str, AttributeValue] = {
        semconv.GEN_AI_OPERATION: semconv.CHAT,
        semconv.GEN_AI_PROVIDER: target.peer.provider_name,
        semconv.GEN_AI_REQUEST_MODEL: target.model,
        semconv.GEN_AI_REQUEST_STREAM: call.stream,
        semconv.ATTEMPT_NUMBER: attempt.number,
        semconv.ATTEMPT_TARGET: attempt.target,
        semconv.ATTEMPT_PROBE: attempt.probe,
        semconv.ATTEMPT_OUTCOME: outcome(attempt.outcome),
        **_request(call.prompt.config),
    }
    if attempt.last_resort:
        known[semconv.ATTEMPT_LAST_RESORT] = True
    if attempt.resent:
        known[semconv.ATTEMPT_RESENT] = True
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
    if (cost := target.cost_of(attempt)) is not None:
        known[semconv.ATTEMPT_COST] = float(cost)
    if attempt.answer_fault:
        known[semconv.ATTEMPT_ANSWER_FAULT] = answer_fault(attempt.answer_fault)
    if attempt.HasField("retry_delay"):
        known[semconv.ATTEMPT_RETRY_DELAY] = seconds(attempt.retry_delay)
    if attempt.provider_error_code:
        known[semconv.ATTEMPT_PROVIDER_CODE] = attempt.provider_error_code
    if (
        attempt.outcome == ATTEMPT_OUTCOME_SUCCEEDED
        and call.completion is not None
        and call.completion.target == attempt.target
    ):
        known.update(_response(call.completion))
    error = _is_error(attempt)
    if error:
        known[semconv.ERROR_TYPE] = why(attempt)
    span = tracer.start_span(
        f"{semconv.CHAT} {target.model}",
        context=parent,
        kind=SpanKind.CLIENT,
        attributes=known,
        links=links,
        start_time=start,
    )
    if attempt.benched:
        span.add_event(semconv.TARGET_BENCHED, _benched(attempt), end)
    if error:
        span.set_status(Status(StatusCode.ERROR))
    span.end(end)
    return span


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
        semconv.EVENT_CAUSE: why(attempt),
        semconv.EVENT_CONSECUTIVE_BENCHES: bench.consecutive_benches,
    }


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
        stopped = finish_reason(completion.finish_reason)
        known[semconv.GEN_AI_RESPONSE_FINISH] = [stopped]
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
    ("web_searches", semconv.USAGE_WEB_SEARCHES),
    ("url_reads", semconv.USAGE_URL_READS),
    ("code_executions", semconv.USAGE_CODE_EXECUTIONS),
)
