"""`majordomo generate`."""

import json
import mimetypes
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from majordomo.cli.client import Place, connect, json_option, server_options
from majordomo.cli.render import describe, length, reason, table, to_json, until
from majordomo.cli.sources import beside, sources
from majordomo.client import Client, PromptOptions, media, user
from majordomo.contract import label
from majordomo.v1.attempt_pb2 import ATTEMPT_OUTCOME_SUCCEEDED
from majordomo.v1.content_pb2 import FunctionTool, Message, Part, Tool
from majordomo.v1.generation_service_pb2 import (
    Completion,
    FinishReason,
    GenerationConfig,
    TargetPlan,
)

_DONE = {
    TargetPlan.ACTION_TRY: "tried",
    TargetPlan.ACTION_SKIP: "skipped",
    TargetPlan.ACTION_REFUSE: "refused",
}
_TOOLS = "[{name, description, parameters: {JSON Schema}}, ...]"


def _tools(
    ctx: click.Context,  # noqa: ARG001 - click's
    parameter: click.Parameter,  # noqa: ARG001 - click's
    path: Path | None,
) -> list[Tool]:
    if path is None:
        return []
    try:
        tools = json.loads(path.read_text())
        return [
            Tool(
                function=FunctionTool(
                    name=tool["name"],
                    description=tool.get("description", ""),
                    parameters_schema_json=json.dumps(tool.get("parameters", {})),
                )
            )
            for tool in (tools if isinstance(tools, list) else [tools])
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise click.BadParameter(f"{path} must hold {_TOOLS}: {error}") from None


_existing = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("prompt", nargs=-1)
@click.option("--chain", "-c", default="", help="Targets and tiers, comma-separated.")
@click.option("--system", "-s", default="", help="System instructions.")
@click.option(
    "--file",
    "-f",
    "files",
    multiple=True,
    type=_existing,
    help="An image, PDF, audio or text file to send with the prompt; may be repeated.",
)
@click.option(
    "--tools",
    type=_existing,
    callback=_tools,
    help=f"Tools that the model may call, as JSON: {_TOOLS}",
)
@click.option(
    "--schema", type=_existing, help="A JSON Schema that the answer must follow."
)
@click.option(
    "--max-tokens", type=click.IntRange(1), help="The most tokens of the answer."
)
@click.option("--temperature", type=float, help="The sampling temperature.")
@click.option("--timeout", type=float, help="Seconds that the call may take.")
@click.option(
    "--explain", is_flag=True, help="Call no provider; show what would be tried."
)
@json_option
@server_options
def generate(
    prompt: tuple[str, ...],
    files: tuple[Path, ...],
    schema: Path | None,
    max_tokens: int | None,
    temperature: float | None,
    timeout: float | None,
    explain: bool,
    as_json: bool,
    place: Place,
    chain: str,
    system: str,
    tools: list[Tool],
) -> None:
    """Answer PROMPT and print the answer as it comes.

    Without PROMPT, and in place of a word "-", the prompt is read from stdin:

    \b
      majordomo generate 'Why is the sky blue?'
      majordomo generate 'Summarise:' - < report.txt
      majordomo generate -f cat.png 'What is this?'

    The answer goes to stdout, its sources after it, numbered (with --schema to stderr).
    Failed attempts, and the target that answered, go to stderr as they happen. Tool
    calls are printed as JSON, one per line.
    """
    options: PromptOptions = {"chain": chain, "system": system, "tools": tools}
    if schema is not None:
        options["response_schema"] = schema.read_text()
    if max_tokens is not None or temperature is not None:
        options["config"] = GenerationConfig(
            max_output_tokens=max_tokens, temperature=temperature
        )
    turn = _turn(prompt, files)
    with connect(place, as_json=as_json) as client:
        if explain:
            explained = client.explain(turn, stream=True, timeout=timeout, **options)
            click.echo(to_json(explained) if as_json else _plan(explained.targets))
        elif as_json:
            click.echo(to_json(client.generate(turn, timeout=timeout, **options)))
        else:
            _stream(client, turn, timeout, options)


def _turn(prompt: Sequence[str], files: Sequence[Path]) -> Message:
    words = [sys.stdin.read() if word == "-" else word for word in prompt or "-"]
    return user(*(_part(path) for path in files), " ".join(words))


def _part(path: Path) -> Part:
    kind = mimetypes.guess_type(path.name)[0] or ""
    if kind.startswith("text/"):
        return Part(text=path.read_text())
    try:
        return media(path)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--file") from None


def _stream(
    client: Client, turn: Message, timeout: float | None, options: PromptOptions
) -> None:
    answer = client.stream(turn, include_attempts=True, timeout=timeout, **options)
    for event in answer:
        match event.WhichOneof("event"):
            case "part_delta":
                click.echo(event.part_delta.text, nl=False)
                sys.stdout.flush()
            case "attempt_ended":
                click.echo(describe(event.attempt_ended), err=True)
            case "restart":
                line = f"\n--- {event.restart.target} starts again ---"
                click.echo(line, err=True)
    click.echo()
    for part in answer.message.parts:
        if part.HasField("tool_call"):
            click.echo(to_json({"tool_call": part.tool_call}, indent=None))
    if named := "\n".join(sources(answer.message)):
        click.echo(f"\nSources:\n{named}", err="response_schema" in options)
    for line in beside(answer.message):
        click.echo(line, err=True)
    if answer.completion is not None:
        click.echo("\n".join(_ending(answer.completion)), err=True)


def _ending(completion: Completion) -> Iterator[str]:
    yield from (
        describe(attempt)
        for attempt in completion.attempts
        if attempt.target == completion.target
        and attempt.outcome == ATTEMPT_OUTCOME_SUCCEEDED
    )
    words = [label(FinishReason, completion.finish_reason).lower()]
    usage = completion.usage
    if usage.HasField("input_tokens"):
        words.append(f"{usage.input_tokens} tokens in")
    if usage.HasField("output_tokens"):
        words.append(f"{usage.output_tokens} out")
    yield f"   finished: {', '.join(words)}"
    for adaptation in completion.adaptations:
        yield f"   changed: {adaptation.field}: {adaptation.description}"
    for omission in completion.omissions:
        yield f"   not shown: {omission.type}: {omission.description}"
    if completion.provider_finish_message:
        yield f"   the provider says: {completion.provider_finish_message}"


def _plan(targets: Sequence[TargetPlan]) -> str:
    rows = [("", "TARGET", "WOULD BE", "BECAUSE")]
    for number, plan in enumerate(targets, start=1):
        done = _DONE.get(plan.action, "?")
        rows.append((f"{number}.", plan.target, done, _grounds(plan)))
    return table(rows)


def _grounds(plan: TargetPlan) -> str:
    if plan.action == TargetPlan.ACTION_TRY:
        wait = plan.first_content_timeout.ToTimedelta().total_seconds()
        words = [f"waits {length(wait)} for the first content"]
        if plan.probe:
            words.insert(0, "its bench is over: this is the probe")
        if plan.last_resort:
            words.insert(0, f"only if no other target answers: {until(plan.bench)}")
        words.extend(f"{a.field}: {a.description}" for a in plan.adaptations)
        return "; ".join(words)
    grounds = f"{reason(plan.reason)}: {plan.message}"
    if plan.HasField("bench"):
        grounds += f", {until(plan.bench)}"
    return grounds
