"""HealthSnapshot, Bench and Unbench over a real channel."""

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo

from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_BENCHED,
    FAILURE_REASON_OVERLOADED,
    BenchRecord,
)
from majordomo.v1.errors_pb2 import CallFailure
from majordomo.v1.operator_service_pb2 import (
    BenchRequest,
    HealthSnapshotRequest,
    TargetHealth,
    UnbenchRequest,
)
from testkit.servers import failed, generate, running

TIERED = """
    [providers.acme]
    kind = "scripted"
    [tiers]
    fast = "acme/status:503,acme/echo"
"""


async def test_a_snapshot_lists_what_is_configured_and_what_was_met() -> None:
    """In the order of names; a chain's in the chain's order."""
    async with running(TIERED) as it:
        await it.generation.Generate(generate("fast,acme/text:x"))
        await it.generation.Generate(generate("acme/text:x"))
        snapshot = await it.operator.HealthSnapshot(HealthSnapshotRequest())
        of_chain = await it.operator.HealthSnapshot(HealthSnapshotRequest(chain="fast"))

    assert ["acme/echo", "acme/status:503", "acme/text:x"] == [
        target.target for target in snapshot.targets
    ]
    down, echo = of_chain.targets
    assert ("acme/status:503", "acme/echo") == (down.target, echo.target)
    assert (TargetHealth.STATE_BENCHED, TargetHealth.STATE_ACTIVE) == (
        down.state,
        echo.state,
    )
    assert FAILURE_REASON_OVERLOADED == down.bench.failure_reason
    assert "" == down.last_failure.message
    assert snapshot.instance_id == of_chain.instance_id


@pytest.mark.rule("4.11")
async def test_bench_and_unbench() -> None:
    """Calls skip the target until it is put back; both are idempotent."""
    async with running() as it:
        request = BenchRequest(target="acme/echo", reason="upgrade")
        for _ in range(2):
            benched = (await it.operator.Bench(request)).targets
        reported = await failed(it.generation.Generate(generate("acme/echo")))
        for _ in range(2):
            unbenched = await it.operator.Unbench(UnbenchRequest(target="acme/echo"))
        answered = await it.generation.Generate(generate("acme/echo"))

    assert [BenchRecord.ORIGIN_OPERATOR] == [t.bench.origin for t in benched]
    skip = reported.details[CallFailure].attempts[0]
    assert (FAILURE_REASON_BENCHED, "upgrade") == (
        skip.failure_reason,
        skip.bench.reason,
    )
    assert [TargetHealth.STATE_ACTIVE] == [t.state for t in unbenched.targets]
    assert "acme/echo" == answered.completion.target


@pytest.mark.rule("4.11")
async def test_one_model_stays_benched_with_its_provider() -> None:
    """FAILED_PRECONDITION names the record to lift."""
    async with running() as it:
        await it.operator.Bench(BenchRequest(provider="acme"))
        reported = await failed(it.operator.Unbench(UnbenchRequest(target="acme/echo")))
        await it.operator.Unbench(UnbenchRequest(provider="acme"))
        await it.generation.Generate(generate("acme/echo"))

    assert (grpc.StatusCode.FAILED_PRECONDITION, "BENCHED_BY_PROVIDER") == (
        reported.code,
        reported.reason,
    )
    assert "acme" == reported.details[ErrorInfo].metadata["provider"]


@pytest.mark.rule("4.11")
async def test_the_whole_of_a_broken_bench_is_told() -> None:
    """Every violation, and lengths of time that no clock can show among them."""
    for_ages = Duration(seconds=2**62)
    broken = BenchRequest(target="acme/a b", duration=for_ages, reason="x" * 257)
    async with running() as it:
        reported = await failed(it.operator.Bench(broken))
        tier = await failed(it.operator.Unbench(UnbenchRequest(target="fast")))
        longest = BenchRequest(target="acme/echo", duration=Duration(seconds=31622400))
        benched = await it.operator.Bench(longest)

    assert ["target", "duration", "reason"] == [
        violation.field for violation in reported.details[BadRequest].field_violations
    ]
    assert grpc.StatusCode.INVALID_ARGUMENT == tier.code
    assert benched.targets[0].bench.expire_time.ToJsonString()


@pytest.mark.rule("4.11", "7")
async def test_a_provider_of_any_length_is_not_found() -> None:
    """The caller sees this status, not one of the transport for its size."""
    async with running() as it:
        reported = await failed(it.operator.Bench(BenchRequest(provider="ü" * 40_000)))

    assert (grpc.StatusCode.NOT_FOUND, "UNKNOWN_PROVIDER") == (
        reported.code,
        reported.reason,
    )
    assert reported.details[ErrorInfo].metadata["name"].startswith("üüü")


@pytest.mark.rule("4.11")
async def test_what_cannot_be_benched() -> None:
    """Unknown providers are NOT_FOUND; tiers and nonsense are INVALID_ARGUMENT."""
    async with running(TIERED) as it:
        unknown = await failed(it.operator.Bench(BenchRequest(provider="openai")))
        tier = await failed(it.operator.Bench(BenchRequest(target="fast")))
        backwards = BenchRequest(target="acme/echo", duration=Duration(seconds=-1))
        negative = await failed(it.operator.Bench(backwards))

    assert (grpc.StatusCode.NOT_FOUND, "UNKNOWN_PROVIDER") == (
        unknown.code,
        unknown.reason,
    )
    for reported, field in [(tier, "target"), (negative, "duration")]:
        assert grpc.StatusCode.INVALID_ARGUMENT == reported.code
        violations = reported.details[BadRequest].field_violations
        assert [field] == [violation.field for violation in violations]
