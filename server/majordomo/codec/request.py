"""What the requests of all APIs have in common: a request while it is put together.

A conversation may have been held with others before: with turns, names, ids and
arguments that this API refuses. `RequestBuilder` brings its turns into the order that
the API wants and fixes what it can; each API says how it writes them. What needs no
fix goes on as it is, and whatever is changed or left out is in `adaptations`.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Set
from typing import Any, ClassVar

import msgspec

from majordomo.chain.failure import Failure
from majordomo.codec.base import Encoded
from majordomo.codec.calls import Call, Calls, Result
from majordomo.codec.capabilities import AUDIO, IMAGE, PDF, VIDEO, Capabilities
from majordomo.codec.media import SPOKEN, is_spoken
from majordomo.codec.opaque import LEFT_OUT
from majordomo.codec.request_json import (
    Body,
    may_be_long,
    merge_options,
    object_text,
    unsupported,
)
from majordomo.codec.schemas import schema_form
from majordomo.schemas.absence import Place
from majordomo.schemas.dialects import Dialect
from majordomo.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_UNSPECIFIED,
    ROLE_USER,
    FunctionTool,
    Message,
    Part,
    Role,
    ToolCall,
    ToolChoice,
)
from majordomo.v1.generation_service_pb2 import Adaptation, Prompt

MEDIA = frozenset({IMAGE, PDF, AUDIO, VIDEO})
"""The kinds of media that models are known to take or not; files of other types have
none."""

NOTHING = "(no text)"
"""Stands for a turn of the user that holds nothing, or that is missing."""

GO_ON = "(continued)"
"""Stands for a turn of the model that is missing."""

_ASIDE = "Media of the turn before:"

TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NO_NAME = re.compile(r"[^A-Za-z0-9_]+")
_LONGEST_NAME = 50
"""Of what is kept of a name that is refused."""


class RequestBuilder(ABC):
    """One request while it is put together.

    Subclasses write turns in their API's form: `text`, `user`, `model` and `results`
    make the content of a turn, which `put` hands to `add` or `join`.
    """

    reserved: ClassVar[Set[str]]
    """Keys that provider options may never set, whatever the configuration lists."""

    media: Set[str] = MEDIA
    """The kinds of media that the API has a form for."""

    tool_id: re.Pattern[str]
    """Ids of calls that are taken as they are."""

    made_id = "call_"
    """How the ids begin that stand for others."""

    longest_hash = 24
    tool_name: re.Pattern[str] = TOOL_NAME
    """Names of tools that are taken as they are."""

    takes_space = True
    """Texts may be white space alone."""

    alternates = True
    """The user speaks first, and nobody twice in a row."""

    user_after_tool = True
    """A turn of the user's may follow the result of a tool."""

    tools_dialect: Dialect
    """Of the schemas of tools' arguments."""

    hottest = 2.0
    """The highest temperature."""

    most_stops: int | None = None
    most_seed: int | None = None

    def __init__(
        self, model: str, prompt: Prompt, provider_name: str, known: Capabilities
    ) -> None:
        self.body: Body = {}
        self.adaptations: list[Adaptation] = []
        self.prompt = prompt
        self.known = known
        self.model_id = model
        self.provider_name = provider_name
        self.target = f"{provider_name}/{model}"
        self.absent: Place | None = None
        """Where null stands for an absent key in the answer."""

        self.renamed: dict[str, str] = {}
        """The names of tools as they were, by those that are sent."""

        self.last: Role = ROLE_UNSPECIFIED
        """Whose turn was put last; of none so far."""

        self._reasoning_left_out = False
        self._opaque_left_out = False
        self._at = 0
        self._aside: list[tuple[str, Part]] = []
        """Media of the model's, for a turn of the user's."""

        self.calls = Calls(prompt.messages)

    # What each API writes in its own way.

    @abstractmethod
    def text(self, role: Role, text: str) -> Any:
        """A turn that is one text."""

    def say(self, role: Role, text: str) -> None:
        """Add a turn that is one text."""
        self.add(role, self.text(role, text))

    @abstractmethod
    def user(self, parts: list[tuple[str, Part]]) -> Any:
        """A turn of the user's: its parts with their paths, at least one."""

    @abstractmethod
    def model(self, message: Message, path: str, *, own: bool) -> Any:
        """A turn of the model's; nothing where nothing of it can be sent.

        `own`: this target has written it.
        """

    @abstractmethod
    def results(self, results: list[Result]) -> None:
        """Put the results of the calls before."""

    @abstractmethod
    def add(self, role: Role, content: Any) -> None:
        """Add a turn."""

    @abstractmethod
    def join(self, role: Role, content: Any) -> None:
        """Add to the last turn, which is the same role's."""

    # Turns.

    def turns(self) -> None:
        """Put all turns of the conversation."""
        calls, aside, takes_space = self.calls, self._aside, self.takes_space
        say = self.say
        for i, message in enumerate(self.prompt.messages):
            self._at = i
            role = message.role
            if role == ROLE_TOOL:
                calls.take(i, message, self._wire_id)
                continue
            if calls.pending or aside:
                self._settle()
            parts = message.parts
            # Most turns are one text, and need no more looking at.
            part = parts[0] if len(parts) == 1 else None
            text = "" if part is None or part.provider_state else part.text
            if text and (takes_space or not text.isspace()):
                last = self.last
                if last and last != role and last != ROLE_TOOL:
                    self.last = role
                    say(role, text)
                else:
                    self.put(role, self.text(role, text))
            elif role == ROLE_ASSISTANT:
                self._put_model(message)
            else:
                self._put_user(message)
        self._at = len(self.prompt.messages)
        if calls.pending or aside:
            self._settle()
        if self._at and not self.last:
            self.adapted("prompt.messages", f"{NOTHING} put in: no turn is left")
            self.put(ROLE_USER, self.text(ROLE_USER, NOTHING))

    @property
    def path(self) -> str:
        """Of the message that is put."""
        return f"prompt.messages[{self._at}]"

    def put(self, role: Role, content: Any) -> None:
        """Put a turn after those before, with what the API wants between them."""
        last = self.last
        if self.alternates and last and role == last and role != ROLE_TOOL:
            self.join(role, content)
            return
        if self.alternates and not last and role == ROLE_ASSISTANT:
            self.adapted(self.path, f"{NOTHING} of the user put in before it")
            self.add(ROLE_USER, self.text(ROLE_USER, NOTHING))
        elif role == ROLE_USER and last == ROLE_TOOL and not self.user_after_tool:
            self.adapted(self.path, f"{GO_ON} of the model put in before it")
            self.add(ROLE_ASSISTANT, self.text(ROLE_ASSISTANT, GO_ON))
        self.last = role
        self.add(role, content)

    def _settle(self) -> None:
        """Put what follows a turn of the model's: results, and media out of it."""
        if self.calls.pending:
            self.results(self.calls.settle(self._at, self.adapted))
        if self._aside:
            lead = self.path, Part(text=_ASIDE)
            parts, self._aside[:] = [lead, *self._aside], []
            self.put(ROLE_USER, self.user(parts))

    def _put_user(self, message: Message) -> None:
        parts = list(self.said(message.parts, self.path))
        if parts:
            self.put(ROLE_USER, self.user(parts))
            return
        self.adapted(self.path, f"sent as {NOTHING}: it holds nothing")
        self.put(ROLE_USER, self.text(ROLE_USER, NOTHING))

    def _put_model(self, message: Message) -> None:
        own = message.origin == self.target
        content = self.model(message, self.path, own=own)
        if content:
            self.put(ROLE_ASSISTANT, content)
        else:
            self.adapted(self.path, "left out: nothing is in it")

    def said(self, parts: Iterable[Part], path: str) -> Iterator[tuple[str, Part]]:
        """Parts with their paths, but for texts in which nothing is reported."""
        for i, part in enumerate(parts):
            at = f"{path}.parts[{i}]"
            if not part.HasField("text") or self.says(part.text, at):
                yield at, part

    def says(self, text: str, path: str) -> bool:
        """Whether the API takes the text; it is left out otherwise."""
        if not text:
            return False
        if self.takes_space or not text.isspace():
            return True
        self.adapted(path, "left out: white space alone")
        return False

    def instruction_texts(self, texts: list[str]) -> list[str]:
        """The system instruction, but for texts in which nothing is reported."""
        return [text for text in texts if self.says(text, "prompt.system_instruction")]

    # Parts.

    def call(self, call: ToolCall, path: str) -> tuple[Call, str]:
        """A call of the model's, which waits for its result, and its arguments.

        The arguments are the text of one JSON object.
        """
        name, said_id = call.name, call.id
        if not self.tool_name.fullmatch(name):
            name = self.wire_name(name, f"{path}.tool_call.name")
        text, problem = object_text(call.arguments_json)
        if problem:
            self.adapted(path, problem)
        id_ = self._wire_id(said_id, self.calls.uses(said_id))
        return self.calls.add(id_, name, said_id, path), text

    def wire_name(self, name: str, path: str) -> str:
        """The name of a tool, or what stands for it where it is refused."""
        if self.tool_name.fullmatch(name):
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        sent = f"t_{_NO_NAME.sub('_', name)[:_LONGEST_NAME]}_{digest}"
        if sent not in self.renamed:
            self.renamed[sent] = name
            self.adapted(path, f"sent as {sent}")
        return sent

    def leave_out_reasoning(self, path: str) -> None:
        """Report reasoning that is not sent, once."""
        if not self._reasoning_left_out:
            self.adapted(path, "left out: reasoning that this target cannot use")
        self._reasoning_left_out = True

    def leave_out_opaque(self, path: str) -> None:
        """Report content of another provider's own, once."""
        if not self._opaque_left_out:
            self.adapted(path, LEFT_OUT)
        self._opaque_left_out = True

    def leave(self, part: Part, path: str) -> None:
        """Take a part out of a turn of the model's, where no API has a form for it.

        Media follows in a turn of the user's, if the target takes it.
        """
        kind = part.WhichOneof("kind") or "a part of an unknown kind"
        if kind == "opaque":
            self.leave_out_opaque(path)
        elif is_spoken(part, self.prompt.messages[self._at]):
            self.adapted(path, SPOKEN)
        elif kind in ("blob", "media_reference"):
            try:
                self.user([(path, part)])
            except Failure:
                self.adapted(path, "left out: media that this target does not take")
            else:
                self.adapted(path, "moved to a message of the user")
                self._aside.append((path, part))
        else:
            self.adapted(path, f"left out: {kind}")

    def media_kind(self, media_type: str, path: str) -> str:
        """Image, PDF, audio, video, or another.

        Failure (UNSUPPORTED) for what the API or the model is known not to take.
        """
        kind = PDF if media_type == "application/pdf" else media_type.partition("/")[0]
        if kind in MEDIA:
            if kind not in self.media:
                self._refuse_media(media_type, path)
            if self.known.media is not None and kind not in self.known.media:
                raise unsupported(path, f"the model does not take {media_type}")
        return kind

    def _refuse_media(self, media_type: str, path: str) -> None:
        raise unsupported(path, f"{media_type} is not among the media of this wire")

    def _wire_id(self, said_id: str, uses: int = 0) -> str:
        """`said_id`, or what stands for it where it was used or is refused."""
        if not uses and self.tool_id.fullmatch(said_id):
            return said_id
        said = f"{said_id}\0{uses}" if uses else said_id
        digest = hashlib.sha256(said.encode()).hexdigest()
        return f"{self.made_id}{digest[: self.longest_hash]}"

    # Tools.

    def functions(self) -> Iterator[tuple[FunctionTool, str, msgspec.Raw]]:
        """The tools, each with its name here and the schema of its arguments.

        Failure (UNSUPPORTED) for a model that calls none.
        """
        if self.prompt.tools and not self.known.tools:
            raise unsupported("prompt.tools", "the model cannot call tools")
        for i, tool in enumerate(self.prompt.tools):
            if not tool.HasField("function"):
                continue
            function = tool.function
            name = function.name
            if not self.tool_name.fullmatch(name):
                name = self.wire_name(name, f"prompt.tools[{i}].function.name")
            path = f"prompt.tools[{i}].function.parameters_schema_json"
            text = function.parameters_schema_json
            schema = schema_form(text, path, self.tools_dialect, self.adapted)
            yield function, name, schema

    def allowed_names(self, choice: ToolChoice) -> list[str]:
        """The names that a tool choice allows, as they are sent; none: any."""
        path = "prompt.tool_choice.allowed_names"
        return [self.wire_name(name, path) for name in choice.allowed_names]

    # Settings.

    def most_tokens(self) -> int | None:
        """The longest answer that is asked for, within the model's own limit."""
        config = self.prompt.config
        if not config.HasField("max_output_tokens"):
            return None
        asked, most = config.max_output_tokens, self.known.max_output_tokens
        if most is None or asked <= most:
            return asked
        path = "prompt.config.max_output_tokens"
        self.adapted(path, f"lowered to {most}, the most of the model")
        return most

    def temperature(self) -> float:
        """The temperature that is asked for, within what is taken."""
        asked = self.prompt.config.temperature
        if asked <= self.hottest:
            return asked
        path = "prompt.config.temperature"
        self.adapted(path, f"lowered to {self.hottest:g}, the most that is taken")
        return self.hottest

    def stops(self) -> list[str]:
        """The stop sequences, as far as they are taken."""
        path = "prompt.config.stop_sequences"
        stops = [
            stop
            for i, stop in enumerate(self.prompt.config.stop_sequences)
            if self.says(stop, f"{path}[{i}]")
        ]
        if self.most_stops is not None and len(stops) > self.most_stops:
            self.adapted(path, f"the first {self.most_stops}: no more are taken")
            return stops[: self.most_stops]
        return stops

    def seed(self) -> int:
        """The seed, or one within what is taken that stands for it."""
        asked = self.prompt.config.seed
        if self.most_seed is None or 0 <= asked <= self.most_seed:
            return asked
        sent = asked % (self.most_seed + 1)
        self.adapted("prompt.config.seed", f"sent as {sent}: others are not taken")
        return sent

    # The whole.

    def encoded(
        self, path: str, *, limit: object, stream: bool | None, options: Set[str]
    ) -> Encoded:
        """The request, with what the caller's provider options set.

        `limit` is that of the answer's tokens, `stream` as in codec.Codec.encode().
        """
        merge_options(
            self.body, self.prompt, self.provider_name, options, self.reserved
        )
        long = may_be_long(limit)
        streamed = long if stream is None else stream
        if streamed:
            path = self.streamed(path)
        return Encoded(
            path=path,
            body=msgspec.json.encode(self.body),
            streamed=streamed,
            long=long,
            adaptations=self.adaptations,
            renamed=self.renamed,
            absent=self.absent,
        )

    def streamed(self, path: str) -> str:
        """Ask for a stream; the path to post to."""
        self.body["stream"] = True
        return path

    def adapted(self, field: str, description: str) -> None:
        """Report what was changed or left out."""
        self.adaptations.append(Adaptation(field=field, description=description))
