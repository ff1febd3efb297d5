"""Token counts, from the ways in which providers count to one normal form.

Input includes what was cached, output includes reasoning, a part is never larger
than its whole, and what the provider did not say is unset.
"""

from typing import Any

import msgspec
from msgspec.structs import astuple

from majordomo.codec.json_text import mapping
from majordomo.v1.attempt_pb2 import Usage

_MOST = 2**31 - 1


def chat_usage(said: object, model: str = "") -> Usage | None:
    """The usage object of a Chat Completions answer; None if it counts nothing.

    Most servers count reasoning within the completion; xAI's counts it beside it,
    and Gemini's leaves it to the total. The total shows which.
    """
    if not isinstance(said, dict):
        return None
    prompt = _count(said.get("prompt_tokens"))
    completion = _count(said.get("completion_tokens"))
    total = _count(said.get("total_tokens"))
    read = mapping(said.get("prompt_tokens_details"))
    written = mapping(said.get("completion_tokens_details"))
    reasoning = _count(written.get("reasoning_tokens"))
    if prompt is not None and completion is not None and total is not None:
        uncounted = total - prompt - completion
        if uncounted > 0 and uncounted == reasoning:
            completion += reasoning
        elif uncounted > 0 and model.removeprefix("models/").startswith("gemini"):
            completion += uncounted
            reasoning = uncounted
    cached = _first_count(
        read.get("cached_tokens"),
        said.get("prompt_cache_hit_tokens"),
        said.get("cached_tokens"),
        said.get("num_cached_tokens"),
    )
    usage = Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=_part(cached, prompt),
        cache_write_tokens=_part(_count(read.get("cache_write_tokens")), prompt),
        reasoning_tokens=_part(reasoning, completion),
    )
    _count_tools(usage, said.get("server_tool_use"))
    searches = _count(said.get("num_search_queries"))
    if searches is not None:
        usage.web_searches = searches
    return usage if usage.ByteSize() else None


def responses_usage(said: object, items: object = None) -> Usage | None:
    """The usage object of a Responses answer; None if it counts nothing.

    Uses of the provider's own tools are in the answer's items alone; xAI counts them.
    """
    if not isinstance(said, dict):
        return None
    read = mapping(said.get("input_tokens_details"))
    written = mapping(said.get("output_tokens_details"))
    total = _count(said.get("total_tokens"))
    prompt = _count(said.get("input_tokens"))
    output = _count(said.get("output_tokens"))
    reasoning = _count(written.get("reasoning_tokens"))
    if (
        reasoning
        and prompt is not None
        and output is not None
        and total == prompt + output + reasoning
    ):
        output += reasoning
    usage = Usage(
        input_tokens=prompt,
        output_tokens=output,
        cache_read_tokens=_part(_count(read.get("cached_tokens")), prompt),
        cache_write_tokens=_part(_count(read.get("cache_write_tokens")), prompt),
        reasoning_tokens=_part(reasoning, output),
    )
    searches, runs = _counted(items, "web_search_call", "code_interpreter_call")
    if searches:
        usage.web_searches = searches
    if runs:
        usage.code_executions = runs
    details = said.get("server_side_tool_usage_details")
    _count_tools(usage, details, "web_search_calls", "", "code_interpreter_calls")
    return usage if usage.ByteSize() else None


def anthropic_usage(said: object) -> Usage | None:
    """The usage object of a Messages answer; None if it counts nothing.

    What was cached is counted beside the input. What the provider did beside the
    answer, such as compaction, is counted in its iterations only.
    """
    if not isinstance(said, dict):
        return None
    said = _all_iterations(said)
    fresh = _count(said.get("input_tokens"))
    read = _count(said.get("cache_read_input_tokens"))
    written = _count(said.get("cache_creation_input_tokens"))
    output = _count(said.get("output_tokens"))
    details = mapping(said.get("output_tokens_details"))
    prompt = None if fresh is None else fresh + (read or 0) + (written or 0)
    usage = Usage(
        input_tokens=prompt,
        output_tokens=output,
        cache_read_tokens=_part(read, prompt),
        cache_write_tokens=_part(written, prompt),
        reasoning_tokens=_part(_count(details.get("thinking_tokens")), output),
    )
    _count_tools(usage, said.get("server_tool_use"))
    return usage if usage.ByteSize() else None


