"""Requests of the Messages API."""

import hashlib
import re
from base64 import b64encode
from urllib.parse import urlsplit

import msgspec

from majordomo.codec.base import Encoded
from majordomo.codec.capabilities import IMAGE, PDF, Capabilities
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
from majordomo.codec.schemas import refusal, schema_form
from majordomo.codec.state import unpack
from majordomo.providers.anthropic.answer import ANSWER_TOOL, WIRE
from majordomo.schemas.dialects import ANTHROPIC_ANSWERS, ANTHROPIC_TOOLS
from majordomo.schemas.fitted import Fitted, fitted
from majordomo.schemas.reading import NotASchema, UnfitSchema
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    Message,
    Part,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from majordomo.v1.generation_service_pb2 import Adaptation, Prompt, ReasoningConfig

_RESERVED = frozenset(
    {"messages", "model", "stream", "system", "max_tokens", "tools", "tool_choice"}
)
"""Keys that provider options may never set, whatever the configuration lists."""

_USUAL_TOKENS = 8192
"""For an answer whose length the caller leaves to the provider: the wire wants one."""

_LEAST_BUDGET = 1024
"""Tokens; the wire refuses less to think with."""

_BUDGETS = {
    ReasoningConfig.EFFORT_MINIMAL: _LEAST_BUDGET,
    ReasoningConfig.EFFORT_LOW: 4096,
    ReasoningConfig.EFFORT_MEDIUM: 8192,
    ReasoningConfig.EFFORT_HIGH: 16384,
    ReasoningConfig.EFFORT_MAX: 32000,
}
"""Efforts as tokens, for models that take nothing else."""

_WORDS = {
    ReasoningConfig.EFFORT_LOW: "low",
    ReasoningConfig.EFFORT_MEDIUM: "medium",
    ReasoningConfig.EFFORT_HIGH: "high",
}
_USUAL_EFFORTS = (*_WORDS, ReasoningConfig.EFFORT_MAX)

_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_TOOL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EPHEMERAL: Body = {"type": "ephemeral"}
_CACHED_TURNS = 2
"""Of the user: the last, and the one before it, where the last request was cut."""


