"""How servers of the Chat Completions format differ: data, by the server's name.

A profile is named in the configuration, or known from the host of the base URL.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from majordomo.codec.capabilities import AUDIO, IMAGE, PDF
from majordomo.codec.request import TOOL_NAME
from majordomo.providers.openai_chat.hosted_tools import Form
from majordomo.providers.openai_chat.reasoning import (
    AS_SENT,
    CONTENT,
    DETAILS,
    REASONING,
    THINKING,
)
from majordomo.schemas.dialects import ANY, LLAMA_CPP, OPENAI, OPENAI_STRICT, Dialect

_LETTER_FIRST = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_INT32 = 2**31 - 1
_TOOL_CALL_ID = re.compile(r"[\x21-\x7e]{1,40}")


@dataclass(frozen=True, slots=True)
class Profile:
    """Where a server's form of the request differs from the common one."""

    hosts: tuple[str, ...] = ()
    """Hosts, and their subdomains, at which the server is."""

    telemetry_name: str = ""
    """gen_ai.provider.name, where OpenTelemetry's conventions have one."""

    key_header: str = "authorization"
    """Where the key goes: as a bearer token, or, in any other header, by itself."""

    key_variable: str = ""
    """The variable that the server's own tools read its key from: with it, it is a
    provider of this name where there is no configuration."""

    base_url: str = ""
    """Where it is then."""

    max_tokens: str = "max_tokens"
    seed: str = "seed"
    required: str = "required"
    """The tool choice that some tool must be called."""

    top_k: bool = False
    stream_options: bool = True
    tool_call_id: re.Pattern[str] = _TOOL_CALL_ID
    """Ids that are taken as they are."""

    tool_name: re.Pattern[str] = TOOL_NAME
    """Names of tools that are taken as they are."""

    reasoning: tuple[str, ...] = ()
    """The forms in which it takes its reasoning back: see openai_chat.reasoning."""

    wants_reasoning: bool = False
    """It refuses turns that called tools without it, whatever the model."""

    thinking_switch: bool = False
    """Reasoning is turned off by `thinking`, not by an effort."""

    effort: str = "reasoning_effort"
    """Where the effort goes; in `reasoning` it is an object's."""

    alternates: bool = True
    """The user speaks first, and nobody twice in a row."""

    user_after_tool: bool = True
    """A turn of the user's may follow the result of a tool."""

    prefill: str | None = ""
    """What marks a last turn of the model's own as to be gone on with; empty: nothing
    does; None: it is refused."""

    hottest: float = 2.0
    """The highest temperature."""

    most_stops: int | None = None
    most_seed: int | None = None

    schema: bool = True
    """It takes JSON Schema; else only that the answer shall be JSON."""

    strict: Dialect | None = None
    """What of an answer's schema it enforces. None: of what all strict modes take, as
    it is."""

    answers: Dialect = ANY
    """Of schemas of answers that are not made to be enforced."""

    tools: Dialect = OPENAI
    media: frozenset[str] = frozenset({IMAGE})
    """What media its form of the wire has, whatever the model."""

    cache_key: bool = False
    """It takes prompt_cache_key."""

    hosted_tools: Form = ""
    """How it is asked for tools that it runs itself."""


