"""Generate and Stream over a real channel."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo, RetryInfo

from majordomo.v1.attempt_pb2 import (
    ANSWER_FAULT_EMPTY,
    ATTEMPT_OUTCOME_FAILED,
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SKIPPED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    FAILURE_REASON_CREDENTIALS,
    FAILURE_REASON_NOT_REACHED,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_TIMEOUT,
)
from majordomo.v1.content_pb2 import ROLE_ASSISTANT
from majordomo.v1.errors_pb2 import CallFailure
from majordomo.v1.generation_service_pb2 import (
    ALL_BENCHED_POLICY_TRY_SOONEST,
    ALL_BENCHED_POLICY_WAIT,
    FINISH_REASON_STOP,
    INTERRUPTION_POLICY_RESTART,
    AllBenchedPolicy,
    AnswerPolicy,
    ChainOptions,
)
from majordomo.v1.operator_service_pb2 import BenchRequest, HealthSnapshotRequest
from testkit.servers import (
    SCRIPTED,
    Running,
    failed,
    generate,
    prompt,
    rest_of,
    running,
    stream,
    text_of,
)

DOWN = "acme/status:503"
EMPTY_ADVANCES = AnswerPolicy(advance_on_answer=[ANSWER_FAULT_EMPTY])


async def test_generate_answers_and_tells_who() -> None:
    """The message is ready to append; the completion tells target and usage."""
    async with running() as it:
        response = await it.generation.Generate(generate(f"{DOWN},acme/echo", "hi you"))

    message, completion = response.message, response.completion
    assert (ROLE_ASSISTANT, "hi you", "acme/echo") == (
        message.role,
        message.parts[0].text,
        message.origin,
    )
    assert FINISH_REASON_STOP == completion.finish_reason
    assert (2, 2) == (completion.usage.input_tokens, completion.usage.output_tokens)
    assert [
        (DOWN, ATTEMPT_OUTCOME_FAILED, FAILURE_REASON_OVERLOADED, 503),
        (DOWN, ATTEMPT_OUTCOME_FAILED, FAILURE_REASON_OVERLOADED, 503),
        ("acme/echo", ATTEMPT_OUTCOME_SUCCEEDED, 0, 200),
    ] == [
        (a.target, a.outcome, a.failure_reason, a.http_status_code)
        for a in completion.attempts
    ]
    assert len(completion.generation_id) > 20


async def test_stream_forwards_the_answer_as_it_is_written() -> None:
    """Pieces, then the completion, and nothing of what failed before."""
    async with running() as it:
        call = it.generation.Stream(stream(f"{DOWN},acme/echo", "one two three"))
        events = [event async for event in call]
        trailers = dict(await call.trailing_metadata())

    assert "one two three" == text_of(events)
    assert ["part_delta"] * 3 + ["completion"] == [
        e.WhichOneof("event") for e in events
    ]
    completion = events[-1].completion
    assert "acme/echo" == completion.target
    assert completion.generation_id == trailers["majordomo-generation-id"]


async def test_attempts_are_streamed_where_asked_for() -> None:
    """Each one as it ends, skips included, before the answer."""
    async with running() as it:
        request = stream(f"{DOWN},acme/echo", include_attempts=True)
        first = [event async for event in it.generation.Stream(request)]
        second = [event async for event in it.generation.Stream(request)]

    kinds = [event.WhichOneof("event") for event in first]
    assert ["attempt_ended", "attempt_ended", "part_delta", "completion"] == kinds
    assert ATTEMPT_OUTCOME_SKIPPED == second[0].attempt_ended.outcome


async def test_attempts_are_streamed_of_a_call_that_fails_too() -> None:
    """What is streamed is what the status has, as long as that is small."""
    async with running() as it:
        call: Any = it.generation.Stream(
            stream(f"{DOWN},acme/x", include_attempts=True)
        )
        seen: list[Any] = [await call.read() for _ in range(3)]
        reported = await failed(call)

    streamed = [event.attempt_ended for event in seen]
    assert streamed == list(reported.details[CallFailure].attempts)
    assert [DOWN, DOWN, "acme/x"] == [attempt.target for attempt in streamed]


@pytest.mark.rule("3.2")
async def test_nothing_is_sent_before_the_first_content() -> None:
    """A failed stream is Trailers-Only: no headers, no message."""
    async with running() as it:
        reported = await failed(it.generation.Stream(stream(DOWN)))

    assert grpc.StatusCode.UNAVAILABLE == reported.code
    assert [] == reported.initial_metadata


@pytest.mark.rule("3.3", "7")
async def test_a_break_after_content_is_aborted() -> None:
    """The caller has what came, and a status that says that it is not all."""
    async with running() as it:
        call = it.generation.Stream(stream("acme/cut:2,acme/echo", "one two three"))
        seen: list[Any] = [await call.read(), await call.read()]
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()
        reported = await failed(it.generation.Stream(stream("acme/cut:1", "one two")))

    assert "one two " == text_of(seen)
    assert (grpc.StatusCode.ABORTED, "STREAM_INTERRUPTED") == (
        reported.code,
        reported.reason,
    )
    attempts = reported.details[CallFailure].attempts
    assert [ATTEMPT_OUTCOME_INTERRUPTED] == [a.outcome for a in attempts]
    assert "grpc-retry-pushback-ms" not in reported.trailers


RESTARTING = """
    [chain]
    interruption_policy = "restart"

    [providers.acme]
    kind = "scripted"