class _Request:
    """One request while it is put together."""

    def __init__(
        self, model: str, prompt: Prompt, provider_name: str, known: Capabilities
    ) -> None:
        self.adaptations: list[Adaptation] = []
        self._prompt = prompt
        self._known = known
        self._target = f"{provider_name}/{model}"
        self._thinks = False
        self._reasoning_left_out = False
        self.body: Body = {"model": model, "max_tokens": self._most_tokens()}
        self._answer = self._native_answer()

    def messages(self) -> None:
        turns: list[tuple[str, list[Body]]] = []
        for i, message in enumerate(self._prompt.messages):
            role = "assistant" if message.role == ROLE_ASSISTANT else "user"
            text = lone_text(message)
            blocks: list[Body]
            if text:
                blocks = [{"type": "text", "text": text}]
            else:
                blocks = self._blocks(message, f"prompt.messages[{i}]")
            if turns and turns[-1][0] == role:
                turns[-1][1].extend(blocks)
            elif blocks:
                turns.append((role, blocks))
        if turns and turns[-1][0] == "assistant":
            self._prefill(turns[-1][1])
        if self._prompt.cache_policy.cache_conversation:
            of_user = [blocks for role, blocks in turns if role == "user"]
            for blocks in of_user[-_CACHED_TURNS:]:
                blocks[-1]["cache_control"] = _EPHEMERAL
        self.body["messages"] = [
            {"role": role, "content": _content(blocks)} for role, blocks in turns
        ]

    def instructions(self) -> None:
        """What comes first: the system's words and the tools, perhaps cached."""
        cached = self._prompt.cache_policy.cache_instructions
        system = instructions(self._prompt)
        tools = self._tools()
        if tools:
            self.body["tools"] = tools
            if cached and not system:
                tools[-1]["cache_control"] = _EPHEMERAL
        blocks: list[Body] = [{"type": "text", "text": text} for text in system]
        if blocks and cached:
            blocks[-1]["cache_control"] = _EPHEMERAL
        if len(blocks) > 1 or cached:
            self.body["system"] = blocks
        elif blocks:
            self.body["system"] = system[0]

    def tool_choice(self) -> None:
        choice = self._prompt.tool_choice
        said: Body | None = None
        match choice.mode:
            case ToolChoice.MODE_AUTO:
                said = {"type": "auto"}
            case ToolChoice.MODE_NONE:
                said = {"type": "none"}
            case ToolChoice.MODE_REQUIRED:
                said = self._required(choice)
        if self._answers_by_tool:
            said = self._answering(said)
        if choice.HasField("parallel_calls") and choice.mode != ToolChoice.MODE_NONE:
            said = said or {"type": "auto"}
            said["disable_parallel_tool_use"] = not choice.parallel_calls
        if said and "tools" in self.body:
            self.body["tool_choice"] = said

    def config(self) -> None:
        config = self._prompt.config
        for field in ("temperature", "top_p", "top_k"):
            if config.HasField(field):
                self._sampling(field)
        if config.HasField("seed"):
            self._adapted("prompt.config.seed", "left out: not in this wire")
        if config.stop_sequences:
            self.body["stop_sequences"] = list(config.stop_sequences)

    def response_format(self) -> None:
        if wants_json(self._prompt):
            path = "prompt.response_format.json"
            raise unsupported(path, "the model takes JSON by a schema only")
        if self._answer is not None:
            if self._answer.told:
                self._adapted(SCHEMA_PATH, self._answer.told)
            form = {"type": "json_schema", "schema": self._answer.json}
            self._output_config()["format"] = form

    def reasoning(self) -> None:
        reasoning = self._prompt.config.reasoning
        path = "prompt.config.reasoning"
        match reasoning.WhichOneof("amount"):
            case "effort" if reasoning.effort == ReasoningConfig.EFFORT_NONE:
                self._no_thinking()
            case "effort" if reasoning.effort:
                if self._known.effort_by_budget:
                    self._think_within(_BUDGETS[reasoning.effort], f"{path}.effort")
                else:
                    self._think_hard(reasoning.effort, f"{path}.effort")
            case "budget_tokens" if reasoning.budget_tokens == 0:
                self._no_thinking()
            case "budget_tokens":
                if self._known.budgets:
                    budget = reasoning.budget_tokens
                    self._think_within(budget, f"{path}.budget_tokens")
                else:
                    self._adapted(
                        f"{path}.budget_tokens", "left to the model: it takes none"
                    )
                    self._think_adaptively()

    def _native_answer(self) -> Fitted | None:
        """The schema of the answer, where the model takes it as one."""
        text = answer_schema(self._prompt)
        if not text or not self._known.schema:
            return None
        try:
            return fitted(text, ANTHROPIC_ANSWERS)
        except NotASchema as none:
            raise refusal(none, SCHEMA_PATH) from None
        except UnfitSchema as unfit:
            self._adapted(SCHEMA_PATH, f"not enforced: the schema {unfit}"[:200])
            return None

    @property
    def _answers_by_tool(self) -> bool:
        return bool(answer_schema(self._prompt)) and self._answer is None

    def _most_tokens(self) -> int:
        config = self._prompt.config
        most = self._known.max_output_tokens
        path = "prompt.config.max_output_tokens"
        if not config.HasField("max_output_tokens"):
            tokens = min(_USUAL_TOKENS, most or _USUAL_TOKENS)
            self._adapted(path, f"set to {tokens}: the wire wants one")
            return tokens
        if most is not None and config.max_output_tokens > most:
            self._adapted(path, f"lowered to {most}, the most of the model")
            return most
        return config.max_output_tokens

    # Reasoning.

    def _no_thinking(self) -> None:
        if self._known.efforts != ():
            self.body["thinking"] = {"type": "disabled"}

    def _think_hard(self, effort: ReasoningConfig.Effort, path: str) -> None:
        efforts = self._known.efforts
        efforts = _USUAL_EFFORTS if efforts is None else efforts
        if not efforts:
            self._adapted(path, "left out: the model does not reason")
            return
        nearest = min(efforts, key=lambda known: (abs(known - effort), -known))
        word = _WORDS.get(nearest, self._known.max_effort)
        if nearest != effort:
            self._adapted(path, f"sent as {word}")
        if self._think_adaptively():
            self._output_config()["effort"] = word

    def _think_adaptively(self) -> bool:
        if self._prefilled():
            return False
        thinking: Body = {"type": "adaptive"}
        if self._prompt.config.reasoning.include_text:
            thinking["display"] = "summarized"
        self.body["thinking"] = thinking
        self._thinks = True
        return True

    def _think_within(self, budget: int, path: str) -> None:
        if self._prefilled():
            return
        if budget < _LEAST_BUDGET:
            budget = _LEAST_BUDGET
            self._adapted(path, f"raised to {budget}, the fewest in this wire")
        tokens = self.body["max_tokens"]
        assert isinstance(tokens, int)  # noqa: S101 - it is always set
        if not self._prompt.config.HasField("max_output_tokens"):
            most = self._known.max_output_tokens or budget + tokens
            tokens = self.body["max_tokens"] = min(budget + tokens, most)
        if tokens <= _LEAST_BUDGET:
            self._adapted(path, f"left out: no room within {tokens} tokens")
            return
        if budget >= tokens:
            budget = tokens - 1
            self._adapted(path, f"lowered to {budget}: it counts as output")
        self.body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        self._thinks = True

    def _prefilled(self) -> bool:
        """Whether the answer is begun by the caller: then there is no thinking."""
        messages = self._prompt.messages
        if not messages or messages[-1].role != ROLE_ASSISTANT:
            return False
        path = "prompt.config.reasoning"
        self._adapted(path, "left out: the answer is begun by the caller")
        return True

    def _sampling(self, field: str) -> None:
        path = f"prompt.config.{field}"
        config = self._prompt.config
        if not self._known.sampling:
            self._adapted(path, "left out: the model refuses it")
        elif self._thinks:
            self._adapted(path, "left out: refused while the model thinks")
        elif field == "top_p" and config.HasField("temperature"):
            self._adapted(path, "left out: refused beside temperature")
        elif field == "temperature" and config.temperature > 1:
            self.body[field] = 1.0
            self._adapted(path, "lowered to 1, the most in this wire")
        else:
            self.body[field] = getattr(config, field)

    def _output_config(self) -> Body:
        found = self.body.setdefault("output_config", {})
        assert isinstance(found, dict)  # noqa: S101 - nobody else sets it
        return found

    # Tools.

    def _tools(self) -> list[Body]:
        if self._prompt.tools and not self._known.tools:
            raise unsupported("prompt.tools", "the model cannot call tools")
        choice = self._prompt.tool_choice
        required = choice.mode == ToolChoice.MODE_REQUIRED
        allowed = set(choice.allowed_names) if required else set()
        tools: list[Body] = []
        for i, tool in enumerate(self._prompt.tools):
            function = tool.function
            if allowed and function.name not in allowed:
                continue
            schema = function.parameters_schema_json
            path = f"prompt.tools[{i}].function.parameters_schema_json"
            said: Body = {"name": function.name}
            if function.description:
                said["description"] = function.description
            said["input_schema"] = schema_form(
                schema, path, ANTHROPIC_TOOLS, self._adapted
            )
            tools.append(said)
        if self._answers_by_tool:
            self._adapted(SCHEMA_PATH, "asked for as the input of a tool")
            answer: Body = {
                "name": ANSWER_TOOL,
                "description": "Give the answer, and nothing else, by this.",
                "input_schema": schema_form(
                    answer_schema(self._prompt),
                    SCHEMA_PATH,
                    ANTHROPIC_TOOLS,
                    self._adapted,
                ),
            }
            tools.append(answer)
        return tools

    def _required(self, choice: ToolChoice) -> Body:
        if self._thinks or not self._known.forced_tools:
            self._adapted("prompt.tool_choice", "sent as auto: the model refuses it")
            return {"type": "auto"}
        if len(choice.allowed_names) == 1:
            return {"type": "tool", "name": choice.allowed_names[0]}
        return {"type": "any"}

    def _answering(self, said: Body | None) -> Body:
        """How the tool that is the answer is asked for, beside those of the caller."""
        if self._thinks or not self._known.forced_tools:
            return said or {"type": "auto"}
        if self._prompt.tools and not (said and said["type"] == "none"):
            return said if said and said["type"] != "auto" else {"type": "any"}
        return {"type": "tool", "name": ANSWER_TOOL}

    # Turns.

    def _blocks(self, message: Message, path: str) -> list[Body]:
        own = message.origin == self._target
        blocks: list[Body] = []
        for i, part in enumerate(message.parts):
            kind = part.WhichOneof("kind")
            if kind == "text":
                if part.text:  # the wire refuses empty ones
                    blocks.append({"type": "text", "text": part.text})
                continue
            at = f"{path}.parts[{i}]"
            match kind:
                case "reasoning":
                    state = unpack(WIRE, part.provider_state) if own else {}
                    blocks += self._thinking(part, state, at)
                case "tool_call":
                    blocks.append(self._tool_use(part.tool_call, at))
                case "tool_result":
                    blocks.append(self._tool_result(part.tool_result, at))
                case _:
                    blocks.append(self._block(part, at))
        return blocks

    def _thinking(self, part: Part, state: dict[str, str], path: str) -> list[Body]:
        if "redacted" in state:
            return [{"type": "redacted_thinking", "data": state["redacted"]}]
        if "signature" in state:
            text = state.get("thinking", part.reasoning.text)
            signature = state["signature"]
            return [{"type": "thinking", "thinking": text, "signature": signature}]
        if not self._reasoning_left_out:
            self._adapted(path, "left out: reasoning that this target cannot use")
        self._reasoning_left_out = True
        return []

    def _tool_use(self, call: ToolCall, path: str) -> Body:
        text = call.arguments_json.strip() or "{}"
        arguments: object = raw(text, f"{path}.tool_call.arguments_json")
        if text == "null":
            arguments = {}
        elif not text.startswith("{"):
            self._adapted(path, "arguments put into an object")
            arguments = {"arguments": arguments}
        return {
            "type": "tool_use",
            "id": _tool_id(call.id),
            "name": call.name,
            "input": arguments,
        }

    def _tool_result(self, result: ToolResult, path: str) -> Body:
        blocks = [
            self._block(part, f"{path}.tool_result.parts[{i}]")
            for i, part in enumerate(result.parts)
            if not (part.HasField("text") and not part.text)
        ]
        block: Body = {
            "type": "tool_result",
            "tool_use_id": _tool_id(result.tool_call_id),
        }
        if blocks:
            block["content"] = _content(blocks)
        if result.is_error:
            block["is_error"] = True
        return block

    def _block(self, part: Part, path: str) -> Body:
        match part.WhichOneof("kind"):
            case "text":
                return {"type": "text", "text": part.text}
            case "blob":
                type_ = part.blob.media_type
                if type_ == "text/plain":
                    text = part.blob.data.decode(errors="replace")
                    return _document(
                        {"type": "text", "media_type": type_, "data": text}
                    )
                data = b64encode(part.blob.data).decode()
                coded: Body = {"type": "base64", "media_type": type_, "data": data}
                return self._media(type_, coded, path)
            case "media_reference":
                url = part.media_reference.uri
                type_ = part.media_reference.media_type
                if not type_ and urlsplit(url).path.lower().endswith(".pdf"):
                    type_ = "application/pdf"
                # A reference without a media type can only be meant as an image.
                return self._media(
                    type_ or "image/png", {"type": "url", "url": url}, path
                )
            case _:
                raise unsupported(path, "not a part of such a turn")

    def _media(self, type_: str, source: Body, path: str) -> Body:
        known = self._known.media
        kind = PDF if type_ == "application/pdf" else IMAGE
        if kind == IMAGE and type_ not in _IMAGES:
            raise unsupported(path, f"{type_} is not among the media of this wire")
        if known is not None and kind not in known:
            raise unsupported(path, f"the model does not take {type_}")
        if kind == PDF:
            return _document(source)
        return {"type": "image", "source": source}

    def _prefill(self, blocks: list[Body]) -> None:
        path = f"prompt.messages[{len(self._prompt.messages) - 1}]"
        if not self._known.prefill:
            raise unsupported(path, "the model does not go on with a turn of its own")
        last = blocks[-1]
        text = last.get("text")
        if isinstance(text, str) and text != text.rstrip():
            self._adapted(path, "without the white space at its end")
            last["text"] = text.rstrip()
            if not last["text"]:
                blocks.pop()

    def _adapted(self, field: str, description: str) -> None:
        self.adaptations.append(Adaptation(field=field, description=description))


def encode_messages(
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
    request.reasoning()
    request.instructions()
    request.tool_choice()
    request.messages()
    request.config()
    request.response_format()
    merge_options(request.body, prompt, provider_name, allowed_options, _RESERVED)
    long = may_be_long(request.body["max_tokens"])
    streamed = long if stream is None else stream
    if streamed:
        request.body["stream"] = True
    return Encoded(
        path="/messages",
        body=msgspec.json.encode(request.body),
        streamed=streamed,
        long=long,
        adaptations=request.adaptations,
    )


def _content(blocks: list[Body]) -> object:
    """The blocks, or the text where there is nothing else."""
    if len(blocks) == 1 and blocks[0]["type"] == "text" and len(blocks[0]) == 2:
        return blocks[0]["text"]
    return blocks


def _document(source: Body) -> Body:
    return {"type": "document", "source": source}


def _tool_id(id_: str) -> str:
    """`id_`, or what stands for it where the wire would not take it.

    Ids that another provider made may be too long or of other letters; a call and
    its result get the same one.
    """
    if _TOOL_ID.fullmatch(id_):
        return id_
    return f"toolu_{hashlib.sha256(id_.encode()).hexdigest()[:24]}"
