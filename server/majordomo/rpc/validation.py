"""The rules of the contract that its types cannot hold.

`check` collects every violation, so that a caller mends its request once. It runs for
each call and reads fields by name: no reflection.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec
from google.protobuf.duration_pb2 import Duration

from majordomo.chain.clock import seconds
from majordomo.chain.failure import PERMANENT
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    MediaReference,
    Message,
    Part,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from majordomo.v1.generation_service_pb2 import (
    ALL_BENCHED_POLICY_FAIL,
    ALL_BENCHED_POLICY_UNSPECIFIED,
    INTERRUPTION_POLICY_FAIL,
    INTERRUPTION_POLICY_UNSPECIFIED,
    ChainOptions,
    GenerateRequest,
    GenerationConfig,
    Prompt,
    StreamRequest,
)

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")
_MOST_LABELS = 16
_LONGEST_LABEL = 256
_SHORTEST_TIMEOUT = 0.1
_LONGEST_TIMEOUT = 3600.0
_MOST_RETRIES = 5


@dataclass(frozen=True, slots=True)
class Violation:
    """A field that breaks a rule: its path, and what it must be."""

    field: str
    description: str


class InvalidRequest(Exception):
    """The request breaks rules of the contract; `violations` is never empty."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__(", ".join(violation.field for violation in violations))
        self.violations = violations


def check(request: GenerateRequest | StreamRequest) -> None:
    """Raise InvalidRequest if `request` breaks a rule."""
    violations = list(_request(request))
    if violations:
        raise InvalidRequest(violations)


def _request(request: GenerateRequest | StreamRequest) -> Iterator[Violation]:
    yield from _prompt(request.prompt)
    if request.HasField("options"):
        yield from _options(request.options)
    if len(request.labels) > _MOST_LABELS:
        yield Violation("labels", f"must hold at most {_MOST_LABELS} entries")
    for key, value in request.labels.items():
        if not key or len(key) > _LONGEST_LABEL or len(value) > _LONGEST_LABEL:
            yield Violation(
                f"labels[{key[:40]!r}]",
                f"needs a key, and at most {_LONGEST_LABEL} characters in each",
            )


def _prompt(prompt: Prompt) -> Iterator[Violation]:
    if not prompt.messages:
        yield Violation("prompt.messages", "must hold at least one message")
    called: set[str] = set()
    for i, message in enumerate(prompt.messages):
        yield from _message(message, f"prompt.messages[{i}]", called)
    names: set[str] = set()
    for i, tool in enumerate(prompt.tools):
        yield from _tool(tool, f"prompt.tools[{i}]", names)
    if prompt.HasField("tool_choice"):
        yield from _tool_choice(prompt.tool_choice, names)
    if prompt.HasField("config"):
        yield from _config(prompt.config)
    if prompt.response_schema_json:
        yield from _json_object(
            prompt.response_schema_json, "prompt.response_schema_json"
        )


def _message(message: Message, path: str, called: set[str]) -> Iterator[Violation]:
    role = message.role
    if role not in (ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL):
        yield Violation(
            f"{path}.role", "must be ROLE_USER, ROLE_ASSISTANT or ROLE_TOOL"
        )
    if not message.parts:
        yield Violation(f"{path}.parts", "must hold at least one part")
    for i, part in enumerate(message.parts):
        at = f"{path}.parts[{i}]"
        match part.WhichOneof("kind"):
            case "text":
                continue
            case "tool_call":
                if role != ROLE_ASSISTANT:
                    yield Violation(at, "a tool_call belongs in ROLE_ASSISTANT")
                yield from _tool_call(part.tool_call, f"{at}.tool_call", called)
            case "tool_result":
                if role != ROLE_TOOL:
                    yield Violation(at, "a tool_result belongs in ROLE_TOOL")
                yield from _tool_result(part.tool_result, f"{at}.tool_result", called)
            case "reasoning":
                if role != ROLE_ASSISTANT:
                    yield Violation(at, "reasoning belongs in ROLE_ASSISTANT")
            case _:
                yield from _media(part, at)
        if role == ROLE_TOOL and not part.HasField("tool_result"):
            yield Violation(at, "ROLE_TOOL holds tool_result parts only")


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
            yield Violation(path, "must hold exactly one kind that this server knows")


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


