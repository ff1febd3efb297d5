"""Requests of generateContent."""

import re
from base64 import b64encode
from operator import itemgetter
from pathlib import PurePosixPath
from urllib.parse import quote, urlsplit

import msgspec

from majordomo.codec.base import Encoded
from majordomo.codec.capabilities import (
    AUDIO,
    IMAGE,
    PDF,
    VIDEO,
    Capabilities,
)
from majordomo.codec.request_json import (
    SCHEMA_PATH,
    Body,
    answer_schema,
    instructions,
    lone_text,
    may_be_long,
    merge_options,
    raw,
    unsupported,
    wants_json,
)
from majordomo.codec.schemas import schema_form
from majordomo.codec.state import unpack
from majordomo.providers.gemini.answer import WIRE
from majordomo.providers.gemini.thinking import thinking_config
from majordomo.schemas.dialects import GEMINI_ANSWERS, GEMINI_TOOLS
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    Message,
    Part,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from majordomo.v1.generation_service_pb2 import Adaptation, Prompt

_RESERVED = frozenset(
    {
        "contents",
        "generationConfig",
        "model",
        "systemInstruction",
        "toolConfig",
        "tools",
        # The same in the wire's other spelling.
        "generation_config",
        "system_instruction",
        "tool_config",
    }
)
"""Keys that provider options may never set, whatever the configuration lists."""

UNSIGNED = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
"""Stands for the signature of a call that another model made; documented by Google."""

_THIRD_OR_LATER = re.compile(r"gemini-(?:[3-9]|[1-9]\d|[a-z-]+-latest)")
"""Models that want calls signed, and take media in results, and tools with a schema."""

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_MEDIA_OF_RESULTS = frozenset(
    {"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"}
)
"""What may be within a result, if it is no link."""

_TOOL_NAME = re.compile(r"[A-Za-z_]")
"""How the name of a tool has to begin."""

_KINDS = {
    ".gif": "image/gif",
    ".heic": "image/heic",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".wav": "audio/wav",
    ".webp": "image/webp",
}
"""For links without a media type."""

_SAMPLING = {"temperature": "temperature", "top_p": "topP", "top_k": "topK"}
_MEDIA = frozenset({IMAGE, PDF, AUDIO, VIDEO})


_NO_CALL: tuple[int, Body] = (-1, {})
"""What a result answers that answers none."""


