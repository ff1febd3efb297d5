"""What a field takes is stated in the contract, and is what the server takes."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message as ProtoMessage
from google.rpc.error_details_pb2 import BadRequest

from majordomo.v1.attempt_pb2 import ANSWER_FAULT_EMPTY, FAILURE_REASON_CREDENTIALS
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    Citation,
    FunctionTool,
    Message,
    Part,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    UserLocation,
)
from majordomo.v1.generation_service_pb2 import (
    Call,
    ExplainRequest,
    GenerateRequest,
    ListTiersRequest,
    Prompt,
    StreamRequest,
)
from majordomo.v1.operator_service_pb2 import (
    BenchRequest,
    HealthSnapshotRequest,
    UnbenchRequest,
    WatchHealthRequest,
)
from scripts import contract_page
from testkit.servers import Running, failed, running

METHODS: dict[Any, tuple[str, str]] = {
    GenerateRequest: ("generation", "Generate"),
    StreamRequest: ("generation", "Stream"),
    ExplainRequest: ("generation", "Explain"),
    ListTiersRequest: ("generation", "ListTiers"),
    HealthSnapshotRequest: ("operator", "HealthSnapshot"),
    WatchHealthRequest: ("operator", "WatchHealth"),
    BenchRequest: ("operator", "Bench"),
    UnbenchRequest: ("operator", "Unbench"),
}
"""Who takes a request."""

NUMBER = r"(\d+(?:\.\d+)?(?: (?:ms|s|h|days))?)"
CLAUSE = re.compile(
    rf"(?:(?P<of>keys|values|halves|parameters|model ids) )?"
    rf"(?:at least {NUMBER}|at most {NUMBER}|above {NUMBER}, at most {NUMBER}"
    rf"|{NUMBER} to {NUMBER})"
    r"(?: (?P<unit>entry|entries|parts|targets|characters?|bytes?))?"
)
SECONDS = {"ms": 0.001, "s": 1.0, "h": 3600.0, "days": 86_400.0}
VAST = 100_000
"""Characters, of a text that has no limit."""


@dataclass(frozen=True)
class Limit:
    """One clause of a field's line."""

    field: str
    """Message.field."""

    of: str
    """What of the field is limited; empty: itself."""

    unit: str
    least: float | None
    most: float | None
    above: bool = False
    """`least` itself is not taken."""

    def __str__(self) -> str:
        return f"{self.field} {self.of}".strip()


def parse(field: str, line: str) -> Iterator[Limit]:
    """The clauses of a line. An AssertionError where it has another form."""
    for clause in line.split("; "):
        found = CLAUSE.fullmatch(clause)
        assert found is not None, f"{field}: {clause!r}"
        numbers = [number(group) if group else None for group in found.groups()[1:-1]]
        at_least, at_most, above, below, first, last = numbers
        least = next((n for n in (at_least, above, first) if n is not None), None)
        most = next((n for n in (at_most, below, last) if n is not None), None)
        unit = found["unit"] or ""
        strict = above is not None
        yield Limit(field, found["of"] or "", unit, least, most, strict)


def number(text: str) -> float:
    """In seconds, where it has a unit."""
    size, _, unit = text.partition(" ")
    return float(size) * SECONDS.get(unit, 1.0)


def lines() -> dict[str, str]:
    """The line of every field of the contract that has one."""
    reported: dict[str, str] = {}
    for file in contract_page.files():
        for i, message in enumerate(file.proto.message_type):
            reported |= dict(_lines(file, message, (4, i)))
    return reported


def _lines(
    file: contract_page.File, message: DescriptorProto, path: tuple[int, ...]
) -> Iterator[tuple[str, str]]:
    for i, field in enumerate(message.field):
        if line := contract_page.limits(file.comments[*path, 2, i]):
            yield f"{message.name}.{field.name}", line


LINES = lines()
LIMITS = [limit for field, line in LINES.items() for limit in parse(field, line)]


def asked() -> tuple[GenerateRequest, Call]:
    """A request that the server takes, and its call."""
    request = GenerateRequest(call=Call(chain="acme/text:hi"))
    request.call.prompt.messages.append(Message(role=ROLE_USER, parts=[Part(text="x")]))
    return request, request.call


