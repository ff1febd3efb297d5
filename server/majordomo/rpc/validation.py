"""The rules of the contract that its types cannot hold.

`check` collects every violation, so that a caller fixes its request once. It runs for
each call and reads fields by name: no reflection.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence, Sized
from itertools import islice
from urllib.parse import urlsplit

import msgspec
from google.protobuf.duration_pb2 import Duration

from majordomo.chain.failure import PERMANENT
from majordomo.durations import seconds
from majordomo.errors import InvalidRequest, Violation
from majordomo.schemas.reading import UnfitSchema
from majordomo.schemas.validate import require_checkable
from majordomo.v1.attempt_pb2 import ANSWER_FAULT_SCHEMA, AnswerFault
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    FunctionTool,
    MediaReference,
    Message,
    Part,
    Role,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    UserLocation,
)
from majordomo.v1.generation_service_pb2 import (
    AllBenchedPolicy,
    AnswerPolicy,
    Call,
    ChainOptions,
    GenerationConfig,
    InterruptionPolicy,
    Prompt,
    ReasoningConfig,
    ResponseFormat,
)

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MEDIA_TYPE = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(?:;[ -~]{1,127})?"
)
_DOMAIN = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_COUNTRY = re.compile(r"[A-Z]{2}")
_HOLDERS = {
    "tool_call": ROLE_ASSISTANT,
    "tool_result": ROLE_TOOL,
    "reasoning": ROLE_ASSISTANT,
    "opaque": ROLE_ASSISTANT,
}
"""Kinds of parts that belong in the turns of one role only."""

_MODES = frozenset(ToolChoice.Mode.values())
_EFFORTS = frozenset(ReasoningConfig.Effort.values())
_MOST_ENTRIES = 10_000
"""Of any list, and of parts in all: what is longer would hold up other calls."""

_MOST_DOMAINS = 100
_LONGEST_DOMAIN = 253
_MOST_LABELS = 16
_LONGEST_LABEL = 256
_SHORTEST_TIMEOUT = 0.1
_LONGEST_TIMEOUT = 3600.0
_MOST_RETRIES = 5
_UNKNOWN = "must be one that this server knows"
_EXACTLY_ONE = "must hold exactly one kind that this server knows"


def check(call: Call) -> None:
    """Raise InvalidRequest if `call`, a request's field of that name, breaks a rule."""
    violations = list(_too_long(call)) or list(_call(call))
    if violations:
        raise InvalidRequest(
            [Violation(f"call.{one.field}", one.description) for one in violations]
        )


def _too_long(call: Call) -> Iterator[Violation]:
    """Lists that are not worth looking into, for their length."""
    prompt = call.prompt
    lists: list[tuple[str, Sized]] = [
        ("prompt.messages", prompt.messages),
        ("prompt.tools", prompt.tools),
    ]
    if prompt.HasField("tool_choice"):
        names = prompt.tool_choice.allowed_names
        lists.append(("prompt.tool_choice.allowed_names", names))
    if prompt.HasField("config"):
        config = prompt.config
        lists += [
            ("prompt.config.stop_sequences", config.stop_sequences),
            ("prompt.config.provider_options_json", config.provider_options_json),
        ]
    if call.HasField("options"):
        options = call.options
        faults = options.answer_policy.advance_on_answer
        lists += [
            ("options.advance_on", options.advance_on),
            ("options.answer_policy.advance_on_answer", faults),
        ]
    for path, entries in lists:
        if len(entries) > _MOST_ENTRIES:
            yield Violation(path, f"must hold at most {_MOST_ENTRIES} entries")
    if _parts(prompt) > _MOST_ENTRIES:
        limit = f"must hold at most {_MOST_ENTRIES} parts in all"
        yield Violation("prompt.messages", limit)


def _parts(prompt: Prompt) -> int:
    """How many parts the turns hold, with those of tool results."""
    count = 0
    for message in islice(prompt.messages, _MOST_ENTRIES):
        count += len(message.parts)
        if count > _MOST_ENTRIES:
            break
        if message.role == ROLE_TOOL:
            count += sum(len(part.tool_result.parts) for part in message.parts)
    return count


