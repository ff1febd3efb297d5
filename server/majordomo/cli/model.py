"""`majordomo model`."""

import click

from majordomo.providers.local.model_file import ModelFileError
from majordomo.providers.local.model_file import fetch as fetch_model


@click.group()
def model() -> None:
    """The embedded model: SmolLM2-135M-Instruct, about 100 MB."""


@model.command()
def fetch() -> None:
    """Download the model to this user's cache, unless it is there."""
    try:
        path = fetch_model(lambda line: click.echo(line, err=True))
    except ModelFileError as error:
        raise click.ClickException(str(error)) from None
    click.echo(path)
