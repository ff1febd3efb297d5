"""`majordomo token`."""

import hashlib
import secrets

import click


@click.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(["generate", "operate"]),
    multiple=True,
    default=["generate"],
    show_default=True,
    help="What it allows; may be repeated.",
)
def token(name: str, scopes: tuple[str, ...]) -> None:
    """Create a token, and print its section for the configuration.

    Give the token to the caller, who sends `authorization: Bearer TOKEN` with every
    call (the commands read it from MAJORDOMO_TOKEN). The configuration stores its hash.
    """
    made = secrets.token_urlsafe(32)
    listed = ", ".join(f'"{scope}"' for scope in scopes)
    click.echo(f"token: {made}\n", err=True)
    click.echo(f"[tokens.{name}]")
    click.echo(f'sha256 = "{hashlib.sha256(made.encode()).hexdigest()}"')
    click.echo(f"scopes = [{listed}]")
