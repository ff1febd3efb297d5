"""`majordomo ready`."""

import sys

import click

from majordomo.cli.client import Place, connect, server_options
from majordomo.cli.exit_codes import FAILURE


@click.command()
@click.option(
    "--timeout", default=5.0, show_default=True, help="Seconds to wait for an answer."
)
@server_options
def ready(timeout: float, place: Place) -> None:
    """Exit with 0 if the server takes calls; for health checks of containers.

    Exits with 1 while it starts or drains, and with 3 if no server answers. The state
    of its providers makes no difference; see `majordomo health` for that.
    """
    with connect(place) as client:
        if client.ready(timeout=timeout):
            click.echo("ready")
            return
    click.echo("not ready: the server is starting or draining", err=True)
    sys.exit(FAILURE)