def prompted(place: Callable[[Prompt], ProtoMessage]) -> Callable[[], Any]:
    """Where in a request's prompt a message stands."""

    def made() -> tuple[ProtoMessage, ProtoMessage]:
        request, call = asked()
        return request, place(call.prompt)

    return made


def called(call: ToolCall) -> list[Message]:
    """The turns of a call and its answer."""
    result = ToolResult(tool_call_id=call.id, parts=[Part(text="x")])
    return [
        Message(role=ROLE_ASSISTANT, parts=[Part(tool_call=call)]),
        Message(role=ROLE_TOOL, parts=[Part(tool_result=result)]),
    ]


def _tool_call(prompt: Prompt) -> ToolCall:
    prompt.messages.extend(called(ToolCall(id="c", name="f", arguments_json="{}")))
    return prompt.messages[1].parts[0].tool_call


def _tool_result(prompt: Prompt) -> ToolResult:
    _tool_call(prompt)
    return prompt.messages[2].parts[0].tool_result


def _tool_choice(prompt: Prompt) -> ToolChoice:
    prompt.tools.append(Tool(function=FunctionTool(name="f")))
    prompt.tool_choice.mode = ToolChoice.MODE_REQUIRED
    return prompt.tool_choice


def _function(prompt: Prompt) -> FunctionTool:
    prompt.tools.append(Tool(function=FunctionTool(name="f")))
    return prompt.tools[0].function


def _place(prompt: Prompt) -> UserLocation:
    return prompt.tools.add().web_search.user_location


def _part(**kind: Any) -> Callable[[Prompt], Part]:
    def placed(prompt: Prompt) -> Part:
        prompt.messages[0].parts.append(Part(**kind))
        return prompt.messages[0].parts[1]

    return placed


def _schema(prompt: Prompt) -> ProtoMessage:
    prompt.response_format.json_schema.schema_json = "{}"
    return prompt.response_format.json_schema


def _reasoning(prompt: Prompt) -> ProtoMessage:
    turn = prompt.messages.add(role=ROLE_ASSISTANT, parts=[Part(text="x")])
    turn.parts.add().reasoning.text = "x"
    return turn.parts[1].reasoning


def _options(it: tuple[GenerateRequest, Call]) -> tuple[ProtoMessage, ProtoMessage]:
    return it[0], it[1].options


def _answer_policy(
    it: tuple[GenerateRequest, Call],
) -> tuple[ProtoMessage, ProtoMessage]:
    return it[0], it[1].options.answer_policy


def alone(request: ProtoMessage) -> Callable[[], Any]:
    def made() -> tuple[ProtoMessage, ProtoMessage]:
        copied = type(request)()
        copied.CopyFrom(request)
        return copied, copied

    return made


PNG = {"media_type": "image/png", "data": b"x"}
URI = {"uri": "https://a.example/x"}
PLACES: dict[str, Callable[[], Any]] = {
    "Call": asked,
    "Prompt": prompted(lambda prompt: prompt),
    "Message": prompted(lambda prompt: prompt.messages[0]),
    "Part": prompted(lambda prompt: prompt.messages[0].parts[0]),
    "Blob": prompted(lambda prompt: _part(blob=PNG)(prompt).blob),
    "MediaReference": prompted(
        lambda prompt: _part(media_reference=URI)(prompt).media_reference
    ),
    "ToolCall": prompted(_tool_call),
    "ToolResult": prompted(_tool_result),
    "Reasoning": prompted(_reasoning),
    "FunctionTool": prompted(_function),
    "ToolChoice": prompted(_tool_choice),
    "WebSearchTool": prompted(lambda prompt: prompt.tools.add().web_search),
    "UserLocation": prompted(_place),
    "UrlReadingTool": prompted(lambda prompt: prompt.tools.add().url_reading),
    "JsonSchemaFormat": prompted(_schema),
    "GenerationConfig": prompted(lambda prompt: prompt.config),
    "ReasoningConfig": prompted(lambda prompt: prompt.config.reasoning),
    "ChainOptions": lambda: _options(asked()),
    "AnswerPolicy": lambda: _answer_policy(asked()),
    "ListTiersRequest": alone(ListTiersRequest()),
    "HealthSnapshotRequest": alone(HealthSnapshotRequest()),
    "WatchHealthRequest": alone(WatchHealthRequest()),
    "BenchRequest": alone(BenchRequest(target="acme/echo")),
    "UnbenchRequest": alone(UnbenchRequest(target="acme/echo")),
}
"""A good request with the message in it, and that message. By the message's name."""

