"""Providers as the configuration describes them: codecs, addresses, keys."""

from urllib.parse import urlsplit

from majordomo.chain.target import Peer, Provider
from majordomo.codec.base import Codec
from majordomo.config import (
    AnthropicConfig,
    GeminiConfig,
    HttpConfig,
    LocalConfig,
    OpenAICompatibleConfig,
    OpenAIConfig,
    ProviderConfig,
    ScriptedConfig,
)
from majordomo.media.references import MediaHosts
from majordomo.providers.anthropic.codec import VERSION, Anthropic
from majordomo.providers.gemini.codec import Gemini
from majordomo.providers.gemini.google_token import GoogleToken
from majordomo.providers.local.provider import Local
from majordomo.providers.openai_chat.codec import OpenAICompatible
from majordomo.providers.openai_chat.profiles import PROFILES, Profile, guess
from majordomo.providers.openai_responses.codec import OpenAIResponses
from majordomo.providers.scripted.provider import Scripted
from majordomo.transport.provider import HttpProvider

_GEMINI = "https://generativelanguage.googleapis.com/v1beta"


def connect(name: str, settings: ProviderConfig) -> Provider:
    """The provider that chains call `name`."""
    match settings:
        case LocalConfig():
            local = Local(
                settings.model_path,
                threads=settings.threads,
                context=settings.context,
            )
            if settings.start == "at_start":
                local.start()
            return local
        case ScriptedConfig():
            return Scripted(
                {name: model.script for name, model in settings.models.items()}
            )
        case _:
            vertex = isinstance(settings, GeminiConfig) and settings.project is not None
            return HttpProvider(
                _codec(name, settings),
                _base_url(settings),
                _headers(settings),
                connect_timeout=settings.connect_timeout,
                egress=settings.egress,
                token=GoogleToken(egress=settings.egress) if vertex else None,
                media_hosts=_media_hosts(settings),
            )


def peer(name: str, settings: ProviderConfig) -> Peer:
    """Whom the provider talks to, in the words of OpenTelemetry's conventions."""
    if not isinstance(settings, HttpConfig):
        return Peer(name)
    url = urlsplit(_base_url(settings))
    port = url.port or (443 if url.scheme == "https" else 80)
    return Peer(_telemetry_name(settings) or name, url.hostname or "", port)


def _codec(name: str, settings: HttpConfig) -> Codec:
    options = frozenset(settings.provider_options)
    match settings:
        case AnthropicConfig():
            return Anthropic(name, options, settings.known)
        case GeminiConfig():
            return Gemini(name, options, settings.known)
        case OpenAIConfig(api="responses"):
            return OpenAIResponses(name, options, settings.known)
        case _:
            return OpenAICompatible(name, options, _profile(settings), settings.known)


def _base_url(settings: HttpConfig) -> str:
    if not isinstance(settings, GeminiConfig):
        url: str = settings.base_url  # type: ignore[attr-defined]
        return url
    if settings.base_url is not None:
        return settings.base_url
    if settings.project is None:
        return _GEMINI
    place = settings.location
    host = "" if place == "global" else f"{place}-"
    return (
        f"https://{host}aiplatform.googleapis.com/v1/projects/{settings.project}"
        f"/locations/{place}/publishers/google"
    )


def _media_hosts(settings: HttpConfig) -> MediaHosts:
    """A server of one's own fetches from the hosts that are named alone."""
    named = frozenset(host.lower() for host in settings.media_hosts)
    return MediaHosts(named - {"*"}, others="*" in named or not settings.self_hosted)


def _headers(settings: HttpConfig) -> dict[str, str]:
    headers = {}
    if isinstance(settings, AnthropicConfig):
        headers["anthropic-version"] = VERSION
        if settings.betas:
            headers["anthropic-beta"] = ",".join(settings.betas)
    if settings.api_key is not None:
        key = settings.api_key.get_secret_value()
        header = _key_header(settings)
        headers[header] = f"Bearer {key}" if header == "authorization" else key
    return headers


def _key_header(settings: HttpConfig) -> str:
    match settings:
        case AnthropicConfig():
            return "x-api-key"
        case GeminiConfig():
            return "x-goog-api-key"
        case _:
            return _profile(settings).key_header


def _telemetry_name(settings: HttpConfig) -> str:
    match settings:
        case AnthropicConfig():
            return "anthropic"
        case GeminiConfig():
            return "gcp.vertex_ai" if settings.project else "gcp.gemini"
        case _:
            return _profile(settings).telemetry_name


def _profile(settings: HttpConfig) -> Profile:
    if isinstance(settings, OpenAICompatibleConfig) and settings.profile:
        return PROFILES[settings.profile]
    return guess(_base_url(settings))