"""


@pytest.mark.rule("3.3")
@pytest.mark.parametrize("configured", [False, True])
async def test_a_broken_answer_starts_again_where_that_is_wanted(
    configured: bool,
) -> None:
    """By the server's setting or the call's: Restart, new answer, completion."""
    request = stream("acme/cut:2,acme/echo", "one two three")
    if not configured:
        request.call.options.interruption_policy = INTERRUPTION_POLICY_RESTART
    async with running(RESTARTING if configured else SCRIPTED) as it:
        events = await rest_of(it.generation.Stream(request))

    restarted = [event.HasField("restart") for event in events].index(True)
    restart = events[restarted].restart
    assert "one two " == text_of(events[:restarted])
    assert ("acme/cut:2", "acme/echo") == (restart.interrupted.target, restart.target)
    assert "one two three" == text_of(events[restarted:])
    assert "acme/echo" == events[-1].completion.target


@pytest.mark.rule("4.12")
@pytest.mark.parametrize(
    "policy", [ALL_BENCHED_POLICY_WAIT, ALL_BENCHED_POLICY_TRY_SOONEST]
)
async def test_all_benched_is_not_the_end_where_that_is_wanted(
    policy: AllBenchedPolicy,
) -> None:
    """The call that waits, or asks early, has its answer and tells of the skip."""
    async with running(
        """
        [chain]
        all_benched_policy = "fail"

        [health]
        failure_threshold = 1
        cooldown_base = "200ms"
        cooldown_cap = "200ms"

        [providers.acme]
        kind = "scripted"
        models.flaky.script = ["status:503", "echo"]
        """
    ) as it:
        await failed(it.generation.Generate(generate("acme/flaky")))
        request = generate("acme/flaky", "hi")
        request.call.options.all_benched_policy = policy
        response = await it.generation.Generate(request)

    assert "hi" == response.message.parts[0].text
    assert [ATTEMPT_OUTCOME_SKIPPED, ATTEMPT_OUTCOME_SUCCEEDED] == [
        attempt.outcome for attempt in response.completion.attempts
    ]


@pytest.mark.rule("3.4")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [(None, "hi"), (AnswerPolicy(), ""), (EMPTY_ADVANCES, "hi")],
    ids=["unset", "none", "empty"],
)
async def test_a_call_says_after_which_answers_to_go_on(
    policy: AnswerPolicy | None, expected: str
) -> None:
    """Unset: after empty ones; set: exactly after those that it lists."""
    async with running() as it:
        request = generate("acme/text:,acme/echo", "hi")
        if policy is not None:
            request.call.options.answer_policy.CopyFrom(policy)
        response = await it.generation.Generate(request)

    assert expected == "".join(part.text for part in response.message.parts)


@pytest.mark.rule("5.2", "5.4")
async def test_a_whole_answer_asked_for_as_a_stream_is_rescued() -> None:
    """A silence in the middle is noticed, and the next target gives the answer."""
    async with running(
        """
        [providers.acme]
        kind = "scripted"
        generate_via = "stream"
        stall_timeout = "100ms"
        """
    ) as it:
        request = generate("acme/stall:2,acme/echo", "one two three")
        response = await it.generation.Generate(request)

    assert "one two three" == response.message.parts[0].text
    assert [FAILURE_REASON_TIMEOUT, 0] == [
        attempt.failure_reason for attempt in response.completion.attempts
    ]


@pytest.mark.rule("7", "2.8")
async def test_an_exhausted_chain_names_every_target() -> None:
    """UNAVAILABLE with attempts, a delay, and word not to run it all again."""
    async with running() as it:
        reported = await failed(
            it.generation.Generate(generate(f"{DOWN},acme/status:500"))
        )

    assert (grpc.StatusCode.UNAVAILABLE, "CHAIN_EXHAUSTED") == (
        reported.code,
        reported.reason,
    )
    assert "majordomo-grpc.github.io" == reported.details[ErrorInfo].domain
    failure = reported.details[CallFailure]
    assert [DOWN, DOWN, "acme/status:500", "acme/status:500"] == [
        a.target for a in failure.attempts
    ]
    assert failure.generation_id == reported.trailers["majordomo-generation-id"]
    assert reported.details[RetryInfo].retry_delay.ToMilliseconds() > 1000
    assert "-1" == reported.trailers["grpc-retry-pushback-ms"]
    assert f"{DOWN}: OVERLOADED; acme/status:500: PROVIDER_ERROR" in reported.message


@pytest.mark.rule("7", "1.2")
async def test_the_longest_chain_fails_with_our_own_status() -> None:
    """Both ends of it are reported, and the trailers are small enough to arrive."""
    targets = [f"acme/status:503+code:{'x' * 95}{n:02}" for n in range(32)]
    async with running() as it:
        reported = await failed(it.generation.Generate(generate(",".join(targets))))

    failure = reported.details[CallFailure]
    numbers = [attempt.number for attempt in failure.attempts]
    assert (grpc.StatusCode.UNAVAILABLE, "CHAIN_EXHAUSTED") == (
        reported.code,
        reported.reason,
    )
    assert (targets[0], targets[-1]) == (
        failure.attempts[0].target,
        failure.attempts[-1].target,
    )
    assert (1, 64) == (numbers[0], numbers[-1])
    assert 64 == len(numbers) + failure.omitted_attempts


@pytest.mark.rule("7", "2.5")
async def test_a_permanent_failure_ends_the_call() -> None:
    """Credentials are the server's to fix, and never the caller's token."""
    async with running() as it:
        reported = await failed(
            it.generation.Generate(generate("acme/status:401,acme/echo"))
        )
        refused = await failed(
            it.generation.Generate(
                generate("acme/status:400+code:invalid_base64_image,acme/x")
            )
        )
        options = ChainOptions(advance_on=[FAILURE_REASON_CREDENTIALS])
        request = generate("acme/status:401,acme/echo")
        request.call.options.CopyFrom(options)
        answered = await it.generation.Generate(request)

    assert (grpc.StatusCode.FAILED_PRECONDITION, "PROVIDER_CREDENTIALS") == (
        reported.code,
        reported.reason,
    )
    reached = reported.details[CallFailure].attempts
    assert FAILURE_REASON_NOT_REACHED == reached[-1].failure_reason
    assert (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_REFUSED") == (
        refused.code,
        refused.reason,
    )
    assert "acme/echo" == answered.completion.target


@pytest.mark.rule("7", "2.5", "8.2")
async def test_refusals_that_nobody_knows() -> None:
    """The next target is asked; where none takes it, each one's words are reported."""
    async with running() as it:
        answered = await it.generation.Generate(generate("acme/status:400,acme/echo"))
        reported = await failed(
            it.generation.Generate(generate("acme/status:400,acme/status:422"))
        )

    assert "acme/echo" == answered.completion.target
    assert (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_UNSUPPORTED") == (
        reported.code,
        reported.reason,
    )
    attempts = reported.details[CallFailure].attempts
    assert [
        ("acme/status:400", "scripted failure"),
        ("acme/status:422", "scripted failure"),
    ] == [(attempt.target, attempt.message) for attempt in attempts]


