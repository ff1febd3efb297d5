"""Why models stop, in the words of all wires.

Gateways pass on the words of those behind them, so a word means the same on every wire,
whatever its case.
"""

from majordomo.chain.failure import Failure
from majordomo.codec.json_text import repair
from majordomo.secrets import scrub
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_PROVIDER_ERROR,
    FAILURE_REASON_TIMEOUT,
    FAILURE_REASON_UNSUPPORTED,
    FailureReason,
)
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_CONTENT_FILTER,
    FINISH_REASON_LENGTH,
    FINISH_REASON_OTHER,
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    FinishReason,
)

_WORDS: dict[FinishReason, str] = {
    FINISH_REASON_STOP: """
        stop stopped end_turn stop_sequence complete completed
        eos eos_token end_of_text endoftext
    """,
    FINISH_REASON_LENGTH: """
        length max_tokens max_output_tokens max_completion_tokens max_length
        model_length model_context_window_exceeded context_length_exceeded
        context_length error_limit incomplete
    """,
    FINISH_REASON_TOOL_CALLS: """
        tool_calls tool_call tool_use function_call function_calls
    """,
    FINISH_REASON_CONTENT_FILTER: """
        content_filter content_filtered content_filter_error refusal refused sensitive
        safety recitation blocklist prohibited_content spii model_armor escalation
        image_safety image_prohibited_content image_recitation
        guardrail_intervened guardrails error_toxic
    """,
}
_FAILED: dict[FailureReason, str] = {
    FAILURE_REASON_MALFORMED_RESPONSE: """
        abort aborted error
        malformed_function_call malformed_response malformed_model_output
        malformed_tool_use unexpected_tool_call too_many_tool_calls tool_use_failed
    """,
    FAILURE_REASON_PROVIDER_ERROR: """
        failed cancelled canceled user_cancel network_error server_error
        other language no_image image_other
    """,
    FAILURE_REASON_OVERLOADED: "insufficient_system_resource",
    FAILURE_REASON_TIMEOUT: "timeout",
    FAILURE_REASON_UNSUPPORTED: "missing_thought_signature",
}
"""Where what the model wrote is no answer."""

_REASONS = {word: reason for reason, words in _WORDS.items() for word in words.split()}
_FAILURES = {
    word: reason for reason, words in _FAILED.items() for word in words.split()
}
_MOST_WORDS = 1000
"""Characters of a provider's own words."""

_CUT = frozenset({FINISH_REASON_LENGTH, FINISH_REASON_CONTENT_FILTER})


def finish_reason(word: str) -> FinishReason:
    """What `word` means; OTHER where nobody knows."""
    reason = _REASONS.get(word)
    return _REASONS.get(_plain(word), FINISH_REASON_OTHER) if reason is None else reason


def failed(word: str) -> Failure | None:
    """The failure that `word` is; None: what was written is an answer."""
    if not word or word in _REASONS:
        return None
    reason = _FAILURES.get(_plain(word))
    if reason is None:
        return None
    return Failure(reason, f"the provider ended the answer with {word}", code=word)


def cut(word: str) -> bool:
    """Whether the answer was cut short, perhaps within a tool call."""
    return finish_reason(word) in _CUT


def own_words(*words: object) -> str:
    """A provider's words for why a model stopped, for its caller's eyes; "" if none.

    Bounded, and without what may be a key or tells of our network.
    """
    text = ": ".join(word for word in words if isinstance(word, str) and word)
    return scrub(repair(text[: 4 * _MOST_WORDS]))[:_MOST_WORDS] if text else ""


def _plain(word: str) -> str:
    """`word` as the tables have it: "finish: Tool-Calls" is tool_calls."""
    plain = word.rpartition(":")[2].strip().lower().replace("-", "_").replace(" ", "_")
    return plain.removeprefix("finish_reason_")
