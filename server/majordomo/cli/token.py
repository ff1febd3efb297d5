"""`majordomo token`."""

import hashlib
import secrets

import click


@click.command(short_help="Make a token for callers.")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(["generate", "operate"]),
    multiple=True,
    default=["generate"],
    show_default=True,
    help="What it allows; may be given twice.",
)
def token(name: str, scopes: tuple[str, ...]) -> None:
    """Make a token, and what the configuration needs to know of it.

    The token goes to the caller, who sends `authorization: Bearer TOKEN` with every
    call (this command line takes it from MAJORDOMO_TOKEN). The server's configuration
    has its hash alone.
    """
    made = secrets.token_urlsafe(32)
    listed = ", ".join(f'"{scope}"' for scope in scopes)
    click.echo(f"token: {made}\n", err=True)
    click.echo(f"[tokens.{name}]")
    click.echo(f'sha256 = "{hashlib.sha256(made.encode()).hexdigest()}"')
    click.echo(f"scopes = [{listed}]")
