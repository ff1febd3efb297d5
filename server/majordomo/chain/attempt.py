"""One attempt at one target: run against its limits, judged, and written down."""

from http import HTTPStatus
from types import TracebackType

from majordomo.chain.answers import Fault
from majordomo.chain.call import Call
from majordomo.chain.clock import Clock
from majordomo.chain.evidence import Lease
from majordomo.chain.failure import Failure, failure_class
from majordomo.chain.plan import Plan
from majordomo.chain.target import Answer, Life, Piece, Target
from majordomo.chain.timing import RearmableTimeout
from majordomo.chain.tracker import Tracker
from majordomo.durations import set_duration
from majordomo.text import cut, line
from majordomo.v1.attempt_pb2 import (
    ATTEMPT_OUTCOME_CANCELLED,
    ATTEMPT_OUTCOME_FAILED,
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    FAILURE_CLASS_TRANSIENT,
    FAILURE_REASON_CANCELLED,
    FAILURE_REASON_DEADLINE,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_QUOTA_EXHAUSTED,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_TIMEOUT,
    Attempt,
    AttemptOutcome,
)
from majordomo.v1.generation_service_pb2 import Adaptation, PartDelta

MOST_MESSAGE_BYTES = 200
"""Of an Attempt's message: the contract's limit."""

_BATCH = 5.0
"""Seconds in which pieces that nobody waits for are gathered."""

_LIMITS = {
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_QUOTA_EXHAUSTED,
    FAILURE_REASON_TIMEOUT,
}
"""Reasons that are the provider's whatever its status is."""