class _Request:
    """One request while it is put together."""

    def __init__(
        self, model: str, prompt: Prompt, provider_name: str, known: Capabilities
    ) -> None:
        self.body: Body = {}
        self.adaptations: list[Adaptation] = []
        self._config: Body = {}
        self._prompt = prompt
        self._known = known
        self._model = model
        self._newer = bool(_THIRD_OR_LATER.search(model))
        self._target = f"{provider_name}/{model}"
        self._reasoning_left_out = False
        self._calls: dict[str, tuple[int, Body]] = {}
        """The calls so far and their places, by the ids that the caller knows."""

    def contents(self) -> None:
        turns: list[Body] = []
        last = ""
        before: list[Body] = []
        for i, message in enumerate(self._prompt.messages):
            path = f"prompt.messages[{i}]"
            role = "user"
            parts: list[Body]
            if message.role == ROLE_ASSISTANT:
                role = "model"
            if text := lone_text(message):
                parts = [{"text": text}]
            elif role == "model":
                parts = self._own_turn(message, path)
            elif message.role == ROLE_TOOL:
                parts = self._results(message, path)
            else:
                parts = self._user(message, path)
            if role == last:
                before += parts
            elif parts:
                turns.append({"role": role, "parts": parts})
                last, before = role, parts
        self.body["contents"] = turns

    def instruction(self) -> None:
        schema = "" if self._known.schema else answer_schema(self._prompt)
        texts = instructions(self._prompt, schema)
        if texts:
            parts = [{"text": text} for text in texts]
            self.body["systemInstruction"] = {"parts": parts}

    def tools(self) -> None:
        if not self._prompt.tools:
            return
        if not self._known.tools:
            raise unsupported("prompt.tools", "the model cannot call tools")
        declared: list[Body] = []
        for i, tool in enumerate(self._prompt.tools):
            function = tool.function
            at = f"prompt.tools[{i}].function"
            if not _TOOL_NAME.match(function.name):
                problem = "must begin with a letter or an underscore in this wire"
                raise unsupported(f"{at}.name", problem)
            said: Body = {"name": function.name}
            if function.description:
                said["description"] = function.description
            if schema := function.parameters_schema_json:
                path = f"{at}.parameters_schema_json"
                said["parametersJsonSchema"] = schema_form(
                    schema, path, GEMINI_TOOLS, self._adapted
                )
            declared.append(said)
        self.body["tools"] = [{"functionDeclarations": declared}]
        choice = self._prompt.tool_choice
        mode: Body = {}
        match choice.mode:
            case ToolChoice.MODE_AUTO:
                mode["mode"] = "AUTO"
            case ToolChoice.MODE_NONE:
                mode["mode"] = "NONE"
            case ToolChoice.MODE_REQUIRED:
                mode["mode"] = "ANY"
                if choice.allowed_names:
                    mode["allowedFunctionNames"] = list(choice.allowed_names)
        if mode:
            self.body["toolConfig"] = {"functionCallingConfig": mode}
        if choice.HasField("parallel_calls") and not choice.parallel_calls:
            path = "prompt.tool_choice.parallel_calls"
            self._adapted(path, "left out: not in this wire")

    def config(self) -> None:
        config = self._prompt.config
        for field, name in _SAMPLING.items():
            if not config.HasField(field):
                continue
            if self._known.sampling:
                self._config[name] = getattr(config, field)
            else:
                self._adapted(
                    f"prompt.config.{field}", "left out: the model refuses it"
                )
        if config.HasField("max_output_tokens"):
            self._config["maxOutputTokens"] = self._most_tokens()
        if config.HasField("seed"):
            self._config["seed"] = config.seed
        if config.stop_sequences:
            self._config["stopSequences"] = list(config.stop_sequences)
        self._response_format()
        thinking = thinking_config(
            self._model, config.reasoning, self._known, self._adapted
        )
        if thinking:
            self._config["thinkingConfig"] = thinking
        if self._config:
            self.body["generationConfig"] = self._config

    def _response_format(self) -> None:
        text = answer_schema(self._prompt)
        if not text and not wants_json(self._prompt):
            return
        path = SCHEMA_PATH if text else "prompt.response_format.json"
        if self._prompt.tools and not self._newer and "gemini" in self._model:
            raise unsupported(path, "the model takes no schema beside tools")
        if self._schema_is_told:
            self._adapted(path, "not enforced: asked for in the instructions")
            return
        self._config["responseMimeType"] = "application/json"
        if text:
            self._config["responseJsonSchema"] = schema_form(
                text, path, GEMINI_ANSWERS, self._adapted
            )

    @property
    def most_tokens(self) -> object:
        """The limit of the answer that is sent; None: none is."""
        return self._config.get("maxOutputTokens")

    @property
    def _schema_is_told(self) -> bool:
        """Whether the model takes the schema of the answer in its instructions only."""
        return bool(answer_schema(self._prompt)) and not self._known.schema

    def _most_tokens(self) -> int:
        asked = self._prompt.config.max_output_tokens
        most = self._known.max_output_tokens
        if most is None or asked <= most:
            return asked
        path = "prompt.config.max_output_tokens"
        self._adapted(path, f"lowered to {most}, the most of the model")
        return most

    # Turns.

    def _user(self, message: Message, path: str) -> list[Body]:
        parts: list[Body] = []
        for i, part in enumerate(message.parts):
            if text := part.text:
                parts.append({"text": text})
            elif not part.HasField("text"):
                parts.append(self._part(part, f"{path}.parts[{i}]"))
        return parts

    def _own_turn(self, message: Message, path: str) -> list[Body]:
        own = message.origin == self._target
        parts: list[Body] = []
        calls: list[Body] = []
        for i, part in enumerate(message.parts):
            state = _own_state(part) if own else {}
            kind = part.WhichOneof("kind")
            if kind == "text":
                if part.text or "signature" in state:
                    parts.append({"text": part.text, **_signature(state)})
                continue
            at = f"{path}.parts[{i}]"
            match kind:
                case "tool_call":
                    calls.append(self._call(part.tool_call, state, at))
                    parts.append(calls[-1])
                case "reasoning":
                    if "signature" in state:
                        text = state.get("thought", part.reasoning.text)
                        thought = {"text": text, "thought": True}
                        parts.append({**thought, **_signature(state)})
                    elif not own:
                        self._leave_out_reasoning(at)
                case _:
                    parts.append(self._part(part, at))
        if calls and self._newer and not any("thoughtSignature" in c for c in calls):
            calls[0]["thoughtSignature"] = UNSIGNED
        return parts

    def _call(self, call: ToolCall, state: dict[str, str], path: str) -> Body:
        text = call.arguments_json.strip() or "{}"
        arguments: object = raw(text, f"{path}.tool_call.arguments_json")
        if text == "null":
            arguments = {}
        elif not text.startswith("{"):
            self._adapted(path, "arguments put into an object")
            arguments = {"arguments": arguments}
        said: Body = {"name": call.name, "args": arguments}
        if "id" in state:
            said["id"] = state["id"]
        self._calls[call.id] = len(self._calls), said
        return {"functionCall": said, **_signature(state)}

    def _leave_out_reasoning(self, path: str) -> None:
        if not self._reasoning_left_out:
            self._adapted(path, "left out: reasoning that this target cannot use")
        self._reasoning_left_out = True

    def _results(self, message: Message, path: str) -> list[Body]:
        """All results of a turn; without ids they are known by their order alone."""
        results = [
            (*self._calls.get(part.tool_result.tool_call_id, _NO_CALL), part, i)
            for i, part in enumerate(message.parts)
        ]
        results.sort(key=itemgetter(0))
        beside: list[Body] = []
        parts = [
            self._result(
                part.tool_result, call, f"{path}.parts[{i}].tool_result", beside
            )
            for _, call, part, i in results
        ]
        return parts + beside

    def _result(
        self, result: ToolResult, call: Body, path: str, beside: list[Body]
    ) -> Body:
        texts: list[str] = []
        within: list[Body] = []
        moved: list[Body] = []
        for i, part in enumerate(result.parts):
            at = f"{path}.parts[{i}]"
            if part.HasField("text"):
                texts.append(part.text)
            elif self._newer and part.blob.media_type in _MEDIA_OF_RESULTS:
                within.append(self._part(part, at))
            else:
                moved.append(self._part(part, at))
        key = "error" if result.is_error else "output"
        said: Body = {
            "name": call.get("name", result.tool_call_id),
            "response": {key: "\n".join(texts)},
        }
        if "id" in call:
            said["id"] = call["id"]
        if within:
            said["parts"] = within
        if moved:
            beside += moved
            self._adapted(path, "media moved beside the result")
        return {"functionResponse": said}

    def _part(self, part: Part, path: str) -> Body:
        match part.WhichOneof("kind"):
            case "blob":
                type_ = part.blob.media_type
                self._require(type_, path)
                data = b64encode(part.blob.data).decode()
                return {"inlineData": {"mimeType": type_, "data": data}}
            case "media_reference":
                uri = part.media_reference.uri
                suffix = PurePosixPath(urlsplit(uri).path).suffix.lower()
                type_ = part.media_reference.media_type or _KINDS.get(suffix, "")
                if type_:
                    self._require(type_, path)
                    return {"fileData": {"mimeType": type_, "fileUri": uri}}
                return {"fileData": {"fileUri": uri}}
            case _:
                raise unsupported(path, "not a part of such a turn")

    def _require(self, media_type: str, path: str) -> None:
        """Failure (UNSUPPORTED) for media that the model is known not to take."""
        kind = PDF if media_type == "application/pdf" else media_type.partition("/")[0]
        known = self._known.media
        if known is not None and kind in _MEDIA - known:
            raise unsupported(path, f"the model does not take {media_type}")

    def _adapted(self, field: str, description: str) -> None:
        self.adaptations.append(Adaptation(field=field, description=description))


def encode_gemini(
    model: str,
    prompt: Prompt,
    *,
    stream: bool | None,
    provider_name: str,
    allowed_options: frozenset[str],
    known: Capabilities,
) -> Encoded:
    """The request for `prompt`; see codec.Codec.encode()."""
    request = _Request(model, prompt, provider_name, known)
    request.contents()
    request.instruction()
    request.tools()
    request.config()
    merge_options(request.body, prompt, provider_name, allowed_options, _RESERVED)
    long = may_be_long(request.most_tokens)
    streamed = long if stream is None else stream
    method = "streamGenerateContent?alt=sse" if streamed else "generateContent"
    return Encoded(
        path=f"/models/{quote(model.removeprefix('models/'), safe='')}:{method}",
        body=msgspec.json.encode(request.body),
        streamed=streamed,
        long=long,
        adaptations=request.adaptations,
    )


def _own_state(part: Part) -> dict[str, str]:
    """What the target itself has said beside the part."""
    state = unpack(WIRE, part.provider_state)
    if "signature" in state and not _BASE64.fullmatch(state["signature"]):
        return {}
    return state


def _signature(state: dict[str, str]) -> Body:
    return {"thoughtSignature": state["signature"]} if "signature" in state else {}
