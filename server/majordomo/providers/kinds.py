"""The kinds of providers: one folder each, known to all else by its settings."""

from majordomo.providers.anthropic.settings import AnthropicSettings
from majordomo.providers.gemini.settings import GeminiSettings
from majordomo.providers.local.settings import LocalSettings
from majordomo.providers.openai_chat.settings import OpenAICompatibleSettings
from majordomo.providers.openai_responses.settings import OpenAISettings
from majordomo.providers.scripted.settings import ScriptedSettings
from majordomo.providers.settings import ProviderSettings

KINDS: tuple[type[ProviderSettings], ...] = (
    OpenAISettings,
    AnthropicSettings,
    GeminiSettings,
    OpenAICompatibleSettings,
    LocalSettings,
    ScriptedSettings,
)
"""In the order of the reference pages."""
