"""Requests of the Responses API.

Nothing is stored at the provider: every request carries the whole conversation, the
model's reasoning among it, encrypted, as provider_state brought it back.
"""

import mimetypes
import re
from base64 import b64encode
from urllib.parse import urlsplit

import msgspec

from majordomo.codec.base import Encoded
from majordomo.codec.calls import Result
from majordomo.codec.capabilities import IMAGE, PDF, Capabilities
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
from majordomo.codec.state import unpack
from majordomo.providers.openai_responses.answer import ReasoningItem
from majordomo.providers.openai_responses.blocks import WIRE, own_item
from majordomo.providers.openai_responses.hosted_tools import hosted_tools
from majordomo.schemas.dialects import OPENAI, OPENAI_STRICT
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

RESERVED = frozenset(
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

_TYPES = mimetypes.MimeTypes()


Item = Body | ReasoningItem

_decode_reasoning = msgspec.json.Decoder(ReasoningItem).decode


class _Input(RequestBuilder):
    """A request of the Responses API."""

    reserved = RESERVED
    tools_dialect = OPENAI
    media = frozenset({IMAGE, PDF})
    tool_id = re.compile(r"[\x21-\x7e]{1,64}")
    alternates = False

    def __init__(
        self, model: str, prompt: Prompt, provider_name: str, known: Capabilities
    ) -> None:
        super().__init__(model, prompt, provider_name, known)
        self.body = {"model": model, "store": False}
        self._items: list[Item] = []
        self._ids: set[str] = set()
        """Of items: none may come twice."""

    def input(self) -> None:
        schema = "" if self.known.schema else answer_schema(self.prompt)
        texts = self.instruction_texts(instructions(self.prompt, schema))
        if texts:
            self.body["instructions"] = "\n\n".join(texts)
        self.turns()
        self.body["input"] = self._items

    def tools(self) -> None:
        choice = self.prompt.tool_choice
        tools: list[Body] = []
        for function, name, schema in self.functions():
            said: Body = {"type": "function", "name": name}
            if function.description:
                said["description"] = function.description
            said["parameters"] = schema
            # Left unsaid it is true, and the schema would be rewritten.
            said["strict"] = False
            tools.append(said)
        tools += hosted_tools(self.model_id, self.prompt, self.body, self.adapted)
        if not tools:
            return
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
        config = self.prompt.config
        if (most := self.most_tokens()) is not None:
            if most < _FEWEST_TOKENS:
                path = "prompt.config.max_output_tokens"
                most = _FEWEST_TOKENS
                self.adapted(path, f"raised to {most}, the fewest in this wire")
            self.body["max_output_tokens"] = most
        effort = effort_word(config, self.known, self.adapted)
        sampling = takes_sampling(self.known, effort)
        for field in ("temperature", "top_p"):
            if not config.HasField(field):
                continue
            if not sampling:
                path = f"prompt.config.{field}"
                self.adapted(path, "left out: the model refuses it")
            elif field == "temperature":
                self.body[field] = self.temperature()
            else:
                self.body[field] = config.top_p
        for field in ("top_k", "seed"):
            if config.HasField(field):
                self.adapted(f"prompt.config.{field}", "left out: not in this wire")
        if config.stop_sequences:
            path = "prompt.config.stop_sequences"
            self.adapted(path, "left out: not in this wire")
        self._reasoning(effort)

    def response_format(self) -> None:
        path, text = SCHEMA_PATH, answer_schema(self.prompt)
        if wants_json(self.prompt):
            self.body["text"] = {"format": {"type": "json_object"}}
        if not text:
            return
        if not self.known.schema:
            self.adapted(path, "not enforced: asked for in the instructions")
            self.body["text"] = {"format": {"type": "json_object"}}
            return
        form = answer_form(text, path, OPENAI_STRICT, OPENAI, self.adapted)
        self.absent = form.absent
        name = self.prompt.response_format.json_schema.name or "response"
        named = {"type": "json_schema", "name": name, "schema": form.json}
        self.body["text"] = {"format": {**named, "strict": form.strict}}

    def cache(self) -> None:
        if key := cache_key(self.prompt):
            self.body["prompt_cache_key"] = key

    def _required(self, choice: ToolChoice) -> object:
        if not self.known.forced_tools:
            self.adapted("prompt.tool_choice", "sent as auto: the model refuses it")
            return "auto"
        names = self.allowed_names(choice)
        named = [{"type": "function", "name": name} for name in names]
        if not named:
            return "required"
        if len(named) == 1:
            return named[0]
        return {"type": "allowed_tools", "mode": "required", "tools": named}

    def _reasoning(self, effort: str | None) -> None:
        if self.known.efforts == ():
            return
        # Models that never reason refuse this as well.
        self.body["include"] = ["reasoning.encrypted_content"]
        reasoning: Body = {}
        if effort:
            reasoning["effort"] = effort
        if self.prompt.config.reasoning.include_text and effort != "none":
            reasoning["summary"] = "auto"
        if reasoning:
            self.body["reasoning"] = reasoning

    # Turns.

    def text(self, role: Role, text: str) -> list[Item]:
        if role == ROLE_ASSISTANT:
            return [{"type": "message", "role": "assistant", "content": text}]
        return [{"role": "user", "content": text}]

    def say(self, role: Role, text: str) -> None:
        item: Body = {"role": "user", "content": text}
        if role == ROLE_ASSISTANT:
            item = {"type": "message", "role": "assistant", "content": text}
        self._items.append(item)

    def add(self, role: Role, content: list[Item]) -> None:  # noqa: ARG002
        self._items += content

    def join(self, role: Role, content: list[Item]) -> None:
        self.add(role, content)

    def user(self, parts: list[tuple[str, Part]]) -> list[Item]:
        if len(parts) == 1 and parts[0][1].HasField("text"):
            return self.text(ROLE_USER, parts[0][1].text)
        content = [self._content(part, path) for path, part in parts]
        return [{"role": "user", "content": content}]

    def model(self, message: Message, path: str, *, own: bool) -> list[Item]:
        items: list[Item] = []
        for i, part in enumerate(message.parts):
            state = self._state(part) if own else {}
            at = f"{path}.parts[{i}]"
            match part.WhichOneof("kind"):
                case "text":
                    _add_text(items, part.text, state)
                case "tool_call":
                    call, arguments = self.call(part.tool_call, at)
                    item: Body = {
                        "type": "function_call",
                        "call_id": call.id,
                        "name": call.name,
                        "arguments": arguments,
                    }
                    if "id" in state:
                        item["id"] = state["id"]
                    items.append(item)
                case "reasoning":
                    reasoning = _reasoning(state)
                    if reasoning and self._is_new(reasoning.id):
                        items.append(reasoning)
                    else:
                        self.leave_out_reasoning(at)
                case "opaque" if own and (back := own_item(part, state)):
                    items.append(back)
                case "opaque" if own and not part.provider_state:
                    pass  # there was nothing to give back
                case _ if "image" in state and (back := own_item(part, state)):
                    items.append(back)
                case _:
                    self.leave(part, at)
        if not own:
            return items
        self._ids.update(filter(None, map(_id, items)))
        return self._with_followers(items, path)

    def _state(self, part: Part) -> dict[str, str]:
        """What is kept of a part, without an id that came before: it was reported
        twice."""
        state = unpack(WIRE, part.provider_state)
        if not self._is_new(state.get("id")):
            del state["id"]
        return state

    def _is_new(self, id_: str | None) -> bool:
        return id_ is None or id_ not in self._ids

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
            self.leave_out_reasoning(path)
        return kept

    def results(self, results: list[Result]) -> None:
        self.put(ROLE_TOOL, [self._result(result) for result in results])

    def _result(self, answer: Result) -> Item:
        call, result, path = answer
        texts = [part.text for part in result.parts if part.HasField("text")]
        output: object = "\n".join(texts)
        if len(texts) < len(result.parts):
            said = self.said(result.parts, path)
            output = [self._content(part, at) for at, part in said]
        if result.is_error:
            self.adapted(f"{path}.is_error", "said in the text")
            if isinstance(output, list):
                output.insert(0, {"type": "input_text", "text": _FAILED})
            else:
                output = f"{_FAILED}\n{output}"
        return {
            "type": "function_call_output",
            "call_id": call.id,
            "output": output,
        }

    def _content(self, part: Part, path: str) -> Body:
        match part.WhichOneof("kind"):
            case "text":
                return {"type": "input_text", "text": part.text}
            case "blob":
                type_ = part.blob.media_type
                self.media_kind(type_, path)
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
                self.media_kind(type_, path)
                if type_.startswith("image/"):
                    return _image(url)
                return {"type": "input_file", "file_url": url}
            case _:
                raise unsupported(path, "not a part of a user's turn")


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
    request = _Input(model, prompt, provider_name, known)
    request.input()
    request.tools()
    request.config()
    request.response_format()
    request.cache()
    return request.encoded(
        "/responses",
        limit=request.body.get("max_output_tokens"),
        stream=stream,
        options=allowed_options,
    )


def _id(item: Item) -> str | None:
    return item.id if isinstance(item, ReasoningItem) else str(item.get("id") or "")


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
