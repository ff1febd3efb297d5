"""Requests of generateContent."""

import re
from base64 import b64encode
from pathlib import PurePosixPath
from urllib.parse import quote, urlsplit

import msgspec

from majordomo.codec.base import Encoded
from majordomo.codec.calls import Result
from majordomo.codec.capabilities import Capabilities
from majordomo.codec.media import is_spoken
from majordomo.codec.request import RequestBuilder
from majordomo.codec.request_json import (
    SCHEMA_PATH,
    Body,
    answer_schema,
    instructions,
    unsupported,
    wants_json,
)
from majordomo.codec.schemas import schema_form
from majordomo.codec.state import unpack
from majordomo.providers.gemini.blocks import WIRE, own_part
from majordomo.providers.gemini.hosted_tools import hosted_tools
from majordomo.providers.gemini.thinking import thinking_config
from majordomo.schemas.dialects import GEMINI_ANSWERS, GEMINI_TOOLS
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_USER,
    Message,
    Part,
    Role,
    ToolCall,
    ToolChoice,
)
from majordomo.v1.generation_service_pb2 import Prompt

RESERVED = frozenset(
    {
        "contents",
        "generationConfig",
        "model",
        "systemInstruction",
        "toolConfig",
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


class _Contents(RequestBuilder):
    """A request of generateContent."""

    reserved = RESERVED
    tools_dialect = GEMINI_TOOLS
    tool_id = re.compile(r".*", re.DOTALL)
    tool_name = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
    most_stops = 5
    most_seed = 2**31 - 1

    def __init__(
        self, model: str, prompt: Prompt, provider_name: str, known: Capabilities
    ) -> None:
        super().__init__(model, prompt, provider_name, known)
        self._config: Body = {}
        self._newer = bool(_THIRD_OR_LATER.search(model))
        self._turns: list[Body] = []
        self._ids: dict[int, str] = {}
        """The model's own ids of its calls, by their places."""

    def contents(self) -> None:
        self.turns()
        self.body["contents"] = self._turns

    def instruction(self) -> None:
        schema = "" if self.known.schema else answer_schema(self.prompt)
        texts = self.instruction_texts(instructions(self.prompt, schema))
        if texts:
            parts = [{"text": text} for text in texts]
            self.body["systemInstruction"] = {"parts": parts}

    def tools(self) -> None:
        declared: list[Body] = []
        for function, name, schema in self.functions():
            said: Body = {"name": name}
            if function.description:
                said["description"] = function.description
            if function.parameters_schema_json:
                said["parametersJsonSchema"] = schema
            declared.append(said)
        tools: list[Body] = [{"functionDeclarations": declared}] if declared else []
        tools += hosted_tools(self.prompt, self.adapted)
        beside = bool(declared) and len(tools) > 1
        if beside and not self._newer:
            problem = "the model takes none of the provider's beside functions"
            raise unsupported("prompt.tools", problem)
        if not tools:
            return
        self.body["tools"] = tools
        config = self._calling(functions=bool(declared))
        if beside:
            # Else a conversation cannot go on with what the others did.
            config["includeServerSideToolInvocations"] = True
        if config:
            self.body["toolConfig"] = config

    def _calling(self, *, functions: bool) -> Body:
        """How freely the model may choose: of functions alone."""
        choice = self.prompt.tool_choice
        mode: Body = {}
        match choice.mode:
            case ToolChoice.MODE_AUTO:
                mode["mode"] = "AUTO"
            case ToolChoice.MODE_NONE:
                mode["mode"] = "NONE"
            case ToolChoice.MODE_REQUIRED:
                mode["mode"] = "ANY"
                if choice.allowed_names:
                    mode["allowedFunctionNames"] = self.allowed_names(choice)
        if choice.HasField("parallel_calls") and not choice.parallel_calls:
            path = "prompt.tool_choice.parallel_calls"
            self.adapted(path, "left out: not in this wire")
        if mode.get("mode") == "ANY" and not functions:
            self.adapted("prompt.tool_choice.mode", "sent as auto: for functions only")
        return {"functionCallingConfig": mode} if mode and functions else {}

    def config(self) -> None:
        config = self.prompt.config
        for field, name in _SAMPLING.items():
            if not config.HasField(field):
                continue
            if self.known.sampling:
                self._config[name] = getattr(config, field)
            else:
                self.adapted(f"prompt.config.{field}", "left out: the model refuses it")
        if (tokens := self.most_tokens()) is not None:
            self._config["maxOutputTokens"] = tokens
        if config.HasField("seed"):
            self._config["seed"] = self.seed()
        if config.stop_sequences:
            self._config["stopSequences"] = self.stops()
        self._response_format()
        thinking = thinking_config(
            self.model_id, config.reasoning, self.known, self.adapted
        )
        if thinking:
            self._config["thinkingConfig"] = thinking
        if self._config:
            self.body["generationConfig"] = self._config

    def _response_format(self) -> None:
        text = answer_schema(self.prompt)
        if not text and not wants_json(self.prompt):
            return
        path = SCHEMA_PATH if text else "prompt.response_format.json"
        if self.prompt.tools and not self._newer and "gemini" in self.model_id:
            raise unsupported(path, "the model takes no schema beside tools")
        if self._schema_is_told:
            self.adapted(path, "not enforced: asked for in the instructions")
            return
        self._config["responseMimeType"] = "application/json"
        if text:
            self._config["responseJsonSchema"] = schema_form(
                text, path, GEMINI_ANSWERS, self.adapted
            )

    @property
    def limit(self) -> object:
        """The limit of the answer that is sent; None: none is."""
        return self._config.get("maxOutputTokens")

    @property
    def _schema_is_told(self) -> bool:
        """Whether the model takes the schema of the answer in its instructions only."""
        return bool(answer_schema(self.prompt)) and not self.known.schema

    # Turns.

    def text(self, role: Role, text: str) -> list[Body]:  # noqa: ARG002
        return [{"text": text}]

    def say(self, role: Role, text: str) -> None:
        name = "model" if role == ROLE_ASSISTANT else "user"
        self._turns.append({"role": name, "parts": [{"text": text}]})

    def add(self, role: Role, content: list[Body]) -> None:
        name = "model" if role == ROLE_ASSISTANT else "user"
        self._turns.append({"role": name, "parts": content})

    def join(self, role: Role, content: list[Body]) -> None:  # noqa: ARG002
        before = self._turns[-1]["parts"]
        assert isinstance(before, list)  # noqa: S101 - it was put there
        before += content

    def user(self, parts: list[tuple[str, Part]]) -> list[Body]:
        return [
            {"text": part.text} if part.HasField("text") else self._part(part, path)
            for path, part in parts
        ]

    def model(self, message: Message, path: str, *, own: bool) -> list[Body]:
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
                    elif part.reasoning.text or not own:
                        self.leave_out_reasoning(at)
                case "opaque" if own and (back := own_part(part)) is not None:
                    parts.append(back)
                case "opaque" if own and not part.provider_state:
                    pass  # there was nothing to give back
                case "blob" | "media_reference" if own or not is_spoken(part, message):
                    parts.append({**self._part(part, at), **_signature(state)})
                case _:
                    self.leave(part, at)
        if calls and self._newer and not any("thoughtSignature" in c for c in calls):
            calls[0]["thoughtSignature"] = UNSIGNED
        return parts

    def _call(self, said: ToolCall, state: dict[str, str], path: str) -> Body:
        call, arguments = self.call(said, path)
        body: Body = {"name": call.name, "args": msgspec.Raw(arguments)}
        if "id" in state:
            body["id"] = self._ids[call.place] = state["id"]
        return {"functionCall": body, **_signature(state)}

    def results(self, results: list[Result]) -> None:
        """All in one turn; without ids they are known by their order alone."""
        beside: list[Body] = []
        parts = [self._result(result, beside) for result in results]
        self.put(ROLE_USER, parts + beside)

    def _result(self, answer: Result, beside: list[Body]) -> Body:
        call, result, path = answer
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
        said: Body = {"name": call.name, "response": {key: "\n".join(texts)}}
        if call.place in self._ids:
            said["id"] = self._ids[call.place]
        if within:
            said["parts"] = within
        if moved:
            beside += moved
            self.adapted(path, "media moved beside the result")
        return {"functionResponse": said}

    def _part(self, part: Part, path: str) -> Body:
        match part.WhichOneof("kind"):
            case "blob":
                type_ = part.blob.media_type
                self.media_kind(type_, path)
                data = b64encode(part.blob.data).decode()
                return {"inlineData": {"mimeType": type_, "data": data}}
            case "media_reference":
                uri = part.media_reference.uri
                suffix = PurePosixPath(urlsplit(uri).path).suffix.lower()
                type_ = part.media_reference.media_type or _KINDS.get(suffix, "")
                if type_:
                    self.media_kind(type_, path)
                    return {"fileData": {"mimeType": type_, "fileUri": uri}}
                return {"fileData": {"fileUri": uri}}
            case _:
                raise unsupported(path, "not a part of such a turn")

    def streamed(self, path: str) -> str:
        return path.replace(":generateContent", ":streamGenerateContent?alt=sse")


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
    request = _Contents(model, prompt, provider_name, known)
    request.contents()
    request.instruction()
    request.tools()
    request.config()
    name = quote(model.removeprefix("models/"), safe="")
    return request.encoded(
        f"/models/{name}:generateContent",
        limit=request.limit,
        stream=stream,
        options=allowed_options,
    )


def _own_state(part: Part) -> dict[str, str]:
    """What the target itself has reported beside the part."""
    state = unpack(WIRE, part.provider_state)
    if "signature" in state and not _BASE64.fullmatch(state["signature"]):
        return {}
    return state


def _signature(state: dict[str, str]) -> Body:
    return {"thoughtSignature": state["signature"]} if "signature" in state else {}
