"""Requests in the Chat Completions format."""

from base64 import b64encode
from collections.abc import Set
from typing import Any

from majordomo.codec.base import Encoded
from majordomo.codec.calls import Result
from majordomo.codec.capabilities import AUDIO, IMAGE, PDF, Capabilities
from majordomo.codec.openai_effort import effort_word, takes_sampling
from majordomo.codec.request import RequestBuilder
from majordomo.codec.request_json import (
    SCHEMA_PATH,
    Body,
    answer_schema,
    cache_key,
    instructions,
    unsupported,
    wants_json,
)
from majordomo.codec.schemas import answer_form
from majordomo.providers.openai_chat.blocks import own_annotation
from majordomo.providers.openai_chat.hosted_tools import hosted_tools
from majordomo.providers.openai_chat.reasoning import (
    CONTENT,
    NO_REASONING,
    REASONING,
    THINKING,
    extra_content,
    given_back,
)
from majordomo.providers.profiles import Profile
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    Message,
    Part,
    Role,
    ToolChoice,
)
from majordomo.v1.generation_service_pb2 import Prompt

RESERVED = frozenset({"model", "messages", "stream", "stream_options", "n"})
"""Keys that provider options may never set, whatever the configuration lists."""


class _Chat(RequestBuilder):
    """A request of Chat Completions, as one server takes it."""

    reserved = RESERVED
    made_id = ""

    def __init__(
        self,
        model: str,
        prompt: Prompt,
        provider_name: str,
        profile: Profile,
        known: Capabilities,
    ) -> None:
        super().__init__(model, prompt, provider_name, known)
        self.body = {"model": model}
        self.media = profile.media
        self.tools_dialect = profile.tools
        self.tool_id = profile.tool_call_id
        self.longest_hash = 9
        self.tool_name = profile.tool_name
        self.alternates = profile.alternates
        self.user_after_tool = profile.user_after_tool and known.user_after_tool
        self.hottest = profile.hottest
        self.most_stops = profile.most_stops
        self.most_seed = profile.most_seed
        self._profile = profile
        self._takes_schema = profile.schema and known.schema
        self._messages: list[dict[str, Any]] = []

    def messages(self) -> None:
        schema = "" if self._takes_schema else answer_schema(self.prompt)
        if texts := self.instruction_texts(instructions(self.prompt, schema)):
            content = "\n\n".join(texts)
            self._messages.append({"role": "system", "content": content})
        self.turns()
        if self.last == ROLE_ASSISTANT:
            self._go_on()
        self.body["messages"] = self._messages

    def tools(self) -> None:
        form = self._profile.hosted_tools
        hosted = hosted_tools(form, self.body, self.prompt, self.adapted)
        if hosted:
            self.body["tools"] = hosted
        choice = self.prompt.tool_choice
        only = set(choice.allowed_names) if choice.mode == _REQUIRED else set()
        functions = []
        for declared, name, schema in self.functions():
            if len(only) > 1 and declared.name not in only:
                continue
            function: Body = {"name": name}
            if declared.description:
                function["description"] = declared.description
            function["parameters"] = schema
            functions.append({"type": "function", "function": function})
        if not functions:
            return
        if len(only) > 1:
            self.adapted("prompt.tools", "only those that the tool choice allows")
        self.body["tools"] = [*functions, *hosted]
        self._choose(choice, only)

    def _choose(self, choice: ToolChoice, only: Set[str]) -> None:
        """Say how freely the model may choose; `only` some functions."""
        if choice.mode == ToolChoice.MODE_AUTO:
            self.body["tool_choice"] = "auto"
        elif choice.mode == ToolChoice.MODE_NONE:
            self.body["tool_choice"] = "none"
        elif choice.mode == _REQUIRED and not self.known.forced_tools:
            self.body["tool_choice"] = "auto"
            self.adapted("prompt.tool_choice", "sent as auto: the model refuses it")
        elif choice.mode == _REQUIRED and len(only) == 1:
            name = self.allowed_names(choice)[0]
            named = {"type": "function", "function": {"name": name}}
            self.body["tool_choice"] = named
        elif choice.mode == _REQUIRED:
            self.body["tool_choice"] = self._profile.required
        if choice.HasField("parallel_calls"):
            self.body["parallel_tool_calls"] = choice.parallel_calls

    def config(self) -> None:
        if not self.prompt.HasField("config"):
            return
        config, profile, known = self.prompt.config, self._profile, self.known
        effort = effort_word(config, known, self.adapted)
        if effort:
            self._effort(effort)
        if (tokens := self.most_tokens()) is not None:
            self.body[profile.max_tokens] = tokens
        sampling = takes_sampling(known, effort)
        if config.HasField("temperature") and self._takes("temperature", sampling):
            self.body["temperature"] = self.temperature()
        if config.HasField("top_p") and self._takes("top_p", sampling):
            self.body["top_p"] = config.top_p
        if config.HasField("seed"):
            self.body[profile.seed] = self.seed()
        if config.HasField("top_k"):
            if not profile.top_k:
                self.adapted("prompt.config.top_k", "left out: not in this wire")
            elif self._takes("top_k", sampling):
                self.body["top_k"] = config.top_k
        if config.stop_sequences and self._takes("stop_sequences", known.stop):
            self.body["stop"] = self.stops()

    def _effort(self, word: str) -> None:
        if self._profile.effort == "reasoning":
            self.body["reasoning"] = {"effort": word}
        elif word == "none" and self._profile.thinking_switch:
            self.body["thinking"] = {"type": "disabled"}
        else:
            self.body["reasoning_effort"] = word

    def _takes(self, field: str, taken: bool) -> bool:
        """Whether the model takes a setting; reports it if not."""
        if not taken:
            self.adapted(f"prompt.config.{field}", "left out: the model refuses it")
        return taken

    def response_format(self) -> None:
        path, text = SCHEMA_PATH, answer_schema(self.prompt)
        if wants_json(self.prompt):
            self.body["response_format"] = {"type": "json_object"}
        if not text:
            return
        if not self._takes_schema:
            self.adapted(path, "not enforced: asked for in the instructions")
            self.body["response_format"] = {"type": "json_object"}
            return
        profile = self._profile
        form = answer_form(text, path, profile.strict, profile.answers, self.adapted)
        self.absent = form.absent
        name = self.prompt.response_format.json_schema.name or "response"
        named = {"name": name, "schema": form.json, "strict": form.strict}
        self.body["response_format"] = {"type": "json_schema", "json_schema": named}

    def cache(self) -> None:
        if self._profile.cache_key and (key := cache_key(self.prompt)):
            self.body["prompt_cache_key"] = key

    def streamed(self, path: str) -> str:
        if self._profile.stream_options:
            self.body["stream_options"] = {"include_usage": True}
        return super().streamed(path)

    def _go_on(self) -> None:
        """Ask for the turn to be gone on with that the conversation ends with."""
        mark = self._profile.prefill
        if mark is None:
            problem = "the model does not go on with a turn of its own"
            raise unsupported(self.path, problem)
        if mark:
            self._messages[-1][mark] = True

    # Turns.

    def text(self, role: Role, text: str) -> Body:
        name = "assistant" if role == ROLE_ASSISTANT else "user"
        return {"role": name, "content": text}

    def say(self, role: Role, text: str) -> None:
        name = "assistant" if role == ROLE_ASSISTANT else "user"
        self._messages.append({"role": name, "content": text})

    def add(self, role: Role, content: Any) -> None:
        if role == ROLE_TOOL:
            self._messages += content
        else:
            self._messages.append(content)

    def join(self, role: Role, content: Any) -> None:  # noqa: ARG002
        before = self._messages[-1]
        joined = _joined(before["content"], content["content"])
        self._messages[-1] = {**before, **content, "content": joined}
        self.adapted(self.path, "joined with the turn before it")

    def user(self, parts: list[tuple[str, Part]]) -> Body:
        if len(parts) == 1 and parts[0][1].HasField("text"):
            return self.text(ROLE_USER, parts[0][1].text)
        content = [self._content(part, path) for path, part in parts]
        return {"role": "user", "content": content}

    def model(self, message: Message, path: str, *, own: bool) -> Body | None:
        texts: list[str] = []
        calls: list[Body] = []
        reasoning: list[tuple[str, Part]] = []
        annotations: list[dict[str, Any]] = []
        for i, part in enumerate(message.parts):
            at = f"{path}.parts[{i}]"
            match part.WhichOneof("kind"):
                case "text":
                    texts.append(part.text)
                case "tool_call":
                    calls.append(self._tool_call(part, at, own=own))
                case "reasoning":
                    reasoning.append((at, part))
                case "opaque" if own and (file := own_annotation(part)):
                    annotations.append(file)
                case _:
                    self.leave(part, at)
        text = "".join(texts)
        turn: Body = {"role": "assistant", "content": text or None}
        if calls:
            turn["tool_calls"] = calls
        if annotations:
            turn["annotations"] = annotations
        sent = self._reasoning(reasoning, calls=bool(calls)) if own else {}
        silent = not (text or calls or annotations)
        if reasoning and (silent or not sent):
            self.leave_out_reasoning(reasoning[0][0])
        if silent:
            return None
        if not sent and calls and self._wants_reasoning:
            sent = {CONTENT: NO_REASONING}
        if THINKING in sent:
            said = [{"type": "text", "text": text}] if text else []
            sent = {"content": [*sent[THINKING], *said]}
        return turn | sent

    def _reasoning(
        self, parts: list[tuple[str, Part]], *, calls: bool
    ) -> dict[str, Any]:
        """What of its reasoning goes back with its own turn, by its field.

        As a text it is for turns that called tools, and refused or not wanted in
        others.
        """
        for _, part in parts:
            found = given_back(self._profile.reasoning, part.provider_state)
            if found and (calls or (CONTENT not in found and REASONING not in found)):
                return found
        return {}

    @property
    def _wants_reasoning(self) -> bool:
        """Whether turns that called tools are refused without their reasoning."""
        wanted = self.known.wants_reasoning or self._profile.wants_reasoning
        return wanted and CONTENT in self._profile.reasoning

    def _tool_call(self, part: Part, path: str, *, own: bool) -> Body:
        call, arguments = self.call(part.tool_call, path)
        said: Body = {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": arguments},
        }
        extra = extra_content(part.provider_state) if own else None
        if extra:
            said["extra_content"] = extra
        return said

    def results(self, results: list[Result]) -> None:
        """Media in them follows all results: nothing may stand between those."""
        attachments: list[Body] = []
        messages = [self._result(result, attachments) for result in results]
        self.put(ROLE_TOOL, messages)
        if attachments:
            self.put(ROLE_USER, {"role": "user", "content": attachments})

    def _result(self, answer: Result, attachments: list[Body]) -> Body:
        call, result, path = answer
        texts: list[str] = []
        media: list[tuple[str, Part]] = []
        for i, part in enumerate(result.parts):
            if part.HasField("text"):
                texts.append(part.text)
            else:
                media.append((f"{path}.parts[{i}]", part))
        if media:
            texts.append("(Attached to the next message.)")
            attachments.append(
                {"type": "text", "text": f"Attachments of the tool result {call.id}:"}
            )
        for at, part in media:
            attachments.append(self._content(part, at))
            self.adapted(at, "moved to a message of the user")
        if result.is_error:
            texts.insert(0, "The tool failed:")
            self.adapted(f"{path}.is_error", "said in the text")
        content = "\n".join(texts)
        if not content and self.alternates:
            # OpenAI's own servers take it; of the others not all.
            self.adapted(path, f"sent as {NO_OUTPUT}: it holds nothing")
            content = NO_OUTPUT
        return {"role": "tool", "tool_call_id": call.id, "content": content}

    def _content(self, part: Part, path: str) -> Body:
        match part.WhichOneof("kind"):
            case "text":
                return {"type": "text", "text": part.text}
            case "blob":
                type_ = part.blob.media_type
                kind = self.media_kind(type_, path)
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
                if self.media_kind(type_, path) != IMAGE:
                    raise unsupported(path, f"{type_} is not taken by its URL")
            case _:
                raise unsupported(path, "not a part of a user's turn")
        return {"type": "image_url", "image_url": {"url": url}}

    def media_kind(self, media_type: str, path: str) -> str:
        kind = super().media_kind(media_type, path)
        other_audio = kind == AUDIO and media_type not in _AUDIO_FORMATS
        if kind not in self.media or other_audio:
            raise unsupported(path, f"{media_type} is not among the media of this wire")
        return kind


NO_OUTPUT = "(no output)"
"""Stands for the result of a tool that holds nothing."""

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
    request = _Chat(model, prompt, provider_name, profile, known)
    request.messages()
    request.tools()
    request.config()
    request.response_format()
    request.cache()
    return request.encoded(
        "/chat/completions",
        limit=request.body.get(profile.max_tokens),
        stream=stream,
        options=allowed_options,
    )


def _joined(before: Any, after: Any) -> Any:
    """The contents of two turns as that of one."""
    if isinstance(before, str) and isinstance(after, str):
        return f"{before}\n\n{after}"
    return [*_parts(before), *_parts(after)] or None


def _parts(content: Any) -> list[Body]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content or []
