"""Where the product departs from the chain that it grew from, whatever the settings.

One test for each departure; docs/decisions lists them with their reasons.
"""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from majordomo.chain.call import Policy
from majordomo.chain.engine import Engine
from majordomo.chain.failure import Failure
from majordomo.chain.health import HealthSettings
from majordomo.chain.target import ConcurrencyLimit, Target, Timeouts
from majordomo.chain.tracker import Tracker
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONTEXT_TOO_LONG,
    FAILURE_REASON_CREDENTIALS,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_QUOTA_EXHAUSTED,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_TIMEOUT,
)
from majordomo.v1.generation_service_pb2 import ALL_BENCHED_POLICY_FAIL
from testkit.upstream import Connection, completion
from tests.chain.fakes import (
    OK,
    Step,
    Wait,
    call,
    loop_clock,
    target,
    virtual_time,
    walk,
)
from tests.faults.scene import outline, scene

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "decisions" / "0001-departures-from-the-reference.md"
SETTINGS = HealthSettings(bench_failure_share=0.0, cooldown_base=5.0)
BUSY = Failure(FAILURE_REASON_OVERLOADED, "busy")
SUCCEEDED, FAILED = "a/1 SUCCEEDED", "a/1 FAILED OVERLOADED"
SKIPPED = "a/1 SKIPPED BENCHED"
NEXT = "b/1 SUCCEEDED"

Test = TypeVar("Test", bound=Callable[..., object])
DEPARTURES: list[str] = []


def departure(name: str) -> Callable[[Test], Test]:
    """The test shows the departure that the page calls so."""

    def note(test: Test) -> Test:
        DEPARTURES.append(name)
        return test

    return note


def test_the_page_lists_every_departure() -> None:
    """Every departure that is tested, in this order, and no other."""
    rows = re.findall(r"^\| ([A-Z][^|]+) \|", PAGE.read_text(), re.MULTILINE)

    assert DEPARTURES == rows


class Plain:
    """The engine at its plainest; `die` decides how long pauses and cooldowns are."""

    def __init__(self, die: float = 1.0) -> None:
        clock = loop_clock()
        self.tracker = Tracker(SETTINGS, clock, lambda: die)
        self._engine = Engine(self.tracker, clock, lambda: die)

    async def ask(
        self,
        *targets: Target,
        retries: int = 1,
        stream: bool = False,
        time_remaining: float | None = None,
        **policy: Any,
    ) -> list[str]:
        """What a call comes to, a line an attempt."""
        wishes = Policy(
            transient_retries=retries, all_benched=ALL_BENCHED_POLICY_FAIL, **policy
        )
        made = call(
            *targets, stream=stream, policy=wishes, time_remaining=time_remaining
        )
        return outline((await walk(self._engine, made)).attempts)

    def returns_in(self, name: str = "a/1") -> float | None:
        return self.tracker.returns_in(name)


def failure(reason: Any, delay: float | None = None) -> list[Step]:
    return [Failure(reason, "no", retry_delay=delay)]


@departure("A timeout is not retried")
@pytest.mark.rule("2.6")
@virtual_time
async def test_a_timeout_is_not_retried() -> None:
    """The second wait would be as long as the first."""
    a = target("a/1", failure(FAILURE_REASON_TIMEOUT))

    assert ["a/1 FAILED TIMEOUT", NEXT] == await Plain().ask(a, target("b/1"))


@departure("A rate limit with a delay benches at once")
@pytest.mark.rule("4.6")
@virtual_time
async def test_a_rate_limit_with_a_delay() -> None:
    """Until then and no longer, and nobody has to probe."""
    plain = Plain(die=0.0)
    a = target("a/1", failure(FAILURE_REASON_RATE_LIMITED, 7.0), [Wait(1.0), *OK])
    first = await plain.ask(a, target("b/1"))
    wait = plain.returns_in()
    await asyncio.sleep(7.0)
    then = await asyncio.gather(*(plain.ask(a) for _ in range(2)))

    assert ["a/1 FAILED RATE_LIMITED", NEXT] == first
    assert 7.0 == wait
    assert [[SUCCEEDED]] * 2 == then


@departure("A quota that is used up benches at once")
@pytest.mark.rule("4.7")
@virtual_time
async def test_a_quota() -> None:
    """For a quarter of an hour."""
    plain = Plain()
    a = target("a/1", failure(FAILURE_REASON_QUOTA_EXHAUSTED))

    assert ["a/1 FAILED QUOTA_EXHAUSTED", NEXT] == await plain.ask(a, target("b/1"))
    assert 900.0 == plain.returns_in()


@departure("A delay that a provider asks for is kept")
@pytest.mark.rule("4.5")
@virtual_time
async def test_retry_after() -> None:
    """A bench lasts at least as long, whatever the cooldown."""
    plain = Plain()
    a = target("a/1", failure(FAILURE_REASON_OVERLOADED, 40.0))
    await plain.ask(a)

    assert 40.0 == plain.returns_in()


