"""What vendors' pages say of the schemas that they take, as checkers of their own.

Each yields what the vendor would refuse, or would not do by a script. The pages, as
of November 2026, are named at each; nothing here is read from the server's tables.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema_rs

Problems = Iterator[str]
Checker = Callable[[Any], Problems]

_NAMED = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains"),
    *("propertyNames", "unevaluatedProperties", "unevaluatedItems"),
)
_REMARKS = {"title", "description"}


def nodes(schema: Any) -> Iterator[Any]:
    """Every schema within one, itself first."""
    yield schema
    if not isinstance(schema, dict):
        return
    inner: list[Any] = []
    for key in _NAMED:
        inner += schema.get(key, {}).values()
    for key in _LISTED:
        inner += schema.get(key, [])
    inner += [schema[key] for key in _SINGLE if isinstance(schema.get(key), dict)]
    for each in inner:
        yield from nodes(each)


def draft_2020_12(schema: Any) -> Problems:
    """It is a schema of that draft, and refers to nothing but itself."""
    try:
        jsonschema_rs.Draft202012Validator(schema)
    except ValueError as error:
        yield str(error).splitlines()[0]


def _lone_references(schema: Any, beside: set[str]) -> Problems:
    for node in nodes(schema):
        if (
            isinstance(node, dict)
            and "$ref" in node
            and node.keys() - {"$ref"} - beside
        ):
            yield f"$ref beside {sorted(node)}"


def _keywords(schema: Any, known: set[str]) -> Problems:
    for node in nodes(schema):
        if isinstance(node, dict) and (other := node.keys() - known):
            yield f"not known: {sorted(other)}"


def _formats(schema: Any, known: set[str]) -> Problems:
    for node in nodes(schema):
        if isinstance(node, dict) and node.get("format", "date") not in known:
            yield f"format {node['format']}"


def _closed(schema: Any) -> Problems:
    for node in nodes(schema):
        is_object = isinstance(node, dict) and "object" in _types(node)
        if is_object and node.get("additionalProperties") is not False:
            yield "an object is open"


def _types(node: dict[str, Any]) -> list[str]:
    said = node.get("type", [])
    return [said] if isinstance(said, str) else said


def _object_at_the_root(schema: Any) -> Problems:
    if schema.get("type") != "object":
        yield "no object at the root"
    if {"anyOf", "oneOf", "allOf", "enum", "not"} & schema.keys():
        yield "a union at the root"


_PLAIN_FORMATS = {
    *("date-time", "time", "date", "duration", "email", "hostname"),
    *("ipv4", "ipv6", "uuid"),
}


def openai_strict(schema: Any) -> Problems:
    """https://platform.openai.com/docs/guides/structured-outputs#supported-schemas"""
    known = {
        *("type", "enum", "const", "anyOf", "$ref", "$defs", "properties", "required"),
        *("additionalProperties", "items", "minItems", "maxItems", "pattern", "format"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    }
    yield from draft_2020_12(schema)
    yield from _object_at_the_root(schema)
    yield from _keywords(schema, known | _REMARKS)
    yield from _lone_references(schema, {"$defs"})
    yield from _formats(schema, _PLAIN_FORMATS)
    yield from _closed(schema)
    keys = options = text = 0
    for node in nodes(schema):
        if not isinstance(node, dict):
            yield "a boolean schema"
            continue
        if not {"type", "anyOf", "$ref"} & node.keys():
            yield f"no type: {node}"
        if len({*_types(node)} - {"null"}) > 1:
            yield f"several types: {node['type']}"
        if "array" in _types(node) and "items" not in node:
            yield "an array without items"
        yield from _begin_alike(node.get("anyOf", []), schema)
        properties = node.get("properties", {})
        if {*properties} != {*node.get("required", [])}:
            yield f"not all required: {sorted(properties)}"
        keys += len(properties)
        text += sum(map(len, [*properties, *node.get("$defs", {})]))
        options += len(node.get("enum", []))
        text += sum(len(str(each)) for each in node.get("enum", []))
    if keys > 5000 or options > 1000 or text > 120_000:
        yield f"too large: {keys} keys, {options} options, {text} characters"
    if _levels(schema) > 10:
        yield "too many levels"


def _begin_alike(branches: list[Any], root: Any) -> Problems:
    """https://github.com/openai/openai-python/issues/2193"""
    first: list[tuple[str, str]] = []
    for branch in branches:
        name = branch.get("$ref", "").removeprefix("#/$defs/")
        properties = root.get("$defs", {}).get(name, branch).get("properties", {})
        for key, value in [*properties.items()][:1]:
            first.append((key, str(value.get("const", value.get("enum", "")))))
    for key in {key for key, _ in first}:
        reported = [value for name, value in first if name == key]
        if len({*reported}) < len(reported) or ("" in reported and len(reported) > 1):
            yield f"objects of a union all begin with {key}"


def _levels(schema: Any) -> int:
    if not isinstance(schema, dict):
        return 0
    deeper = [*schema.get("properties", {}).values(), schema.get("items")]
    within = max(map(_levels, deeper), default=0)
    beside = max(map(_levels, schema.get("anyOf", [])), default=0)
    return max(beside, within + ("properties" in schema))


def openai_tools(schema: Any) -> Problems:
    """https://platform.openai.com/docs/guides/function-calling, and its errors: an
    object at the root without a union, arrays that have items."""
    yield from draft_2020_12(schema)
    yield from _object_at_the_root(schema)
    if "properties" not in schema:
        yield "an object without properties"
    for node in nodes(schema):
        is_list = isinstance(node, dict) and "array" in _types(node)
        if is_list and not {"items", "prefixItems"} & node.keys():
            yield "an array without items"


def anthropic_tools(schema: Any) -> Problems:
    """https://platform.claude.com/docs/en/agents-and-tools/tool-use, and its errors:
    draft 2020-12, an object at the root without a union, keys of few letters."""
    yield from draft_2020_12(schema)
    yield from _object_at_the_root(schema)
    for key in schema.get("properties", {}):
        if not re.fullmatch(r"[a-zA-Z0-9_.-]{1,64}", key):
            yield f"the key {key}"


def anthropic_answers(schema: Any) -> Problems:
    """https://platform.claude.com/docs/en/build-with-claude/structured-outputs"""
    known = {
        *("type", "enum", "const", "anyOf", "allOf", "$ref", "$defs", "properties"),
        *("required", "additionalProperties", "items", "minItems", "pattern", "format"),
        "default",
    }
    yield from draft_2020_12(schema)
    yield from _keywords(schema, known | _REMARKS)
    yield from _lone_references(schema, {"$defs"})
    yield from _formats(schema, _PLAIN_FORMATS | {"uri"})
    yield from _closed(schema)
    optional = unions = 0
    for node in nodes(schema):
        if not isinstance(node, dict):
            yield "a boolean schema"
            continue
        if node.get("minItems", 0) > 1:
            yield "minItems beyond 1"
        if any(isinstance(each, dict | list) for each in node.get("enum", [])):
            yield "an enum of objects"
        if re.search(r"\(\?[=!<]|\\[bB1-9]", node.get("pattern", "")):
            yield "a pattern that looks around"
        optional += len({*node.get("properties", {})} - {*node.get("required", [])})
        unions += "anyOf" in node or isinstance(node.get("type"), list)
    if optional > 24 or unions > 16:
        yield f"too large: {optional} optional keys, {unions} unions"
    if _recursive(schema):
        yield "recursive"


def _recursive(schema: Any) -> bool:
    definitions = schema.get("$defs", {})
    leads_to = {
        name: {
            node["$ref"].removeprefix("#/$defs/")
            for node in nodes(each)
            if isinstance(node, dict) and "$ref" in node
        }
        for name, each in definitions.items()
    }
    for _ in definitions:
        for name, others in leads_to.items():
            leads_to[name] = others.union(*(leads_to.get(o, set()) for o in others))
    at_root = any(isinstance(n, dict) and n.get("$ref") == "#" for n in nodes(schema))
    return at_root or any(name in others for name, others in leads_to.items())


def gemini(schema: Any) -> Problems:
    """https://ai.google.dev/api/generate-content, at responseJsonSchema"""
    known = {
        *("$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description"),
        *("enum", "items", "prefixItems", "minItems", "maxItems", "minimum", "maximum"),
        *("anyOf", "oneOf", "properties", "additionalProperties", "required"),
        "propertyOrdering",
    }
    yield from draft_2020_12(schema)
    yield from _keywords(schema, known)
    yield from _lone_references(schema, {"$defs", "$id", "$anchor"})
    yield from _required_recursion(schema)
    for node in nodes(schema):
        if isinstance(node, dict):
            for each in node.get("enum", []):
                if isinstance(each, bool) or not isinstance(each, str | int | float):
                    yield f"{each} in an enum"
                if each == "":
                    yield "an empty text in an enum"
            if {*node.get("required", [])} - {*node.get("properties", {})}:
                yield "a key is required that is not listed"


def _required_recursion(schema: Any) -> Problems:
    """Cycles have to go through a key that may be absent."""
    leads_to: dict[str, set[str]] = {"#": {*_needed(schema)}}
    for name, each in schema.get("$defs", {}).items():
        leads_to[f"#/$defs/{name}"] = {*_needed(each)}
    for _ in leads_to:
        for name, others in leads_to.items():
            leads_to[name] = others.union(*(leads_to[other] for other in others))
    if any(name in others for name, others in leads_to.items()):
        yield "recursive by required keys"


def _needed(schema: Any) -> Iterator[str]:
    """References within a schema that no optional key comes before."""
    if not isinstance(schema, dict):
        return
    if "$ref" in schema:
        yield schema["$ref"]
    properties = schema.get("properties", {})
    inner = [properties[name] for name in schema.get("required", [])]
    inner += [*schema.get("anyOf", []), *schema.get("prefixItems", [])]
    for each in [*inner, schema.get("items")]:
        yield from _needed(each)


def gemini_tools(schema: Any) -> Problems:
    """https://ai.google.dev/api/caching, at parametersJsonSchema: of an object."""
    yield from gemini(schema)
    if schema.get("type") != "object":
        yield "no object at the root"


def llama_cpp(schema: Any) -> Problems:
    """https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md"""
    yield from draft_2020_12(schema)
    yield from _lone_references(schema, {"$defs"})
    for node in nodes(schema):
        if not isinstance(node, dict):
            continue
        pattern = node.get("pattern", "^$")
        if not (pattern.startswith("^") and pattern.endswith("$")):
            yield f"the pattern {pattern}"
        if {"not", "if", "patternProperties", "contains", "oneOf"} & node.keys():
            yield f"no grammar for {sorted(node)}"


CHECKERS: dict[str, Checker] = {
    "2020-12": draft_2020_12,
    "OpenAI's strict mode": openai_strict,
    "OpenAI's tools, and answers that are not enforced": openai_tools,
    "Claude's tools": anthropic_tools,
    "Claude's structured outputs": anthropic_answers,
    "Gemini's answers by schema": gemini,
    "Gemini's tools": gemini_tools,
    "llama.cpp's grammars": llama_cpp,
}
"""By the name of the dialect."""