def _call(call: Call) -> Iterator[Violation]:
    yield from _prompt(call.prompt)
    if call.HasField("options"):
        yield from _options(call.options)
        faults = call.options.answer_policy.advance_on_answer
        if ANSWER_FAULT_SCHEMA in faults:
            yield from _checkable(call.prompt.response_format)
    if len(call.labels) > _MOST_LABELS:
        yield Violation("labels", f"must hold at most {_MOST_LABELS} entries")
        return
    for key, value in call.labels.items():
        if not key or len(key) > _LONGEST_LABEL or len(value) > _LONGEST_LABEL:
            yield Violation(
                f"labels[{key[:40]!r}]",
                f"needs a key, and at most {_LONGEST_LABEL} characters in each",
            )


def _prompt(prompt: Prompt) -> Iterator[Violation]:
    instructions = prompt.system_instruction
    if len(instructions) > _MOST_ENTRIES:
        limit = f"must hold at most {_MOST_ENTRIES} entries"
        yield Violation("prompt.system_instruction", limit)
        return
    for i, part in enumerate(instructions):
        if not part.HasField("text"):
            yield from _media(part, f"prompt.system_instruction[{i}]")
    if not prompt.messages:
        yield Violation("prompt.messages", "must hold at least one message")
    unanswered: Counter[str] = Counter()
    for i, message in enumerate(prompt.messages):
        yield from _message(message, f"prompt.messages[{i}]", unanswered)
    names: set[str] = set()
    hosted: set[str] = set()
    for i, tool in enumerate(prompt.tools):
        yield from _tool(tool, f"prompt.tools[{i}]", names, hosted)
    if prompt.HasField("tool_choice"):
        yield from _tool_choice(prompt.tool_choice, names, tools=bool(prompt.tools))
    if prompt.HasField("config"):
        yield from _config(prompt.config)
    if prompt.HasField("response_format"):
        yield from _response_format(prompt.response_format)


def _message(
    message: Message, path: str, unanswered: Counter[str]
) -> Iterator[Violation]:
    role = message.role
    if role not in (ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL):
        yield Violation(
            f"{path}.role", "must be ROLE_USER, ROLE_ASSISTANT or ROLE_TOOL"
        )
    if not message.parts and role != ROLE_ASSISTANT:
        yield Violation(f"{path}.parts", "must hold at least one part")
    for i, part in enumerate(message.parts):
        kind = part.WhichOneof("kind")
        if kind == "text" and role != ROLE_TOOL:
            continue
        at = f"{path}.parts[{i}]"
        if role == ROLE_TOOL and kind != "tool_result":
            yield Violation(at, "ROLE_TOOL holds tool_result parts only")
            continue
        holder = _HOLDERS.get(kind or "", role)
        if holder != role:
            yield Violation(at, f"a part with {kind} belongs in {Role.Name(holder)}")
        match kind:
            case "tool_call":
                yield from _tool_call(part.tool_call, f"{at}.tool_call", unanswered)
            case "tool_result":
                at = f"{at}.tool_result"
                yield from _tool_result(part.tool_result, at, unanswered)
            case "reasoning" | "opaque":
                continue
            case "opaque" | "blob" | "media_reference" if role == ROLE_ASSISTANT:
                continue  # as its provider has written it
            case _:
                yield from _media(part, at)


def _media(part: Part, path: str) -> Iterator[Violation]:
    match part.WhichOneof("kind"):
        case "blob":
            if not _MEDIA_TYPE.fullmatch(part.blob.media_type):
                yield Violation(
                    f"{path}.blob.media_type", "must be a media type, as image/png"
                )
            if not part.blob.data:
                yield Violation(f"{path}.blob.data", "must not be empty")
        case "media_reference":
            yield from _reference(part.media_reference, f"{path}.media_reference")
        case _:
            yield Violation(path, _EXACTLY_ONE)


def _reference(reference: MediaReference, path: str) -> Iterator[Violation]:
    if reference.media_type and not _MEDIA_TYPE.fullmatch(reference.media_type):
        yield Violation(f"{path}.media_type", "must be a media type, as image/png")
    try:
        url = urlsplit(reference.uri)
        good = url.scheme == "https" and bool(url.hostname)
    except ValueError:
        good = False
    if not good:
        yield Violation(f"{path}.uri", "must be an https URL")