def _tool_call(call: ToolCall, path: str, called: set[str]) -> Iterator[Violation]:
    if not call.id:
        yield Violation(f"{path}.id", "is required")
    elif call.id in called:
        yield Violation(f"{path}.id", "was used by an earlier call")
    called.add(call.id)
    yield from _tool_name(call.name, f"{path}.name")
    yield from _json_object(call.arguments_json, f"{path}.arguments_json")


def _tool_result(
    result: ToolResult, path: str, called: set[str]
) -> Iterator[Violation]:
    if result.tool_call_id not in called:
        yield Violation(f"{path}.tool_call_id", "answers no call before it")
    for i, part in enumerate(result.parts):
        if part.WhichOneof("kind") not in ("text", "blob", "media_reference"):
            yield Violation(f"{path}.parts[{i}]", "must be text or media")
        elif not part.HasField("text"):
            yield from _media(part, f"{path}.parts[{i}]")


def _tool(tool: Tool, path: str, names: set[str]) -> Iterator[Violation]:
    yield from _tool_name(tool.name, f"{path}.name")
    if tool.name in names:
        yield Violation(f"{path}.name", "was declared before")
    names.add(tool.name)
    if tool.parameters_schema_json:
        at = f"{path}.parameters_schema_json"
        yield from _json_object(tool.parameters_schema_json, at)


def _tool_name(name: str, path: str) -> Iterator[Violation]:
    if not _TOOL_NAME.fullmatch(name):
        yield Violation(path, "must be 1 to 64 letters, digits, underscores or dashes")


def _tool_choice(choice: ToolChoice, names: set[str]) -> Iterator[Violation]:
    path = "prompt.tool_choice"
    if choice.mode == ToolChoice.MODE_REQUIRED and not names:
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
    reasoning = config.reasoning
    if (
        reasoning.WhichOneof("amount") == "budget_tokens"
        and reasoning.budget_tokens < 0
    ):
        yield Violation(f"{path}.reasoning.budget_tokens", "must not be negative")
    for provider, text in config.provider_options_json.items():
        at = f"{path}.provider_options_json[{provider[:40]!r}]"
        yield from _json_object(text, at)


def _options(options: ChainOptions) -> Iterator[Violation]:
    if not 0 <= options.transient_retries <= _MOST_RETRIES:
        yield Violation(
            "options.transient_retries", f"must be from 0 to {_MOST_RETRIES}"
        )
    for name in ("attempt_timeout", "first_content_timeout", "stall_timeout"):
        if options.HasField(name):
            yield from _timeout(getattr(options, name), f"options.{name}")
    if options.all_benched_policy not in (
        ALL_BENCHED_POLICY_UNSPECIFIED,
        ALL_BENCHED_POLICY_FAIL,
    ):
        yield Violation(
            "options.all_benched_policy",
            "this server knows ALL_BENCHED_POLICY_FAIL only",
        )
    if options.interruption_policy not in (
        INTERRUPTION_POLICY_UNSPECIFIED,
        INTERRUPTION_POLICY_FAIL,
    ):
        yield Violation(
            "options.interruption_policy",
            "this server knows INTERRUPTION_POLICY_FAIL only",
        )
    for i, reason in enumerate(options.advance_on):
        if reason not in PERMANENT:
            yield Violation(f"options.advance_on[{i}]", "must be a permanent reason")


def _timeout(value: Duration, path: str) -> Iterator[Violation]:
    length = seconds(value)
    if not _SHORTEST_TIMEOUT <= length <= _LONGEST_TIMEOUT:
        yield Violation(path, "must be from 100 ms to 1 h")


def _json_object(text: str, path: str) -> Iterator[Violation]:
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        yield Violation(path, "must be the text of a JSON object")
