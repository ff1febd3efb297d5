"""What a call's attempts used in all, and what that costs."""

from decimal import Decimal

import pytest

from majordomo.chain.call import Policy
from majordomo.chain.failure import Failure
from majordomo.chain.prices import Prices
from majordomo.chain.usage import add_up, may_be_uncounted
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_CANCELLED,
    ATTEMPT_OUTCOME_FAILED,
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SKIPPED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    FAILURE_REASON_BENCHED,
    FAILURE_REASON_CANCELLED,
    FAILURE_REASON_CONNECTION,
    FAILURE_REASON_DEADLINE,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_TIMEOUT,
    Attempt,
    Usage,
)
from majordomo.v1.generation_service_pb2 import (
    INTERRUPTION_POLICY_RESTART,
    TotalUsage,
)
from tests.chain.fakes import call, engine, target, virtual_time, walk

COUNTED = Usage(input_tokens=3, output_tokens=5)


def total(*attempts: Attempt) -> TotalUsage:
    found = TotalUsage()
    add_up(attempts, found)
    return found


@pytest.mark.rule("2.21")
def test_counts_add_up_field_by_field() -> None:
    """What nobody counted is unset; what somebody counted as nothing is zero."""
    one = Usage(input_tokens=10, output_tokens=2, cache_read_tokens=0)
    other = Usage(input_tokens=4, reasoning_tokens=1, web_searches=3)
    found = total(
        Attempt(outcome=ATTEMPT_OUTCOME_FAILED, http_status_code=500, usage=one),
        Attempt(outcome=ATTEMPT_OUTCOME_SUCCEEDED, usage=other),
    )

    expected = Usage(
        input_tokens=14,
        output_tokens=2,
        cache_read_tokens=0,
        reasoning_tokens=1,
        web_searches=3,
    )
    assert TotalUsage(usage=expected) == found


@pytest.mark.rule("2.21")
def test_counts_stay_within_their_type() -> None:
    """However much providers claim."""
    most = 2**31 - 1
    claimed = Attempt(
        outcome=ATTEMPT_OUTCOME_SUCCEEDED, usage=Usage(output_tokens=most)
    )

    assert most == total(claimed, claimed).usage.output_tokens


FAILED = ATTEMPT_OUTCOME_FAILED


@pytest.mark.rule("2.21")
@pytest.mark.parametrize(
    ("attempt", "uncounted"),
    [
        (Attempt(outcome=ATTEMPT_OUTCOME_SUCCEEDED, usage=COUNTED), False),
        (Attempt(outcome=ATTEMPT_OUTCOME_SUCCEEDED), True),
        (
            Attempt(
                outcome=ATTEMPT_OUTCOME_SKIPPED, failure_reason=FAILURE_REASON_BENCHED
            ),
            False,
        ),
        (
            Attempt(
                outcome=FAILED,
                failure_reason=FAILURE_REASON_OVERLOADED,
                http_status_code=503,
            ),
            False,
        ),
        (
            Attempt(
                outcome=FAILED,
                failure_reason=FAILURE_REASON_OVERLOADED,
                http_status_code=200,
            ),
            False,
        ),
        (Attempt(outcome=FAILED, failure_reason=FAILURE_REASON_CONNECTION), False),
        (
            Attempt(
                outcome=ATTEMPT_OUTCOME_INTERRUPTED,
                failure_reason=FAILURE_REASON_CONNECTION,
                http_status_code=200,
            ),
            True,
        ),
        (
            Attempt(
                outcome=FAILED,
                failure_reason=FAILURE_REASON_MALFORMED_RESPONSE,
                http_status_code=200,
            ),
            True,
        ),
        (
            Attempt(
                outcome=FAILED,
                failure_reason=FAILURE_REASON_OVERLOADED,
                http_status_code=200,
                usage=COUNTED,
            ),
            True,
        ),
        (Attempt(outcome=FAILED, failure_reason=FAILURE_REASON_TIMEOUT), True),
        (
            Attempt(
                outcome=FAILED,
                failure_reason=FAILURE_REASON_TIMEOUT,
                http_status_code=504,
            ),
            False,
        ),
        (
            Attempt(
                outcome=ATTEMPT_OUTCOME_CANCELLED,
                failure_reason=FAILURE_REASON_DEADLINE,
            ),
            True,
        ),
        (
            Attempt(
                outcome=ATTEMPT_OUTCOME_CANCELLED,
                failure_reason=FAILURE_REASON_CANCELLED,
            ),
            True,
        ),
    ],
)
def test_what_may_have_been_billed_uncounted(attempt: Attempt, uncounted: bool) -> None:
    """Answers without counts, and attempts that were cut while they were at work."""
    assert uncounted == may_be_uncounted(attempt)
    assert uncounted == total(attempt).lower_bound


@pytest.mark.rule("2.21", "3.3")
@virtual_time
async def test_a_stream_that_was_restarted_is_counted() -> None:
    """What the first target had counted, the answer's, and that more may be billed."""
    walker, _ = engine()
    broken = ("half", Failure(FAILURE_REASON_CONNECTION, "reset"))
    a, b = target("a/1", broken, usage=COUNTED), target("b/1", usage=COUNTED)
    policy = Policy(interruption=INTERRUPTION_POLICY_RESTART)

    result = await walk(walker, call(a, b, stream=True, policy=policy))

    completion = result.answer.completion
    assert COUNTED == completion.usage
    assert (6, 10) == (
        completion.total_usage.usage.input_tokens,
        completion.total_usage.usage.output_tokens,
    )
    assert completion.total_usage.lower_bound


@pytest.mark.rule("2.21")
@virtual_time
async def test_a_plain_answer_is_its_own_total() -> None:
    """One attempt, counted: nothing more was billed."""
    walker, _ = engine()

    result = await walk(walker, call(target("a/1", usage=COUNTED)))

    completion = result.answer.completion
    assert TotalUsage(usage=completion.usage) == completion.total_usage


PRICES = Prices(
    input=Decimal("0.1"),
    output=Decimal("0.7"),
    cached_input=Decimal("0.025"),
    cache_write=Decimal("0.125"),
)


@pytest.mark.rule("2.22")
@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(), "0"),
        (Usage(input_tokens=3), "0.0000003"),
        (Usage(input_tokens=1_000_000, output_tokens=1_000_000), "0.8"),
        (Usage(input_tokens=100, cache_read_tokens=60), "0.0000055"),
        (
            Usage(
                input_tokens=100,
                cache_read_tokens=60,
                cache_write_tokens=40,
                output_tokens=10,
            ),
            "0.0000135",
        ),
        # A provider's parts may be wrong together; nothing is credited for that.
        (Usage(input_tokens=1, cache_read_tokens=1, cache_write_tokens=1), "1.5E-7"),
    ],
)
def test_what_tokens_cost(usage: Usage, cost: str) -> None:
    """Exactly, what is cached at its own price."""
    assert Decimal(cost) == PRICES.cost(usage)
