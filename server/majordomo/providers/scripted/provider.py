"""A provider that answers and fails by a script: for demos and tests.

A script is a text of steps joined by `+`. It is the model id itself, as in
`scripted/delay:200ms+status:503`, or stands in the configuration, one script an
attempt in order, the last one for all that follow:

    [providers.scripted.models.flaky]
    script = ["status:503", "text:Hello there."]

| step | what it does |
| --- | --- |
| `echo` | answer with the last text of the prompt: what an empty script does |
| `text:WORDS` | answer with WORDS |
| `source:URL` | ... and name a source of the answer; may be repeated |
| `delay:2s` | wait before anything else (ms, s, m, h) |
| `pace:50ms` | wait before each piece of a streamed answer; a piece is a word |
| `status:503` | fail with an HTTP status |
| `code:insufficient_quota` | ... and the provider's own code for it |
| `retry-after:7` | ... and a Retry-After of so many seconds |
| `cut:3` | break after three pieces |
| `stall:2` | say nothing more after two pieces |
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from majordomo.chain.failure import Failure
from majordomo.chain.target import Answer, Exchange, Piece
from majordomo.codec.errors.classify import classify
from majordomo.durations import parse
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONNECTION,
    FAILURE_REASON_MODEL_NOT_FOUND,
    Usage,
)
from majordomo.v1.content_pb2 import ROLE_ASSISTANT, Citation, Message, Part
from majordomo.v1.generation_service_pb2 import (
    FINISH_REASON_STOP,
    Completion,
    PartDelta,
    Prompt,
)

_STEPS = {
    "echo": "",
    "text": ".*",
    "source": r"https?://\S+",
    "delay": ".+",
    "pace": ".+",
    "status": "[1-5][0-9]{2}",
    "code": "[A-Za-z0-9_.-]+",
    "retry-after": r"\d+(?:\.\d+)?",
    "cut": r"\d+",
    "stall": r"\d+",
}


class ScriptError(ValueError):
    """A step that is none."""


@dataclass(frozen=True, slots=True)
class Script:
    """What one attempt does."""

    text: str | None = None
    sources: tuple[str, ...] = ()
    delay: float = 0.0
    pace: float = 0.0
    status: int = 0
    code: str = ""
    retry_after: str = ""
    cut: int | None = None
    stall: int | None = None

    @classmethod
    def parse(cls, script: str) -> "Script":
        """Read a script; ScriptError names the step that cannot be read."""
        values: dict[str, str | float | int] = {}
        sources: list[str] = []
        for step in script.split("+") if script else ():
            name, _, value = step.partition(":")
            try:
                values[name.replace("-", "_")] = _value(name, value)
            except ValueError:
                raise ScriptError(
                    f"{step!r} is no step of a script; there are {', '.join(_STEPS)}"
                ) from None
            if name == "source":
                sources.append(value)
        values.pop("source", None)  # one of perhaps many
        values.pop("echo", None)  # what is done anyway
        return cls(sources=tuple(sources), **values)  # type: ignore[arg-type]


def _value(step: str, text: str) -> str | float | int:
    """What a step is given. Raises ValueError where that, or the step, is none."""
    if not re.fullmatch(_STEPS.get(step, "(?!)"), text):
        raise ValueError(step)
    match step:
        case "delay" | "pace":
            return parse(text)
        case "status" | "cut" | "stall":
            return int(text)
        case _:
            return text


class Scripted:
    """The provider: `models` are the scripts of models with names of their own.

    Raises ScriptError.
    """

    def __init__(self, models: Mapping[str, Sequence[str]] = {}) -> None:
        self._models = {
            model: [Script.parse(script) for script in scripts or [""]]
            for model, scripts in models.items()
        }
        self._attempts = dict.fromkeys(models, 0)

    async def prepare(
        self, model: str, prompt: Prompt, *, stream: bool | None, **_: object
    ) -> Exchange:
        self._scripts(model)
        return _Exchange(self, model, prompt, stream=bool(stream))

    async def aclose(self) -> None:
        """Nothing to let go of."""

    def next_script(self, model: str) -> Script:
        """What the attempt does that begins now."""
        scripts = self._scripts(model)
        attempt = self._attempts.get(model, 0)
        if model in self._attempts:
            self._attempts[model] += 1
        return scripts[min(attempt, len(scripts) - 1)]

    def _scripts(self, model: str) -> list[Script]:
        scripts = self._models.get(model)
        if scripts is None:
            try:
                return [Script.parse(model)]
            except ScriptError as error:
                raise Failure(FAILURE_REASON_MODEL_NOT_FOUND, str(error)) from None
        return scripts


class _Exchange(Exchange):
    def __init__(
        self, provider: Scripted, model: str, prompt: Prompt, *, stream: bool
    ) -> None:
        super().__init__([], streamed=stream)
        self._provider = provider
        self._model = model
        self._prompt = prompt

    async def run(self) -> AsyncGenerator[Piece]:
        script = self._provider.next_script(self._model)
        if script.delay:
            await asyncio.sleep(script.delay)
        if script.status:
            self.http_status_code = script.status
            raise _failure(script)
        self.http_status_code = 200
        text = _last_text(self._prompt) if script.text is None else script.text
        words = re.findall(r"\s*\S+\s*", text) or [text]
        for sent, word in enumerate(words):
            await _break(script, sent)
            if self.streamed and word:
                if script.pace:
                    await asyncio.sleep(script.pace)
                yield [PartDelta(text=word)]
        citations = [Citation(uri=uri) for uri in script.sources]
        if self.streamed and citations:
            yield [PartDelta(text="", citations=citations)]
        await _break(script, len(words))
        self._usage = Usage(
            input_tokens=len(_last_text(self._prompt).split()), output_tokens=len(words)
        )
        completion = Completion(
            provider_model=self._model,
            finish_reason=FINISH_REASON_STOP,
            provider_finish_reason="stop",
            usage=self._usage,
        )
        if self.streamed:
            yield Answer(completion)
        else:
            message = Message(
                role=ROLE_ASSISTANT, parts=[Part(text=text, citations=citations)]
            )
            yield Answer(completion, message)


async def _break(script: Script, sent: int) -> None:
    if sent == script.cut:
        raise Failure(FAILURE_REASON_CONNECTION, "connection cut by the script")
    if sent == script.stall:
        await asyncio.get_running_loop().create_future()  # for good


def _failure(script: Script) -> Failure:
    code = script.code or ("model_not_found" if script.status == 404 else None)
    error = {"message": "scripted failure", "type": "scripted", "code": code}
    headers = {"retry-after": script.retry_after} if script.retry_after else {}
    return classify(script.status, headers, msgspec.json.encode({"error": error}))


def _last_text(prompt: Prompt) -> str:
    texts = [
        part.text
        for message in prompt.messages[-1:]
        for part in message.parts
        if part.WhichOneof("kind") == "text"
    ]
    return " ".join(texts)
