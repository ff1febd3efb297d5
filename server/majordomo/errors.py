"""Why a call ends without what it asked for: each class knows its ErrorReason.

Refused
├── CallFailed              the chain was walked and gave no answer (chain/call.py)
├── InvalidRequest          breaks a rule of the contract; see `violations`
├── ChainError              the chain names no targets
│   ├── MalformedChain      no chain, or an element that cannot be one
│   │   └── CircularTiers   a tier that stands for itself
│   └── UnknownName
│       ├── UnknownTier
│       └── UnknownProvider
├── ResolverFailed          a plugin could not say what a tier stands for
├── BenchedByProvider       the bench to lift is of the whole provider
├── AnswerTooLarge          the answer has more bytes than may be sent
├── RequestCompressed       requests are not unpacked
├── CallerStalled           the caller neither sent nor read for too long
├── ServerOverloaded        too many calls, or too much memory in use
├── ServerDraining          the server is going away
├── Unauthenticated         no token, or one that is not known
└── PermissionDenied        the token does not cover the call

`majordomo.client.errors` mirrors it: there is one class a reason, and what both sides
have goes by one name. Any other exception is a bug, which callers see as INTERNAL.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ResourceInfo

from majordomo.text import line
from majordomo.v1.errors_pb2 import (
    ERROR_REASON_ANSWER_TOO_LARGE,
    ERROR_REASON_BENCHED_BY_PROVIDER,
    ERROR_REASON_DEADLINE_EXCEEDED,
    ERROR_REASON_INVALID_REQUEST,
    ERROR_REASON_PERMISSION_DENIED,
    ERROR_REASON_REQUEST_COMPRESSED,
    ERROR_REASON_RESOLVER_FAILED,
    ERROR_REASON_SERVER_DRAINING,
    ERROR_REASON_SERVER_OVERLOADED,
    ERROR_REASON_UNAUTHENTICATED,
    ERROR_REASON_UNKNOWN_PROVIDER,
    ERROR_REASON_UNKNOWN_TIER,
    ErrorReason,
)

MOST_DETAIL_BYTES = 3072
"""Bytes of the details of an error: they are sent in 4 KiB of trailers."""

_MOST_WORD_BYTES = 256
"""Of a name, a path or a description, which may quote what the caller sent."""

_MOST_VIOLATIONS = 16


class Refused(Exception):
    """A call, or an operation of an operator, ends for a reason that callers see."""

    reason: ErrorReason
    retry_delay: float | None = None
    """Seconds after which another try may be worth it; None: nobody knows."""

    @property
    def message(self) -> str:
        """What happened, for people."""
        return str(self)

    def metadata(self) -> dict[str, str]:
        """For google.rpc.ErrorInfo; see majordomo.v1.ErrorReason."""
        return {}

    def details(self) -> Iterable[Message]:
        """What else is known, in at most MOST_DETAIL_BYTES."""
        return ()


@dataclass(frozen=True, slots=True)
class Violation:
    """A field that breaks a rule: its path, and what it must be."""

    field: str
    description: str


class InvalidRequest(Refused):
    """The request breaks rules of the contract; `violations` is never empty."""

    reason = ERROR_REASON_INVALID_REQUEST

    def __init__(self, violations: Sequence[Violation]) -> None:
        first, *others = violations
        more = f" (and {len(others)} more)" if others else ""
        super().__init__(f"{first.field}: {first.description}{more}")
        self.violations = violations

    def metadata(self) -> dict[str, str]:
        shown = _bad_request(self.violations).field_violations
        omitted = len(self.violations) - len(shown)
        return {"omitted_violations": str(omitted)} if omitted else {}

    def details(self) -> Iterable[Message]:
        return (_bad_request(self.violations),)


def _bad_request(violations: Sequence[Violation]) -> BadRequest:
    """The first violations, as many as fit."""
    shown = BadRequest()
    for violation in violations[:_MOST_VIOLATIONS]:
        shown.field_violations.add(
            field=line(violation.field, _MOST_WORD_BYTES),
            description=line(violation.description, _MOST_WORD_BYTES),
        )
    while shown.ByteSize() > MOST_DETAIL_BYTES:
        del shown.field_violations[-1]
    return shown


class ChainError(Refused):
    """A chain that names no targets; nothing was called."""


class MalformedChain(ChainError):
    """The chain breaks a rule of its form."""

    reason = ERROR_REASON_INVALID_REQUEST

    @property
    def message(self) -> str:
        return f"chain: {self}"

    def details(self) -> Iterable[Message]:
        return (_bad_request([Violation("chain", str(self))]),)


class CircularTiers(MalformedChain):
    """A tier that stands for itself in the end; `circle` starts and ends with it."""

    def __init__(self, circle: tuple[str, ...]) -> None:
        super().__init__(f"tiers in a circle: {' -> '.join(circle)}")
        self.circle = circle


class UnknownName(ChainError):
    """A name that the configuration does not know."""

    kind = "name"

    def __init__(self, name: str) -> None:
        super().__init__(f"no {self.kind} {name!r} is configured")
        self.name = name

    def metadata(self) -> dict[str, str]:
        return {"name": line(self.name, _MOST_WORD_BYTES)}

    def details(self) -> Iterable[Message]:
        name = line(self.name, _MOST_WORD_BYTES)
        kind = f"majordomo.{self.kind}"
        return (ResourceInfo(resource_type=kind, resource_name=name),)


class UnknownTier(UnknownName):
    kind = "tier"
    reason = ERROR_REASON_UNKNOWN_TIER


class UnknownProvider(UnknownName):
    kind = "provider"
    reason = ERROR_REASON_UNKNOWN_PROVIDER


class ResolverFailed(Refused):
    """`resolver` could not say what the tier `name` stands for; nothing was called."""

    reason = ERROR_REASON_RESOLVER_FAILED

    def __init__(self, resolver: str, name: str, why: str) -> None:
        super().__init__(f"the resolver {resolver}, asked for the tier {name!r}, {why}")
        self.resolver = resolver
        self.name = name

    def metadata(self) -> dict[str, str]:
        return {"resolver": self.resolver, "name": self.name}


class BenchedByProvider(Refused):
    """One target cannot be unbenched while its whole provider is benched."""

    reason = ERROR_REASON_BENCHED_BY_PROVIDER

    def __init__(self, target: str) -> None:
        self.provider = target.partition("/")[0]
        super().__init__(
            f"the bench was set for the provider {self.provider}; unbench that"
        )
        self.target = target
        """The record to lift, "provider/*"."""

    def metadata(self) -> dict[str, str]:
        return {"provider": self.provider}


class AnswerTooLarge(Refused):
    """The answer has more bytes than may be sent."""

    reason = ERROR_REASON_ANSWER_TOO_LARGE

    def __init__(self, size: int, most: int) -> None:
        super().__init__(f"the answer has {size} bytes; at most {most} are sent")


class RequestCompressed(Refused):
    """The request is compressed: it is not unpacked, for it may become any size."""

    reason = ERROR_REASON_REQUEST_COMPRESSED

    def __init__(self) -> None:
        super().__init__("requests must not be compressed; send it as it is")


class CallerStalled(Refused):
    """The caller has not `done` anything for too long: "sent" or "read" it."""

    reason = ERROR_REASON_DEADLINE_EXCEEDED

    def __init__(self, done: str, seconds: float) -> None:
        super().__init__(f"nothing was {done} for {seconds:.0f} s")


class ServerOverloaded(Refused):
    """There is no room for it now: too many calls, or too much memory in use."""

    reason = ERROR_REASON_SERVER_OVERLOADED
    retry_delay = 1.0

    def __init__(
        self, message: str = "this server has as much in hand as it may; try another"
    ) -> None:
        super().__init__(message)


class ServerDraining(Refused):
    """The server is going away; another replica may help."""

    reason = ERROR_REASON_SERVER_DRAINING
    retry_delay = 1.0

    def __init__(self) -> None:
        super().__init__("this server is going away")


class Unauthenticated(Refused):
    """The caller showed no token, or one that is not known."""

    reason = ERROR_REASON_UNAUTHENTICATED

    def __init__(self) -> None:
        super().__init__("show a valid token: authorization: Bearer TOKEN")


class PermissionDenied(Refused):
    """The caller's token does not cover what it asks for."""

    reason = ERROR_REASON_PERMISSION_DENIED
