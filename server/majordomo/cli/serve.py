"""`majordomo serve`."""

import asyncio
import logging
import os
import sys
from pathlib import Path

import click

from majordomo.allocator import give_back
from majordomo.cli.options import config_option
from majordomo.config import ConfigError
from majordomo.config.reload import Source
from majordomo.process import drop_stdout
from majordomo.rpc.server import serve as run
from majordomo.telemetry import logs
from majordomo.telemetry.background_writer import BackgroundWriter

_log = logging.getLogger("majordomo")


@click.command()
@config_option
@click.option(
    "--listen",
    metavar="ADDRESS",
    help="Override server.listen: host:port (port 0: any free port) or unix:/path.",
)
def serve(path: Path | None, listen: str | None) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Without a configuration file it serves the providers whose usual key is in the
    environment (OPENAI_API_KEY and others), and the embedded model, if the extra
    `majordomo-grpc[local]` is installed. Environment variables override the file:
    MAJORDOMO_SERVER__LISTEN is `listen` of [server].

    SIGHUP, or a change of the file, reloads the configuration; running calls are not
    affected. A second SIGTERM exits at once.
    """
    environ = dict(os.environ)
    if listen is not None:
        environ["MAJORDOMO_SERVER__LISTEN"] = listen
    give_back()
    with BackgroundWriter(sys.stderr.fileno()) as log:
        logs.configure(log, terminal=sys.stderr.isatty())
        try:
            asyncio.run(run(Source(path, environ), _listening))
        except (ConfigError, OSError) as error:
            raise click.ClickException(str(error)) from None


def _listening(address: str) -> None:
    try:
        click.echo(f"majordomo is listening on {address}")
    except OSError as error:
        drop_stdout()
        _log.warning(
            "cannot write to stdout: %s; listening on %s", error.strerror, address
        )
