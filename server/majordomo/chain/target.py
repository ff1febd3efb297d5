"""What the walk needs to know of a target, and how it asks one for an answer.

A `Provider` makes an `Exchange` out of the caller's prompt; the exchange, when it
is run, yields pieces of content and ends with the `Answer`, or raises `Failure`.
Unary and streamed attempts differ only in what is yielded: a unary exchange
yields its Answer and nothing before it.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from majordomo.v1.attempt_pb2 import Usage
from majordomo.v1.content_pb2 import Message
from majordomo.v1.generation_service_pb2 import (
    Adaptation,
    Completion,
    PartDelta,
    Prompt,
)


@dataclass(slots=True)
class Answer:
    """How an exchange ended well.

    `completion` holds what the provider said: provider_model, finish_reason,
    provider_finish_reason, usage, provider_response_id. The walk adds the rest.
    `message` is the whole turn for a unary exchange, None for a streamed one; of
    that, `rest` is what came and is no content, such as white space alone.
    """

    completion: Completion
    message: Message | None = None
    rest: Sequence[PartDelta] = ()


class Life(Enum):
    """The model is at work, at what the caller does not see (rule 3.1)."""

    ALIVE = auto()
    THINKING = auto()
    """It has begun to reason, perhaps in silence, until ALIVE follows."""


Piece = list[PartDelta] | Answer | Life
"""Content that arrived together, never empty; the end; or a sign of life."""


class Exchange(ABC):
    """One prompt made to fit one target, ready to be sent once.

    The attributes fill up as the provider answers and stay readable whatever the
    end: of an attempt that failed or was cancelled they tell how far it came.
    """

    def __init__(self, adaptations: list[Adaptation]) -> None:
        self.adaptations = adaptations
        self.http_status_code = 0
        self.provider_request_id = ""
        self._usage: Usage | None = None

    @property
    def usage(self) -> Usage | None:
        """Tokens, as far as the provider has said."""
        return self._usage

    @abstractmethod
    def run(self) -> AsyncGenerator[Piece]:
        """Send it: yield content as it arrives, then one Answer.

        Content is text, reasoning that the caller asked to see, and tool calls; of
        what else comes only that it came is told, as Life (rule 3.1). Raises Failure.
        Closing the generator, or cancelling what awaits it, closes the provider's
        connection at once.
        """


class Provider(Protocol):
    """A source of answers: one entry of the configuration's providers."""

    async def fit(self, model: str, prompt: Prompt, *, stream: bool) -> Exchange:
        """Make `prompt` fit `model`; Failure (UNSUPPORTED) if nothing can.

        Reads the prompt and never changes it: the next target gets the same one.
        """

    async def aclose(self) -> None:
        """Let go of connections and child processes."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of one attempt, in seconds. None: by whether the model may reason."""

    first_content: float | None = None
    stall: float = 30.0
    attempt: float | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a target talks to, in the words of OpenTelemetry's conventions."""

    provider_name: str
    server_address: str = ""
    server_port: int = 0


@dataclass(slots=True)
class Room:
    """How many attempts may run at once at a provider or a model; None: any."""

    limit: int | None = None
    used: int = 0

    @property
    def full(self) -> bool:
        return self.limit is not None and self.used >= self.limit


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a provider, as a chain names it."""

    name: str
    """ "provider/model-id"."""

    provider_name: str
    model: str
    provider: Provider
    peer: Peer
    timeouts: Timeouts = Timeouts()
    reasons: bool = False
    """The model may reason before it answers: it is not known not to."""

    rooms: tuple[Room, ...] = ()

    streams: bool = False
    """Whole answers are asked for as streams too, so that silence is noticed."""
