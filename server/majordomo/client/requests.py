"""Requests of the contract, from what the methods of both clients are given."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, TypedDict, TypeVar, Unpack

from google.protobuf.duration_pb2 import Duration

from majordomo.client.content import user
from majordomo.v1.content_pb2 import Message, Tool, ToolChoice
from majordomo.v1.generation_service_pb2 import (
    CachePolicy,
    ChainOptions,
    ExplainRequest,
    GenerateRequest,
    GenerationConfig,
    Prompt,
    StreamRequest,
)
from majordomo.v1.operator_service_pb2 import BenchRequest, WatchHealthRequest

GENERATE_TIMEOUT = 300.0
"""Seconds that `generate` and `explain` may take, unless told otherwise."""

OPERATOR_TIMEOUT = 10.0
"""Seconds that a call to an operator's method may take, unless told otherwise."""

Asked: TypeAlias = str | Message | Iterable[Message] | Prompt
"""What to ask: a text, a turn, a conversation, or all that the contract has."""


class Asking(TypedDict, total=False):
    """How to ask. What is given here wins over the same in a whole Prompt."""

    chain: str
    """Targets ("provider/model-id") and tiers, comma-separated, tried left to right.
    Without it: the server's default chain."""

    system: str
    """Standing instructions."""

    tools: Iterable[Tool]
    """Tools that the model may call."""

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


_Request = TypeVar("_Request", GenerateRequest, StreamRequest, ExplainRequest)


def asked(request: _Request, prompt: Asked, **asking: Unpack[Asking]) -> _Request:
    """`request`, with what to ask and how filled in."""
    match prompt:
        case str():
            request.prompt.messages.append(user(prompt))
        case Message():
            request.prompt.messages.append(prompt)
        case Prompt():
            request.prompt.CopyFrom(prompt)
        case _:
            request.prompt.messages.extend(prompt)
    told = request.prompt
    if "chain" in asking:
        request.chain = asking["chain"]
    if "options" in asking:
        request.options.CopyFrom(asking["options"])
    if "system" in asking:
        told.system_instruction = asking["system"]
    if "tools" in asking:
        del told.tools[:]
        told.tools.extend(asking["tools"])
    if "tool_choice" in asking:
        told.tool_choice.CopyFrom(asking["tool_choice"])
    if "config" in asking:
        told.config.CopyFrom(asking["config"])
    if "response_schema" in asking:
        schema = asking["response_schema"]
        told.response_schema_json = (
            schema if isinstance(schema, str) else json.dumps(schema)
        )
    if "cache_policy" in asking:
        told.cache_policy.CopyFrom(asking["cache_policy"])
    return request


def bench_request(target: str, duration: float | None, reason: str) -> BenchRequest:
    """`duration` in seconds; None is until Unbench."""
    return BenchRequest(target=target, duration=_duration(duration), reason=reason)


def watch_request(chain: str, heartbeat: float | None) -> WatchHealthRequest:
    """`heartbeat` in seconds; None leaves it to the server."""
    return WatchHealthRequest(chain=chain, heartbeat_interval=_duration(heartbeat))


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