PROFILES = {
    "alibaba": Profile(
        hosts=("aliyuncs.com",),
        top_k=True,
        reasoning=(CONTENT,),
        prefill="partial",
        most_seed=_INT32,
    ),
    "azure": Profile(
        hosts=("openai.azure.com", "services.ai.azure.com"),
        telemetry_name="azure.ai.openai",
        key_header="api-key",
        max_tokens="max_completion_tokens",
        media=frozenset({IMAGE, AUDIO}),
        cache_key=True,
        alternates=False,
        most_stops=4,
        strict=OPENAI_STRICT,
        answers=OPENAI,
    ),
    "cerebras": Profile(
        hosts=("api.cerebras.ai",),
        reasoning=(REASONING,),
        hottest=1.5,
        most_stops=4,
        strict=OPENAI_STRICT,
        answers=OPENAI,
    ),
    "deepseek": Profile(
        hosts=("api.deepseek.com",),
        key_variable="DEEPSEEK_API_KEY",
        base_url="https://api.deepseek.com",
        telemetry_name="deepseek",
        reasoning=(CONTENT,),
        wants_reasoning=True,
        thinking_switch=True,
        schema=False,
        most_stops=16,
    ),
    "fireworks": Profile(
        hosts=("api.fireworks.ai",),
        top_k=True,
        reasoning=(CONTENT,),
        most_stops=4,
    ),
    "gemini": Profile(
        hosts=("generativelanguage.googleapis.com",),
        telemetry_name="gcp.gemini",
        media=frozenset({IMAGE, AUDIO}),
        tool_name=_LETTER_FIRST,
        most_stops=5,
        most_seed=_INT32,
    ),
    "groq": Profile(
        hosts=("api.groq.com",),
        key_variable="GROQ_API_KEY",
        base_url="https://api.groq.com/openai/v1",
        telemetry_name="groq",
        reasoning=(REASONING,),
        most_stops=4,
        strict=OPENAI_STRICT,
        answers=OPENAI,
    ),
    "huggingface": Profile(
        hosts=("huggingface.co",),
        key_variable="HF_TOKEN",
        base_url="https://router.huggingface.co/v1",
        most_stops=4,
    ),
    "llama.cpp": Profile(
        top_k=True,
        media=frozenset({IMAGE, AUDIO}),
        reasoning=(CONTENT,),
        most_seed=2**32 - 1,
        strict=LLAMA_CPP,
        answers=LLAMA_CPP,
        tools=LLAMA_CPP,
    ),
    "mimo": Profile(
        hosts=("xiaomimimo.com",),
        reasoning=(CONTENT,),
        wants_reasoning=True,
        thinking_switch=True,
        hottest=1.5,
        most_stops=4,
    ),
    "mistral": Profile(
        hosts=("api.mistral.ai",),
        key_variable="MISTRAL_API_KEY",
        base_url="https://api.mistral.ai/v1",
        telemetry_name="mistral_ai",
        seed="random_seed",
        required="any",
        stream_options=False,
        tool_call_id=re.compile("[A-Za-z0-9]{9}"),
        reasoning=(THINKING,),
        user_after_tool=False,
        prefill="prefix",
        hottest=1.5,
        most_seed=_INT32,
    ),
    "moonshot": Profile(
        hosts=("api.moonshot.ai", "api.moonshot.cn", "api.kimi.com"),
        reasoning=(CONTENT,),
        wants_reasoning=True,
        thinking_switch=True,
        tool_name=_LETTER_FIRST,
        prefill="partial",
        hottest=1.0,
        most_stops=5,
    ),
    "ollama": Profile(
        hosts=("ollama.com",),
        reasoning=(REASONING,),
    ),
    "openai": Profile(
        hosts=("api.openai.com",),
        telemetry_name="openai",
        max_tokens="max_completion_tokens",
        media=frozenset({IMAGE, PDF, AUDIO}),
        cache_key=True,
        alternates=False,
        most_stops=4,
        strict=OPENAI_STRICT,
        answers=OPENAI,
        hosted_tools="search models",
    ),
    "openrouter": Profile(
        hosts=("openrouter.ai",),
        key_variable="OPENROUTER_API_KEY",
        base_url="https://openrouter.ai/api/v1",
        top_k=True,
        reasoning=(DETAILS,),
        media=frozenset({IMAGE, PDF, AUDIO}),
        strict=OPENAI_STRICT,
        answers=OPENAI,
        hosted_tools="openrouter",
    ),
    "perplexity": Profile(
        hosts=("api.perplexity.ai",),
        key_variable="PERPLEXITY_API_KEY",
        base_url="https://api.perplexity.ai",
        telemetry_name="perplexity",
        prefill=None,
        hosted_tools="perplexity",
    ),
    "snowflake": Profile(
        hosts=("snowflakecomputing.com",),
        reasoning=(DETAILS,),
        effort="reasoning",
    ),
    "together": Profile(
        hosts=("api.together.xyz", "api.together.ai"),
        key_variable="TOGETHER_API_KEY",
        base_url="https://api.together.xyz/v1",
        top_k=True,
        reasoning=(CONTENT, REASONING),
    ),
    "vllm": Profile(
        top_k=True,
        media=frozenset({IMAGE, AUDIO}),
        reasoning=(CONTENT, REASONING),
    ),
    "xai": Profile(
        hosts=("api.x.ai",),
        key_variable="XAI_API_KEY",
        base_url="https://api.x.ai/v1",
        telemetry_name="x_ai",
    ),
    "zai": Profile(
        hosts=("api.z.ai", "bigmodel.cn"),
        reasoning=(CONTENT,),
        thinking_switch=True,
        hottest=1.0,
        most_stops=1,
    ),
}

COMMON = Profile(reasoning=AS_SENT)
"""For a server that is none of these."""


def guess(base_url: str, otherwise: Profile = COMMON) -> Profile:
    """The profile of the server at `base_url`; `otherwise` if it is not known."""
    host = urlsplit(base_url).hostname or ""
    for profile in PROFILES.values():
        if any(host == known or host.endswith(f".{known}") for known in profile.hosts):
            return profile
    return otherwise
