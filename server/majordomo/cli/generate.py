"""`majordomo generate`."""

import sys

import click

from majordomo.cli.client import address_option, connect, describe
from majordomo.v1.content_pb2 import ROLE_USER, Message, Part
from majordomo.v1.generation_service_pb2 import (
    Completion,
    FinishReason,
    GenerationConfig,
    Prompt,
    StreamRequest,
)
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceStub


@click.command()
@click.argument("prompt", nargs=-1)
@click.option("--chain", "-c", default="", help="Targets and tiers, comma-separated.")
@click.option("--system", "-s", default="", help="Standing instructions.")
@click.option("--max-tokens", type=click.IntRange(1), help="The longest answer.")
@click.option("--timeout", type=float, help="Seconds that the whole call may take.")
@address_option
def generate(
    prompt: tuple[str, ...],
    chain: str,
    system: str,
    max_tokens: int | None,
    timeout: float | None,
    address: str,
) -> None:
    """Answer PROMPT, or what is piped in, as it is written.

    The answer goes to stdout. Attempts that fail, and who answered at last, go to
    stderr as they happen. Ends with 1 when no target answered.
    """
    text = " ".join(prompt) or sys.stdin.read()
    config = GenerationConfig(max_output_tokens=max_tokens)
    request = StreamRequest(
        chain=chain,
        prompt=Prompt(
            system_instruction=system,
            messages=[Message(role=ROLE_USER, parts=[Part(text=text)])],
            config=config,
        ),
        include_attempts=True,
    )
    with connect(address) as channel:
        for event in GenerationServiceStub(channel).Stream(request, timeout=timeout):
            match event.WhichOneof("event"):
                case "part_delta":
                    click.echo(event.part_delta.text, nl=False)
                    sys.stdout.flush()
                case "attempt_ended":
                    click.echo(describe(event.attempt_ended), err=True)
                case "completion":
                    click.echo()
                    click.echo(_ending(event.completion), err=True)


def _ending(completion: Completion) -> str:
    lines = [describe(completion.attempts[-1])]
    reason = FinishReason.Name(completion.finish_reason)
    words = [reason.removeprefix("FINISH_REASON_").lower()]
    usage = completion.usage
    if usage.HasField("input_tokens"):
        words.append(f"{usage.input_tokens} tokens in")
    if usage.HasField("output_tokens"):
        words.append(f"{usage.output_tokens} out")
    lines.append(f"   finished: {', '.join(words)}")
    lines.extend(
        f"   changed: {a.field}: {a.description}" for a in completion.adaptations
    )
    return "\n".join(lines)
