"""JSON that callers bring into a request: schemas, and options of one provider.

It is sent as it was written, its keys in their order, and only after it was read: what
is no JSON is never spliced into a body.
"""

import hashlib
from collections.abc import Set
from typing import Any

import msgspec

from majordomo.chain.failure import Failure
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_INVALID_REQUEST,
    FAILURE_REASON_UNSUPPORTED,
)
from majordomo.v1.content_pb2 import FunctionTool
from majordomo.v1.generation_service_pb2 import Prompt

Body = dict[str, object]

EMPTY_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')
"""The schema of a tool that takes no arguments."""

_NEVER_STRICT = frozenset(
    {
        "allOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "dependentRequired",
        "dependentSchemas",
        "default",
        "patternProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
        "unevaluatedProperties",
        "unevaluatedItems",
        "contains",
        "minContains",
        "maxContains",
        "uniqueItems",
        "minLength",
        "maxLength",
    }
)
"""Keywords that OpenAI's strict mode refuses."""


def raw(text: str, path: str) -> msgspec.Raw:
    """JSON text as the caller wrote it; Failure (INVALID_REQUEST) if it is none."""
    try:
        return msgspec.json.decode(text, type=msgspec.Raw)
    except (ValueError, RecursionError):
        raise invalid(path, "is no JSON") from None


def object_text(text: str) -> tuple[str, str]:
    """`text` if it is one JSON object, or an object around it; and what was done.

    What a model has written as arguments may be cut, or no object.
    """
    said = text.strip()
    if said in _NO_ARGUMENTS:
        return "{}", ""
    try:
        # Half a character in an escape is what only the whole decoder looks at.
        if "\\u" in said:
            msgspec.json.decode(said)
        value = _decode_raw(said)
    except (ValueError, RecursionError):
        value = msgspec.Raw(msgspec.json.encode(said))
    else:
        if said[0] == "{":
            return said, ""
    wrapped = msgspec.json.encode({"arguments": value}).decode()
    return wrapped, "arguments put into an object"


_NO_ARGUMENTS = ("{}", "", "null")
_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


def parameters(function: FunctionTool, index: int) -> msgspec.Raw:
    """The schema of a tool's arguments, which says that they are an object.

    Failure (INVALID_REQUEST) if it is none.
    """
    text = function.parameters_schema_json
    if not text:
        return EMPTY_PARAMETERS
    try:
        schema = _decode_parameters(text)
    except (ValueError, RecursionError):
        path = f"prompt.tools[{index}].function.parameters_schema_json"
        raise invalid(path, "is no JSON") from None
    if schema.whole:
        return msgspec.Raw(text)
    # It means the same with what is missing added, and some APIs insist on it.
    whole: Body = {"type": "object", "properties": {}}
    said = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    return msgspec.Raw(msgspec.json.encode(whole | said))


_MISSING = msgspec.Raw(b"")


class _Parameters(msgspec.Struct, rename={"ref": "$ref"}):
    """What has to be known of a schema of arguments."""

    type: object = None
    properties: msgspec.Raw = _MISSING
    ref: msgspec.Raw = _MISSING
    anyOf: msgspec.Raw = _MISSING  # noqa: N815 - as in JSON
    oneOf: msgspec.Raw = _MISSING  # noqa: N815
    allOf: msgspec.Raw = _MISSING  # noqa: N815

    @property
    def whole(self) -> bool:
        """It says that it is an object's, or what it says is another matter."""
        if self.type == "object" and self.properties is not _MISSING:
            return True
        references = (self.ref, self.anyOf, self.oneOf, self.allOf)
        if any(one is not _MISSING for one in references):
            return True
        return self.type not in (None, "object")


_decode_parameters = msgspec.json.Decoder(_Parameters).decode


def is_strict(text: str, path: str) -> bool:
    """Whether OpenAI's strict mode takes a JSON Schema.

    Every object has to be closed, none of its keys optional, and many keywords are
    unknown to it. Failure (INVALID_REQUEST) if `text` is no schema.
    """
    try:
        return _is_strict(msgspec.json.decode(text))
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise invalid(path, "is no JSON Schema") from None


