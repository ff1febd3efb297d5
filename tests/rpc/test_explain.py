"""Explain over gRPC: the plan of a call, and nothing else."""

import grpc
import pytest

from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_BENCHED,
    FAILURE_REASON_MODEL_NOT_FOUND,
    FAILURE_REASON_OVERLOADED,
)
from majordomo.v1.generation_service_pb2 import Call, ExplainRequest, TargetPlan
from majordomo.v1.operator_service_pb2 import BenchRequest, HealthSnapshotRequest
from testkit.servers import SCRIPTED, failed, generate, prompt, running

TWICE = """
    [providers.acme]
    kind = "scripted"
    models.once-down.script = ["status:503", "text:up"]
    models.healthy.script = ["text:hello"]
    [tiers]
    fast = "acme/once-down,acme/healthy,acme/no-model"
"""


async def test_a_plan_names_every_target_of_the_chain_in_order() -> None:
    """What is tried and how long, what is skipped, what is refused, and why."""
    async with running(TWICE) as server:
        bench = BenchRequest(target="acme/once-down", reason="maintenance")
        await server.operator.Bench(bench)

        reported = await server.generation.Explain(
            ExplainRequest(call=Call(chain="fast", prompt=prompt()), stream=True)
        )

        skipped, tried, refused = reported.targets
        assert "acme/once-down" == skipped.target
        assert TargetPlan.ACTION_SKIP == skipped.action
        assert FAILURE_REASON_BENCHED == skipped.reason
        assert "maintenance" == skipped.bench.reason
        assert TargetPlan.ACTION_TRY == tried.action
        assert 180 == tried.first_content_timeout.seconds
        assert 30 == tried.stall_timeout.seconds
        assert TargetPlan.ACTION_REFUSE == refused.action
        assert FAILURE_REASON_MODEL_NOT_FOUND == refused.reason


async def test_nothing_is_called_and_no_health_is_touched() -> None:
    """After many explanations the first attempt is still the first one."""
    async with running(TWICE) as server:
        request = ExplainRequest(call=Call(chain="fast", prompt=prompt()))
        for _ in range(5):
            await server.generation.Explain(request)

        snapshot = await server.operator.HealthSnapshot(HealthSnapshotRequest())
        assert [0, 0] == [target.total_attempts for target in snapshot.targets[:2]]
        answer = await server.generation.Generate(generate("acme/once-down"))
        first = answer.completion.attempts[0]
        assert FAILURE_REASON_OVERLOADED == first.failure_reason


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (ExplainRequest(call=Call(chain="acme/text:hi")), "INVALID_REQUEST"),
        (ExplainRequest(call=Call(chain="slow", prompt=prompt())), "UNKNOWN_TIER"),
        (
            ExplainRequest(call=Call(chain="other/model", prompt=prompt())),
            "UNKNOWN_PROVIDER",
        ),
    ],
)
async def test_a_call_that_would_be_refused_is_refused(
    request_: ExplainRequest, reason: str
) -> None:
    """The same errors as the call itself would have."""
    async with running(SCRIPTED) as server:
        reported = await failed(server.generation.Explain(request_))

        assert reason == reported.reason
        assert reported.code in (
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.NOT_FOUND,
        )
