"""Requests in the Chat Completions format."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import msgspec

from majordomo.codec.base import Encoded
from majordomo.codec.capabilities import AUDIO, IMAGE, PDF, Capabilities
from majordomo.codec.openai_effort import effort_word, takes_sampling
from majordomo.codec.request_json import (
    SCHEMA_PATH,
    Body,
    answer_schema,
    cache_key,
    instructions,
    lone_text,
    may_be_long,
    merge_options,
    unsupported,
    wants_json,
)
from majordomo.codec.schemas import answer_form, schema_form
from majordomo.providers.openai_chat.reasoning import (
    CONTENT,
    DETAILS,
    THINKING,
    extra_content,
    given_back,
)
from majordomo.providers.profiles import Profile
from majordomo.schemas.absence import Place
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
    Prompt,
)

_RESERVED = frozenset({"model", "messages", "stream", "stream_options", "n"})
"""Keys that provider options may never set, whatever the configuration lists."""


class _Request:
    """One request while it is put together."""

    def __init__(
        self,
        model: str,
        prompt: Prompt,
        provider_name: str,
        profile: Profile,
        known: Capabilities,
    ) -> None:
        self.body: Body = {"model": model}
        self.adaptations: list[Adaptation] = []
        self.absent: Place | None = None
        self._prompt = prompt
        self._profile = profile
        self._known = known
        self._takes_schema = profile.schema and self._known.schema
        self._target = f"{provider_name}/{model}"
        self._reasoning_left_out = False

    def messages(self) -> None:
        messages: list[Body] = []
        schema = "" if self._takes_schema else answer_schema(self._prompt)
        if instruction := "\n\n".join(instructions(self._prompt, schema)):
            messages.append({"role": "system", "content": instruction})
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
            own = message.role == ROLE_ASSISTANT
            if text := lone_text(message):
                role = "assistant" if own else "user"
                messages.append({"role": role, "content": text})
            elif own:
                messages.append(self._assistant(message, path))
            else:
                messages.append(self._user(message, path))
        if attachments:
            messages.append({"role": "user", "content": attachments})
        self.body["messages"] = messages

    def tools(self) -> None:
        if not self._prompt.tools:
            return
        choice = self._prompt.tool_choice
        tools = list(enumerate(self._prompt.tools))
        only = set(choice.allowed_names) if choice.mode == _REQUIRED else set()
        if len(only) > 1:
            tools = [(i, tool) for i, tool in tools if tool.function.name in only]
            self._adapted("prompt.tools", "only those that the tool choice allows")
        if not self._known.tools:
            raise unsupported("prompt.tools", "the model cannot call tools")
        functions = []
        for i, tool in tools:
            path = f"prompt.tools[{i}].function.parameters_schema_json"
            declared = tool.function
            function: Body = {"name": declared.name}
            if declared.description:
                function["description"] = declared.description
            schema = declared.parameters_schema_json
            function["parameters"] = schema_form(
                schema, path, self._profile.tools, self._adapted
            )
            functions.append({"type": "function", "function": function})
        self.body["tools"] = functions
        if choice.mode == ToolChoice.MODE_AUTO:
            self.body["tool_choice"] = "auto"
        elif choice.mode == ToolChoice.MODE_NONE:
            self.body["tool_choice"] = "none"
        elif choice.mode == _REQUIRED and not self._known.forced_tools:
            self.body["tool_choice"] = "auto"
            self._adapted("prompt.tool_choice", "sent as auto: the model refuses it")
        elif choice.mode == _REQUIRED and len(only) == 1:
            named = {"type": "function", "function": {"name": min(only)}}
            self.body["tool_choice"] = named
        elif choice.mode == _REQUIRED:
            self.body["tool_choice"] = self._profile.required
        if choice.HasField("parallel_calls"):
            self.body["parallel_tool_calls"] = choice.parallel_calls

    def config(self) -> None:
        if not self._prompt.HasField("config"):
            return
        config, profile, known = self._prompt.config, self._profile, self._known
        effort = effort_word(config, known, self._adapted)
        if effort == "none" and profile.thinking_switch:
            self.body["thinking"] = {"type": "disabled"}
        elif effort:
            self.body["reasoning_effort"] = effort
        sampling = takes_sampling(known, effort)
        self._set("max_output_tokens", profile.max_tokens)
        self._set("temperature", "temperature", refused=not sampling)
        self._set("top_p", "top_p", refused=not sampling)
        self._set("seed", profile.seed)
        if profile.top_k:
            self._set("top_k", "top_k", refused=not sampling)
        elif config.HasField("top_k"):
            self._adapted("prompt.config.top_k", "left out: not in this wire")
        if config.stop_sequences:
            self._set("stop_sequences", "stop", refused=not known.stop)

    def response_format(self) -> None:
        path, text = SCHEMA_PATH, answer_schema(self._prompt)
        if wants_json(self._prompt):
            self.body["response_format"] = {"type": "json_object"}
        if not text:
            return
        if not self._takes_schema:
            self._adapted(path, "not enforced: asked for in the instructions")
            self.body["response_format"] = {"type": "json_object"}
            return
        profile = self._profile
        form = answer_form(text, path, profile.strict, profile.answers, self._adapted)
        self.absent = form.absent
        name = self._prompt.response_format.json_schema.name or "response"
        named = {"name": name, "schema": form.json, "strict": form.strict}
        self.body["response_format"] = {"type": "json_schema", "json_schema": named}

    def cache(self) -> None:
        if self._profile.cache_key and (key := cache_key(self._prompt)):
            self.body["prompt_cache_key"] = key

    def stream(self) -> None:
        self.body["stream"] = True
        if self._profile.stream_options:
            self.body["stream_options"] = {"include_usage": True}

    def _set(self, field: str, key: str, *, refused: bool = False) -> None:
        """Send a setting under its `key`, or say that the model refuses it."""
        value = getattr(self._prompt.config, field)
        if field == "stop_sequences":
            value = list(value)
        elif not self._prompt.config.HasField(field):
            return
        if refused:
            path = f"prompt.config.{field}"
            self._adapted(path, "left out: the model refuses it")
        else:
            self.body[key] = value

    def _user(self, message: Message, path: str) -> Body:
        parts = [
            self._content(part, f"{path}.parts[{i}]")
            for i, part in enumerate(message.parts)
        ]
        if len(parts) == 1 and message.parts[0].HasField("text"):
            return {"role": "user", "content": message.parts[0].text}
        return {"role": "user", "content": parts}

    def _assistant(self, message: Message, path: str) -> Body:
        form = self._profile.reasoning
        own = message.origin == self._target
        texts: list[str] = []
        calls: list[Body] = []
        reasoning: Any = None
        for i, part in enumerate(message.parts):
            match part.WhichOneof("kind"):
                case "text":
                    texts.append(part.text)
                case "tool_call":
                    calls.append(self._tool_call(part, own=own))
                case "reasoning":
                    if own and reasoning is None:
                        reasoning = given_back(form, part.provider_state)
                    elif not own:
                        self._leave_out_reasoning(f"{path}.parts[{i}]")
                case _:
                    raise unsupported(
                        f"{path}.parts[{i}]", "media in the model's own turn"
                    )
        text = "".join(texts)
        turn: Body = {
            "role": "assistant",
            "content": text if text or not calls else None,
        }
        if calls:
            turn["content"] = text or None
            turn["tool_calls"] = calls
        if form == CONTENT and calls:
            # Refused without it, be it empty; not wanted in other turns.
            turn[CONTENT] = reasoning or ""
        elif form == DETAILS and reasoning:
            turn[DETAILS] = reasoning
        elif form == THINKING and reasoning:
            thinking = {
                "type": "thinking",
                "thinking": [{"type": "text", "text": reasoning}],
            }
            said = [{"type": "text", "text": text}] if text else []
            turn["content"] = [thinking, *said]
        return turn

    def _tool_call(self, part: Part, *, own: bool) -> Body:
        call = part.tool_call
        said: Body = {
            "id": self._tool_call_id(call.id),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments_json or "{}"},
        }
        extra = extra_content(part.provider_state) if own else None
        if extra:
            said["extra_content"] = extra
        return said

    def _leave_out_reasoning(self, path: str) -> None:
        if not self._reasoning_left_out:
            self._adapted(path, "left out: reasoning of another target")
        self._reasoning_left_out = True

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
                type_ = part.blob.media_type
                kind = self._kind(type_, path)
                data = b64encode(part.blob.data).decode()
                url = f"data:{type_};base64,{data}"
                if kind == AUDIO:
                    audio = {"data": data, "format": _AUDIO_FORMATS[type_]}
                    return {"type": "input_audio", "input_audio": audio}
                if kind == PDF:
                    file = {"filename": "file.pdf", "file_data": url}
                    return {"type": "file", "file": file}
            case "media_reference":
                # A reference without a media type can only be meant as an image.
                type_ = part.media_reference.media_type or "image/*"
                url = part.media_reference.uri
                if self._kind(type_, path) != IMAGE:
                    raise unsupported(path, f"{type_} is not taken by its URL")
            case _:
                raise unsupported(path, "not a part of a user's turn")
        return {"type": "image_url", "image_url": {"url": url}}

    def _kind(self, media_type: str, path: str) -> str:
        """Image, PDF or audio; Failure (UNSUPPORTED) for what is not taken."""
        kind = PDF if media_type == "application/pdf" else media_type.partition("/")[0]
        other_audio = kind == AUDIO and media_type not in _AUDIO_FORMATS
        if kind not in self._profile.media or other_audio:
            raise unsupported(path, f"{media_type} is not among the media of this wire")
        if self._known.media is not None and kind not in self._known.media:
            raise unsupported(path, f"the model does not take {media_type}")
        return kind

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

_AUDIO_FORMATS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}
"""The two formats of this wire, by media type."""


def encode_chat(
    model: str,
    prompt: Prompt,
    *,
    stream: bool | None,
    provider_name: str,
    allowed_options: frozenset[str],
    profile: Profile,
    known: Capabilities,
) -> Encoded:
    """The request for `prompt`; see codec.Codec.encode()."""
    request = _Request(model, prompt, provider_name, profile, known)
    request.messages()
    request.tools()
    request.config()
    request.response_format()
    request.cache()
    merge_options(request.body, prompt, provider_name, allowed_options, _RESERVED)
    long = may_be_long(request.body.get(profile.max_tokens))
    streamed = long if stream is None else stream
    if streamed:
        request.stream()
    return Encoded(
        path="/chat/completions",
        body=msgspec.json.encode(request.body),
        streamed=streamed,
        long=long,
        adaptations=request.adaptations,
        absent=request.absent,
    )
