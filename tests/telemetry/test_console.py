"""What a console shows of calls."""

import io
import re
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from grpc import StatusCode as RpcCode
from opentelemetry.sdk.trace import TracerProvider

from majordomo.chain.call import Call, Policy
from majordomo.chain.failure import Failure
from majordomo.telemetry.console import ConsoleTree
from majordomo.v1.attempt_pb2 import FAILURE_REASON_OVERLOADED
from majordomo.v1.generation_service_pb2 import ALL_BENCHED_POLICY_FAIL
from majordomo.v1.operator_service_pb2 import HealthSnapshotRequest
from testkit.servers import generate, running, stream
from tests.chain.fakes import OK, Step, Wait, call, engine, target, virtual_time, walk
from tests.telemetry.test_spans import end


def shown(*calls: tuple[Call, RpcCode]) -> str:
    """What is written of these calls; ids and the roots' own times left out."""
    output = io.StringIO()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(ConsoleTree(output))
    for done, code in calls:
        end(provider, done, code)
    root = re.compile(r"^trace [0-9a-f]{8} (.*?) +\d+\.\d{3} s", re.MULTILINE)
    return root.sub(r"trace ... \1 ... s", output.getvalue())


FAILOVER = """\
trace ... majordomo.v1.GenerationService/Stream ... s  recovered
└─ chain                                                            0.780 s  recovered
   ├─ chat giant-1                                                  0.020 s  failed, overloaded
   ├─ chat giant-1                                                  0.020 s  failed, overloaded
   │  └─ * majordomo.target.benched target=a/giant-1 cooldown_s=4.0 cause=overloaded consecutive_benches=1
   ├─ * majordomo.failover from=a/giant-1 to=b/smollm2 reason=overloaded elapsed_s=0.14
   └─ chat smollm2                                                  0.640 s  succeeded

"""  # noqa: E501 - as wide as it is

SKIP = """\
trace ... majordomo.v1.GenerationService/Stream ... s  all_benched, UNAVAILABLE
└─ chain                                                            0.000 s  all_benched
   └─ * majordomo.target.skipped target=a/giant-1 reason=benched bench.remaining_s=3.36

"""


@virtual_time
async def test_trees_are_written_in_the_order_of_time() -> None:
    """Spans and events below what they are part of; a block for each call."""
    walker, _ = engine()
    down: list[Step] = [Wait(0.02), Failure(FAILURE_REASON_OVERLOADED, "no")]
    down_target = target("a/giant-1", down)
    failover = call(down_target, target("b/smollm2", [Wait(0.64), *OK]))
    await walk(walker, failover)
    skip = call(down_target, policy=Policy(all_benched=ALL_BENCHED_POLICY_FAIL))
    await walk(walker, skip)

    assert FAILOVER + SKIP == shown((failover, RpcCode.OK), (skip, RpcCode.UNAVAILABLE))


async def test_what_is_traced_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """OTEL_TRACES_EXPORTER=console: a real call's tree on stdout, with its status."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    async with running() as it:
        await it.generation.Generate(generate("acme/echo", "one two"))

    root, chain, attempt = capsys.readouterr().out.rstrip().splitlines()
    assert re.match(r"trace [0-9a-f]{8} majordomo\.v1\.GenerationService/Gen", root)
    assert chain.startswith("└─ chain ")
    assert attempt.startswith("   └─ chat echo ")
    assert attempt.endswith(" s  succeeded, HTTP 200, 2 tokens in, 2 out")


async def test_calls_that_overlap_do_not_mix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A block each, in the order of their ends, even within one caller's trace."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    metadata = (("traceparent", traceparent),)
    async with running() as it:
        request = stream("acme/status:400,acme/stall:1", "one two")
        request.call.options.advance_on_permanent = True
        slow = it.generation.Stream(request, metadata=metadata)
        await slow.read()
        await it.generation.Generate(generate("acme/echo"), metadata=metadata)
        slow.cancel()
        # Comes after the cancel, on the same connection.
        await it.operator.HealthSnapshot(HealthSnapshotRequest(), metadata=metadata)

    blocks = capsys.readouterr().out.rstrip().split("\n\n")
    assert [
        [
            "trace 0af76519 majordomo.v1.GenerationService/Generate",
            "└─ chain",
            "   └─ chat echo",
        ],
        [
            "trace 0af76519 majordomo.v1.GenerationService/Stream",
            "└─ chain",
            "   ├─ chat status:400",
            "   ├─ * majordomo.failover",
            "   └─ chat stall:1",
        ],
        ["trace 0af76519 majordomo.v1.OperatorService/HealthSnapshot"],
    ] == [[_name(line) for line in block.splitlines()] for block in blocks]


def _name(line: str) -> str:
    """A line of a tree without its time and its words."""
    return re.split(r" {2,}(?=\d)| from=", line)[0]


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
async def test_a_full_disk_costs_no_call(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls are answered; the log says once that the trees are lost."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    full = Path("/dev/full").open("w")  # noqa: ASYNC230, SIM115 - closing it fails
    monkeypatch.setattr(sys, "stdout", full)
    async with running() as it:
        texts = [
            (await it.generation.Generate(generate("acme/echo"))).message
            for _ in range(2)
        ]
    lost = [record.getMessage() for record in caplog.records]
    with suppress(OSError):
        full.close()

    assert ["hello"] * 2 == [message.parts[0].text for message in texts]
    assert 1 == lost.count("cannot write traces to stdout: No space left on device")
