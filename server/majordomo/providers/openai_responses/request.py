"""Requests of the Responses API.

Nothing is stored at the provider: every request carries the whole conversation, the
model's reasoning among it, encrypted, as provider_state brought it back.
"""

import hashlib
import mimetypes
import re
from base64 import b64encode
from urllib.parse import urlsplit

import msgspec

from majordomo.codec.base import Encoded
from majordomo.codec.capabilities import (
    AUDIO,
    IMAGE,
    PDF,
    VIDEO,
    Capabilities,
)
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
from majordomo.codec.state import unpack
from majordomo.providers.openai_responses.answer import WIRE, ReasoningItem
from majordomo.schemas.absence import Place
from majordomo.schemas.dialects import OPENAI, OPENAI_STRICT
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    Message,
    Part,
    ToolChoice,
    ToolResult,
)
from majordomo.v1.generation_service_pb2 import Adaptation, Prompt

_RESERVED = frozenset(
    {
        "background",
        "conversation",
        "include",
        "input",
        "instructions",
        "model",
        "previous_response_id",
        "store",
        "stream",
    }
)
"""Keys that provider options may never set, whatever the configuration lists."""

_FEWEST_TOKENS = 16
"""The wire refuses a smaller max_output_tokens."""

_CALL_ID = re.compile(r"[\x21-\x7e]{1,64}")
_TYPES = mimetypes.MimeTypes()


Item = Body | ReasoningItem

_decode_reasoning = msgspec.json.Decoder(ReasoningItem).decode


