"""The command line, `majordomo`.

Each command is a module of its own and is imported when it is called: `--help`
and `--version` need not load gRPC.
"""

from importlib import import_module
from importlib.metadata import version
from typing import cast

import click

_COMMANDS = {
    "bench": ("majordomo.cli.operate", "Take a target out of every chain."),
    "generate": ("majordomo.cli.generate", "Answer a prompt, as it is written."),
    "health": ("majordomo.cli.operate", "Show how targets are doing."),
    "model": ("majordomo.cli.model", "The embedded model: fetch it."),
    "serve": ("majordomo.cli.serve", "Serve until SIGTERM or SIGINT."),
    "unbench": ("majordomo.cli.operate", "Put a target back into rotation."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return sorted(_COMMANDS)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _ = _COMMANDS[cmd_name]
        return cast("click.Command", getattr(import_module(module), cmd_name))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("majordomo"), prog_name="majordomo")
def main() -> None:
    """Answer prompts through a failover chain of language models.

    Start a server with `majordomo serve`, ask it with `majordomo generate`, see
    and steer its targets with `majordomo health`, `bench` and `unbench`.
    """
