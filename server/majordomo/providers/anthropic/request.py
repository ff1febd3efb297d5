"""Requests of the Messages API."""

import re
from base64 import b64encode
from urllib.parse import urlsplit

import msgspec

from majordomo.codec.base import Encoded
from majordomo.codec.calls import Result
from majordomo.codec.capabilities import IMAGE, PDF, Capabilities
from majordomo.codec.request import RequestBuilder
from majordomo.codec.request_json import (
    EMPTY_PARAMETERS,
    SCHEMA_PATH,
    Body,
    answer_schema,
    instructions,
    unsupported,
    wants_json,
)
from majordomo.codec.schemas import refusal, schema_form
from majordomo.codec.state import unpack
from majordomo.providers.anthropic.answer import ANSWER_TOOL
from majordomo.providers.anthropic.blocks import WIRE, is_paused, own_block, text_block
from majordomo.providers.anthropic.hosted_tools import hosted_tools
from majordomo.schemas.dialects import ANTHROPIC_ANSWERS, ANTHROPIC_TOOLS
from majordomo.schemas.fitted import Fitted, fitted
from majordomo.schemas.reading import NotASchema, UnfitSchema
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_USER,
    Message,
    Part,
    Role,
    ToolCall,
    ToolChoice,
)
from majordomo.v1.generation_service_pb2 import Prompt, ReasoningConfig