@departure("When a bench is over, one call probes")
@pytest.mark.rule("4.8")
@virtual_time
async def test_one_probe() -> None:
    """The others go on skipping until it has an answer."""
    plain = Plain()
    a = target("a/1", [BUSY], [BUSY], [Wait(1.0), *OK])
    await plain.ask(a)
    await asyncio.sleep(5.0)
    calls = await asyncio.gather(*(plain.ask(a, target("b/1")) for _ in range(3)))

    assert [[SUCCEEDED], [SKIPPED, NEXT], [SKIPPED, NEXT]] == calls


@departure("Of many attempts that run, more have to fail")
@pytest.mark.rule("4.1")
@virtual_time
async def test_the_share_of_running_attempts() -> None:
    """Two failures bench a quiet target; of twenty that run it takes four."""
    plain = Plain()
    slow = target("a/1", [Wait(1.0), *OK])
    running = [asyncio.ensure_future(plain.ask(slow)) for _ in range(18)]
    await asyncio.sleep(0.1)
    bad = target("a/1", [BUSY])
    await plain.ask(bad, retries=1)
    after_two = plain.returns_in()
    await plain.ask(bad, retries=1)
    after_four = plain.returns_in()
    await asyncio.gather(*running)

    assert (0.0, 5.0) == (after_two, after_four)


@departure("There is a pause before a retry")
@pytest.mark.rule("2.6")
@virtual_time
async def test_a_pause_before_a_retry() -> None:
    """A tenth of a second, in which something may have passed."""
    began = asyncio.get_running_loop().time()
    seen = await Plain().ask(target("a/1", [BUSY], OK))
    took = asyncio.get_running_loop().time() - began

    assert [FAILED, SUCCEEDED] == seen
    assert 0.1 == pytest.approx(took)


@departure("A bench by another call ends the retries")
@pytest.mark.rule("2.6")
@virtual_time
async def test_a_bench_by_another_call() -> None:
    """After the pause the target is looked at again."""
    plain = Plain()
    a = target("a/1", [BUSY])
    waiting = asyncio.ensure_future(plain.ask(a, target("b/1")))
    await asyncio.sleep(0.05)
    await plain.ask(a, retries=0)

    assert [FAILED, SKIPPED, NEXT] == await waiting


@departure("A prompt that is too long goes on")
@pytest.mark.rule("2.5")
@virtual_time
async def test_context_too_long() -> None:
    """A longer context is just what the next target may have."""
    a = target("a/1", failure(FAILURE_REASON_CONTEXT_TOO_LONG))

    assert ["a/1 FAILED CONTEXT_TOO_LONG", NEXT] == await Plain().ask(a, target("b/1"))


@departure("A target without room is passed over")
@pytest.mark.rule("2.3")
@virtual_time
async def test_no_room() -> None:
    """Nothing waits in line for it, and it is not benched."""
    plain = Plain()
    a = target("a/1", concurrency_limits=(ConcurrencyLimit(limit=0),))

    assert ["a/1 SKIPPED CONCURRENCY_LIMIT", NEXT] == await plain.ask(a, target("b/1"))
    assert 0.0 == plain.returns_in()


@departure("Every attempt has limits")
@pytest.mark.rule("5.4")
@virtual_time
async def test_limits() -> None:
    """Who says nothing does not use up the call's time, and the next one answers."""
    a = target("a/1", [Wait(1000.0)], timeouts=Timeouts(first_content=3.0))
    began = asyncio.get_running_loop().time()
    seen = await Plain().ask(a, target("b/1"), stream=True)
    took = asyncio.get_running_loop().time() - began

    assert ["a/1 FAILED TIMEOUT", NEXT] == seen
    assert 3.0 == pytest.approx(took)


@departure("With too little time left no other target is tried")
@pytest.mark.rule("5.3")
@virtual_time
async def test_too_little_time() -> None:
    """No tokens are bought that nobody will read."""
    a = target("a/1", [Wait(0.85), BUSY])
    seen = await Plain().ask(a, target("b/1"), retries=0, time_remaining=2.0)

    assert ["a/1 FAILED OVERLOADED", "b/1 SKIPPED DEADLINE"] == seen


@departure("Time that the caller cut short counts for nothing")
@pytest.mark.rule("4.3")
@virtual_time
async def test_a_short_deadline() -> None:
    """However often: nobody takes a healthy target from the others."""
    plain = Plain()
    a = target("a/1", [Wait(1.0), *OK])
    for _ in range(5):
        await plain.ask(a, attempt_timeout=0.5)
        await plain.ask(a, time_remaining=0.5)

    assert 0.0 == plain.returns_in()


@departure("What the request may have caused counts once a call")
@pytest.mark.rule("4.2")
@virtual_time
async def test_a_request_that_nobody_can_answer() -> None:
    """Its retries are more of the same; the next call that fails benches."""
    plain = Plain()
    a = target("a/1", failure(FAILURE_REASON_MALFORMED_RESPONSE))
    after = []
    for _ in range(2):
        await plain.ask(a, retries=3)
        after.append(plain.returns_in())

    assert [0.0, 5.0] == after


