"""Write docs/configuration.md and docs/majordomo.schema.json from the schema.

The JSON Schema is for editors: with Even Better TOML or taplo, put

    #:schema https://.../docs/majordomo.schema.json

on the first line of the configuration.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from majordomo.config import Config
from majordomo.config.sections import sections
from majordomo.config.sources import EMBEDDED, presets
from majordomo.providers.settings import Preset

DOCS = Path(__file__).parent.parent / "docs"

HEAD = """\
# Configuration

One TOML file, `majordomo serve --config majordomo.toml` (or the variable
`MAJORDOMO_CONFIG`), and the environment over it. `majordomo check` validates it, shows
what would be served and where each value comes from, and reports all errors together,
each with line and fix. This page is written by `make reference`; editors get
the same from [`majordomo.schema.json`](majordomo.schema.json).

- Durations are texts: `"500ms"`, `"5s"`, `"2m"`, `"1h"`.
- Sizes are texts: `"64KiB"`, `"512MiB"`, `"1GiB"`.
- Secrets are named and never written: `"env:NAME"` or `"file:/path"`.
- Names of providers and tiers are `[a-z0-9][a-z0-9._-]*`.

## The environment over the file

`MAJORDOMO_SERVER__LISTEN=0.0.0.0:50051` is `listen` of `[server]`: two underscores
stand between the steps of a key, and the whole is read in lower case. A value is read
as TOML where it is a number, a boolean, a list or a quoted text; anything else is plain
text. What no variable can be called (a model's id with a slash in it) belongs in the
file.

## Without a file

Providers appear whose usual key is in the environment, by the name, the kind and the
base URL of this table. So does `local`, where the extra `majordomo-grpc[local]` is
installed; then `{embedded}` is the default chain.

| variable | provider | kind | base URL |
| --- | --- | --- | --- |
{known}

## Reloading

On SIGHUP, and within two seconds of a change of the file or of one that holds a secret,
the configuration is loaded again: validated, then swapped whole. Calls that run finish
under the old one, and the health of targets is kept. A file with errors changes nothing
and is logged. `server.listen`, `server.metrics_listen`, `server.tls` and
`server.reflection` need a restart; new contents of the files of `server.tls` do not.

## Tiers and resolvers

`[tiers]` gives names to chains: `fast = "openai/gpt-5-mini,local/smollm2"`. Tiers may
name tiers. A tier that is not listed is asked of the configured **resolvers**, in their
order: plugins in installed packages, see
[`examples/resolver`](../examples/resolver/README.md).
"""


def schema() -> dict[str, Any]:
    """The JSON Schema of the file, in TOML's terms: there is no null."""
    whole = Config.model_json_schema()
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "majordomo",
        **{key: value for key, value in whole.items() if key != "title"},
    }
    for part in (whole, *whole["$defs"].values()):
        part["properties"] = {
            name: _in_toml(value) for name, value in part["properties"].items()
        }
    return whole


def page() -> str:
    """The reference, a table for each section."""
    parts = schema()["$defs"]
    lines = [
        HEAD.format(
            embedded=EMBEDDED,
            known="\n".join(_preset(preset) for preset in presets()),
        )
    ]
    for heading, model in sections():
        part = parts[model.__name__]
        lines.append(f"## `{heading}`\n")
        lines.append(f"{part['description']}\n")
        lines.append("| key | value | default | what it is |")
        lines.append("| --- | --- | --- | --- |")
        lines.extend(_rows(part))
        lines.append("")
    return "\n".join(lines)


def write() -> None:
    (DOCS / "configuration.md").write_text(page())
    (DOCS / "majordomo.schema.json").write_text(json.dumps(schema(), indent=2) + "\n")


def _preset(preset: Preset) -> str:
    values = preset.settings
    url = values.get("base_url", "its own")
    return f"| `{preset.variable}` | `{preset.name}` | `{values['kind']}` | {url} |"


def _in_toml(value: dict[str, Any]) -> dict[str, Any]:
    value = {key: entry for key, entry in value.items() if key != "title"}
    if "anyOf" in value:
        (kind,) = [entry for entry in value.pop("anyOf") if entry != {"type": "null"}]
        value = {**kind, **value}
    default = value.get("default")
    if _is_size(value) and isinstance(default, int):
        value["default"] = f"{default >> 20}MiB"
    elif _is_duration(value) and isinstance(default, float):
        value["default"] = _duration(default)
    elif default is None or isinstance(default, dict):
        value.pop("default", None)
    return value


def _rows(part: dict[str, Any]) -> Iterator[str]:
    required = part.get("required", [])
    rows = part["properties"].items()
    for name, value in sorted(rows, key=lambda row: row[0] not in required):
        default = "required" if name in required else ""
        if "default" in value:
            default = f"`{json.dumps(value['default'])}`"
        text = " ".join(value.get("description", "").split())
        yield f"| `{name}` | {_kind(value)} | {default} | {text} |"


def _kind(value: dict[str, Any]) -> str:
    if _is_duration(value):
        return "duration"
    if _is_size(value):
        return "size"
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return " or ".join(f"`{json.dumps(entry)}`" for entry in value["enum"])
    if "$ref" in value:
        return "table"
    match value.get("type"):
        case "array":
            entries = value["items"]
            return f"list of {'texts' if 'enum' not in entries else _kind(entries)}"
        case "integer" | "number" as kind:
            low, high = value.get("minimum"), value.get("maximum")
            bounds = f", {low} to {high}" if high is not None else f", at least {low}"
            number = "whole number" if kind == "integer" else "number"
            return f"{number}{bounds if low is not None else ''}"
        case "boolean":
            return "true or false"
        case "object":
            return "table"
        case _:
            return "text"


def _is_duration(value: dict[str, Any]) -> bool:
    return "(ms|s|m|h)" in value.get("pattern", "")


def _is_size(value: dict[str, Any]) -> bool:
    return "MiB" in value.get("pattern", "")


def _duration(seconds: float) -> str:
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"


if __name__ == "__main__":
    write()
