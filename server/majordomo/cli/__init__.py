"""The command line, `majordomo`.

Each command is a module of its own and is imported when it is called, so that `--help`
and `--version` do not load gRPC.
"""

from importlib import import_module
from typing import cast

from majordomo.distribution import DISTRIBUTION, require

require("server")

import click

_COMMANDS = {
    "serve": ("majordomo.cli.serve", "Serve until SIGTERM or SIGINT."),
    "check": (
        "majordomo.cli.check",
        "Validate a configuration; show what it means.",
    ),
    "generate": (
        "majordomo.cli.generate",
        "Answer a prompt, printed as it comes.",
    ),
    "health": ("majordomo.cli.health", "Show the health of targets."),
    "bench": ("majordomo.cli.operate", "Take a target out of every chain."),
    "unbench": ("majordomo.cli.operate", "Put a target back into rotation."),
    "ready": ("majordomo.cli.ready", "Exit with 0 if the server takes calls."),
    "token": ("majordomo.cli.token", "Create a token for callers."),
    "model": ("majordomo.cli.model", "Download the embedded model."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return list(_COMMANDS)

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
@click.version_option(package_name=DISTRIBUTION, prog_name="majordomo")
def main() -> None:
    """Answer prompts through a failover chain of language models.

    \b
    majordomo check --config majordomo.toml     validate the configuration
    majordomo serve --config majordomo.toml     start the server
    majordomo generate -c fast 'Say hello.'     send a prompt
    majordomo health --watch                    show which targets are benched, and why
    majordomo bench acme/giant-1 --for 10m      take a target out of every chain

    Exit codes: 0 success, 1 failure, 2 usage error, 3 server unreachable.
    """
