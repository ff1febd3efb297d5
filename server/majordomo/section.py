"""What each section of a configuration is made of: a strict base, and its values."""

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from majordomo.distribution import require

require("server")

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
)

from majordomo.durations import parse


class Section(BaseModel):
    """A table of the configuration; the texts below its keys are their reference."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        protected_namespaces=(),
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


def _duration(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError('write a duration as text, such as "5s"')
    try:
        return parse(value)
    except ValueError as error:
        raise ValueError(f'{error}; write "500ms", "5s", "2m" or "1h"') from None


def _timeout(seconds: float) -> float:
    if not 0.1 <= seconds <= 3600:
        raise ValueError("must be from 100ms to 1h")
    return seconds


def _size(value: object) -> object:
    match = re.fullmatch(r"(\d+)(KiB|MiB|GiB)", str(value))
    if match is None:
        raise ValueError(f'{value!r} is no size; write "64KiB", "512MiB" or "1GiB"')
    return int(match[1]) << {"KiB": 10, "MiB": 20, "GiB": 30}[match[2]]


def _price(value: object) -> object:
    """The decimal that was written, and not the nearest binary number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("write a number, such as 0.25")
    return Decimal(str(value))


def read_secret(value: object, info: ValidationInfo) -> SecretStr:
    """The secret that a reference names, without the line end that files have.

    It goes out in a header: it has to be a line of ASCII. Raises ValueError.
    """
    kind, _, name = str(value).partition(":")
    environ: Mapping[str, str] = (info.context or {}).get("environ", {})
    if kind == "env" and name:
        if not environ.get(name):
            raise ValueError(f"the environment has no {name}; set it")
        secret = environ[name]
    elif kind == "file" and name:
        try:
            secret = Path(name).read_text(errors="replace")
        except OSError as error:
            raise ValueError(f"cannot read {name}: {error.strerror}") from None
    else:
        raise ValueError(
            'name the secret as "env:NAME" or "file:/path"; never write it here'
        )
    secret = secret.strip()
    if not secret:
        raise ValueError(f"{name} is empty")
    if not (secret.isascii() and secret.isprintable()):
        raise ValueError(f"{name} must hold one line of ASCII, the key and no more")
    return SecretStr(secret)


def _is_url(value: str) -> bool:
    """Whether a connection can be made to it: a port that exists, a host in DNS."""
    try:
        url = urlsplit(value)
        host = (url.hostname or "").encode("idna")
        known = url.scheme in ("http", "https") and host and url.port != 0
    except ValueError:
        return False
    return bool(known) and value.isprintable() and " " not in value


def _base_url(value: str) -> str:
    if not _is_url(value):
        raise ValueError("must be an http or https URL, such as https://host/v1")
    if "@" in urlsplit(value).netloc or "?" in value or "#" in value:
        raise ValueError("must hold no credentials, query or fragment; use api_key")
    return value.rstrip("/")


_DURATION_TEXT = WithJsonSchema(
    {"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h)$", "examples": ["5s"]}
)

Duration = Annotated[float, BeforeValidator(_duration), Field(gt=0), _DURATION_TEXT]
"""Seconds, from a text with a unit."""

Timeout = Annotated[
    float, BeforeValidator(_duration), AfterValidator(_timeout), _DURATION_TEXT
]
"""Seconds, from 0.1 to 3600."""

Size = Annotated[
    int,
    BeforeValidator(_size),
    Field(gt=0),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(KiB|MiB|GiB)$"}),
]
"""Bytes, from a text with a unit."""

Price = Annotated[
    Decimal,
    BeforeValidator(_price),
    Field(ge=0, le=1_000_000),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1_000_000}),
]
"""For a million tokens."""

Secret = Annotated[
    SecretStr,
    BeforeValidator(read_secret),
    WithJsonSchema({"type": "string", "pattern": "^(env|file):.+"}),
]
"""A secret, by the name of a variable or a file."""

BaseUrl = Annotated[str, AfterValidator(_base_url)]
"""An http or https URL without a slash at its end."""