def _is_strict(schema: Any) -> bool:
    if isinstance(schema, bool) or _NEVER_STRICT & schema.keys():
        return False
    properties = schema.get("properties") or {}
    if schema.get("type") == "object" or properties:
        required = schema.get("required") or ()
        if schema.get("additionalProperties") is not False:
            return False
        if any(key not in required for key in properties):
            return False
    inner = [
        *properties.values(),
        *(schema.get("anyOf") or ()),
        *(schema.get("$defs") or {}).values(),
        *(schema.get("definitions") or {}).values(),
    ]
    if "items" in schema:
        inner.append(schema["items"])
    return all(map(_is_strict, inner))


def instructions(prompt: Prompt, schema: str = "") -> list[str]:
    """The texts of the system instruction, the last of which asks for `schema` too.

    `schema` is for targets that can be made to write JSON, but no JSON of a given
    schema. Raises Failure (UNSUPPORTED) for parts that are no text.
    """
    texts = []
    for i, part in enumerate(prompt.system_instruction):
        if not part.HasField("text"):
            path = f"prompt.system_instruction[{i}]"
            raise unsupported(path, "the target takes text there only")
        if part.text:
            texts.append(part.text)
    if schema:
        asked = f"Answer in JSON that follows this JSON Schema:\n{schema}"
        texts[-1:] = [f"{texts[-1]}\n\n{asked}" if texts else asked]
    return texts


SCHEMA_PATH = "prompt.response_format.json_schema.schema_json"


def answer_schema(prompt: Prompt) -> str:
    """The JSON Schema that the answer must follow; "" without one."""
    if not prompt.HasField("response_format"):
        return ""
    return prompt.response_format.json_schema.schema_json


def wants_json(prompt: Prompt) -> bool:
    """Whether the answer shall be JSON of no given schema."""
    return prompt.HasField("response_format") and prompt.response_format.HasField(
        "json"
    )


def cache_key(prompt: Prompt) -> str:
    """OpenAI's prompt_cache_key, if caching is asked for.

    Caching is automatic there; a key sends prompts that begin alike to one cache.
    """
    policy = prompt.cache_policy
    if not (policy.cache_instructions or policy.cache_conversation):
        return ""
    digest = hashlib.sha256()
    for part in prompt.system_instruction:
        digest.update(part.SerializeToString(deterministic=True))
    for tool in prompt.tools:
        digest.update(tool.SerializeToString(deterministic=True))
    return digest.hexdigest()[:32]


def merge_options(
    body: Body,
    prompt: Prompt,
    provider_name: str,
    allowed: Set[str],
    reserved: Set[str],
) -> None:
    """Set what the prompt's options for this provider say.

    Failure (UNSUPPORTED) for a key that is not `allowed`, and for any that is
    `reserved` or in `body` already.
    """
    text = prompt.config.provider_options_json.get(provider_name)
    if not text:
        return
    path = f"prompt.config.provider_options_json[{provider_name!r}]"
    try:
        options = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        raise invalid(path, "is no JSON object") from None
    for key, value in options.items():
        if key not in allowed or key in body or key in reserved:
            raise unsupported(path, f"may not set {key!r}")
        body[key] = value


LONG = 256
"""Tokens of an answer; one that may have more may be long (rule 5.7)."""


def may_be_long(limit: object) -> bool:
    """Whether an answer may be long for which `limit` is sent; None: none is."""
    if isinstance(limit, msgspec.Raw):
        limit = msgspec.json.decode(limit)
    return not isinstance(limit, int) or limit > LONG


def unsupported(path: str, problem: str) -> Failure:
    """The failure of what has no form in this wire, or that this target refuses."""
    return Failure(FAILURE_REASON_UNSUPPORTED, f"{path}: {problem}")


def invalid(path: str, problem: str) -> Failure:
    """The failure of what is wrong for every target."""
    return Failure(FAILURE_REASON_INVALID_REQUEST, f"{path} {problem}")
