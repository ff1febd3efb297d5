"""The configuration: one TOML file, the environment over it, validated as a whole.

    [server]
    listen = "127.0.0.1:50051"
    default_chain = "fast"

    [providers.openai]
    kind = "openai-compatible"
    base_url = "https://api.openai.com/v1"
    api_key = "env:OPENAI_API_KEY"

    [tiers]
    fast = "openai/gpt-5-mini,local/smollm2"

Durations are texts such as "500ms", "5s", "2m" and "1h". Secrets are named and never
written: "env:NAME" or "file:/path". Every error is reported at once, each with its
place, its key and what to do about it, and nothing starts half-configured.
"""

from majordomo.distribution import require

require("server")

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from majordomo.config.crosscheck import cross_check
from majordomo.config.problems import ConfigError, Problem, describe_error
from majordomo.config.schema import Config
from majordomo.config.sources import Settings, read, read_text

__all__ = [
    "Config",
    "ConfigError",
    "Settings",
    "load",
    "parse",
    "read",
    "validate",
]


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in the file at `path`, with the environment over it.

    Without a file: the providers whose usual key is in the environment, and the
    embedded model where its extra is installed. Raises ConfigError.
    """
    return validate(read(path, environ), environ)


def parse(text: str, environ: Mapping[str, str] = os.environ) -> Config:
    """The same for the TOML `text` of a file. Raises ConfigError."""
    return validate(read_text(text, environ), environ)


def validate(settings: Settings, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration that `settings` make.

    Secrets are read here, from `environ` or their files. Raises ConfigError with all
    that is wrong.
    """
    problems = [*settings.problems]
    config = None
    try:
        config = Config.model_validate(settings.values, context={"environ": environ})
    except ValidationError as error:
        problems += [describe_error(dict(detail)) for detail in error.errors()]
    problems += cross_check(settings.values)
    if config is None or problems:
        raise ConfigError([_located(settings, problem) for problem in problems])
    return config


def _located(settings: Settings, problem: Problem) -> str:
    place = settings.origin(problem.path)
    return f"{place}: {problem}" if place else str(problem)
