"""Ask a majordomo a question: its client library in one page."""

import argparse
import os
import sys

from majordomo.client import Client, MajordomoError, media, text_of, user
from majordomo.v1.attempt_pb2 import Attempt, AttemptOutcome, FailureReason
from majordomo.v1.content_pb2 import Message
from majordomo.v1.generation_service_pb2 import Completion


def main() -> int:
    """Answer the question, and tell who did; 1 when nobody could."""
    args = _arguments()
    try:
        question = user(args.question, *(media(path) for path in args.file))
    except (OSError, ValueError) as error:
        sys.exit(f"ask: {error}")
    ask = write_along if args.stream else wait
    with Client(args.address) as majordomo:
        try:
            completion = ask(majordomo, question, args.chain, args.timeout)
        except MajordomoError as error:
            tell(error)
            return 1
    print(f"-- {completion.target}", file=sys.stderr)
    return 0


def wait(
    majordomo: Client, question: Message, chain: str, timeout: float | None
) -> Completion:
    """Print the whole answer once it is there."""
    response = majordomo.generate(question, chain=chain, timeout=timeout)
    print(text_of(response.message))
    return response.completion


def write_along(
    majordomo: Client, question: Message, chain: str, timeout: float | None
) -> Completion:
    """Print the answer as it is written."""
    with majordomo.stream(question, chain=chain, timeout=timeout) as answer:
        for piece in answer.text():
            print(piece, end="", flush=True)
    print()
    return answer.completion or Completion()


def tell(error: MajordomoError) -> None:
    """Print why there is no answer: every attempt, or what is wrong with the call."""
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    for attempt in error.attempts:
        print(f"  {describe(attempt)}", file=sys.stderr)
    for violation in error.violations:
        print(f"  {violation.field}: {violation.description}", file=sys.stderr)
    if error.retry_delay is not None:
        print(f"  try again in {error.retry_delay:.0f} s", file=sys.stderr)


def describe(attempt: Attempt) -> str:
    """A target, what became of it, and why."""
    outcome = AttemptOutcome.Name(attempt.outcome).removeprefix("ATTEMPT_OUTCOME_")
    reason = FailureReason.Name(attempt.failure_reason)
    reason = reason.removeprefix("FAILURE_REASON_")
    return f"{attempt.number}. {attempt.target}: {outcome.lower()}, {reason}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question")
    parser.add_argument("--chain", default="", help="targets and tiers, first to last")
    parser.add_argument("--file", action="append", default=[], help="send it as well")
    parser.add_argument("--stream", action="store_true", help="print while it comes")
    parser.add_argument("--timeout", type=float, help="seconds for the whole call")
    parser.add_argument(
        "--address", default=os.environ.get("MAJORDOMO_ADDRESS", "127.0.0.1:50051")
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
