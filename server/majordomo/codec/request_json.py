"""JSON that callers bring into a request: schemas, and options of one provider.

It is sent as it was written, its keys in their order, and only after it was read: what
is no JSON is never spliced into a body.
"""

import hashlib
from collections.abc import Set

import msgspec

from majordomo.chain.failure import Failure
from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_INVALID_REQUEST,
    FAILURE_REASON_UNSUPPORTED,
)
from majordomo.v1.generation_service_pb2 import Prompt

Body = dict[str, object]

EMPTY_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')
"""The schema of a tool that takes no arguments."""


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