class RunningAttempt:
    """Holds the lease and the room of an attempt from its start to its end.

    Used as a context manager around `next_piece`. When the block is left, however it
    is left, `record` is whole and one of the call's attempts; a Failure ends there.
    """

    def __init__(
        self,
        call: Call,
        target: Target,
        plan: Plan,
        lease: Lease,
        tracker: Tracker,
        clock: Clock,
        *,
        call_end: float,
    ) -> None:
        self.record = Attempt(
            number=len(call.attempts) + 1,
            target=target.name,
            probe=lease.probe,
            last_resort=lease.last_resort,
        )
        clock.stamp(self.record.start_time)
        self._call = call
        self._target = target
        self._exchange = plan.exchange
        self._exchange.may_resend = self._may_resend
        if not call.stream:
            self._exchange.batch = min(_BATCH, plan.limits.stall / 4)
        self._pieces = plan.exchange.run()
        self._lease = lease
        self._tracker = tracker
        self._clock = clock
        self._limits = plan.limits
        self._own = plan.own
        self._start = self._handed_on = clock.monotonic()
        self._call_end = call_end
        self._content_end = min(
            self._start + self._limits.first_content, call_end - plan.reserve
        )
        self._end = self._start + self._limits.attempt
        self._stall = self._limits.stall
        self._alive = False
        self._content = False
        self.answer: Answer | None = None
        """What it has answered, once it has."""

        self.kept: Fault | None = None
        """What is wrong with the answer, if the walk goes on after it."""

        self._ran_out = False
        self._stalled = False
        self._timer = RearmableTimeout()

    async def __aenter__(self) -> "RunningAttempt":
        for concurrency in self._target.concurrency_limits:
            concurrency.used += 1
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        try:
            self._judge(error)
        finally:
            self._call.attempts.append(self.record)
            for concurrency in self._target.concurrency_limits:
                concurrency.used -= 1
            self._tracker.release(self._lease)
            self._timer.end()
            # Else the two would keep each other, and a large body, until a collection.
            self._exchange.may_resend = None
            await self._pieces.aclose()
        return isinstance(error, Failure)

    @property
    def shown(self) -> bool:
        """The caller has seen content of it."""
        return self._content and self._call.stream

    @property
    def adaptations(self) -> list[Adaptation]:
        """What was changed or left out of the request to fit the target."""
        return self._exchange.adaptations

    @property
    def refit(self) -> bool:
        """It was refused for a form that the target is spared from now on."""
        return self._exchange.refit

    async def next_piece(self) -> list[PartDelta] | Answer:
        """The next content, or the Answer.

        Raises Failure: the provider's, TIMEOUT for a limit of the attempt,
        DEADLINE when the call's own time is over, MALFORMED_RESPONSE for an
        exchange that just stopped.
        """
        while isinstance(piece := await self._next(), Life):
            thinking = piece is Life.THINKING
            self._stall = self._limits.silence if thinking else self._limits.stall
            self._tracker.alive(self._lease)
        if isinstance(piece, Answer):
            self.answer = piece
            if piece.completion.HasField("usage"):
                self.record.usage.CopyFrom(piece.completion.usage)
        elif not self._content:
            self._content = True
            self._tracker.first_content(self._lease)
            latency = self._clock.monotonic() - self._start
            set_duration(self.record.first_content_latency, latency)
        return piece

    async def _next(self) -> Piece:
        """The next sign of life, which ends the wait for the first and is timed."""
        now = self._clock.monotonic()
        if self._alive:
            # The limits run while we wait for the provider, not for the reader.
            self._end += now - self._handed_on
            limit = min(now + self._stall, self._end, self._call_end)
        else:
            limit = min(self._content_end, self._end)
        try:
            with self._timer.until(limit):
                piece = await anext(self._pieces)
        except TimeoutError:
            raise self._out_of_time(limit) from None
        except StopAsyncIteration:
            raise Failure(
                FAILURE_REASON_MALFORMED_RESPONSE, "the answer had no end"
            ) from None
        self._alive = True
        self._handed_on = self._clock.monotonic()
        return piece

    def _out_of_time(self, limit: float) -> Failure:
        self._ran_out = True
        if limit >= self._call_end:
            return Failure(FAILURE_REASON_DEADLINE, "the call's time was over")
        ran = self._clock.monotonic() - self._start
        if self._alive:
            self._stalled = limit < self._end
            what = "the answer stopped" if self._stalled else "the answer was long"
        else:
            what = "no content"
        return Failure(FAILURE_REASON_TIMEOUT, f"{what} after {ran:.1f} s")

    def _may_resend(self) -> bool:
        """Nobody has benched the target since the attempt began (rule 2.7)."""
        bench = self._tracker.out_of_rotation(self._target.name)
        return bench is None or bench.start <= self._start

    def _judge(self, error: BaseException | None) -> None:
        """Write the end down and inform the tracker."""
        record = self.record
        exchange = self._exchange
        ran = self._clock.monotonic() - self._start
        set_duration(record.duration, ran)
        record.http_status_code = exchange.http_status_code
        record.provider_request_id = exchange.provider_request_id
        record.resent = exchange.resent
        if exchange.usage is not None and not record.HasField("usage"):
            record.usage.CopyFrom(exchange.usage)
        if self.answer is not None:
            record.outcome = ATTEMPT_OUTCOME_SUCCEEDED
            if self.kept is not None:
                record.answer_fault = self.kept.kind
                record.message = line(self.kept.words, MOST_MESSAGE_BYTES)
            else:
                self._tracker.succeed(self._lease)
        elif isinstance(error, Failure):
            record.outcome = self._failed_outcome(error)
            record.failure_reason = error.reason
            record.failure_class = failure_class(error.reason)
            record.message = cut(error.message, MOST_MESSAGE_BYTES)
            record.provider_error_code = error.code
            if error.retry_delay is not None:
                set_duration(record.retry_delay, error.retry_delay)
            counts = self._counts(error, ran)
            if not counts and record.outcome == ATTEMPT_OUTCOME_CANCELLED:
                return
            bench = self._tracker.fail(self._lease, record, counts=counts)
            if bench is not None:
                record.benched = True
                bench.write(record.bench, self._clock)
        else:
            # Cancelled, closed by its reader, or a bug of ours.
            record.outcome = ATTEMPT_OUTCOME_CANCELLED
            record.failure_reason = FAILURE_REASON_CANCELLED

    def _failed_outcome(self, failure: Failure) -> AttemptOutcome:
        if failure.reason == FAILURE_REASON_DEADLINE:
            return ATTEMPT_OUTCOME_CANCELLED
        if self.shown:
            return ATTEMPT_OUTCOME_INTERRUPTED
        return ATTEMPT_OUTCOME_FAILED

    def _counts(self, failure: Failure, ran: float) -> bool:
        """Rules 4.2 and 4.3."""
        if self._ran_out:
            return self._silence_counts(failure, ran)
        if not (self._content or failure.transient):
            return False
        return not (
            may_be_the_requests(self.record)
            and any(map(self._same_again, self._call.attempts))
        )

    def _silence_counts(self, failure: Failure, ran: float) -> bool:
        """Whether a limit that has run out says something of the target."""
        if not self._alive:
            own = min(self._own.first_content, self._own.attempt)
            return ran >= self._tracker.patience(self._lease, own)
        if failure.reason == FAILURE_REASON_DEADLINE:
            return False
        if self._stalled:
            own = self._own.stall
            return self._limits.stall >= self._tracker.patience(self._lease, own)
        return self._limits.attempt >= self._own.attempt

    def _same_again(self, attempt: Attempt) -> bool:
        """Whether an attempt of this call failed at the target in such a way."""
        return attempt.target == self.record.target and may_be_the_requests(attempt)


def may_be_the_requests(attempt: Attempt) -> bool:
    """Whether what was asked, and not who was asked, may have made it fail.

    An answer that cannot be read, an error in a good answer, a refusal that nobody
    knows: one prompt may bring them about again and again.
    """
    return (
        attempt.failure_class == FAILURE_CLASS_TRANSIENT
        and attempt.failure_reason not in _LIMITS
        and (
            attempt.failure_reason == FAILURE_REASON_MALFORMED_RESPONSE
            or 0 < attempt.http_status_code < HTTPStatus.INTERNAL_SERVER_ERROR
        )
    )
