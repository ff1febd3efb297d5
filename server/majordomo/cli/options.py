"""Options that several commands have, and that need no gRPC."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def config_option(command: _Command) -> _Command:
    """`--config`, given to the command as `path`."""
    return click.option(
        "--config",
        "path",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="MAJORDOMO_CONFIG",
        help="The TOML file to read. [env: MAJORDOMO_CONFIG]",
    )(command)
