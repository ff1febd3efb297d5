"""What known models take, by family: the first pattern that a model's id matches.

A model that is not listed is allowed all that its wire can say: a provider's refusal
is clearer than a guess. Gateways name models with their maker in front
("anthropic/claude-opus-4-5"), so a pattern may begin after a slash or a dot.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from majordomo.v1.generation_service_pb2 import ReasoningConfig

Effort = ReasoningConfig.Effort

IMAGE, PDF, AUDIO, VIDEO = "image", "pdf", "audio", "video"
"""Kinds of media."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one model takes. None: all that its wire can say."""

    media: frozenset[str] | None = None
    tools: bool = True
    forced_tools: bool = True
    """A tool choice that some tool must be called."""

    schema: bool = True
    """Answers by JSON Schema, natively."""

    sampling: bool = True
    """temperature, top_p, top_k."""

    stop: bool = True
    prefill: bool = True
    """A conversation that ends with a turn of the model's own."""

    reasons: bool | None = None
    """It reasons unless it is asked not to. None: not known."""

    efforts: tuple[Effort, ...] | None = None
    """Efforts that it knows, the nearest of which is sent; none: it never reasons."""

    max_effort: str = "max"
    """Its provider's word for EFFORT_MAX, if that is among them."""

    budgets: bool = True
    """It takes a budget of reasoning tokens."""

    effort_by_budget: bool = False
    """It takes nothing but a budget: an effort has to be sent as one."""

    max_output_tokens: int | None = None

    wants_reasoning: bool = False
    """Its own turns that called tools are refused without their reasoning."""

    user_after_tool: bool = True
    """A turn of the user's may follow the result of a tool."""


Row = tuple[str, Capabilities, str]
"""A pattern of model ids, what they take, and the page that says so."""

_NONE, _MINIMAL, _LOW, _MEDIUM, _HIGH, _MAX = (
    ReasoningConfig.EFFORT_NONE,
    ReasoningConfig.EFFORT_MINIMAL,
    ReasoningConfig.EFFORT_LOW,
    ReasoningConfig.EFFORT_MEDIUM,
    ReasoningConfig.EFFORT_HIGH,
    ReasoningConfig.EFFORT_MAX,
)


def _openai(
    *efforts: Effort,
    reasons: bool = True,
    media: frozenset[str] = frozenset({IMAGE, PDF}),
    max_effort: str = "xhigh",
    schema: bool = True,
    stop: bool = False,
    tokens: int | None = None,
) -> Capabilities:
    """A model of OpenAI's that reasons with `efforts`, or never."""
    return Capabilities(
        media=media,
        schema=schema,
        sampling=not efforts,
        stop=stop or not efforts,
        reasons=reasons and bool(efforts),
        efforts=efforts,
        max_effort=max_effort,
        budgets=False,
        max_output_tokens=tokens or (_OPENAI_TOKENS if efforts else None),
    )


_OPENAI_TOKENS = 128_000
"""The longest answer of OpenAI's models that reason, from the fifth on."""

_TEXT_ONLY = frozenset[str]()

_OPENAI_GUIDE = "https://developers.openai.com/api/docs/guides/reasoning"
_OPENAI_LATEST = "https://developers.openai.com/api/docs/guides/deployment-checklist"
_OPENAI_MODELS = "https://developers.openai.com/api/reference/resources/$shared"
_AZURE_EFFORTS = (
    "https://learn.microsoft.com/en-us/javascript/api/@azure/ai-projects/"
    "reasoningeffort"
)
_AZURE_O_SERIES = (
    "https://learn.microsoft.com/en-us/azure/ai-services/openai/how-to/reasoning"
)

_O_SERIES_TOKENS = 100_000