@pytest.mark.rule("7")
@pytest.mark.parametrize(
    ("chain", "code", "reason"),
    [
        ("acme/status:404", grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
        (
            "acme/status:429+retry-after:9",
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "CHAIN_RATE_LIMITED",
        ),
        (
            "acme/status:429+code:insufficient_quota",
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "CHAIN_RATE_LIMITED",
        ),
        (
            "acme/status:400+code:context_length_exceeded",
            grpc.StatusCode.INVALID_ARGUMENT,
            "REQUEST_UNSUPPORTED",
        ),
        (
            "acme/status:400+code:content_filter",
            grpc.StatusCode.INVALID_ARGUMENT,
            "CONTENT_REFUSED",
        ),
    ],
)
async def test_codes_and_reasons(
    chain: str, code: grpc.StatusCode, reason: str
) -> None:
    """The status of a walked call, by what its only target reported."""
    async with running() as it:
        reported = await failed(it.generation.Generate(generate(chain)))

    assert (code, reason) == (reported.code, reported.reason)


@pytest.mark.rule("7", "4.12")
async def test_all_benched() -> None:
    """Nothing is tried; RetryInfo says when the first target returns."""
    async with running() as it:
        bench = BenchRequest(target="acme/echo", duration=Duration(seconds=40))
        await it.operator.Bench(bench)
        reported = await failed(it.generation.Generate(generate("acme/echo")))

    assert (grpc.StatusCode.UNAVAILABLE, "ALL_BENCHED") == (
        reported.code,
        reported.reason,
    )
    assert 39 <= reported.details[RetryInfo].retry_delay.seconds <= 40
    assert "-1" == reported.trailers["grpc-retry-pushback-ms"]


@pytest.mark.rule("7", "5.1")
async def test_our_deadline_error_arrives_in_time() -> None:
    """The caller sees our status with the attempts, not the transport's bare one."""
    async with running() as it:
        reported = await failed(
            it.generation.Generate(generate("acme/stall:0"), timeout=2)
        )

    assert (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED") == (
        reported.code,
        reported.reason,
    )
    assert 1 == len(reported.details[CallFailure].attempts)


@pytest.mark.rule("7")
async def test_unknown_names_are_not_found() -> None:
    """ResourceInfo and the error's metadata carry the name."""
    async with running() as it:
        tier = await failed(it.generation.Generate(generate("fast")))
        provider = await failed(it.generation.Generate(generate("openai/gpt-5")))

    for reported, reason, name in [
        (tier, "UNKNOWN_TIER", "fast"),
        (provider, "UNKNOWN_PROVIDER", "openai"),
    ]:
        assert (grpc.StatusCode.NOT_FOUND, reason) == (reported.code, reported.reason)
        assert name == reported.details[ErrorInfo].metadata["name"]
        assert name == reported.details[ResourceInfo].resource_name


@pytest.mark.rule("7")
async def test_a_name_of_any_length_is_not_found() -> None:
    """The caller sees our status, not one of the transport for its size."""
    async with running() as it:
        tier = await failed(it.generation.Generate(generate("t" * 4096)))
        provider = await failed(it.generation.Generate(generate("p" * 4094 + "/m")))

    for reported, letter in [(tier, "t"), (provider, "p")]:
        assert grpc.StatusCode.NOT_FOUND == reported.code
        assert reported.details[ErrorInfo].metadata["name"].startswith(letter * 200)


@pytest.mark.rule("7")
async def test_the_largest_status_arrives() -> None:
    """Every violation is long, and of letters that take more bytes in a header."""
    request = generate("acme/echo")
    for number in range(16):
        request.call.labels["é" * 60 + str(number)] = "x" * 257
    request.call.prompt.messages[0].role = 0  # type: ignore[assignment]
    request.call.prompt.config.provider_options_json["é" * 400] = ""
    async with running() as it:
        reported = await failed(it.generation.Generate(request))

    assert (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") == (
        reported.code,
        reported.reason,
    )
    assert "call.prompt.messages[0].role" == (
        reported.details[BadRequest].field_violations[0].field
    )


@pytest.mark.rule("1.4", "7")
@pytest.mark.parametrize("chain", ["", "acme/echo,,acme/x", "Acme/echo", "acme/a b"])
async def test_malformed_chains_are_invalid(chain: str) -> None:
    """The violation is at `chain` and says how to write one."""
    async with running() as it:
        reported = await failed(it.generation.Generate(generate(chain)))

    assert (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") == (
        reported.code,
        reported.reason,
    )
    violations = reported.details[BadRequest].field_violations
    assert ["call.chain"] == [violation.field for violation in violations]


@pytest.mark.rule("7")
async def test_every_violation_is_told_up_to_sixteen() -> None:
    """Each with its path; the rest is counted."""
    request = generate("acme/echo")
    for _ in range(20):
        request.call.prompt.messages.add()
    async with running() as it:
        reported = await failed(it.generation.Generate(request))

    violations = reported.details[BadRequest].field_violations
    assert 16 == len(violations)
    assert "call.prompt.messages[1].role" == violations[0].field
    assert "24" == reported.details[ErrorInfo].metadata["omitted_violations"]


@pytest.mark.rule("6.3")
@pytest.mark.parametrize(
    ("options", "field"),
    [
        (ChainOptions(transient_retries=6), "call.options.transient_retries"),
        (
            ChainOptions(attempt_timeout=Duration(nanos=99_000_000)),
            "call.options.attempt_timeout",
        ),
        (
            ChainOptions(stall_timeout=Duration(seconds=3601)),
            "call.options.stall_timeout",
        ),
        (ChainOptions(all_benched_policy=99), "call.options.all_benched_policy"),  # type: ignore[arg-type]
        (ChainOptions(interruption_policy=99), "call.options.interruption_policy"),  # type: ignore[arg-type]
        (
            ChainOptions(advance_on=[FAILURE_REASON_OVERLOADED]),
            "call.options.advance_on[0]",
        ),
    ],
)
async def test_options_are_bounded(options: ChainOptions, field: str) -> None:
    """Out of bounds, or unknown, is INVALID_ARGUMENT at its path."""
    request = generate("acme/echo")
    request.call.options.CopyFrom(options)
    async with running() as it:
        reported = await failed(it.generation.Generate(request))

    assert grpc.StatusCode.INVALID_ARGUMENT == reported.code
    assert [field] == [v.field for v in reported.details[BadRequest].field_violations]


async def test_options_of_the_call_win() -> None:
    """No retries where the call wants none."""
    request = generate(DOWN)
    request.call.options.transient_retries = 0
    async with running() as it:
        reported = await failed(it.generation.Generate(request))

    assert 1 == len(reported.details[CallFailure].attempts)


@pytest.mark.rule("5.6")
@pytest.mark.parametrize("rpc", ["Generate", "Stream"])
async def test_a_cancelled_call_gives_everything_back(rpc: str) -> None:
    """The attempt ends with the call, and the target's health is untouched."""
    async with running() as it:
        request = generate if rpc == "Generate" else stream
        call = getattr(it.generation, rpc)(request("acme/stall:0"))
        waiting = asyncio.ensure_future(failed(call))
        while not await _active(it):
            pass
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        while await _active(it):
            pass
        snapshot = await it.operator.HealthSnapshot(HealthSnapshotRequest())

    assert [] == list(snapshot.targets)


async def _active(it: Running) -> int:
    snapshot = await it.operator.HealthSnapshot(HealthSnapshotRequest())
    return sum(target.active_attempts for target in snapshot.targets)


async def test_large_requests_are_taken() -> None:
    """Images pass gRPC's usual 4 MiB."""
    async with running() as it:
        request = generate("acme/echo")
        request.call.prompt.CopyFrom(prompt("x" * (6 << 20)))
        request.call.chain = "acme/text:ok"
        response = await it.generation.Generate(request)

    assert "ok" == response.message.parts[0].text