ENTRIES: dict[str, Callable[[int], Any]] = {
    "Prompt.system_instruction": lambda _: Part(text="x"),
    "Prompt.messages": lambda _: Message(role=ROLE_USER, parts=[Part(text="x")]),
    "Prompt.tools": lambda n: Tool(function=FunctionTool(name=f"f{n}")),
    "Message.parts": lambda _: Part(text="x"),
    "ToolResult.parts": lambda _: Part(text="x"),
    "ToolChoice.allowed_names": lambda _: "f",
    "GenerationConfig.stop_sequences": lambda _: "x",
    "ChainOptions.advance_on": lambda _: FAILURE_REASON_CREDENTIALS,
    "AnswerPolicy.advance_on_answer": lambda _: ANSWER_FAULT_EMPTY,
    "WebSearchTool.allowed_domains": lambda n: f"a{n}.example",
    "WebSearchTool.blocked_domains": lambda n: f"a{n}.example",
    "UrlReadingTool.allowed_domains": lambda n: f"a{n}.example",
    "UrlReadingTool.blocked_domains": lambda n: f"a{n}.example",
}
"""A good entry of each list, by its place."""

FREE: dict[str, Callable[[Any], object]] = {
    "Message.origin": lambda it: setattr(it, "origin", "x" * VAST),
    "Part.citations": lambda it: it.citations.extend([Citation()] * 10_001),
    "Part.text": lambda it: setattr(it, "text", "x" * VAST),
    "Part.provider_state": lambda it: setattr(it, "provider_state", b"x" * VAST),
    "MediaReference.uri": lambda it: setattr(it, "uri", URI["uri"] + "x" * VAST),
    "ToolCall.arguments_json": lambda it: setattr(it, "arguments_json", vast_json()),
    "ToolResult.tool_call_id": lambda it: None,  # that of the call
    "ToolResult.parts": lambda it: it.parts.extend([Part(text="x")] * 9000),
    "Reasoning.text": lambda it: setattr(it, "text", "x" * VAST),
    "FunctionTool.description": lambda it: setattr(it, "description", "x" * VAST),
    "FunctionTool.parameters_schema_json": lambda it: setattr(
        it, "parameters_schema_json", vast_json()
    ),
    "JsonSchemaFormat.schema_json": lambda it: setattr(it, "schema_json", vast_json()),
    "UserLocation.country": lambda it: setattr(it, "country", "CH"),
    "GenerationConfig.seed": lambda it: setattr(it, "seed", -(2**63)),
    "BenchRequest.provider": lambda it: setattr(it, "provider", "acme"),
    "UnbenchRequest.provider": lambda it: setattr(it, "provider", "acme"),
    "ListTiersRequest.page_token": lambda it: None,  # the server's own
    "HealthSnapshotRequest.page_token": lambda it: None,
}
"""Fields without a limit, with the most extreme that their form allows."""

UNREAD = {"OpaquePart", "Citation", "RequestSource", "TextRange"}
"""Messages that requests may carry, and in which no server refuses anything."""


def vast_json() -> str:
    return '{"title":"' + "x" * VAST + '"}'


def reach(descriptor: Descriptor, seen: set[str]) -> Iterator[FieldDescriptor]:
    """Every field of a request that holds a number, a text, bytes or a list."""
    if descriptor.name in seen or descriptor.name in UNREAD:
        return
    seen.add(descriptor.name)
    for field in descriptor.fields:
        inner = field.message_type
        if inner is not None and inner.full_name != Duration.DESCRIPTOR.full_name:
            if not inner.GetOptions().map_entry:
                yield from reach(inner, seen)
            if not field.is_repeated:
                continue
        enum = field.enum_type is not None and not field.is_repeated
        if not enum and field.type != FieldDescriptor.TYPE_BOOL:
            yield field


def fields() -> list[str]:
    seen: set[str] = set()
    found = [f for request in METHODS for f in reach(request.DESCRIPTOR, seen)]
    return [".".join(field.full_name.split(".")[-2:]) for field in found]


