"""How servers of the Chat Completions format differ: data, by the server's name.

A profile is named in the configuration, or told from the host of the base URL.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from majordomo.codec.capabilities import AUDIO, IMAGE, PDF
from majordomo.providers.openai_chat.reasoning import CONTENT, DETAILS, THINKING
from majordomo.schemas.dialects import ANY, LLAMA_CPP, OPENAI, OPENAI_STRICT, Dialect

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

    reasoning: str = ""
    """The form in which it wants its reasoning back: see openai_chat_reasoning."""

    thinking_switch: bool = False
    """Reasoning is turned off by `thinking`, not by an effort."""

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


PROFILES = {
    "alibaba": Profile(hosts=("aliyuncs.com",), top_k=True),
    "azure": Profile(
        hosts=("openai.azure.com", "services.ai.azure.com"),
        telemetry_name="azure.ai.openai",
        key_header="api-key",
        max_tokens="max_completion_tokens",
        media=frozenset({IMAGE, AUDIO}),
        cache_key=True,
        strict=OPENAI_STRICT,
        answers=OPENAI,
    ),
    "cerebras": Profile(
        hosts=("api.cerebras.ai",), strict=OPENAI_STRICT, answers=OPENAI
    ),
    "deepseek": Profile(
        hosts=("api.deepseek.com",),
        key_variable="DEEPSEEK_API_KEY",
        base_url="https://api.deepseek.com",
        telemetry_name="deepseek",
        reasoning=CONTENT,
        thinking_switch=True,
        schema=False,
    ),
    "fireworks": Profile(hosts=("api.fireworks.ai",), top_k=True),
    "gemini": Profile(
        hosts=("generativelanguage.googleapis.com",),
        telemetry_name="gcp.gemini",
        media=frozenset({IMAGE, AUDIO}),
    ),
    "groq": Profile(
        hosts=("api.groq.com",),
        key_variable="GROQ_API_KEY",
        base_url="https://api.groq.com/openai/v1",
        telemetry_name="groq",
        strict=OPENAI_STRICT,
        answers=OPENAI,
    ),
    "huggingface": Profile(
        hosts=("huggingface.co",),
        key_variable="HF_TOKEN",
        base_url="https://router.huggingface.co/v1",
    ),
    "llama.cpp": Profile(
        top_k=True,
        media=frozenset({IMAGE, AUDIO}),
        strict=LLAMA_CPP,
        answers=LLAMA_CPP,
        tools=LLAMA_CPP,
    ),
    "mistral": Profile(
        hosts=("api.mistral.ai",),
        key_variable="MISTRAL_API_KEY",
        base_url="https://api.mistral.ai/v1",
        telemetry_name="mistral_ai",
        seed="random_seed",
        required="any",
        stream_options=False,
        tool_call_id=re.compile(r"[A-Za-z0-9]{9}"),
        reasoning=THINKING,
    ),
    "ollama": Profile(hosts=("ollama.com",)),
    "openai": Profile(
        hosts=("api.openai.com",),
        telemetry_name="openai",
        max_tokens="max_completion_tokens",
        media=frozenset({IMAGE, PDF, AUDIO}),
        cache_key=True,
        strict=OPENAI_STRICT,
        answers=OPENAI,
    ),
    "openrouter": Profile(
        strict=OPENAI_STRICT,
        answers=OPENAI,
        hosts=("openrouter.ai",),
        key_variable="OPENROUTER_API_KEY",
        base_url="https://openrouter.ai/api/v1",
        top_k=True,
        reasoning=DETAILS,
        media=frozenset({IMAGE, PDF, AUDIO}),
    ),
    "perplexity": Profile(
        hosts=("api.perplexity.ai",),
        key_variable="PERPLEXITY_API_KEY",
        base_url="https://api.perplexity.ai",
        telemetry_name="perplexity",
    ),
    "snowflake": Profile(hosts=("snowflakecomputing.com",), reasoning=DETAILS),
    "together": Profile(
        hosts=("api.together.xyz", "api.together.ai"),
        key_variable="TOGETHER_API_KEY",
        base_url="https://api.together.xyz/v1",
        top_k=True,
    ),
    "vllm": Profile(top_k=True, media=frozenset({IMAGE, AUDIO})),
    "xai": Profile(
        hosts=("api.x.ai",),
        key_variable="XAI_API_KEY",
        base_url="https://api.x.ai/v1",
        telemetry_name="x_ai",
    ),
    "zai": Profile(hosts=("api.z.ai", "bigmodel.cn"), thinking_switch=True),
}

COMMON = Profile()
"""For a server that is none of these."""


def guess(base_url: str) -> Profile:
    """The profile of the server at `base_url`; COMMON if it is not known."""
    host = urlsplit(base_url).hostname or ""
    for profile in PROFILES.values():
        if any(host == known or host.endswith(f".{known}") for known in profile.hosts):
            return profile
    return COMMON
