"""What a call raises when it fails.

MajordomoError              also itself: a reason that this version does not know
├── NotAnswered             the chain was walked; `attempts` tells every step
│   ├── ChainExhausted      every target failed or was skipped; some may come back
│   ├── AllBenched          nothing was tried: all that could serve is benched
│   ├── ChainRateLimited    all that may come back are rate limited or out of quota
│   ├── ModelNotFound       no target has its model
│   ├── RequestRefused      a provider refused the request as malformed
│   ├── RequestUnsupported  the request fits none of the targets
│   ├── ContentRefused      a provider refused the content
│   ├── ProviderCredentials a provider refused the server's credentials
│   ├── StreamInterrupted   the answer broke off after some of it had come
│   └── DeadlineExceeded    out of time, known from the server before it was
├── InvalidRequest          breaks a rule of the contract; see `violations`
├── UnknownTier             `metadata["name"]` is no tier of the server
├── UnknownProvider         `metadata["name"]` is no provider of the server
├── ResolverFailed          the server could not learn what a tier stands for
├── BenchedByProvider       the bench to lift is of the provider `metadata["provider"]`
├── AnswerTooLarge          the answer has more bytes than the server may send
├── RequestCompressed       the server does not unpack requests
├── ServerOverloaded        this server is at its limit; another may not be
├── ServerDraining          this server is going away; another may not be
├── Unauthenticated         the token is missing or wrong
├── PermissionDenied        the token does not cover this call
├── Internal                a bug of the server; its log has `generation_id`
└── TransportError          no word from majordomo: nobody there, cut off, out of
                            time, cancelled by this client; `code` says which

One class a value of majordomo.v1.ErrorReason, under the value's own name.
"""

from collections.abc import Mapping, Sequence

from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from majordomo.v1.attempt_pb2 import Attempt

REASONS: "dict[str, type[MajordomoError]]" = {}
"""The class of each reason, by the name that google.rpc.ErrorInfo carries."""


class MajordomoError(Exception):
    """A call that failed; what the server informed of it."""

    def __init_subclass__(cls, reason: str = "") -> None:
        if reason:
            REASONS[reason] = cls

    def __init__(
        self,
        message: str,
        *,
        code: StatusCode = StatusCode.UNKNOWN,
        reason: str = "",
        generation_id: str = "",
        attempts: Sequence[Attempt] = (),
        omitted_attempts: int = 0,
        retry_delay: float | None = None,
        violations: Sequence[BadRequest.FieldViolation] = (),
        metadata: Mapping[str, str] = {},
    ) -> None:
        super().__init__(message)
        self.message = message
        """What happened, for people."""

        self.code = code
        """gRPC's code."""

        self.reason = reason
        """The name of the ErrorReason without its prefix; "" without one."""

        self.generation_id = generation_id
        """The call's id, also on the server's spans and in its log."""

        self.attempts = list(attempts)
        """What was tried and skipped, in order."""

        self.omitted_attempts = omitted_attempts
        """How many the server left out of the middle of `attempts`."""

        self.retry_delay = retry_delay
        """Seconds after which another try is worth it, where the server knows."""

        self.violations = list(violations)
        """The fields that break a rule, each with `field` and `description`."""

        self.metadata = dict(metadata)
        """What else google.rpc.ErrorInfo carries; see majordomo.v1.ErrorReason."""


class NotAnswered(MajordomoError):
    """The chain was walked and did not answer."""


class ChainExhausted(NotAnswered, reason="CHAIN_EXHAUSTED"):
    """Every target failed or was skipped; some may come back."""


class AllBenched(NotAnswered, reason="ALL_BENCHED"):
    """Nothing was tried: every target that could serve is benched."""


class ChainRateLimited(NotAnswered, reason="CHAIN_RATE_LIMITED"):
    """All targets that may come back are rate limited or out of quota."""


class ModelNotFound(NotAnswered, reason="MODEL_NOT_FOUND"):
    """No target has its model."""


class RequestRefused(NotAnswered, reason="REQUEST_REFUSED"):
    """A provider refused the request as malformed."""


class RequestUnsupported(NotAnswered, reason="REQUEST_UNSUPPORTED"):
    """The request fits none of the targets."""


class ContentRefused(NotAnswered, reason="CONTENT_REFUSED"):
    """A provider refused the content."""


class ProviderCredentials(NotAnswered, reason="PROVIDER_CREDENTIALS"):
    """A provider refused the server's credentials: for its operator to fix."""


class StreamInterrupted(NotAnswered, reason="STREAM_INTERRUPTED"):
    """The answer broke off after some of it had come."""


class DeadlineExceeded(NotAnswered, reason="DEADLINE_EXCEEDED"):
    """The server ran out of the time that the call had."""


class InvalidRequest(MajordomoError, reason="INVALID_REQUEST"):
    """The request breaks a rule of the contract; `violations` shows where."""


class UnknownTier(MajordomoError, reason="UNKNOWN_TIER"):
    """The server has no such tier."""


class UnknownProvider(MajordomoError, reason="UNKNOWN_PROVIDER"):
    """The server has no such provider."""


class ResolverFailed(MajordomoError, reason="RESOLVER_FAILED"):
    """The server could not learn what a tier stands for."""


class BenchedByProvider(MajordomoError, reason="BENCHED_BY_PROVIDER"):
    """The bench was set for the whole provider: unbench that."""


class AnswerTooLarge(MajordomoError, reason="ANSWER_TOO_LARGE"):
    """The answer has more bytes than the server may send."""


class RequestCompressed(MajordomoError, reason="REQUEST_COMPRESSED"):
    """The channel compresses, and the server does not unpack requests."""


class ServerOverloaded(MajordomoError, reason="SERVER_OVERLOADED"):
    """This server is at its limit; another may not be."""


class ServerDraining(MajordomoError, reason="SERVER_DRAINING"):
    """This server is going away; another may not be."""


class Unauthenticated(MajordomoError, reason="UNAUTHENTICATED"):
    """The caller's token is missing or wrong."""


class PermissionDenied(MajordomoError, reason="PERMISSION_DENIED"):
    """The caller's token does not cover this call."""


class Internal(MajordomoError, reason="INTERNAL"):
    """A bug of the server; its log has more under `generation_id`."""


class TransportError(MajordomoError):
    """A status that majordomo did not send: `code` says what went wrong on the way.

    UNAVAILABLE: nobody answered at the address. DEADLINE_EXCEEDED: the time was up
    before the server could tell anything. CANCELLED: this client ended the call.
    """
