"""What each vendor takes of JSON Schema: data, as their pages say in November 2026."""

import re
from dataclasses import dataclass

from majordomo.schemas.keywords import ASSERTIONS, REMARKS

_FORMATS = frozenset(
    {
        *("date-time", "time", "date", "duration", "email", "hostname"),
        *("ipv4", "ipv6", "uuid"),
    }
)

_PLAIN_PATTERN = re.compile(r"(?!.*(?:\(\?(?!:)|\\[bBkpP1-9]))", re.DOTALL)
"""Without what looks around or back, and without classes of Unicode."""

_ANCHORED_PATTERN = re.compile(
    r"(?!.*(?:\(\?|\\[bBkpP1-9]))\^[^|]*(?<!\\)\$", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """The part of JSON Schema that one use at one vendor takes."""

    name: str
    source: str

    keywords: frozenset[str] = ASSERTIONS
    """Those that rule values out and are understood."""

    remarks: frozenset[str] = REMARKS
    """Those that rule nothing out and may stand."""

    formats: frozenset[str] | None = None
    """None: any."""

    patterns: re.Pattern[str] | None = None
    """How patterns have to be written. None: in any way."""

    keys: re.Pattern[str] | None = None
    """How the keys of the root have to be spelled."""

    enforced: bool = False
    """What comes follows the schema for sure: one that would be looser is unfit."""

    closed: bool = False
    """Objects have no keys but those that are listed."""

    all_required: bool = False
    """None of the keys may be absent; null stands for it, and is taken out again."""

    object_root: bool = False
    """The root is an object, and no union."""

    lone_references: bool = False
    """Nothing may stand beside a reference."""

    typed: bool = False
    """Every schema says its type, but for unions and references."""

    recursive: bool = True
    optional_recursion: bool = False
    """What is recursive may not be in a key that is required."""

    listed_types: bool = True
    """`type` may be a list of more than one type and null."""

    scalar_options: frozenset[str] | None = None
    """Types of what `enum` lists. None: any."""

    empty_options: bool = True
    """`enum` may list an empty text."""

    listed_required: bool = False
    """Only keys that are listed may be required."""

    branches_apart: bool = False
    """Objects in a union begin with keys that tell them apart."""

    most_min_items: int | None = None
    most_optional: int | None = None
    """Optional keys in all."""

    most_unions: int | None = None
    most_keys: int | None = None
    most_levels: int | None = None
    """Objects within each other."""

    most_options: int | None = None
    """Values of all `enum` together."""

    most_text: int | None = None
    """Characters of names and options."""


_USUAL_REMARKS = frozenset({"title", "description", "default"})
_SCALARS = frozenset({"string", "integer", "number", "boolean", "null"})

ANY = Dialect("2020-12", "https://json-schema.org/draft/2020-12")
"""All of it, for servers that say nothing else."""

OPENAI_STRICT = Dialect(
    "OpenAI's strict mode",
    "https://platform.openai.com/docs/guides/structured-outputs/supported-schemas",
    keywords=frozenset(
        {
            *("type", "enum", "const", "anyOf", "$ref", "properties", "required"),
            *("additionalProperties", "items", "minItems", "maxItems", "pattern"),
            *("format", "minimum", "maximum", "exclusiveMinimum"),
            *("exclusiveMaximum", "multipleOf"),
        }
    ),
    remarks=frozenset({"title", "description"}),
    formats=_FORMATS,
    patterns=_PLAIN_PATTERN,
    enforced=True,
    closed=True,
    all_required=True,
    object_root=True,
    lone_references=True,
    typed=True,
    listed_types=False,
    scalar_options=_SCALARS,
    branches_apart=True,
    most_keys=5000,
    most_levels=10,
    most_options=1000,
    most_text=120_000,
)

OPENAI = Dialect(
    "OpenAI's tools, and answers that are not enforced",
    "https://platform.openai.com/docs/guides/function-calling",
    object_root=True,
)
"""Any keyword may stand, but at the root there is an object and no union."""

_KEYS_OF_CLAUDE = re.compile(r"[A-Za-z0-9_.-]{1,64}")

ANTHROPIC_TOOLS = Dialect(
    "Claude's tools",
    "https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use",
    object_root=True,
    keys=_KEYS_OF_CLAUDE,
)

ANTHROPIC_ANSWERS = Dialect(
    "Claude's structured outputs",
    "https://platform.claude.com/docs/en/build-with-claude/structured-outputs"
    "#json-schema-limitations",
    keywords=frozenset(
        {
            *("type", "enum", "const", "anyOf", "$ref", "properties", "required"),
            *("additionalProperties", "items", "minItems", "pattern", "format"),
        }
    ),
    remarks=_USUAL_REMARKS,
    formats=_FORMATS | {"uri"},
    patterns=_PLAIN_PATTERN,
    closed=True,
    lone_references=True,
    typed=True,
    recursive=False,
    scalar_options=_SCALARS,
    most_min_items=1,
    most_optional=24,
    most_unions=16,
)

_GEMINI_KEYWORDS = frozenset(
    {
        *("$ref", "type", "format", "enum", "items", "prefixItems", "minItems"),
        *("maxItems", "minimum", "maximum", "anyOf", "properties"),
        *("additionalProperties", "required"),
    }
)
_GEMINI_REMARKS = frozenset({"title", "description", "propertyOrdering"})

GEMINI_ANSWERS = Dialect(
    "Gemini's answers by schema",
    "https://ai.google.dev/api/generate-content#FIELDS.response_json_schema",
    keywords=_GEMINI_KEYWORDS,
    remarks=_GEMINI_REMARKS,
    lone_references=True,
    scalar_options=frozenset({"string", "integer", "number"}),
    empty_options=False,
    listed_required=True,
    optional_recursion=True,
)

GEMINI_TOOLS = Dialect(
    "Gemini's tools",
    "https://ai.google.dev/api/caching#FunctionDeclaration",
    keywords=_GEMINI_KEYWORDS,
    remarks=_GEMINI_REMARKS,
    object_root=True,
    lone_references=True,
    scalar_options=frozenset({"string", "integer", "number"}),
    empty_options=False,
    listed_required=True,
    optional_recursion=True,
)

LLAMA_CPP = Dialect(
    "llama.cpp's grammars",
    "https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md",
    keywords=frozenset(
        {
            *("type", "enum", "const", "anyOf", "allOf", "$ref"),
            *("properties", "required", "additionalProperties", "items"),
            *("prefixItems", "minItems", "maxItems", "minLength", "maxLength"),
            *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
            *("pattern", "format"),
        }
    ),
    remarks=_USUAL_REMARKS,
    formats=frozenset({"date", "time", "date-time", "uuid"}),
    patterns=_ANCHORED_PATTERN,
    lone_references=True,
)

DIALECTS = (
    ANY,
    OPENAI_STRICT,
    OPENAI,
    ANTHROPIC_TOOLS,
    ANTHROPIC_ANSWERS,
    GEMINI_ANSWERS,
    GEMINI_TOOLS,
    LLAMA_CPP,
)
