"""A call's trace as people read it: one tree, printed when the call has ended.

trace 6f1c0a3b majordomo.v1.GenerationService/Stream    0.842 s  recovered
└─ chain                                                0.841 s  recovered
   ├─ chat giant-1                                      0.001 s  failed, overloaded
   │  └─ * majordomo.target.benched target=acme/giant-1 cooldown_s=4.2
   ├─ * majordomo.failover from=acme/giant-1 to=local/smollm2 reason=overloaded
   └─ chat smollm2                                      0.640 s  succeeded, HTTP 200
"""

import logging
from collections import defaultdict
from collections.abc import Iterator
from typing import TextIO, TypeAlias

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind, format_trace_id

from majordomo.telemetry import semconv

_COLUMN = 64

_log = logging.getLogger("majordomo")

_WORDS = (
    semconv.OUTCOME,
    semconv.ATTEMPT_OUTCOME,
    semconv.ERROR_TYPE,
    semconv.HTTP_STATUS_CODE,
    semconv.GEN_AI_USAGE_INPUT,
    semconv.GEN_AI_USAGE_OUTPUT,
)
"""The attributes that a line shows, in this order."""


Children: TypeAlias = defaultdict[int, list[ReadableSpan]]
"""Spans that have ended, by the id of their parent."""


class ConsoleTree(SpanProcessor):
    """Gathers the spans of a call and writes them at once, when its root ends."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._failed = False
        self._children: Children = defaultdict(list)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing is known yet."""

    def on_end(self, span: ReadableSpan) -> None:
        if span.kind == SpanKind.SERVER:
            self._write("\n".join(lines(span, self._children)) + "\n\n")
        elif span.parent is not None:
            self._children[span.parent.span_id].append(span)

    def _write(self, tree: str) -> None:
        try:
            self._output.write(tree)
            self._output.flush()
        except OSError as error:  # the call must not fail for it
            if not self._failed:
                _log.warning("cannot write traces to stdout: %s", error.strerror)
            self._failed = True

    def shutdown(self) -> None:
        """Nothing is kept."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002
        return True


def lines(root: ReadableSpan, children: Children) -> Iterator[str]:
    """The tree of one call; its spans are taken out of `children`."""
    context = root.get_span_context()
    trace_id = format_trace_id(context.trace_id) if context is not None else "?"
    yield _line(f"trace {trace_id[:8]} {root.name}", root)
    yield from _below(root, children, "")


def _below(span: ReadableSpan, children: Children, indent: str) -> Iterator[str]:
    """The events and the spans within `span`, in the order of their times."""
    context = span.get_span_context()
    inside: list[tuple[int, ReadableSpan | Event]] = [
        (event.timestamp, event) for event in span.events
    ]
    if context is not None:
        inside += [(s.start_time or 0, s) for s in children.pop(context.span_id, ())]
    inside.sort(key=lambda item: item[0])
    for place, (_, item) in enumerate(inside, start=1):
        last = place == len(inside)
        branch = indent + ("└─ " if last else "├─ ")
        if isinstance(item, Event):
            yield branch + _event(item)
        else:
            yield _line(branch + item.name, item)
            yield from _below(item, children, indent + ("   " if last else "│  "))


def _line(text: str, span: ReadableSpan) -> str:
    length = ((span.end_time or 0) - (span.start_time or 0)) / 1e9
    attributes = span.attributes or {}
    words = [_word(key, attributes[key]) for key in _WORDS if key in attributes]
    return f"{text:<{_COLUMN}} {length:8.3f} s  {', '.join(words)}".rstrip()


def _word(key: str, value: object) -> str:
    match key:
        case semconv.HTTP_STATUS_CODE:
            return f"HTTP {value}"
        case semconv.GEN_AI_USAGE_INPUT:
            return f"{value} tokens in"
        case semconv.GEN_AI_USAGE_OUTPUT:
            return f"{value} out"
        case _:
            return str(value)


def _event(event: Event) -> str:
    words = [
        f"{key}={round(value, 3) if isinstance(value, float) else value}"
        for key, value in (event.attributes or {}).items()
        if key != semconv.EVENT_UNTIL  # the cooldown says it, and shorter
    ]
    return f"* {event.name} {' '.join(words)}"
