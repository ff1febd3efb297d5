"""Errors as statuses: every one mapped, and all of them small."""

import re
from collections.abc import Iterator

import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

import majordomo.errors
from majordomo.chain.call import REASONS, Call, CallFailed, call_failure
from majordomo.client.errors import REASONS as CLIENT_REASONS
from majordomo.errors import (
    AnswerTooLarge,
    BenchedByProvider,
    CallerStalled,
    CircularTiers,
    InvalidRequest,
    MalformedChain,
    PermissionDenied,
    Refused,
    RequestCompressed,
    ResolverFailed,
    ServerDraining,
    ServerOverloaded,
    Unauthenticated,
    UnknownProvider,
    UnknownTier,
    Violation,
)
from majordomo.rpc.status import CODES, status_for
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_FAILED,
    FAILURE_REASON_OVERLOADED,
    Attempt,
)
from majordomo.v1.errors_pb2 import (
    ERROR_REASON_UNSPECIFIED,
    CallFailure,
    ErrorReason,
)
from majordomo.v1.generation_service_pb2 import Prompt


def _failed(reason: ErrorReason, attempts: list[Attempt]) -> CallFailed:
    call = Call("g", Prompt(), "c", (), stream=False, attempts=attempts)
    return CallFailed(call, reason, 1.0)


@pytest.mark.rule("7")
def test_every_reason_has_a_code() -> None:
    """A new value of ErrorReason without one fails here."""
    assert set(ErrorReason.values()) - {ERROR_REASON_UNSPECIFIED} == set(CODES)


def _subclasses(of: type[Refused]) -> Iterator[type[Refused]]:
    for one in of.__subclasses__():
        yield one
        yield from _subclasses(one)


def _samples() -> list[Refused]:
    return [
        *(_failed(reason, []) for reason in REASONS),
        InvalidRequest([Violation("prompt", "is required")]),
        UnknownTier("fast"),
        UnknownProvider("openai"),
        MalformedChain("no chain"),
        CircularTiers(("a", "a")),
        BenchedByProvider("acme/*"),
        ResolverFailed("corporate", "fast", "failed"),
        CallerStalled("read", 60),
        RequestCompressed(),
        AnswerTooLarge(2, 1),
        ServerDraining(),
        ServerOverloaded(),
        Unauthenticated(),
        PermissionDenied("operate"),
    ]


def test_every_error_that_knows_its_reason_is_told() -> None:
    """Each one that can be raised has a code and stands in the tree."""
    abstract = {majordomo.errors.ChainError, majordomo.errors.UnknownName}
    ours = set(_subclasses(Refused))
    drawn = set(
        re.findall(r"^[│ ]*[├└]── (\w+)", majordomo.errors.__doc__ or "", re.MULTILINE)
    )

    assert ours - abstract == {type(sample) for sample in _samples()}
    assert drawn == {one.__name__ for one in ours}
    assert not [s for s in _samples() if status_for(s, "g").is_bug]
    assert {sample.reason for sample in _samples()} == {
        reason
        for reason in CODES
        if ErrorReason.Name(reason) != "ERROR_REASON_INTERNAL"
    }


def test_clients_know_an_error_by_the_same_name() -> None:
    """The tree of the client mirrors the server's."""
    servers = {
        ErrorReason.Name(sample.reason).removeprefix("ERROR_REASON_"): sample
        for sample in _samples()
        if not isinstance(sample, CallFailed | CallerStalled | MalformedChain)
    }

    assert {reason: type(sample).__name__ for reason, sample in servers.items()} == {
        reason: CLIENT_REASONS[reason].__name__ for reason in servers
    }


@pytest.mark.rule("7")
def test_a_bug_is_told_without_its_text() -> None:
    """INTERNAL with a fixed text and the id that finds it in the log."""
    reported = status_for(RuntimeError("sk-secret"), "generation-7")

    assert reported.is_bug
    assert "sk-secret" not in repr(reported)
    assert "generation-7" in reported.message


@pytest.mark.rule("7")
@pytest.mark.parametrize("count", [1, 12, 32, 192])
def test_details_stay_under_four_kibibytes(count: int) -> None:
    """Messages go first, then attempts from the middle; both ends always stay."""
    attempts = [
        Attempt(
            number=number,
            target=f"provider-{number}/{'m' * 60}",
            outcome=ATTEMPT_OUTCOME_FAILED,
            failure_reason=FAILURE_REASON_OVERLOADED,
            message="x" * 200,
        )
        for number in range(1, count + 1)
    ]

    failure = call_failure("g", attempts)

    numbers = [attempt.number for attempt in failure.attempts]
    assert (1, count) == (numbers[0], numbers[-1])
    assert count == len(numbers) + failure.omitted_attempts
    for reason in REASONS:
        reported = status_for(_failed(reason, attempts), "g")
        packed = dict(reported.trailers)["grpc-status-details-bin"]
        assert len(packed) <= 4096
        assert len(reported.message.encode()) < 512
        assert isinstance(packed, bytes)
        assert any(
            detail.Is(CallFailure.DESCRIPTOR)
            for detail in Status.FromString(packed).details
        )


@pytest.mark.rule("7")
@pytest.mark.parametrize(
    "error",
    [
        UnknownTier("a" * 4000),
        UnknownProvider("ü" * 40_000),
        MalformedChain("é" * 10_000),
        InvalidRequest([Violation("é" * 400, "é" * 10_000)] * 40),
    ],
)
def test_what_callers_sent_is_quoted_in_part(error: Exception) -> None:
    """However long it was, the status stays small and says what it is about."""
    reported = status_for(error, "g")

    packed = dict(reported.trailers)["grpc-status-details-bin"]
    assert len(packed) <= 4096
    assert 500 < len(reported.message.encode()) < 512
    assert not reported.is_bug


@pytest.mark.rule("7")
def test_violations_that_do_not_fit_are_counted() -> None:
    """The first ones are reported, in their order."""
    violations = [Violation(f"labels[{n}]", "x" * 250) for n in range(30)]

    reported = status_for(InvalidRequest(violations), "g")

    packed = dict(reported.trailers)["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    info, found = ErrorInfo(), BadRequest()
    details = Status.FromString(packed).details
    assert (True, True) == (details[0].Unpack(info), details[1].Unpack(found))
    fields = [violation.field for violation in found.field_violations]
    assert [v.field for v in violations[: len(fields)]] == fields
    assert 5 < len(fields) < 16
    assert str(30 - len(fields)) == info.metadata["omitted_violations"]
    assert "(and 29 more)" in reported.message


@pytest.mark.rule("7")
def test_only_a_walked_chain_tells_clients_not_to_retry() -> None:
    """Where this server is the problem another replica may help."""
    reported = {
        ErrorReason.Name(reason): "grpc-retry-pushback-ms"
        in dict(status_for(_failed(reason, []), "g").trailers)
        for reason in REASONS
    }

    assert {
        "ERROR_REASON_CHAIN_EXHAUSTED",
        "ERROR_REASON_ALL_BENCHED",
        "ERROR_REASON_CHAIN_RATE_LIMITED",
    } == {name for name, pushed_back in reported.items() if pushed_back}
    assert "grpc-retry-pushback-ms" not in dict(
        status_for(ServerDraining(), "g").trailers
    )