class GeminiCounts(msgspec.Struct, rename="camel"):
    """The usageMetadata of a generateContent answer, as far as it is read."""

    prompt_token_count: Any = None
    tool_use_prompt_token_count: Any = None
    cached_content_token_count: Any = None
    candidates_token_count: Any = None
    thoughts_token_count: Any = None


def gemini_usage(said: GeminiCounts, searches: int = 0) -> Usage | None:
    """What a generateContent answer counts; None if that is nothing.

    Thoughts are counted beside the answer, and what tools brought beside the prompt.
    `searches` are those of the web, which are in what the answer is grounded in alone.
    """
    prompt = _sum(
        _count(said.prompt_token_count), _count(said.tool_use_prompt_token_count)
    )
    thoughts = _count(said.thoughts_token_count)
    usage = Usage(
        input_tokens=prompt,
        output_tokens=_sum(_count(said.candidates_token_count), thoughts),
        cache_read_tokens=_part(_count(said.cached_content_token_count), prompt),
        reasoning_tokens=thoughts,
    )
    if searches and usage.ByteSize():
        usage.web_searches = searches
    return usage if usage.ByteSize() else None


def later(before: Usage | None, now: Usage | None) -> Usage | None:
    """The counts of one answer when `now` is reported after `before`.

    What is reported later holds, but zero or nothing takes no count away.
    """
    if before is None or now is None:
        return before if now is None else now
    counts = Usage()
    counts.CopyFrom(before)
    for field, value in now.ListFields():
        if value or not before.HasField(field.name):
            setattr(counts, field.name, value)
    return counts


def later_counts(before: GeminiCounts, now: GeminiCounts) -> GeminiCounts:
    """The same, of counts as they were sent."""
    return GeminiCounts(
        *[
            old if old is not None and not new else new
            for old, new in zip(astuple(before), astuple(now), strict=True)
        ]
    )


_OF_ITERATIONS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
)


def _all_iterations(said: dict[str, Any]) -> dict[str, Any]:
    """`reported` with what all its iterations, if it tells them, come to."""
    reported = said.get("iterations")
    iterations = (
        [mapping(entry) for entry in reported] if isinstance(reported, list) else []
    )
    if not any(iterations):
        return said
    sums: dict[str, int | None] = {}
    for name in _OF_ITERATIONS:
        for entry in iterations:
            sums[name] = _sum(sums.get(name), _count(entry.get(name)))
    return said | {name: count for name, count in sums.items() if count is not None}


def _counted(items: object, *types: str) -> list[int]:
    """How many items of each type there are."""
    listed = items if isinstance(items, list) else []
    found = [mapping(item).get("type") for item in listed]
    return [found.count(type_) for type_ in types]


def _count_tools(
    usage: Usage,
    said: object,
    searches: str = "web_search_requests",
    reads: str = "web_fetch_requests",
    runs: str = "code_execution_requests",
) -> None:
    """Add what a provider says that its own tools did, by its names for that."""
    if not isinstance(said, dict):
        return
    if (count := _count(said.get(searches))) is not None:
        usage.web_searches = count
    if (count := _count(said.get(reads))) is not None:
        usage.url_reads = count
    if (count := _count(said.get(runs))) is not None:
        usage.code_executions = count


def _sum(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one + other, _MOST)


def _count(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is int:  # the usual, and the fast, way
        return value if 0 <= value <= _MOST else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= _MOST else None


def _first_count(*values: object) -> int | None:
    for value in values:
        if value is not None and (count := _count(value)) is not None:
            return count
    return None


def _part(part: int | None, whole: int | None) -> int | None:
    return part if part is None or whole is None else min(part, whole)
