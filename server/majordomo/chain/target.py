"""What the walk needs to know of a target, and how it asks one for an answer.

A `Provider` makes an `Exchange` out of the caller's prompt; the exchange, when it
is run, yields pieces of content and ends with the `Answer`, or raises `Failure`.
Unary and streamed attempts differ only in what is yielded: a unary exchange
yields its Answer and nothing before it.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, auto
from typing import Any, Protocol

from majordomo.chain.prices import Prices
from majordomo.v1.attempt_pb2 import Attempt, Usage
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

    `completion` holds what the provider reported: provider_model, finish_reason,
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
    end: of an attempt that failed or was cancelled they show how far it came.
    """

    def __init__(
        self, adaptations: list[Adaptation], *, streamed: bool = False
    ) -> None:
        self.adaptations = adaptations
        self.streamed = streamed
        """The answer is asked for as a stream."""

        self.batch = 0.0
        """Seconds in which pieces may be held together: nobody waits for each."""

        self.refit = False
        """Refused for its form alone: the provider now makes the prompt fit in another.
        """

        self.http_status_code = 0
        self.provider_request_id = ""
        self.resent = False
        """The request went out twice (rule 2.7)."""

        self.may_resend: Callable[[], bool] | None = None
        """Asked before it would; without it there is nothing against it."""

        self._usage: Usage | None = None

    @property
    def usage(self) -> Usage | None:
        """Tokens, as far as the provider has reported."""
        return self._usage

    def resend(self) -> bool:
        """Whether the request may go out for the second time now; then it does."""
        self.resent = self.may_resend is None or self.may_resend()
        return self.resent

    @abstractmethod
    def run(self) -> AsyncGenerator[Piece]:
        """Send it: yield content as it arrives, then one Answer.

        Content is text, reasoning that the caller asked to see, and tool calls; of what
        else comes only that it came is reported, as Life (rule 3.1). Raises Failure.
        Closing the generator, or cancelling what awaits it, closes the provider's
        connection at once.
        """


class Provider(Protocol):
    """A source of answers: one entry of the configuration's providers."""

    async def prepare(
        self,
        model: str,
        prompt: Prompt,
        *,
        stream: bool | None,
        caller: str = "",
        kept: dict[Hashable, Any] | None = None,
    ) -> Exchange:
        """Make `prompt` fit `model`; Failure (UNSUPPORTED) if nothing can.

        `stream` asks for a stream; None: where it pays (rule 5.7).
        Reads the prompt and never changes it: the next target gets the same one.
        `caller` is whom work that is shared out among callers is done for; `kept` goes
        from target to target, and holds what may be used again.
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
class ConcurrencyLimit:
    """How many attempts may run at once at a provider or a model; None: any."""

    limit: int | None = None
    used: int = 0

    @property
    def full(self) -> bool:
        return self.limit is not None and self.used >= self.limit


@dataclass(slots=True)
class Place:
    """Where a provider is reached, and with which key."""

    left: bool = False
    """Calls that come go elsewhere, or with another key."""


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

    concurrency_limits: tuple[ConcurrencyLimit, ...] = ()

    place: Place = field(default_factory=Place)

    prices: Prices | None = None
    """What its tokens cost, if that is configured."""

    streams: bool | None = False
    """Whole answers are asked for as streams too, so that silence is noticed. None:
    where it pays (rule 5.7)."""

    def cost_of(self, attempt: Attempt) -> Decimal | None:
        """What `attempt` cost; None without prices, or where nothing is counted."""
        if self.prices is None or not attempt.HasField("usage"):
            return None
        return self.prices.cost(attempt.usage)
