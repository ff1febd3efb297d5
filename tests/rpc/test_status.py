"""Errors as statuses: every one mapped, and all of them small."""

import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

import majordomo.chain.call
import majordomo.chain.failure
import majordomo.chain.names
import majordomo.chain.tracker
import majordomo.rpc.access
import majordomo.rpc.driver
import majordomo.rpc.memory
import majordomo.rpc.status
import majordomo.rpc.validation
from majordomo.chain.call import Call, CallFailed
from majordomo.chain.names import (
    CircularTiers,
    MalformedChain,
    ResolverFailed,
    UnknownProvider,
    UnknownTier,
)
from majordomo.chain.tracker import BenchedByProvider
from majordomo.rpc.access import PermissionDenied, Unauthenticated
from majordomo.rpc.driver import AnswerTooLarge, CompressedRequest
from majordomo.rpc.memory import CallerStalled, ServerFull
from majordomo.rpc.status import (
    CODES,
    Draining,
    call_failure,
    is_bug,
    refusal,
)
from majordomo.rpc.validation import InvalidRequest, Violation
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_FAILED,
    FAILURE_REASON_OVERLOADED,
    Attempt,
)
from majordomo.v1.errors_pb2 import ERROR_REASON_UNSPECIFIED, CallFailure, ErrorReason
from majordomo.v1.generation_service_pb2 import Prompt


def _failed(reason: ErrorReason, attempts: list[Attempt]) -> CallFailed:
    call = Call("g", Prompt(), "c", (), stream=False, attempts=attempts)
    return CallFailed(call, reason, 1.0)


@pytest.mark.rule("7")
def test_every_reason_has_a_code() -> None:
    """A new value of ErrorReason without one fails here."""
    assert set(ErrorReason.values()) - {ERROR_REASON_UNSPECIFIED} == set(CODES)


def test_every_error_of_ours_is_told() -> None:
    """None of the exceptions that a servicer may raise ends as a bug."""
    samples = [
        _failed(next(iter(majordomo.rpc.status._SUMMARIES)), []),
        InvalidRequest([Violation("prompt", "is required")]),
        UnknownTier("fast"),
        UnknownProvider("openai"),
        CircularTiers(("a", "a")),
        BenchedByProvider("acme/*"),
        ResolverFailed("corporate", "fast", "failed"),
        CallerStalled("read"),
        CompressedRequest(),
        AnswerTooLarge(1),
        Draining(),
        ServerFull(),
        Unauthenticated(),
        PermissionDenied("operate"),
    ]
    modules = (
        majordomo.chain.call,
        majordomo.chain.tracker,
        majordomo.chain.names,
        majordomo.rpc.access,
        majordomo.rpc.driver,
        majordomo.rpc.memory,
        majordomo.rpc.status,
        majordomo.rpc.validation,
    )
    ours = {
        thing
        for module in modules
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, Exception)
        and thing.__module__.startswith("majordomo")
        and not thing.__subclasses__()
    }

    assert ours == {type(sample) for sample in samples}
    assert not [s for s in samples if is_bug(refusal(s, "g"))]


@pytest.mark.rule("7")
def test_a_bug_is_told_without_its_text() -> None:
    """INTERNAL with a fixed text and the id that finds it in the log."""
    told = refusal(RuntimeError("sk-secret"), "generation-7")

    assert is_bug(told)
    assert "sk-secret" not in repr(told)
    assert "generation-7" in told.message


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
    for reason in majordomo.rpc.status._SUMMARIES:
        told = refusal(_failed(reason, attempts), "g")
        packed = dict(told.trailers)["grpc-status-details-bin"]
        assert len(packed) <= 4096
        assert len(told.message.encode()) < 512
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
    told = refusal(error, "g")

    packed = dict(told.trailers)["grpc-status-details-bin"]
    assert len(packed) <= 4096
    assert 500 < len(told.message.encode()) < 512
    assert not is_bug(told)


@pytest.mark.rule("7")
def test_violations_that_do_not_fit_are_counted() -> None:
    """The first ones are told, in their order."""
    violations = [Violation(f"labels[{n}]", "x" * 250) for n in range(30)]

    told = refusal(InvalidRequest(violations), "g")

    packed = dict(told.trailers)["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    info, found = ErrorInfo(), BadRequest()
    details = Status.FromString(packed).details
    assert (True, True) == (details[0].Unpack(info), details[1].Unpack(found))
    fields = [violation.field for violation in found.field_violations]
    assert [v.field for v in violations[: len(fields)]] == fields
    assert 5 < len(fields) < 16
    assert str(30 - len(fields)) == info.metadata["omitted_violations"]
    assert "(and 29 more)" in told.message


@pytest.mark.rule("7")
def test_only_a_walked_chain_tells_clients_not_to_retry() -> None:
    """Where this server is the problem another replica may help."""
    told = {
        ErrorReason.Name(reason): "grpc-retry-pushback-ms"
        in dict(refusal(_failed(reason, []), "g").trailers)
        for reason in majordomo.rpc.status._SUMMARIES
    }

    assert {
        "ERROR_REASON_CHAIN_EXHAUSTED",
        "ERROR_REASON_ALL_BENCHED",
        "ERROR_REASON_CHAIN_RATE_LIMITED",
    } == {name for name, pushed_back in told.items() if pushed_back}
    assert "grpc-retry-pushback-ms" not in dict(refusal(Draining(), "g").trailers)