def fill(limit: Limit, message: Any, size: float) -> None:
    """Put into `message` what is `size` of what is limited."""
    name = limit.field.split(".")[1]
    count = round(size)
    match limit.of, limit.unit:
        case "halves", _:
            setattr(message, name, "a" * count + "/" + "b" * max(count, 1))
        case "parameters", _:
            setattr(message, name, "audio/L16;" + "a" * count)
        case "model ids", _:
            setattr(message, name, "acme/" + "m" * count)
        case "keys", _:
            getattr(message, name)["é" * count] = "x"
        case "values", _ if hasattr(getattr(message, name), "keys"):
            getattr(message, name)["key"] = "é" * count
        case "values", _ if name.endswith("_domains"):
            getattr(message, name).append("a" * count)
        case "values", _:
            getattr(message, name).append("é" * count)
        case _, "entry" | "entries":
            entries = getattr(message, name)
            if limit.field in ENTRIES:
                del entries[:]
                entries.extend(ENTRIES[limit.field](n) for n in range(count))
            else:
                entries.update({f"k{n}": "{}" for n in range(count)})
        case _, "parts":
            del message.messages[:]
            parts = [Part(text="x")] * count
            message.messages.add(role=ROLE_USER, parts=parts)
        case _, "targets":
            setattr(message, name, ",".join(f"acme/{n}" for n in range(count)))
        case _, "bytes" if name == "chain":
            setattr(message, name, "acme/echo".ljust(count))
        case _, "byte":
            setattr(message, name, b"x" * count)
        case _, "character" | "characters":
            letter = "é" if name == "reason" else "a"
            setattr(message, name, letter * count)
        case _ if isinstance(getattr(message, name), Duration):
            getattr(message, name).FromNanoseconds(round(size * 1e9))
        case _ if isinstance(getattr(message, name), float):
            setattr(message, name, size)
        case _:
            setattr(message, name, count)


def sides(limit: Limit) -> Iterator[tuple[float, bool]]:
    """What is just taken and what is just not."""
    step = _step(limit)
    if limit.least is not None:
        yield limit.least, not limit.above
        yield (limit.least + step, True) if limit.above else (limit.least - step, False)
    if limit.most is not None:
        yield limit.most, True
        yield limit.most + step, False


def _step(limit: Limit) -> float:
    """The smallest difference that the field can hold."""
    if limit.unit:
        return 1
    name = limit.field.split(".")[1]
    _, message = PLACES[limit.field.split(".")[0]]()
    descriptor = message.DESCRIPTOR.fields_by_name[name]
    if descriptor.message_type is not None:
        return 0.001
    if descriptor.type == FieldDescriptor.TYPE_DOUBLE:
        return math.ulp(limit.most or 1.0)
    return 1


FIELDS = sorted({*fields()})
PROBES = [
    (limit, size, taken)
    for limit in LIMITS
    if limit.field in FIELDS  # others are of answers
    for size, taken in sides(limit)
    if size >= 0 or not limit.unit
]


async def violations(it: Running, request: Any) -> list[str]:
    """The fields in which the server finds `request` wrong, without their indices."""
    service, method = METHODS[type(request)]
    call = getattr(getattr(it, service), method)(request)
    try:
        if hasattr(call, "read"):
            await call.read()
            call.cancel()
        else:
            await call
    except grpc.aio.AioRpcError:
        reported = await failed(call)
        found = reported.details.get(BadRequest, BadRequest()).field_violations
        paths = [re.sub(r"\[.*?\]", "", violation.field) for violation in found]
        return [path.rpartition(".")[2] for path in paths]
    return []


@pytest.mark.rule("6.4")
async def test_every_limit_holds_on_both_sides() -> None:
    """As the contract says, and the violation names the field."""
    async with running() as it:
        for limit, size, taken in PROBES:
            request, message = PLACES[limit.field.split(".")[0]]()
            fill(limit, message, size)
            reported = await violations(it, request)
            refused = limit.field.split(".")[1] in reported
            assert taken != refused, f"{limit} {size}: {reported}"


@pytest.mark.rule("6.4")
@pytest.mark.parametrize("field", sorted({*FIELDS} - LINES.keys()))
async def test_no_limit_without_its_line(field: str) -> None:
    """A field without one takes what is most extreme in its form."""
    request, message = PLACES[field.split(".", maxsplit=1)[0]]()
    FREE[field](message)
    async with running() as it:
        reported = await violations(it, request)

    assert [] == reported
