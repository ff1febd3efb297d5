"""`majordomo ready`."""

import sys

import click

from majordomo.cli.client import Place, connect, server_options
from majordomo.cli.exit_codes import FAILED


@click.command(short_help="End with 0 if the server takes calls.")
@click.option(
    "--timeout", default=5.0, show_default=True, help="Seconds to wait for its word."
)
@server_options
def ready(timeout: float, place: Place) -> None:
    """End with 0 if the server takes calls, for health checks of containers.

    With 1 while it starts or drains, and with 3 where nobody answers. Whether its
    providers are up makes no difference; see `majordomo health` for that.
    """
    with connect(place) as client:
        if client.ready(timeout=timeout):
            click.echo("ready")
            return
    click.echo("not ready: it starts or drains", err=True)
    sys.exit(FAILED)