_OPENAI: list[Row] = [
    (
        r"gpt-oss",
        Capabilities(media=_TEXT_ONLY, reasons=True, efforts=(_LOW, _MEDIUM, _HIGH)),
        "https://docs.together.ai/docs/gpt-oss",
    ),
    (
        r"gpt-[6-9]",
        _openai(_LOW, _MEDIUM, _HIGH, _MAX, max_effort="max"),
        _OPENAI_GUIDE,
    ),
    (
        r"gpt-5\.[6-9]",
        _openai(_NONE, _LOW, _MEDIUM, _HIGH, _MAX, max_effort="max"),
        _OPENAI_LATEST,
    ),
    (r"gpt-5\.[2-5]-pro", _openai(_MEDIUM, _HIGH, _MAX), _OPENAI_GUIDE),
    (r"gpt-5\.5", _openai(_NONE, _LOW, _MEDIUM, _HIGH, _MAX), _OPENAI_GUIDE),
    (r"gpt-5\.[1-4]-chat", _openai(_MEDIUM), _OPENAI_MODELS),
    (r"gpt-5\.1-codex-max", _openai(_LOW, _MEDIUM, _HIGH, _MAX), _AZURE_EFFORTS),
    (r"gpt-5\.1-codex", _openai(_LOW, _MEDIUM, _HIGH), _AZURE_EFFORTS),
    (
        r"gpt-5\.[2-4]",
        _openai(_NONE, _LOW, _MEDIUM, _HIGH, _MAX, reasons=False),
        _OPENAI_GUIDE,
    ),
    (
        r"gpt-5\.1",
        _openai(_NONE, _LOW, _MEDIUM, _HIGH, reasons=False),
        _AZURE_EFFORTS,
    ),
    (r"gpt-5-chat", _openai(tokens=16_384), _OPENAI_MODELS),
    (r"gpt-5-pro", _openai(_HIGH), _AZURE_EFFORTS),
    (r"gpt-5-codex", _openai(_LOW, _MEDIUM, _HIGH), _AZURE_EFFORTS),
    (r"gpt-5", _openai(_MINIMAL, _LOW, _MEDIUM, _HIGH), _AZURE_EFFORTS),
    (
        r"o[34](-mini)?-deep-research",
        _openai(_MEDIUM, tokens=_O_SERIES_TOKENS),
        _OPENAI_MODELS,
    ),
    (
        r"o[13]-mini",
        _openai(
            _LOW, _MEDIUM, _HIGH, media=_TEXT_ONLY, stop=True, tokens=_O_SERIES_TOKENS
        ),
        "https://openrouter.ai/openai/o3-mini",
    ),
    (
        r"o1(?:-|$)",
        _openai(_LOW, _MEDIUM, _HIGH, stop=True, tokens=_O_SERIES_TOKENS),
        _AZURE_O_SERIES,
    ),
    (
        r"o[2-9](?:-|$)",
        _openai(_LOW, _MEDIUM, _HIGH, tokens=_O_SERIES_TOKENS),
        _AZURE_O_SERIES,
    ),
    (
        r"gpt-4o[a-z-]*-audio|gpt-audio",
        _openai(media=frozenset({AUDIO}), tokens=16_384),
        _OPENAI_MODELS,
    ),
    (r"gpt-4\.1", _openai(tokens=32_768), _OPENAI_MODELS),
    (
        r"gpt-4o|gpt-4\.|chatgpt-4o",
        _openai(tokens=16_384),
        "https://openrouter.ai/openai/gpt-4o/parameters",
    ),
    (
        r"gpt-4-(?:turbo|vision)",
        _openai(media=frozenset({IMAGE}), schema=False, tokens=4096),
        _OPENAI_MODELS,
    ),
    (r"gpt-4|gpt-3\.5", _openai(media=_TEXT_ONLY, schema=False), _OPENAI_MODELS),
]
"""OpenAI's own, and what it gave away."""

_DEEPSEEK_GUIDE = "https://api-docs.deepseek.com/guides/thinking_mode"

_DEEPSEEK: list[Row] = [
    (r"deepseek-(?:vl|ocr)", Capabilities(), _DEEPSEEK_GUIDE),
    (
        r"deepseek",
        Capabilities(
            media=_TEXT_ONLY,
            reasons=True,
            efforts=(_NONE, _LOW, _HIGH, _MAX),
            forced_tools=False,
            budgets=False,
            wants_reasoning=True,
        ),
        _DEEPSEEK_GUIDE,
    ),
]
"""They think unless asked not to, and then refuse to be made to call a tool."""

_OTHERS: list[Row] = [
    (
        r"kimi-(?:k2[.p-]?(?:[5-9]|thinking)|k[3-9]|latest|thinking)|k2p[5-9]",
        Capabilities(
            reasons=True, sampling=False, forced_tools=False, wants_reasoning=True
        ),
        "https://platform.kimi.ai/docs/guide/kimi-k2-6-quickstart",
    ),
    (
        r"mimo-v[2-9]",
        Capabilities(wants_reasoning=True),
        "https://platform.xiaomimimo.com/docs/en-US/usage-guide/multi-turn-conversation",
    ),
    (
        r"(?:mi(?:ni)?stral|mixtral|codestral|devstral|magistral|pixtral|voxtral)",
        Capabilities(user_after_tool=False),
        "https://docs.mistral.ai/capabilities/function_calling",
    ),
]
"""Of whom little has to be known."""

_GROK: list[Row] = [
    (
        r"grok-[a-z0-9.-]*non-reasoning",
        Capabilities(reasons=False),
        "https://docs.oracle.com/iaas/Content/generative-ai/xai-grok-4-fast.htm",
    ),
]
"""xAI's that never reason; the others may."""

_CLAUDE_MEDIA = frozenset({IMAGE, PDF})


def _adaptive_claude(*, forced_tools: bool = True) -> Capabilities:
    """A Claude that thinks as much as it sees fit, and refuses sampling."""
    return Capabilities(
        media=_CLAUDE_MEDIA,
        forced_tools=forced_tools,
        sampling=False,
        prefill=False,
        reasons=True,
        efforts=(_LOW, _MEDIUM, _HIGH, _MAX),
        budgets=False,
        max_output_tokens=128_000,
    )


def _budgeted_claude(tokens: int, *, schema: bool) -> Capabilities:
    """A Claude that thinks within a budget."""
    return Capabilities(
        media=_CLAUDE_MEDIA,
        schema=schema,
        reasons=False,
        effort_by_budget=True,
        max_output_tokens=tokens,
    )