RESERVED = frozenset(
    {"messages", "model", "stream", "system", "max_tokens", "tool_choice"}
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
_THINKING = frozenset({"thinking", "redacted_thinking"})
_EPHEMERAL: Body = {"type": "ephemeral"}
_CACHED_TURNS = 2
"""Of the user: the last, and the one before it, where the last request was cut."""


class _Messages(RequestBuilder):
    """A request of the Messages API."""

    reserved = RESERVED
    media = frozenset({IMAGE, PDF})
    tool_id = re.compile(r"[A-Za-z0-9_-]{1,64}")
    made_id = "toolu_"
    tools_dialect = ANTHROPIC_TOOLS
    takes_space = False
    hottest = 1.0

    def __init__(
        self, model: str, prompt: Prompt, provider_name: str, known: Capabilities
    ) -> None:
        super().__init__(model, prompt, provider_name, known)
        self._thinks = False
        self._turns: list[tuple[str, list[Body]]] = []
        self.body = {"model": model, "max_tokens": self._tokens()}
        self._answer = self._native_answer()

    def messages(self) -> None:
        self.turns()
        turns = self._turns
        if self.last == ROLE_ASSISTANT and not self._paused:
            self._prefill(turns[-1][1])
        if self.prompt.cache_policy.cache_conversation:
            of_user = [blocks for role, blocks in turns if role == "user"]
            for blocks in of_user[-_CACHED_TURNS:]:
                blocks[-1]["cache_control"] = _EPHEMERAL
        self.body["messages"] = [
            {"role": role, "content": _content(blocks)} for role, blocks in turns
        ]

    def instructions(self) -> None:
        """What comes first: the system's words and the tools, perhaps cached."""
        cached = self.prompt.cache_policy.cache_instructions
        system = self.instruction_texts(instructions(self.prompt))
        tools = self._tools() or self._called()
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
        choice = self.prompt.tool_choice
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
        if "tools" in self.body and not (self.prompt.tools or self._answers_by_tool):
            said = {"type": "none"}
        if said and "tools" in self.body:
            self.body["tool_choice"] = said

    def config(self) -> None:
        config = self.prompt.config
        for field in ("temperature", "top_p", "top_k"):
            if config.HasField(field):
                self._sampling(field)
        if config.HasField("seed"):
            self.adapted("prompt.config.seed", "left out: not in this wire")
        if config.stop_sequences and (stops := self.stops()):
            self.body["stop_sequences"] = stops

    def response_format(self) -> None:
        if wants_json(self.prompt):
            path = "prompt.response_format.json"
            raise unsupported(path, "the model takes JSON by a schema only")
        if self._answer is not None:
            if self._answer.reported:
                self.adapted(SCHEMA_PATH, self._answer.reported)
            form = {"type": "json_schema", "schema": self._answer.json}
            self._output_config()["format"] = form

    def reasoning(self) -> None:
        reasoning = self.prompt.config.reasoning
        path = "prompt.config.reasoning"
        match reasoning.WhichOneof("amount"):
            case "effort" if reasoning.effort == ReasoningConfig.EFFORT_NONE:
                self._no_thinking()
            case "effort" if reasoning.effort:
                if self.known.effort_by_budget:
                    self._think_within(_BUDGETS[reasoning.effort], f"{path}.effort")
                else:
                    self._think_hard(reasoning.effort, f"{path}.effort")
            case "budget_tokens" if reasoning.budget_tokens == 0:
                self._no_thinking()
            case "budget_tokens":
                if self.known.budgets:
                    budget = reasoning.budget_tokens
                    self._think_within(budget, f"{path}.budget_tokens")
                else:
                    self.adapted(
                        f"{path}.budget_tokens", "left to the model: it takes none"
                    )
                    self._think_adaptively()

    def _native_answer(self) -> Fitted | None:
        """The schema of the answer, where the model takes it as one."""
        text = answer_schema(self.prompt)
        if not text or not self.known.schema:
            return None
        try:
            return fitted(text, ANTHROPIC_ANSWERS)
        except NotASchema as none:
            raise refusal(none, SCHEMA_PATH) from None
        except UnfitSchema as unfit:
            self.adapted(SCHEMA_PATH, f"not enforced: the schema {unfit}"[:200])
            return None

    @property
    def _answers_by_tool(self) -> bool:
        return bool(answer_schema(self.prompt)) and self._answer is None

    def _tokens(self) -> int:
        asked = self.most_tokens()
        if asked is not None:
            return asked
        tokens = min(_USUAL_TOKENS, self.known.max_output_tokens or _USUAL_TOKENS)
        path = "prompt.config.max_output_tokens"
        self.adapted(path, f"set to {tokens}: the wire wants one")
        return tokens

    # Reasoning.

    def _no_thinking(self) -> None:
        if self.known.efforts != ():
            self.body["thinking"] = {"type": "disabled"}

    def _think_hard(self, effort: ReasoningConfig.Effort, path: str) -> None:
        efforts = self.known.efforts
        efforts = _USUAL_EFFORTS if efforts is None else efforts
        if not efforts:
            self.adapted(path, "left out: the model does not reason")
            return
        nearest = min(efforts, key=lambda known: (abs(known - effort), -known))
        word = _WORDS.get(nearest, self.known.max_effort)
        if nearest != effort:
            self.adapted(path, f"sent as {word}")
        if self._think_adaptively():
            self._output_config()["effort"] = word

    def _think_adaptively(self) -> bool:
        if self._prefilled():
            return False
        thinking: Body = {"type": "adaptive"}
        if self.prompt.config.reasoning.include_text:
            thinking["display"] = "summarized"
        self.body["thinking"] = thinking
        self._thinks = True
        return True

    def _think_within(self, budget: int, path: str) -> None:
        if self._prefilled() or self._began_without(path):
            return
        if budget < _LEAST_BUDGET:
            budget = _LEAST_BUDGET
            self.adapted(path, f"raised to {budget}, the fewest in this wire")
        tokens = self.body["max_tokens"]
        assert isinstance(tokens, int)  # noqa: S101 - it is always set
        if not self.prompt.config.HasField("max_output_tokens"):
            most = self.known.max_output_tokens or budget + tokens
            tokens = self.body["max_tokens"] = min(budget + tokens, most)
        if tokens <= _LEAST_BUDGET:
            self.adapted(path, f"left out: no room within {tokens} tokens")
            return
        if budget >= tokens:
            budget = tokens - 1
            self.adapted(path, f"lowered to {budget}: it counts as output")
        self.body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        self._thinks = True

    def _prefilled(self) -> bool:
        """Whether the answer is begun by the caller: then there is no thinking."""
        if self.last != ROLE_ASSISTANT or self._paused:
            return False
        path = "prompt.config.reasoning"
        self.adapted(path, "left out: the answer is begun by the caller")
        return True

    @property
    def _paused(self) -> bool:
        """Whether the model goes on with a turn of its own that it had paused."""
        messages = self.prompt.messages
        return bool(messages) and is_paused(messages[-1], self.target)

    def _began_without(self, path: str) -> bool:
        """Whether the last turn of the model's begins without thinking.

        While its tools' results wait for it to go on it cannot think within a budget.
        """
        last = next((b for role, b in self._turns[::-1] if role == "assistant"), None)
        goes_on = self._turns[-1][1][0]["type"] == "tool_result"
        if not goes_on or last is None or last[0]["type"] in _THINKING:
            return False
        self.adapted(path, "left out: the turn of these tools began without thinking")
        return True

    def _sampling(self, field: str) -> None:
        path = f"prompt.config.{field}"
        config = self.prompt.config
        if not self.known.sampling:
            self.adapted(path, "left out: the model refuses it")
        elif self._thinks:
            self.adapted(path, "left out: refused while the model thinks")
        elif field == "top_p" and config.HasField("temperature"):
            self.adapted(path, "left out: refused beside temperature")
        elif field == "temperature":
            self.body[field] = self.temperature()
        else:
            self.body[field] = getattr(config, field)

    def _output_config(self) -> Body:
        found = self.body.setdefault("output_config", {})
        assert isinstance(found, dict)  # noqa: S101 - nobody else sets it
        return found

    # Tools.

    def _tools(self) -> list[Body]:
        choice = self.prompt.tool_choice
        required = choice.mode == ToolChoice.MODE_REQUIRED
        allowed = set(choice.allowed_names) if required else set()
        tools: list[Body] = []
        for function, name, schema in self.functions():
            if allowed and function.name not in allowed:
                continue
            said: Body = {"name": name}
            if function.description:
                said["description"] = function.description
            said["input_schema"] = schema
            tools.append(said)
        tools += hosted_tools(self.model_id, self.prompt)
        if self._answers_by_tool:
            self.adapted(SCHEMA_PATH, "asked for as the input of a tool")
            answer: Body = {
                "name": ANSWER_TOOL,
                "description": "Give the answer, and nothing else, by this.",
                "input_schema": schema_form(
                    answer_schema(self.prompt),
                    SCHEMA_PATH,
                    ANTHROPIC_TOOLS,
                    self.adapted,
                ),
            }
            tools.append(answer)
        return tools

    def _called(self) -> list[Body]:
        """Tools that were called, where none are offered: it wants to know them."""
        names = {
            str(block["name"]): None
            for _, blocks in self._turns
            for block in blocks
            if block["type"] == "tool_use"
        }
        if names:
            self.adapted(
                "prompt.tools", "those declared that were called, as MODE_NONE"
            )
        return [{"name": name, "input_schema": EMPTY_PARAMETERS} for name in names]

    def _required(self, choice: ToolChoice) -> Body:
        if self._thinks or not self.known.forced_tools:
            self.adapted("prompt.tool_choice", "sent as auto: the model refuses it")
            return {"type": "auto"}
        if len(choice.allowed_names) == 1:
            return {"type": "tool", "name": self.allowed_names(choice)[0]}
        return {"type": "any"}

    def _answering(self, said: Body | None) -> Body:
        """How the tool that is the answer is asked for, beside those of the caller."""
        if self._thinks or not self.known.forced_tools:
            return said or {"type": "auto"}
        if self.prompt.tools and not (said and said["type"] == "none"):
            return said if said and said["type"] != "auto" else {"type": "any"}
        return {"type": "tool", "name": ANSWER_TOOL}

    # Turns.

    def text(self, role: Role, text: str) -> list[Body]:  # noqa: ARG002
        return [{"type": "text", "text": text}]

    def say(self, role: Role, text: str) -> None:
        name = "assistant" if role == ROLE_ASSISTANT else "user"
        self._turns.append((name, [{"type": "text", "text": text}]))

    def add(self, role: Role, content: list[Body]) -> None:
        name = "assistant" if role == ROLE_ASSISTANT else "user"
        self._turns.append((name, content))

    def join(self, role: Role, content: list[Body]) -> None:  # noqa: ARG002
        self._turns[-1][1].extend(content)

    def user(self, parts: list[tuple[str, Part]]) -> list[Body]:
        return [self._block(part, path) for path, part in parts]

    def model(self, message: Message, path: str, *, own: bool) -> list[Body]:
        blocks: list[Body] = []
        for i, part in enumerate(message.parts):
            at = f"{path}.parts[{i}]"
            match part.WhichOneof("kind"):
                case "text":
                    if self.says(part.text, at):
                        kept = part.provider_state if own else b""
                        blocks.append(text_block(part.text, kept))
                case "opaque" if own and (block := own_block(part)) is not None:
                    blocks.append(block)
                case "reasoning":
                    state = unpack(WIRE, part.provider_state) if own else {}
                    blocks += self._thinking(part, state, at)
                case "tool_call":
                    blocks.append(self._tool_use(part.tool_call, at))
                case _:
                    self.leave(part, at)
        while blocks and blocks[-1]["type"] in _THINKING:
            # Cut short within it: the wire refuses thinking that led to nothing.
            blocks.pop()
            self.leave_out_reasoning(path)
        return blocks

    def _thinking(self, part: Part, state: dict[str, str], path: str) -> list[Body]:
        if "redacted" in state:
            return [{"type": "redacted_thinking", "data": state["redacted"]}]
        if "signature" in state:
            text = state.get("thinking", part.reasoning.text)
            signature = state["signature"]
            return [{"type": "thinking", "thinking": text, "signature": signature}]
        self.leave_out_reasoning(path)
        return []

    def _tool_use(self, said: ToolCall, path: str) -> Body:
        call, arguments = self.call(said, path)
        return {
            "type": "tool_use",
            "id": call.id,
            "name": call.name,
            "input": msgspec.Raw(arguments),
        }

    def results(self, results: list[Result]) -> None:
        """All in one turn of the user's, and after them what no result may hold."""
        blocks: list[Body] = []
        beside: list[Body] = []
        for call, result, path in results:
            said = [self._block(part, at) for at, part in self.said(result.parts, path)]
            if result.is_error and any(block["type"] != "text" for block in said):
                # A result that is an error holds text alone.
                beside += [block for block in said if block["type"] != "text"]
                said = [block for block in said if block["type"] == "text"]
                self.adapted(path, "media moved beside the result")
            block: Body = {"type": "tool_result", "tool_use_id": call.id}
            if said:
                block["content"] = _content(said)
            if result.is_error:
                block["is_error"] = True
            blocks.append(block)
        self.put(ROLE_USER, blocks + beside)

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
        kind = self.media_kind(type_, path)
        if kind == PDF:
            return _document(source)
        if type_ not in _IMAGES:
            raise unsupported(path, f"{type_} is not among the media of this wire")
        return {"type": "image", "source": source}

    def _prefill(self, blocks: list[Body]) -> None:
        path = f"prompt.messages[{len(self.prompt.messages) - 1}]"
        if not self.known.prefill:
            raise unsupported(path, "the model does not go on with a turn of its own")
        last = blocks[-1]
        text = last.get("text")
        if isinstance(text, str) and text != text.rstrip():
            self.adapted(path, "without the white space at its end")
            last["text"] = text.rstrip()
            if not last["text"]:
                blocks.pop()


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
    request = _Messages(model, prompt, provider_name, known)
    request.messages()
    request.reasoning()
    request.instructions()
    request.tool_choice()
    request.config()
    request.response_format()
    return request.encoded(
        "/messages",
        limit=request.body["max_tokens"],
        stream=stream,
        options=allowed_options,
    )


def _content(blocks: list[Body]) -> object:
    """The blocks, or the text where there is nothing else."""
    if len(blocks) == 1 and blocks[0]["type"] == "text" and len(blocks[0]) == 2:
        return blocks[0]["text"]
    return blocks


def _document(source: Body) -> Body:
    return {"type": "document", "source": source}
