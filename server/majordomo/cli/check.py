"""`majordomo check`."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from majordomo.chain.names import elements
from majordomo.cli.exit_codes import FAILURE
from majordomo.cli.options import config_option
from majordomo.cli.render import table
from majordomo.config import Config, ConfigError, Settings, read, validate
from majordomo.config.problems import key
from majordomo.config.sections import KeyPath


@click.command()
@config_option
def check(path: Path | None) -> None:
    """Validate the configuration; show what would be served, and where it comes from.

    Reads the file, the environment variables that override it, and the secrets. Starts
    nothing. Reports every error with line and fix, and then exits with 1.
    """
    try:
        settings = read(path, os.environ)
        config = validate(settings, os.environ)
    except ConfigError as error:
        click.echo("\n".join(error.problems), err=True)
        sys.exit(FAILURE)
    click.echo("\n".join(_report(config, settings)))


def _report(config: Config, settings: Settings) -> Iterator[str]:
    yield f"listens on {config.server.listen}"
    yield ""
    yield "chains:"
    chains = dict(config.tiers)
    if config.server.default_chain:
        chains = {"(default)": config.server.default_chain, **chains}
    for name, chain in chains.items():
        yield f"  {name}: {' -> '.join(elements(chain))}"
    if not config.server.default_chain:
        yield "  no default: every call must name its chain"
    yield ""
    yield "providers:"
    for name, provider in config.providers.items():
        models = ", ".join(provider.models) or "any model"
        if provider.models and not provider.closed:
            models += ", and any other"
        yield f"  {name} ({provider.kind}): {models}"
    yield ""
    rows = [("KEY", "VALUE", "FROM")]
    rows.extend(_values((), config, settings.values, settings))
    yield table(rows)


def _values(
    path: KeyPath, section: BaseModel, raw: object, settings: Settings
) -> Iterator[tuple[str, str, str]]:
    """Every key of `section` with its value, as it was written, and its origin."""
    written: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
    for name in type(section).model_fields:
        yield from _value(
            (*path, name), getattr(section, name), written.get(name), settings
        )


def _value(
    path: KeyPath, value: object, raw: object, settings: Settings
) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, BaseModel):
        yield from _values(path, value, raw, settings)
    elif isinstance(value, dict):
        written: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
        for name, entry in value.items():
            yield from _value((*path, name), entry, written.get(name), settings)
    elif raw is not None:
        # As it was written: the names of secrets, and never the secrets.
        yield key(path), str(raw), settings.origin(path)
    elif value is not None:
        yield key(path), str(value), "default"
