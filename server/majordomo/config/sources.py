"""Where settings come from: a file, and the environment over it.

`MAJORDOMO_SERVER__LISTEN` is `listen` of `[server]`: two underscores stand between the
steps of a key, and the whole is read in lower case. A value is read as TOML where it is
a number, a boolean, a list or a quoted text, and is plain text otherwise.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from majordomo.config.problems import ConfigError, Problem
from majordomo.config.sections import KeyPath
from majordomo.config.toml_positions import line_numbers
from majordomo.distribution import DISTRIBUTION, is_installed
from majordomo.providers.kinds import KINDS
from majordomo.providers.local.model_file import MODEL
from majordomo.providers.local.settings import LocalSettings
from majordomo.providers.settings import Preset
from majordomo.transport.trust import environment_files

_PEM_FILES = ("ca_file", "client_certificate", "client_key")

PREFIX = "MAJORDOMO_"
_STEP = "__"

EMBEDDED = f"{LocalSettings.kind_name()}/{MODEL}"
"""The embedded model: without a file the default chain, where its extra is installed.
"""


@dataclass
class Settings:
    """Values by key, not yet validated, and where each of them was set."""

    values: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    file: Path | None = None
    _lines: dict[KeyPath, int] = field(default_factory=dict)
    _variables: dict[KeyPath, str] = field(default_factory=dict)

    def origin(self, path: KeyPath) -> str:
        """Where `path`, or the nearest table around it, was set; "" if nowhere."""
        for length in range(len(path), 0, -1):
            around = path[:length]
            if around in self._variables:
                return self._variables[around]
            if line := self._line(around):
                return f"{self.file}:{line}" if self.file else f"line {line}"
        return ""

    def _line(self, path: KeyPath) -> int:
        """Of `path`, or of the first key in it where it has none of its own; or 0."""
        inside = (n for key, n in self._lines.items() if key[: len(path)] == path)
        return self._lines.get(path) or min(inside, default=0)

    def files(self, environ: Mapping[str, str]) -> list[Path]:
        """The files that secrets, authorities and certificates are read from."""
        named = [Path(name) for name in _references(self.values)]
        return named + environment_files(environ).paths()

    def put(self, path: KeyPath, value: object, variable: str) -> None:
        """Set one key because of the environment's `variable`, over what was there."""
        table = self.values
        for step in path[:-1]:
            inner = table.setdefault(step, {})
            if not isinstance(inner, dict):
                why = f"cannot be set by {variable}: {step} is no table"
                self.problems.append(Problem(path, why))
                return
            table = inner
        table[path[-1]] = value
        self._variables[path] = variable


def _references(value: object) -> Iterator[str]:
    """The names in all texts of the form "file:NAME", and those of PEM files."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in _PEM_FILES and isinstance(inner, str):
                yield inner
            else:
                yield from _references(inner)
    elif isinstance(value, str) and value.startswith("file:"):
        yield value.removeprefix("file:")


def read(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of the file at `path`, or what needs none. Raises ConfigError."""
    if path is None:
        settings = Settings()
        _appear(settings, environ)
        _override(settings, environ)
        return settings
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError([f"cannot read {path}: {reason}"]) from None
    return read_text(text, environ, path)


def read_text(
    text: str, environ: Mapping[str, str], file: Path | None = None
) -> Settings:
    """The settings of the TOML `text`. Raises ConfigError if it is none."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = f"{file}: " if file else ""
        raise ConfigError([f"{place}not TOML: {error}"]) from None
    settings = Settings(values, file=file, _lines=line_numbers(text))
    _override(settings, environ)
    return settings


def _override(settings: Settings, environ: Mapping[str, str]) -> None:
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and _STEP in variable:
            path = tuple(variable.removeprefix(PREFIX).lower().split(_STEP))
            settings.put(path, _value(environ[variable]), variable)


def _value(text: str) -> object:
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = read["value"]
    plain = isinstance(value, bool | int | float | str | list | dict)
    return value if len(read) == 1 and plain else text


def presets() -> list[Preset]:
    """The providers that a key in the environment configures, without a file."""
    return [preset for kind in KINDS for preset in kind.presets()]


def _appear(settings: Settings, environ: Mapping[str, str]) -> None:
    """Providers that are there without being written down."""
    for preset in presets():
        if environ.get(preset.variable):
            provider = {**preset.settings, "api_key": f"env:{preset.variable}"}
            settings.put(("providers", preset.name), provider, preset.variable)
    if is_installed("local"):
        extra = f"{DISTRIBUTION}[local]"
        kind = LocalSettings.kind_name()
        settings.put(("providers", kind), {"kind": kind}, extra)
        settings.put(("server", "default_chain"), EMBEDDED, extra)