class _Request:
    """One request while it is put together."""

    def __init__(
        self, model: str, prompt: Prompt, provider_name: str, known: Capabilities
    ) -> None:
        self.body: Body = {"model": model, "store": False}
        self.adaptations: list[Adaptation] = []
        self.absent: Place | None = None
        self._prompt = prompt
        self._known = known
        self._target = f"{provider_name}/{model}"
        self._reasoning_left_out = False

    def input(self) -> None:
        schema = "" if self._known.schema else answer_schema(self._prompt)
        if instruction := "\n\n".join(instructions(self._prompt, schema)):
            self.body["instructions"] = instruction
        items: list[Item] = []
        for i, message in enumerate(self._prompt.messages):
            path = f"prompt.messages[{i}]"
            role = message.role
            if role == ROLE_TOOL:
                for j, part in enumerate(message.parts):
                    result_path = f"{path}.parts[{j}].tool_result"
                    items.append(self._tool_result(part.tool_result, result_path))
            elif text := lone_text(message):
                if role == ROLE_ASSISTANT:
                    item: Body = {"type": "message", "role": "assistant"}
                else:
                    item = {"role": "user"}
                item["content"] = text
                items.append(item)
            elif role == ROLE_ASSISTANT:
                items += self._assistant(message, path)
            else:
                items.append(self._user(message, path))
        self.body["input"] = items

    def tools(self) -> None:
        choice = self._prompt.tool_choice
        if not self._prompt.tools:
            return
        if not self._known.tools:
            raise unsupported("prompt.tools", "the model cannot call tools")
        tools: list[Body] = []
        for i, tool in enumerate(self._prompt.tools):
            function = tool.function
            path = f"prompt.tools[{i}].function.parameters_schema_json"
            schema = function.parameters_schema_json
            said: Body = {"type": "function", "name": function.name}
            if function.description:
                said["description"] = function.description
            said["parameters"] = schema_form(schema, path, OPENAI, self._adapted)
            # Left unsaid it is true, and the schema would be rewritten.
            said["strict"] = False
            tools.append(said)
        self.body["tools"] = tools
        if choice.mode == ToolChoice.MODE_AUTO:
            self.body["tool_choice"] = "auto"
        elif choice.mode == ToolChoice.MODE_NONE:
            self.body["tool_choice"] = "none"
        elif choice.mode == ToolChoice.MODE_REQUIRED:
            self.body["tool_choice"] = self._required(choice)
        if choice.HasField("parallel_calls"):
            self.body["parallel_tool_calls"] = choice.parallel_calls

    def config(self) -> None:
        config = self._prompt.config
        if config.HasField("max_output_tokens"):
            most = config.max_output_tokens
            if most < _FEWEST_TOKENS:
                path = "prompt.config.max_output_tokens"
                most = _FEWEST_TOKENS
                self._adapted(path, f"raised to {most}, the fewest in this wire")
            self.body["max_output_tokens"] = most
        effort = effort_word(config, self._known, self._adapted)
        sampling = takes_sampling(self._known, effort)
        for field in ("temperature", "top_p"):
            if not config.HasField(field):
                continue
            if sampling:
                self.body[field] = getattr(config, field)
            else:
                self._adapted(
                    f"prompt.config.{field}", "left out: the model refuses it"
                )
        for field in ("top_k", "seed"):
            if config.HasField(field):
                self._adapted(f"prompt.config.{field}", "left out: not in this wire")
        if config.stop_sequences:
            path = "prompt.config.stop_sequences"
            self._adapted(path, "left out: not in this wire")
        self._reasoning(effort)

    def response_format(self) -> None:
        path, text = SCHEMA_PATH, answer_schema(self._prompt)
        if wants_json(self._prompt):
            self.body["text"] = {"format": {"type": "json_object"}}
        if not text:
            return
        if not self._known.schema:
            self._adapted(path, "not enforced: asked for in the instructions")
            self.body["text"] = {"format": {"type": "json_object"}}
            return
        form = answer_form(text, path, OPENAI_STRICT, OPENAI, self._adapted)
        self.absent = form.absent
        name = self._prompt.response_format.json_schema.name or "response"
        named = {"type": "json_schema", "name": name, "schema": form.json}
        self.body["text"] = {"format": {**named, "strict": form.strict}}

    def cache(self) -> None:
        if key := cache_key(self._prompt):
            self.body["prompt_cache_key"] = key

    def _required(self, choice: ToolChoice) -> object:
        if not self._known.forced_tools:
            self._adapted("prompt.tool_choice", "sent as auto: the model refuses it")
            return "auto"
        named = [{"type": "function", "name": name} for name in choice.allowed_names]
        if not named:
            return "required"
        if len(named) == 1:
            return named[0]
        return {"type": "allowed_tools", "mode": "required", "tools": named}

    def _reasoning(self, effort: str | None) -> None:
        if self._known.efforts == ():
            return
        # Models that never reason refuse this as well.
        self.body["include"] = ["reasoning.encrypted_content"]
        reasoning: Body = {}
        if effort:
            reasoning["effort"] = effort
        if self._prompt.config.reasoning.include_text and effort != "none":
            reasoning["summary"] = "auto"
        if reasoning:
            self.body["reasoning"] = reasoning

    def _user(self, message: Message, path: str) -> Body:
        parts = list(message.parts)
        if len(parts) == 1 and parts[0].HasField("text"):
            return {"role": "user", "content": parts[0].text}
        content = [
            self._content(part, f"{path}.parts[{i}]") for i, part in enumerate(parts)
        ]
        return {"role": "user", "content": content}

    def _assistant(self, message: Message, path: str) -> list[Item]:
        own = message.origin == self._target
        items: list[Item] = []
        for i, part in enumerate(message.parts):
            state = unpack(WIRE, part.provider_state) if own else {}
            match part.WhichOneof("kind"):
                case "text":
                    _add_text(items, part.text, state)
                case "tool_call":
                    call = part.tool_call
                    item: Body = {
                        "type": "function_call",
                        "call_id": _call_id(call.id),
                        "name": call.name,
                        "arguments": call.arguments_json or "{}",
                    }
                    if "id" in state:
                        item["id"] = state["id"]
                    items.append(item)
                case "reasoning":
                    reasoning = _reasoning(state)
                    if reasoning:
                        items.append(reasoning)
                    else:
                        self._leave_out_reasoning(f"{path}.parts[{i}]")
                case _:
                    raise unsupported(
                        f"{path}.parts[{i}]", "media in the model's own turn"
                    )
        if any(isinstance(item, ReasoningItem) for item in items):
            return self._with_followers(items, path)
        return items

    def _with_followers(self, items: list[Item], path: str) -> list[Item]:
        """`items` without reasoning that is not followed by what it led to.

        The wire refuses it alone: an answer was cut short within it, or it led to
        an item that was passed over.
        """
        followers = [*items[1:], None]
        kept = [
            item
            for item, follower in zip(items, followers, strict=False)
            if not isinstance(item, ReasoningItem) or isinstance(follower, dict)
        ]
        if len(kept) < len(items):
            self._leave_out_reasoning(path)
        return kept

    def _leave_out_reasoning(self, path: str) -> None:
        if not self._reasoning_left_out:
            self._adapted(path, "left out: reasoning that this target cannot use")
        self._reasoning_left_out = True

    def _tool_result(self, result: ToolResult, path: str) -> Body:
        texts = [part.text for part in result.parts if part.HasField("text")]
        output: object = "\n".join(texts)
        if len(texts) < len(result.parts):
            output = [
                self._content(part, f"{path}.parts[{i}]")
                for i, part in enumerate(result.parts)
            ]
        if result.is_error:
            self._adapted(f"{path}.is_error", "said in the text")
            if isinstance(output, list):
                output.insert(0, {"type": "input_text", "text": _FAILED})
            else:
                output = f"{_FAILED}\n{output}"
        return {
            "type": "function_call_output",
            "call_id": _call_id(result.tool_call_id),
            "output": output,
        }

    def _content(self, part: Part, path: str) -> Body:
        match part.WhichOneof("kind"):
            case "text":
                return {"type": "input_text", "text": part.text}
            case "blob":
                type_ = part.blob.media_type
                self._require(type_, path)
                url = f"data:{type_};base64,{b64encode(part.blob.data).decode()}"
                if type_.startswith("image/"):
                    return _image(url)
                name = f"file{_TYPES.guess_extension(type_) or ''}"
                return {"type": "input_file", "filename": name, "file_data": url}
            case "media_reference":
                url = part.media_reference.uri
                type_ = part.media_reference.media_type
                if not type_ and urlsplit(url).path.lower().endswith(".pdf"):
                    type_ = "application/pdf"
                # A reference without a media type can only be meant as an image.
                type_ = type_ or "image/*"
                self._require(type_, path)
                if type_.startswith("image/"):
                    return _image(url)
                return {"type": "input_file", "file_url": url}
            case _:
                raise unsupported(path, "not a part of a user's turn")

    def _require(self, media_type: str, path: str) -> None:
        """Failure (UNSUPPORTED) for media that the wire or the model does not take.

        The wire takes files of many types, and says itself which it does not.
        """
        kind = PDF if media_type == "application/pdf" else media_type.partition("/")[0]
        if kind in (AUDIO, VIDEO):
            raise unsupported(path, f"{media_type} is not among the media of this wire")
        known = self._known.media
        if known is not None and kind in (IMAGE, PDF) and kind not in known:
            raise unsupported(path, f"the model does not take {media_type}")

    def _adapted(self, field: str, description: str) -> None:
        self.adaptations.append(Adaptation(field=field, description=description))