def _tool_call(
    call: ToolCall, path: str, unanswered: Counter[str]
) -> Iterator[Violation]:
    """What the model wrote is taken back as it is: names, arguments, ids used twice."""
    if not call.id:
        yield Violation(f"{path}.id", "is required")
    if not call.name:
        yield Violation(f"{path}.name", "is required")
    unanswered[call.id] += 1


def _tool_result(
    result: ToolResult, path: str, unanswered: Counter[str]
) -> Iterator[Violation]:
    if unanswered[result.tool_call_id] < 1:
        yield Violation(
            f"{path}.tool_call_id", "is of no earlier call that waits for a result"
        )
    unanswered[result.tool_call_id] -= 1
    for i, part in enumerate(result.parts):
        if part.WhichOneof("kind") not in ("text", "blob", "media_reference"):
            yield Violation(f"{path}.parts[{i}]", "must be text or media")
        elif not part.HasField("text"):
            yield from _media(part, f"{path}.parts[{i}]")


def _response_format(form: ResponseFormat) -> Iterator[Violation]:
    path = "prompt.response_format"
    kind = form.WhichOneof("kind")
    if kind is None:
        yield Violation(path, _EXACTLY_ONE)
    elif kind == "json_schema":
        schema = form.json_schema
        path = f"{path}.json_schema"
        yield from _json_object(schema.schema_json, f"{path}.schema_json")
        if schema.name:
            yield from _tool_name(schema.name, f"{path}.name")


def _tool(
    tool: Tool, path: str, names: set[str], hosted: set[str]
) -> Iterator[Violation]:
    kind = tool.WhichOneof("kind")
    if kind == "function":
        yield from _function(tool.function, f"{path}.function", names)
    elif kind is None:
        yield Violation(path, _EXACTLY_ONE)
    else:
        yield from _hosted(tool, kind, f"{path}.{kind}", hosted)


def _function(tool: FunctionTool, path: str, names: set[str]) -> Iterator[Violation]:
    yield from _tool_name(tool.name, f"{path}.name")
    if tool.name in names:
        yield Violation(f"{path}.name", "was declared before")
    names.add(tool.name)
    if tool.parameters_schema_json:
        at = f"{path}.parameters_schema_json"
        yield from _json_object(tool.parameters_schema_json, at)


def _hosted(tool: Tool, kind: str, path: str, hosted: set[str]) -> Iterator[Violation]:
    """A tool that the provider runs."""
    if kind in hosted:
        yield Violation(path, "was declared before")
    hosted.add(kind)
    if kind == "code_execution":
        return
    limited = tool.web_search if kind == "web_search" else tool.url_reading
    if limited.allowed_domains and limited.blocked_domains:
        yield Violation(f"{path}.blocked_domains", "goes not beside allowed_domains")
    for field in ("allowed_domains", "blocked_domains"):
        yield from _domains(getattr(limited, field), f"{path}.{field}")
    if limited.HasField("max_uses") and limited.max_uses < 1:
        yield Violation(f"{path}.max_uses", "must be at least 1")
    if kind == "web_search" and tool.web_search.HasField("user_location"):
        yield from _place(tool.web_search.user_location, f"{path}.user_location")


def _domains(domains: Sequence[str], path: str) -> Iterator[Violation]:
    if len(domains) > _MOST_DOMAINS:
        yield Violation(path, f"must hold at most {_MOST_DOMAINS} entries")
        return
    for i, domain in enumerate(domains):
        if len(domain) > _LONGEST_DOMAIN or not _DOMAIN.fullmatch(domain):
            yield Violation(f"{path}[{i}]", "must be a host name, as example.org")


def _place(place: UserLocation, path: str) -> Iterator[Violation]:
    for field in ("city", "region", "time_zone"):
        if len(getattr(place, field)) > _LONGEST_LABEL:
            limit = f"must have at most {_LONGEST_LABEL} characters"
            yield Violation(f"{path}.{field}", limit)
    if place.country and not _COUNTRY.fullmatch(place.country):
        yield Violation(f"{path}.country", "must be two capital letters, as CH")


def _tool_name(name: str, path: str) -> Iterator[Violation]:
    if not _TOOL_NAME.fullmatch(name):
        yield Violation(path, "must be 1 to 64 letters, digits, underscores or dashes")


