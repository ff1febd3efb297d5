"""Requests in the Chat Completions format."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable

import msgspec

from majordomo.providers.codec import Encoded
from majordomo.providers.profiles import Profile
from majordomo.providers.request_json import (
    EMPTY_PARAMETERS,
    Body,
    is_strict,
    merge_options,
    raw,
    unsupported,
)
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    Message,
    Part,
    ToolChoice,
    ToolResult,
)
from majordomo.v1.generation_service_pb2 import (
    Adaptation,
    GenerationConfig,
    Prompt,
    ReasoningConfig,
)

_RESERVED = frozenset({"model", "messages", "stream", "stream_options", "n"})
"""Keys that provider options may never set, whatever the configuration lists."""

_EFFORTS = {
    ReasoningConfig.EFFORT_NONE: "none",
    ReasoningConfig.EFFORT_MINIMAL: "low",
    ReasoningConfig.EFFORT_LOW: "low",
    ReasoningConfig.EFFORT_MEDIUM: "medium",
    ReasoningConfig.EFFORT_HIGH: "high",
    ReasoningConfig.EFFORT_MAX: "high",
}
"""The efforts that most models know; "minimal" and "max" only some do."""


class _Request:
    """One request while it is put together."""

    def __init__(self, model: str, prompt: Prompt, profile: Profile) -> None:
        self.body: Body = {"model": model}
        self.adaptations: list[Adaptation] = []
        self._prompt = prompt
        self._profile = profile

    def messages(self) -> None:
        messages: list[Body] = []
        if self._prompt.system_instruction:
            text = self._prompt.system_instruction
            messages.append({"role": "system", "content": text})
        attachments: list[Body] = []
        for i, message in enumerate(self._prompt.messages):
            path = f"prompt.messages[{i}]"
            if message.role == ROLE_TOOL:
                messages += self._tool_results(message, path, attachments)
                continue
            # Media in tool results follow all results of the turn: a server
            # refuses anything between a turn's calls and their results.
            if attachments:
                messages.append({"role": "user", "content": attachments})
                attachments = []
            if message.role == ROLE_ASSISTANT:
                messages.append(self._assistant(message, path))
            else:
                messages.append(self._user(message, path))
        if attachments:
            messages.append({"role": "user", "content": attachments})
        self.body["messages"] = messages

    def tools(self) -> None:
        choice = self._prompt.tool_choice
        tools = list(enumerate(self._prompt.tools))
        only = set(choice.allowed_names) if choice.mode == _REQUIRED else set()
        if len(only) > 1:
            tools = [(i, tool) for i, tool in tools if tool.name in only]
            self._adapted("prompt.tools", "only those that the tool choice allows")
        if not tools:
            return
        functions = []
        for i, tool in tools:
            path = f"prompt.tools[{i}].parameters_schema_json"
            function: Body = {"name": tool.name}
            if tool.description:
                function["description"] = tool.description
            schema = tool.parameters_schema_json
            function["parameters"] = raw(schema, path) if schema else EMPTY_PARAMETERS
            functions.append({"type": "function", "function": function})
        self.body["tools"] = functions
        if choice.mode == ToolChoice.MODE_AUTO:
            self.body["tool_choice"] = "auto"
        elif choice.mode == ToolChoice.MODE_NONE:
            self.body["tool_choice"] = "none"
        elif choice.mode == _REQUIRED and len(only) == 1:
            named = {"type": "function", "function": {"name": min(only)}}
            self.body["tool_choice"] = named
        elif choice.mode == _REQUIRED:
            self.body["tool_choice"] = self._profile.required
        if choice.HasField("parallel_calls"):
            self.body["parallel_tool_calls"] = choice.parallel_calls

    def config(self) -> None:
        config, profile = self._prompt.config, self._profile
        for field, key in (
            ("max_output_tokens", profile.max_tokens),
            ("temperature", "temperature"),
            ("top_p", "top_p"),
            ("seed", profile.seed),
        ):
            if config.HasField(field):
                self.body[key] = getattr(config, field)
        if config.HasField("top_k"):
            if profile.top_k:
                self.body["top_k"] = config.top_k
            else:
                self._adapted("prompt.config.top_k", "left out: not in this wire")
        if config.stop_sequences:
            self.body["stop"] = list(config.stop_sequences)
        self._reasoning(config)

    def response_schema(self) -> None:
        text = self._prompt.response_schema_json
        if not text:
            return
        path = "prompt.response_schema_json"
        schema = raw(text, path)
        strict = is_strict(text, path)
        if not strict:
            self._adapted(path, "not enforced: strict mode does not take it")
        named = {"name": "response", "schema": schema, "strict": strict}
        self.body["response_format"] = {"type": "json_schema", "json_schema": named}

    def stream(self) -> None:
        self.body["stream"] = True
        if self._profile.stream_options:
            self.body["stream_options"] = {"include_usage": True}

    def _reasoning(self, config: GenerationConfig) -> None:
        path = "prompt.config.reasoning"
        match config.reasoning.WhichOneof("amount"):
            case "effort":
                asked = config.reasoning.effort
                effort = _EFFORTS.get(asked)
                if effort:
                    self.body["reasoning_effort"] = effort
                if asked in (
                    ReasoningConfig.EFFORT_MINIMAL,
                    ReasoningConfig.EFFORT_MAX,
                ):
                    self._adapted(f"{path}.effort", f"sent as {effort}")
            case "budget_tokens":
                self._adapted(f"{path}.budget_tokens", "left out: not in this wire")

    def _user(self, message: Message, path: str) -> Body:
        parts = [
            self._content(part, f"{path}.parts[{i}]")
            for i, part in enumerate(message.parts)
        ]
        if len(parts) == 1 and message.parts[0].HasField("text"):
            return {"role": "user", "content": message.parts[0].text}
        return {"role": "user", "content": parts}

    def _assistant(self, message: Message, path: str) -> Body:
        texts: list[str] = []
        reasoning: list[str] = []
        calls: list[Body] = []
        for i, part in enumerate(message.parts):
            match part.WhichOneof("kind"):
                case "text":
                    texts.append(part.text)
                case "reasoning":
                    reasoning.append(part.reasoning.text)
                case "tool_call":
                    call = part.tool_call
                    function = {
                        "name": call.name,
                        "arguments": call.arguments_json or "{}",
                    }
                    calls.append(
                        {
                            "id": self._tool_call_id(call.id),
                            "type": "function",
                            "function": function,
                        }
                    )
                case _:
                    raise unsupported(
                        f"{path}.parts[{i}]", "media in the model's own turn"
                    )
        turn: Body = {"role": "assistant"}
        turn["content"] = "".join(texts) if texts or not calls else None
        if calls:
            turn["tool_calls"] = calls
            if self._profile.reasoning:
                turn[self._profile.reasoning] = "".join(reasoning)
        return turn

    def _tool_results(
        self, message: Message, path: str, attachments: list[Body]
    ) -> Iterable[Body]:
        for i, part in enumerate(message.parts):
            yield self._tool_result(
                part.tool_result, f"{path}.parts[{i}].tool_result", attachments
            )

    def _tool_result(
        self, result: ToolResult, path: str, attachments: list[Body]
    ) -> Body:
        call_id = self._tool_call_id(result.tool_call_id)
        texts = [part.text for part in result.parts if part.HasField("text")]
        media = [
            (i, part)
            for i, part in enumerate(result.parts)
            if not part.HasField("text")
        ]
        if media:
            texts.append("(Attached to the next message.)")
            attachments.append(
                {"type": "text", "text": f"Attachments of the tool result {call_id}:"}
            )
        for i, part in media:
            attachments.append(self._content(part, f"{path}.parts[{i}]"))
            self._adapted(f"{path}.parts[{i}]", "moved to a message of the user")
        if result.is_error:
            texts.insert(0, "The tool failed:")
            self._adapted(f"{path}.is_error", "said in the text")
        return {"role": "tool", "tool_call_id": call_id, "content": "\n".join(texts)}

    def _content(self, part: Part, path: str) -> Body:
        match part.WhichOneof("kind"):
            case "text":
                return {"type": "text", "text": part.text}
            case "blob":
                kind = part.blob.media_type
                url = f"data:{kind};base64,{b64encode(part.blob.data).decode()}"
            case "media_reference":
                # A reference without a media type can only be meant as an image.
                kind = part.media_reference.media_type or "image/*"
                url = part.media_reference.uri
            case _:
                raise unsupported(path, "not a part of a user's turn")
        if not kind.startswith("image/"):
            raise unsupported(path, f"{kind} is not among the media of this wire")
        return {"type": "image_url", "image_url": {"url": url}}

    def _tool_call_id(self, id_: str) -> str:
        """`id_`, or what stands for it where this server would not take it.

        Ids that another provider made may be too long or of other letters; a call
        and its result get the same one.
        """
        if self._profile.tool_call_id.fullmatch(id_):
            return id_
        return hashlib.sha256(id_.encode()).hexdigest()[:9]

    def _adapted(self, field: str, description: str) -> None:
        self.adaptations.append(Adaptation(field=field, description=description))


_REQUIRED = ToolChoice.MODE_REQUIRED


def encode_chat(
    model: str,
    prompt: Prompt,
    *,
    stream: bool,
    provider_name: str,
    allowed_options: frozenset[str],
    profile: Profile,
) -> Encoded:
    """The request for `prompt`; see codec.Codec.encode()."""
    request = _Request(model, prompt, profile)
    request.messages()
    request.tools()
    request.config()
    request.response_schema()
    if stream:
        request.stream()
    merge_options(request.body, prompt, provider_name, allowed_options, _RESERVED)
    return Encoded(
        path="/chat/completions",
        body=msgspec.json.encode(request.body),
        adaptations=request.adaptations,
    )