@departure("A stream's silence counts while it lasts")
@pytest.mark.rule("4.3")
@virtual_time
async def test_silence_that_has_not_ended() -> None:
    """Where answers have come sooner: others need not wait as long to learn of it."""
    plain = Plain()
    await plain.ask(target("a/1", [Wait(0.5), *OK]), stream=True)
    silent = target("a/1", [Wait(1000.0)])
    calls = [asyncio.ensure_future(plain.ask(silent, stream=True)) for _ in range(2)]
    for _ in range(25):
        await asyncio.sleep(0.5)
        plain.returns_in()  # anyone who calls looks
    then = plain.returns_in()
    for waiting in calls:
        waiting.cancel()

    assert then is not None
    assert then > 0


@departure("A stream has answered when it has ended")
@pytest.mark.rule("3.1", "3.4")
@virtual_time
async def test_a_stream_that_opens_and_fails() -> None:
    """Up to its first content it is tried again; broken after it, it has failed."""
    plain = Plain()
    silent = target("a/1", [Wait(1.0), BUSY], OK)
    breaking = target("a/1", ["hel", BUSY])
    seen = await plain.ask(silent, stream=True)
    broken = [await plain.ask(breaking, stream=True) for _ in range(2)]

    assert [FAILED, SUCCEEDED] == seen
    assert [["a/1 INTERRUPTED OVERLOADED"]] * 2 == broken
    assert 5.0 == plain.returns_in()


@departure("An answer forgives what failed before it began")
@pytest.mark.rule("4.2")
@virtual_time
async def test_an_old_answer() -> None:
    """Failures of attempts begun since are newer, though it ends after them."""
    plain = Plain()
    slow = asyncio.ensure_future(plain.ask(target("a/1", [Wait(1.0), *OK])))
    await asyncio.sleep(0.1)
    bad = target("a/1", [BUSY])
    await plain.ask(bad, retries=0)
    await slow
    await plain.ask(bad, retries=0)

    assert 5.0 == plain.returns_in()


@departure("A result from before a bench does not make it longer")
@pytest.mark.rule("4.9")
@virtual_time
async def test_results_from_before_a_bench() -> None:
    """Fifty failures at once are one bench."""
    plain = Plain()
    a = target("a/1", [Wait(1.0), BUSY])
    await asyncio.gather(*(plain.ask(a, retries=0) for _ in range(50)))

    assert 5.0 == plain.returns_in()


@departure("Cooldowns are jittered")
@pytest.mark.rule("4.4")
@pytest.mark.parametrize(("die", "cooldown"), [(0.0, 2.5), (1.0, 5.0)])
def test_jitter(die: float, cooldown: float) -> None:
    """By up to a half, so that replicas do not come back all at once."""

    @virtual_time
    async def bench() -> None:
        plain = Plain(die)
        await plain.ask(target("a/1", [BUSY]))
        assert cooldown == plain.returns_in()

    bench()


@departure("The time of a probe is a part of the cooldown after it")
@pytest.mark.rule("4.4")
@virtual_time
async def test_a_slow_probe() -> None:
    """A target that fails slowly is not looked at less often."""
    plain = Plain()
    a = target("a/1", [BUSY], [BUSY], [Wait(4.0), BUSY])
    await plain.ask(a)
    await asyncio.sleep(5.0)
    await plain.ask(a)

    assert 6.0 == plain.returns_in()


@departure("Targets that were not reached are named")
@pytest.mark.rule("2.8")
@virtual_time
async def test_not_reached() -> None:
    """With those that were, in order."""
    a = target("a/1", failure(FAILURE_REASON_CREDENTIALS))
    seen = await Plain().ask(a, target("b/1"))

    assert ["a/1 FAILED CREDENTIALS", "b/1 SKIPPED NOT_REACHED"] == seen


@departure("Operators take targets out and put them back")
@pytest.mark.rule("4.11")
@virtual_time
async def test_operators() -> None:
    """For as long as they say, whatever the target answers."""
    plain = Plain()
    plain.tracker.bench("a/*", None, "their status page")
    out = await plain.ask(target("a/1"), target("b/1"))
    plain.tracker.unbench("a/*")

    assert [SKIPPED, NEXT] == out
    assert [SUCCEEDED] == await plain.ask(target("a/1"))


@departure("A request that met a closed connection is sent again")
@pytest.mark.rule("2.7")
async def test_a_connection_that_had_gone() -> None:
    """Once, at once, and it is no failure of the target's."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(completion("well"))
        if connection.number == 0 and await connection.request():
            connection.reset()

    async with scene(script) as it:
        seen = [await it.ask() for _ in range(2)]

        assert [["bad/m SUCCEEDED"]] * 2 == [got.attempts for got in seen]
        assert 3 == len(it.bad.requests)
        assert 0 == (await it.health()).consecutive_failures
