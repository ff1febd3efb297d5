"""What is wrong with a configuration, as lines that name the key and the fix."""

import difflib
from dataclasses import dataclass
from typing import Any

from majordomo.chain.names import NAME
from majordomo.config.sections import KeyPath, locate
from majordomo.providers.kinds import KINDS
from majordomo.section import Section

_RENAMED = {("server", "max_request_bytes"): "memory_budget"}

_FIXES = {
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


def describe_error(detail: dict[str, Any]) -> Problem:
    """One of pydantic's errors."""
    path, section = locate([str(step) for step in detail["loc"]])
    kinds = ", ".join(kind.kind_name() for kind in KINDS)
    match detail["type"]:
        case "extra_forbidden":
            return Problem(path, f"unknown key{_instead(path, section)}")
        case "union_tag_not_found":
            return Problem((*path, "kind"), f"is required; one of {kinds}")
        case "union_tag_invalid":
            return Problem((*path, "kind"), f"must be one of {kinds}")
        case known if known in _FIXES:
            return Problem(path, _FIXES[known])
        case _:
            text = detail["msg"].removeprefix("Value error, ")
            return Problem(path, text.replace("Input should be", "must be"))


def _instead(path: KeyPath, section: type[Section] | None) -> str:
    """The key of `section` that was meant, if it can be guessed."""
    if path in _RENAMED:
        return f"; it is {_RENAMED[path]} now"
    keys = section.model_fields if section else ()
    close = difflib.get_close_matches(path[-1], keys, n=1)
    return f"; did you mean {close[0]}?" if close else ""
