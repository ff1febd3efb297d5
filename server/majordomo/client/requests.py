"""Requests of the contract, from what the methods of both clients are given."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypedDict, TypeVar, Unpack

from google.protobuf.duration_pb2 import Duration

from majordomo.client.content import user
from majordomo.v1.attempt_pb2 import AnswerFault
from majordomo.v1.content_pb2 import Message, Tool, ToolChoice
from majordomo.v1.generation_service_pb2 import (
    AnswerPolicy,
    CachePolicy,
    ChainOptions,
    ExplainRequest,
    GenerateRequest,
    GenerationConfig,
    Prompt,
    StreamRequest,
)
from majordomo.v1.operator_service_pb2 import (
    BenchRequest,
    HealthSnapshotResponse,
    UnbenchRequest,
    WatchHealthRequest,
)

GENERATE_TIMEOUT = 300.0
"""Seconds that `generate` and `explain` may take, unless set otherwise."""

OPERATOR_TIMEOUT = 10.0
"""Seconds that a call to an operator's method may take, unless set otherwise."""

PromptLike: TypeAlias = str | Message | Iterable[Message] | Prompt
"""What to ask: a text, a turn, a conversation, or all that the contract has."""


class PromptOptions(TypedDict, total=False):
    """How to ask. What is given here wins over the same in a whole Prompt."""

    chain: str
    """Targets ("provider/model-id") and tiers, comma-separated, tried left to right.
    Without it: the server's default chain."""

    system: str
    """Standing instructions."""

    tools: Iterable[Tool]
    """Tools that the model may call, and those that providers run: `web_search()`,
    `code_execution()`, `url_reading()`."""

    tool_choice: ToolChoice
    """Limits on tool use."""

    config: GenerationConfig
    """Sampling, length, reasoning."""

    response_schema: str | Mapping[str, Any]
    """JSON Schema that the answer must follow, as its text or as the object."""

    cache_policy: CachePolicy
    """Where prompt caches should be cut."""

    options: ChainOptions
    """How to walk the chain."""

    advance_on_answer: Iterable[AnswerFault]
    """After which faults of an answer to go on to the next target; without it, after
    an empty one."""

    labels: Mapping[str, str]
    """Copied onto the call's spans and its line in the log."""


_Request = TypeVar("_Request", GenerateRequest, StreamRequest, ExplainRequest)


def fill_request(
    request: _Request, prompt: PromptLike, **asking: Unpack[PromptOptions]
) -> _Request:
    """`request`, with what to ask and how filled in."""
    call = request.call
    _fill_prompt(call.prompt, prompt)
    if "chain" in asking:
        call.chain = asking["chain"]
    if "options" in asking:
        call.options.CopyFrom(asking["options"])
    if "advance_on_answer" in asking:
        faults = asking["advance_on_answer"]
        call.options.answer_policy.CopyFrom(AnswerPolicy(advance_on_answer=faults))
    if "labels" in asking:
        call.labels.update(asking["labels"])
    if "system" in asking:
        del call.prompt.system_instruction[:]
        call.prompt.system_instruction.add(text=asking["system"])
    if "tools" in asking:
        del call.prompt.tools[:]
        call.prompt.tools.extend(asking["tools"])
    if "tool_choice" in asking:
        call.prompt.tool_choice.CopyFrom(asking["tool_choice"])
    if "config" in asking:
        call.prompt.config.CopyFrom(asking["config"])
    if "response_schema" in asking:
        schema = asking["response_schema"]
        text = schema if isinstance(schema, str) else json.dumps(schema)
        call.prompt.response_format.json_schema.schema_json = text
    if "cache_policy" in asking:
        call.prompt.cache_policy.CopyFrom(asking["cache_policy"])
    return request


def _fill_prompt(filled: Prompt, prompt: PromptLike) -> None:
    match prompt:
        case str():
            filled.messages.append(user(prompt))
        case Message():
            filled.messages.append(prompt)
        case Prompt():
            filled.CopyFrom(prompt)
        case _:
            filled.messages.extend(prompt)


def bench_request(target: str, duration: float | None, reason: str) -> BenchRequest:
    """`duration` in seconds; None is until Unbench."""
    request = BenchRequest(duration=_duration(duration), reason=reason)
    return _scoped(request, target)


def unbench_request(target: str) -> UnbenchRequest:
    return _scoped(UnbenchRequest(), target)


_Scoped = TypeVar("_Scoped", BenchRequest, UnbenchRequest)


def _scoped(request: _Scoped, target: str) -> _Scoped:
    """`request`, for "provider/model-id" or "provider/*"."""
    provider, _, model = target.partition("/")
    if model == "*":
        request.provider = provider
    else:
        request.target = target
    return request


def joined(pages: Sequence[HealthSnapshotResponse]) -> HealthSnapshotResponse:
    """The pages of a snapshot as one, of the time of the first."""
    whole, *others = pages
    for page in others:
        whole.targets.extend(page.targets)
    whole.ClearField("next_page_token")
    return whole


def watch_request(chain: str, heartbeat: float | None) -> WatchHealthRequest:
    """`heartbeat` in seconds; None leaves it to the server."""
    return WatchHealthRequest(chain=chain, heartbeat_interval=_duration(heartbeat))


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
