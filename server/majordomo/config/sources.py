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

from majordomo.config.lines import line_numbers
from majordomo.config.problems import ConfigError, KeyPath, Problem
from majordomo.distribution import DISTRIBUTION, is_installed
from majordomo.transport.trust import environment_files

_PEM_FILES = ("ca_file", "client_certificate", "client_key")

PREFIX = "MAJORDOMO_"
_STEP = "__"

KNOWN_PROVIDERS = {
    "OPENAI_API_KEY": ("openai", "openai", None),
    "ANTHROPIC_API_KEY": ("anthropic", "anthropic", None),
    "GEMINI_API_KEY": ("gemini", "gemini", None),
    **{
        variable: (name, "openai-compatible", base_url)
        for variable, name, base_url in (
            ("GROQ_API_KEY", "groq", "https://api.groq.com/openai/v1"),
            ("DEEPSEEK_API_KEY", "deepseek", "https://api.deepseek.com"),
            ("MISTRAL_API_KEY", "mistral", "https://api.mistral.ai/v1"),
            ("XAI_API_KEY", "xai", "https://api.x.ai/v1"),
            ("OPENROUTER_API_KEY", "openrouter", "https://openrouter.ai/api/v1"),
            ("TOGETHER_API_KEY", "together", "https://api.together.xyz/v1"),
            ("PERPLEXITY_API_KEY", "perplexity", "https://api.perplexity.ai"),
            ("HF_TOKEN", "huggingface", "https://router.huggingface.co/v1"),
        )
    },
}
"""The variable that a provider's own tools read its key from: name, kind, base URL
where the kind does not say it."""

EMBEDDED = "local/smollm2"


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
            if around in self._lines:
                line = self._lines[around]
                return f"{self.file}:{line}" if self.file else f"line {line}"
        return ""

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


def _appear(settings: Settings, environ: Mapping[str, str]) -> None:
    """Providers that are there without being written down."""
    for path, value, variable in _appearing(environ):
        settings.put(path, value, variable)


def _appearing(environ: Mapping[str, str]) -> Iterator[tuple[KeyPath, object, str]]:
    for variable, (name, kind, base_url) in KNOWN_PROVIDERS.items():
        if environ.get(variable):
            provider = {"kind": kind, "api_key": f"env:{variable}"}
            if base_url is not None:
                provider["base_url"] = base_url
            yield ("providers", name), provider, variable
    if is_installed("local"):
        extra = f"{DISTRIBUTION}[local]"
        yield ("providers", "local"), {"kind": "local"}, extra
        yield ("server", "default_chain"), EMBEDDED, extra
