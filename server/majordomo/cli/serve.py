"""`majordomo serve`."""

import asyncio
import logging
import os
import sys
from pathlib import Path

import click

from majordomo.config import Config, ConfigError, load
from majordomo.rpc.server import serve as run
from majordomo.telemetry.setup import TelemetryError


@click.command()
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="MAJORDOMO_CONFIG",
    help="The TOML file to read. [env: MAJORDOMO_CONFIG]",
)
@click.option(
    "--listen",
    metavar="ADDRESS",
    help="Listen here instead: host:port (port 0: a free one) or unix:/path.",
)
def serve(path: Path | None, listen: str | None) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Without a configuration file it serves the embedded model, if the extra
    `majordomo[local]` is installed.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    config = _configuration(path, listen)
    try:
        asyncio.run(run(config, _listening))
    except (TelemetryError, OSError) as error:
        raise click.ClickException(str(error)) from None


def _listening(address: str) -> None:
    click.echo(f"majordomo is listening on {address}")
    sys.stdout.flush()


def _configuration(path: Path | None, listen: str | None) -> Config:
    try:
        config = load(path, os.environ)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    if listen is None:
        return config
    server = config.server.model_copy(update={"listen": listen})
    return config.model_copy(update={"server": server})
