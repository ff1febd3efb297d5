"""What is wrong with a configuration, as lines that name the key and the mend."""

import difflib
from dataclasses import dataclass
from typing import Any

from majordomo.config.schema import (
    AnthropicConfig,
    ChainConfig,
    Config,
    GeminiConfig,
    HealthConfig,
    LocalConfig,
    OpenAICompatibleConfig,
    OpenAIConfig,
    ScriptedModelConfig,
    ServerConfig,
)
from majordomo.names import NAME

KeyPath = tuple[str, ...]
"""The steps to a key: ("server", "listen")."""

_KINDS = ("openai", "anthropic", "gemini", "openai-compatible", "local", "scripted")
_KEYS = {
    key
    for section in (
        Config,
        ServerConfig,
        ChainConfig,
        HealthConfig,
        OpenAIConfig,
        AnthropicConfig,
        GeminiConfig,
        OpenAICompatibleConfig,
        LocalConfig,
        ScriptedModelConfig,
    )
    for key in section.model_fields
}

_RENAMED = {("server", "max_request_bytes"): "memory_budget"}

_MENDS = {
    "string_type": 'must be a text, such as "..."',
    "int_type": "must be a whole number, such as 2",
    "int_from_float": "must be a whole number, such as 2",
    "float_type": "must be a number, such as 2.5",
    "bool_type": "must be true or false",
    "list_type": 'must be a list, such as ["..."]',
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "missing": "is required",
    "path_type": 'must be the path of a file, such as "/etc/ssl/ca.pem"',
    "string_pattern_mismatch": "must be host:port or unix:/path",
}


class ConfigError(Exception):
    """The configuration cannot be used; `problems` has one line for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(["the configuration has errors:", *problems]))
        self.problems = problems


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and what to do about it."""

    path: KeyPath
    text: str

    def __str__(self) -> str:
        return f"{key(self.path)}: {self.text}"


def key(path: KeyPath) -> str:
    """`path` as TOML writes it."""
    return ".".join(step if NAME.fullmatch(step) else f'"{step}"' for step in path)


def described(detail: dict[str, Any]) -> Problem:
    """One of pydantic's errors."""
    steps = [str(step) for step in detail["loc"]]
    if len(steps) > 2 and steps[0] == "providers" and steps[2] in _KINDS:
        del steps[2]  # pydantic's name for the variant
    path = tuple(steps)
    match detail["type"]:
        case "extra_forbidden":
            return Problem(path, f"unknown key{_instead(path)}")
        case "union_tag_not_found":
            return Problem((*path, "kind"), f"is required; one of {', '.join(_KINDS)}")
        case "union_tag_invalid":
            return Problem((*path, "kind"), f"must be one of {', '.join(_KINDS)}")
        case known if known in _MENDS:
            return Problem(path, _MENDS[known])
        case _:
            text = detail["msg"].removeprefix("Value error, ")
            return Problem(path, text.replace("Input should be", "must be"))


def _instead(path: KeyPath) -> str:
    unknown = path[-1]
    if path in _RENAMED:
        return f"; it is {_RENAMED[path]} now"
    close = difflib.get_close_matches(unknown, _KEYS, n=1)
    return f"; did you mean {close[0]}?" if close else ""
