"""The command line, `majordomo`.

Each command is a module of its own and is imported when it is called: `--help`
and `--version` need not load gRPC.
"""

from importlib import import_module
from importlib.metadata import version
from typing import cast

import click

_COMMANDS = {
    "bench": "majordomo.cli.operate:bench",
    "generate": "majordomo.cli.generate:generate",
    "health": "majordomo.cli.operate:health",
    "model": "majordomo.cli.model:model",
    "serve": "majordomo.cli.serve:serve",
    "unbench": "majordomo.cli.operate:unbench",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return sorted(_COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        return cast("click.Command", getattr(import_module(module), name))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("majordomo"), prog_name="majordomo")
def main() -> None:
    """Answer prompts through a failover chain of language models.

    Start a server with `majordomo serve`, ask it with `majordomo generate`, see
    and steer its targets with `majordomo health`, `bench` and `unbench`.
    """