def _plain_claude(tokens: int) -> Capabilities:
    """A Claude that does not think."""
    return Capabilities(
        media=_CLAUDE_MEDIA,
        schema=False,
        reasons=False,
        efforts=(),
        budgets=False,
        max_output_tokens=tokens,
    )


_CLAUDE_EFFORT = "https://platform.claude.com/docs/en/build-with-claude/effort"
_CLAUDE_5 = (
    "https://openrouter.ai/docs/cookbook/evaluate-and-optimize/model-migrations/"
    "claude-5-5"
)
_CLAUDE_ADAPTIVE = (
    "https://docs.aws.amazon.com/bedrock/latest/userguide/"
    "claude-messages-adaptive-thinking.html"
)
_CLAUDE_BUDGETS = (
    "https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking"
)
_CLAUDE_PLAIN = (
    "https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/"
    "claude-count-tokens"
)

_CLAUDE: list[Row] = [
    (
        r"claude-(?:fable|mythos)",
        _adaptive_claude(forced_tools=False),
        _CLAUDE_ADAPTIVE,
    ),
    (
        r"claude-[a-z]+-(?:[5-9]|[1-9]\d)(?!\d)",
        _adaptive_claude(),
        _CLAUDE_5,
    ),
    (r"claude-opus-4[-.][789]", _adaptive_claude(), _CLAUDE_EFFORT),
    (
        r"claude-(?:opus|sonnet)-4[-.]6",
        Capabilities(
            media=_CLAUDE_MEDIA,
            prefill=False,
            reasons=False,
            efforts=(_LOW, _MEDIUM, _HIGH, _MAX),
            max_output_tokens=128_000,
        ),
        _CLAUDE_EFFORT,
    ),
    (
        r"claude-(?:opus|sonnet|haiku)-4[-.]5",
        _budgeted_claude(64_000, schema=True),
        _CLAUDE_ADAPTIVE,
    ),
    (r"claude-opus-4[-.]1", _budgeted_claude(32_000, schema=True), _CLAUDE_BUDGETS),
    (r"claude-opus-4", _budgeted_claude(32_000, schema=False), _CLAUDE_BUDGETS),
    (r"claude-sonnet-4", _budgeted_claude(64_000, schema=False), _CLAUDE_BUDGETS),
    (r"claude-3[-.]7", _budgeted_claude(64_000, schema=False), _CLAUDE_BUDGETS),
    (r"claude-3[-.]5", _plain_claude(8192), _CLAUDE_PLAIN),
    (r"claude-3", _plain_claude(4096), _CLAUDE_PLAIN),
]
"""Anthropic's."""

_EVERYTHING = frozenset({IMAGE, PDF, AUDIO, VIDEO})


def _gemini(*efforts: Effort) -> Capabilities:
    """A Gemini that thinks, and takes an effort."""
    return Capabilities(
        media=_EVERYTHING,
        reasons=True,
        efforts=efforts,
        budgets=False,
        max_output_tokens=65_536,
    )


_GEMINI_GUIDES = (
    "https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/guides/"
)

_GEMINI: list[Row] = [
    (
        r"gemini-3[-.](?:[7-9]|\d\d)-flash(?!-lite)",
        _gemini(_LOW, _MEDIUM, _HIGH),
        f"{_GEMINI_GUIDES}gemini-3-8-flash",
    ),
    (
        r"gemini-(?:[3-9]|[1-9]\d)[a-z0-9.-]*flash",
        _gemini(_MINIMAL, _LOW, _MEDIUM, _HIGH),
        f"{_GEMINI_GUIDES}gemini-3-5-flash",
    ),
    (
        r"gemini-(?:[3-9]|[1-9]\d|[a-z-]+-latest)",
        _gemini(_LOW, _MEDIUM, _HIGH),
        f"{_GEMINI_GUIDES}gemini-3-8-flash",
    ),
    (
        r"gemini-2[-.]5",
        Capabilities(
            media=_EVERYTHING,
            reasons=True,
            effort_by_budget=True,
            max_output_tokens=65_536,
        ),
        "https://ai.google.dev/gemini-api/docs/thinking-mode",
    ),
    (
        r"gemini-[12]",
        Capabilities(
            media=_EVERYTHING,
            reasons=False,
            efforts=(),
            budgets=False,
            max_output_tokens=8192,
        ),
        "https://firebase.google.com/docs/ai-logic/thinking",
    ),
]
"""Google's."""

_TABLE: list[Row] = [*_OPENAI, *_DEEPSEEK, *_GROK, *_CLAUDE, *_GEMINI, *_OTHERS]
"""The more special first, as of November 2026."""


Lookup = Callable[[str], Capabilities]
"""Who knows what models take."""


@lru_cache(maxsize=1024)
def capabilities(model: str) -> Capabilities:
    """What `model`, as its provider calls it, takes."""
    for pattern, known in _PATTERNS:
        if pattern.search(model.lower()):
            return known
    return Capabilities()


_PATTERNS = [
    (re.compile(rf"(?:^|[/.]|^ft:)(?:{pattern})"), known)
    for pattern, known, _ in _TABLE
]