def _tool_choice(
    choice: ToolChoice, names: set[str], *, tools: bool
) -> Iterator[Violation]:
    path = "prompt.tool_choice"
    if choice.mode not in _MODES:
        yield Violation(f"{path}.mode", "must be a mode that this server knows")
    if choice.mode == ToolChoice.MODE_REQUIRED and not tools:
        yield Violation(f"{path}.mode", "requires a tool, and prompt.tools has none")
    if choice.allowed_names and choice.mode != ToolChoice.MODE_REQUIRED:
        yield Violation(f"{path}.allowed_names", "goes with MODE_REQUIRED only")
    for i, name in enumerate(choice.allowed_names):
        if name not in names:
            yield Violation(f"{path}.allowed_names[{i}]", "is not in prompt.tools")


def _config(config: GenerationConfig) -> Iterator[Violation]:
    path = "prompt.config"
    if config.HasField("max_output_tokens") and config.max_output_tokens < 1:
        yield Violation(f"{path}.max_output_tokens", "must be at least 1")
    if config.HasField("top_k") and config.top_k < 1:
        yield Violation(f"{path}.top_k", "must be at least 1")
    if config.HasField("temperature") and not 0 <= config.temperature <= 2:
        yield Violation(f"{path}.temperature", "must be from 0 to 2")
    if config.HasField("top_p") and not 0 < config.top_p <= 1:
        yield Violation(f"{path}.top_p", "must be above 0 and at most 1")
    for i, stop in enumerate(config.stop_sequences):
        if not stop:
            yield Violation(f"{path}.stop_sequences[{i}]", "must not be empty")
    yield from _reasoning(config.reasoning, f"{path}.reasoning")
    for provider, text in config.provider_options_json.items():
        at = f"{path}.provider_options_json[{provider[:40]!r}]"
        yield from _json_object(text, at)


def _reasoning(reasoning: ReasoningConfig, path: str) -> Iterator[Violation]:
    match reasoning.WhichOneof("amount"):
        case "effort":
            if reasoning.effort not in _EFFORTS:
                yield Violation(f"{path}.effort", _UNKNOWN)
        case "budget_tokens":
            if reasoning.budget_tokens < 0:
                yield Violation(f"{path}.budget_tokens", "must not be negative")


def _checkable(form: ResponseFormat) -> Iterator[Violation]:
    """Answers shall be held against the schema: then it has to be one, and bounded."""
    if not form.json_schema.schema_json:
        return
    try:
        require_checkable(form.json_schema.schema_json)
    except UnfitSchema as error:
        path = "prompt.response_format.json_schema.schema_json"
        yield Violation(path, f"cannot be checked: it {error}")


def _options(options: ChainOptions) -> Iterator[Violation]:
    if not 0 <= options.transient_retries <= _MOST_RETRIES:
        yield Violation(
            "options.transient_retries", f"must be from 0 to {_MOST_RETRIES}"
        )
    for name in ("attempt_timeout", "first_content_timeout", "stall_timeout"):
        if options.HasField(name):
            yield from _timeout(getattr(options, name), f"options.{name}")
    if options.all_benched_policy not in AllBenchedPolicy.values():
        yield Violation("options.all_benched_policy", _UNKNOWN)
    if options.interruption_policy not in InterruptionPolicy.values():
        yield Violation("options.interruption_policy", _UNKNOWN)
    for i, reason in enumerate(options.advance_on):
        if reason not in PERMANENT:
            yield Violation(f"options.advance_on[{i}]", "must be a permanent reason")
    if options.HasField("answer_policy"):
        yield from _answer_policy(options.answer_policy)


def _answer_policy(policy: AnswerPolicy) -> Iterator[Violation]:
    for i, fault in enumerate(policy.advance_on_answer):
        if not fault or fault not in AnswerFault.values():
            path = f"options.answer_policy.advance_on_answer[{i}]"
            yield Violation(path, _UNKNOWN)


def _timeout(value: Duration, path: str) -> Iterator[Violation]:
    length = seconds(value)
    if not _SHORTEST_TIMEOUT <= length <= _LONGEST_TIMEOUT:
        yield Violation(path, "must be from 100 ms to 1 h")


def _json_object(text: str, path: str) -> Iterator[Violation]:
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        yield Violation(path, "must be the text of a JSON object")