_FAILED = "The tool failed:"


def encode_responses(
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
    request.input()
    request.tools()
    request.config()
    request.response_format()
    request.cache()
    merge_options(request.body, prompt, provider_name, allowed_options, _RESERVED)
    long = may_be_long(request.body.get("max_output_tokens"))
    streamed = long if stream is None else stream
    if streamed:
        request.body["stream"] = True
    return Encoded(
        path="/responses",
        body=msgspec.json.encode(request.body),
        streamed=streamed,
        long=long,
        adaptations=request.adaptations,
        absent=request.absent,
    )


def _image(url: str) -> Body:
    return {"type": "input_image", "detail": "auto", "image_url": url}


def _add_text(items: list[Item], text: str, state: dict[str, str]) -> None:
    """Add a message of the model's own, as the item that it was if that is known.

    The wire refuses empty ones.
    """
    if not text:
        return
    item: Body = {"type": "message", "role": "assistant", "content": text}
    last = items[-1] if items else None
    if "phase" in state:
        item["phase"] = state["phase"]
    if "id" in state:
        content = {"type": "output_text", "text": text, "annotations": []}
        if isinstance(last, dict) and last.get("id") == state["id"]:
            before = last["content"]
            if isinstance(before, list):
                before.append(content)
                return
        item |= {"id": state["id"], "status": "completed", "content": [content]}
    elif isinstance(last, dict) and item == last | {"content": text}:
        last["content"] = f"{last['content']}{text}"
        return
    items.append(item)


def _reasoning(state: dict[str, str]) -> ReasoningItem | None:
    """The reasoning item that `state` holds; None if it holds none."""
    try:
        return _decode_reasoning(state.get("item", ""))
    except (ValueError, RecursionError):
        return None


def _call_id(id_: str) -> str:
    """`id_`, or what stands for it where the wire would not take it.

    Ids that another provider made may be too long or of other letters; a call and
    its result get the same one.
    """
    if _CALL_ID.fullmatch(id_):
        return id_
    return f"call_{hashlib.sha256(id_.encode()).hexdigest()[:24]}"
