"""The command line, `majordomo`.

Each command is a module of its own and is imported when it is called, so that `--help`
and `--version` do not load gRPC.
"""

import errno
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, cast

from majordomo.distribution import DISTRIBUTION, require
from majordomo.process import drop_stdout, open_streams, take_signals

if sys.argv[:1] == ["-m"]:  # run as a program, and imports are still to come
    take_signals()
require("server")

import click

from majordomo.cli.exit_codes import FAILURE

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


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
"""Why output cannot be written."""


class _LazyGroup(click.Group):
    def main(self, *args: Any, **extra: Any) -> Any:
        open_streams()
        try:
            return super().main(*args, **extra)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            drop_stdout()
            with suppress(OSError):
                click.echo(f"Error: cannot write: {error.strerror}", err=True)
            sys.exit(FAILURE)

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
