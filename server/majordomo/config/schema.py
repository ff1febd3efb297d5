"""What may be configured: the sections, their keys, and what each may hold.

The texts below the keys are the reference page and what editors show.
"""

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from majordomo.chain.call import Policy
from majordomo.chain.failure import PERMANENT
from majordomo.chain.health import HealthSettings
from majordomo.codec.capabilities import Capabilities, capabilities
from majordomo.names import MODEL_ID, NAME
from majordomo.providers.openai_chat.profiles import PROFILES, guess
from majordomo.providers.scripted.provider import Script
from majordomo.transport.egress import DIRECT, Egress
from majordomo.transport.proxies import EnvironmentProxies, check_proxy, credentials
from majordomo.transport.trust import (
    TrustFiles,
    check_authorities,
    check_environment,
    environment_files,
    trust,
)
from majordomo.v1.attempt_pb2 import FailureReason
from majordomo.v1.generation_service_pb2 import (
    ALL_BENCHED_POLICY_FAIL,
    ALL_BENCHED_POLICY_LAST_RESORT,
    ALL_BENCHED_POLICY_TRY_SOONEST,
    ALL_BENCHED_POLICY_WAIT,
    INTERRUPTION_POLICY_FAIL,
    INTERRUPTION_POLICY_RESTART,
)

_NO_PROXIES = EnvironmentProxies()
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PERMANENT = {
    FailureReason.Name(reason).removeprefix("FAILURE_REASON_").lower(): reason
    for reason in sorted(PERMANENT)
}
_ALL_BENCHED = {
    "last_resort": ALL_BENCHED_POLICY_LAST_RESORT,
    "fail": ALL_BENCHED_POLICY_FAIL,
    "try_soonest": ALL_BENCHED_POLICY_TRY_SOONEST,
    "wait": ALL_BENCHED_POLICY_WAIT,
}
_INTERRUPTION = {
    "fail": INTERRUPTION_POLICY_FAIL,
    "restart": INTERRUPTION_POLICY_RESTART,
}


def _duration(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError('write a duration as text, such as "5s"')
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", value)
    if match is None:
        raise ValueError(f'{value!r} is no duration; write "500ms", "5s", "2m" or "1h"')
    return float(match[1]) * _UNITS[match[2]]


def _size(value: object) -> object:
    match = re.fullmatch(r"(\d+)(KiB|MiB|GiB)", str(value))
    if match is None:
        raise ValueError(f'{value!r} is no size; write "64KiB", "512MiB" or "1GiB"')
    return int(match[1]) << {"KiB": 10, "MiB": 20, "GiB": 30}[match[2]]


def _timeout(seconds: float) -> float:
    if not 0.1 <= seconds <= 3600:
        raise ValueError("must be from 100ms to 1h")
    return seconds


def _secret(value: object, info: ValidationInfo) -> object:
    """The secret that a reference names, without the line end that files have.

    It goes out in a header: it has to be a line of ASCII.
    """
    kind, _, name = str(value).partition(":")
    environ: Mapping[str, str] = (info.context or {}).get("environ", {})
    if kind == "env" and name:
        if not environ.get(name):
            raise ValueError(f"the environment has no {name}; set it")
        secret = environ[name]
    elif kind == "file" and name:
        try:
            secret = Path(name).read_text(errors="replace")
        except OSError as error:
            raise ValueError(f"cannot read {name}: {error.strerror}") from None
    else:
        raise ValueError(
            'name the secret as "env:NAME" or "file:/path"; never write it here'
        )
    secret = secret.strip()
    if not secret:
        raise ValueError(f"{name} is empty")
    if not (secret.isascii() and secret.isprintable()):
        raise ValueError(f"{name} must hold one line of ASCII, the key and no more")
    return SecretStr(secret)


def _base_url(value: str) -> str:
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("must be an http or https URL, such as https://host/v1")
    if url.userinfo or url.query or url.fragment:
        raise ValueError("must hold no credentials, query or fragment; use api_key")
    return value.rstrip("/")


def _proxy(value: object, info: ValidationInfo) -> object:
    """A proxy's URL: one with credentials is a secret, and named like one."""
    text = str(value)
    if text == DIRECT:
        return SecretStr(text)
    if text.startswith(("env:", "file:")):
        named = _secret(text, info)
        assert isinstance(named, SecretStr)  # noqa: S101 - or it has raised
        check_proxy(named.get_secret_value())
        return named
    check_proxy(text)
    if [*credentials(text)]:
        raise ValueError(
            "must hold no credentials; put the whole URL into a variable or a file, "
            'and name that as "env:NAME" or "file:/path"'
        )
    return SecretStr(text)


def _script(value: str) -> str:
    Script.parse(value)
    return value


def _profile(value: str) -> str:
    if value not in PROFILES:
        raise ValueError(f"{value!r} is none of {', '.join(sorted(PROFILES))}")
    return value


def _tier(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name of a tier")
    return value


def _nameable(value: str) -> str:
    provider, _, model = value.partition("/")
    if not NAME.fullmatch(provider) or not (model == "*" or MODEL_ID.fullmatch(model)):
        raise ValueError(f'{value!r} is no target; write "provider/model-id"')
    return value


def _reason(value: object) -> object:
    if value not in _PERMANENT:
        raise ValueError(f"{value!r} is none of {', '.join(_PERMANENT)}")
    return _PERMANENT[str(value)]


_DURATION_TEXT = WithJsonSchema(
    {"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h)$", "examples": ["5s"]}
)

Duration = Annotated[float, BeforeValidator(_duration), Field(gt=0), _DURATION_TEXT]
"""Seconds, from a text with a unit."""

Timeout = Annotated[
    float, BeforeValidator(_duration), AfterValidator(_timeout), _DURATION_TEXT
]
"""Seconds, from 0.1 to 3600."""

Size = Annotated[
    int,
    BeforeValidator(_size),
    Field(gt=0),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(KiB|MiB|GiB)$"}),
]
"""Bytes, from a text with a unit."""

Secret = Annotated[
    SecretStr,
    BeforeValidator(_secret),
    WithJsonSchema({"type": "string", "pattern": "^(env|file):.+"}),
]
PermanentReason = Annotated[
    int, BeforeValidator(_reason), WithJsonSchema({"enum": list(_PERMANENT)})
]
Proxy = Annotated[
    SecretStr,
    BeforeValidator(_proxy),
    WithJsonSchema(
        {"type": "string", "pattern": "^(none|(https?|socks5h?)://.+|(env|file):.+)$"}
    ),
]
PemFile = Annotated[Path, Field(strict=False)]
Authorities = Annotated[PemFile, AfterValidator(check_authorities)]
ProfileName = Annotated[
    str, AfterValidator(_profile), WithJsonSchema({"enum": sorted(PROFILES)})
]
MediaHost = Annotated[str, Field(pattern=r"^([A-Za-z0-9:._-]+|\*)$")]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
Concurrency = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        protected_namespaces=(),
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


class TlsConfig(_Section):
    """TLS, by files in PEM form; read again when they change."""

    certificate: Path = Field(strict=False)
    """The server's certificate, and those that lead to its root."""

    private_key: Path = Field(strict=False)
    """The key of the certificate, without a password."""

    client_ca: Path | None = Field(default=None, strict=False)
    """Roots of callers' certificates. With it callers must show one (mTLS)."""

    @model_validator(mode="after")
    def _usable(self) -> "TlsConfig":
        self.check()
        return self

    @property
    def files(self) -> list[Path]:
        """All of them."""
        optional = [self.client_ca] if self.client_ca is not None else []
        return [self.certificate, self.private_key, *optional]

    def check(self) -> None:
        """Raise ValueError where the files cannot be used, as they are now."""
        for path in self.files:
            try:
                path.read_bytes()
            except OSError as error:
                raise ValueError(f"cannot read {path}: {error.strerror}") from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        wrong = f"{self.certificate} and {self.private_key} are no certificate and key"
        try:
            context.load_cert_chain(self.certificate, self.private_key, password="")
            wrong = f"{self.client_ca} holds no certificate"
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
        except (ssl.SSLError, ValueError):
            raise ValueError(f"{wrong}, in PEM form and without a password") from None


class TokenConfig(_Section):
    """Who may call: whoever shows the token. Without any, everybody may."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """The SHA-256 of the token, in hex; `majordomo token` makes both."""

    scopes: list[Literal["generate", "operate"]] = Field(min_length=1)
    """What it allows: generate (Generate, Stream, Explain), operate (HealthSnapshot,
    WatchHealth, Bench, Unbench)."""

    max_calls: int | None = Field(default=None, ge=1)
    """Generate, Stream and Explain calls of it in flight. Without it a share of the
    server's."""

    chains: list[Annotated[str, AfterValidator(_tier)]] | None = None
    """The tiers that its calls may name. With this or `targets` they may name nothing
    else; a call that names no chain is taken to name server.default_chain."""

    targets: list[Annotated[str, AfterValidator(_nameable)]] | None = None
    """The targets that its calls may name, as "provider/model-id" or "provider/*"."""


class ServerConfig(_Section):
    """Where the server listens, and what it answers with by default."""

    listen: str = Field(default="127.0.0.1:50051", pattern=r"^(unix:.+|.+:\d{1,5})$")
    """host:port, or unix:/path. Port 0 takes a free one."""

    default_chain: str = ""
    """What calls walk that name no chain: targets and tiers, comma-separated."""

    drain_delay: Duration = 0.001
    """After SIGTERM, how long new calls are still taken while health says no."""

    drain_grace: Duration = 30.0
    """After SIGTERM, how long running calls may take to end."""

    max_calls: int = Field(default=1024, ge=1)
    """Generate, Stream and Explain calls in flight; further ones are turned away."""

    memory_budget: Size = 256 << 20
    """What calls may take: requests on their way and at work, and answers that are not
    yet read; further ones are turned away. The process stays below 120 MB and twice
    this, without embedded models and the processes that make images smaller."""

    reflection: bool = True
    """Tell whoever asks what the services and messages are, as grpcurl does."""

    tls: TlsConfig | None = None
    """Without it the server speaks plain text."""

    metrics_listen: str | None = Field(default=None, pattern=r"^.+:\d{1,5}$")
    """host:port of a page for Prometheus, /metrics, over plain HTTP. Without it there
    is none."""


class AttemptConfig(_Section):
    """How one attempt goes; the narrower setting wins: model, provider, chain."""

    generate_via: Literal["auto", "unary", "stream"] | None = None
    """How whole answers are asked for. By "stream" silence is noticed as it is for
    Stream, and the limits of streams hold; by "auto" that is done over HTTP for answers
    that may have more than 256 tokens. Without it "auto"."""

    attempt_timeout: Timeout | None = None
    """How long one attempt may run. Without it 600s; 120s for Generate where the
    model is known not to reason."""

    first_content_timeout: Timeout | None = None
    """How long a stream may bring nothing: no content, and no sign that the model
    reasons or uses a tool. Without it 180s, 30s where the model is known not to
    reason."""

    stall_timeout: Timeout | None = None
    """How long a stream may pause between two pieces, or signs. Without it 30s. A
    model that has begun to reason may be silent as long as before its first content."""


class ChainConfig(AttemptConfig):
    """How chains are walked."""

    transient_retries: int = Field(default=1, ge=0, le=5)
    """How often a transient failure is tried again at the same target."""

    advance_on_permanent: bool = False
    """Go on to the next target after every permanent failure."""

    advance_on: list[PermanentReason] = []
    """Permanent failures that go on to the next target, besides those that always
    do (model_not_found, unsupported, context_too_long)."""

    all_benched_policy: Literal["last_resort", "fail", "try_soonest", "wait"] = (
        "last_resort"
    )
    """What to do when benches leave a call without an answer: try those that only
    failures keep out, as far as a small budget of each allows; or, when nobody could
    be tried, fail at once, try the one that returns soonest before its time (at most
    once a second), or wait up to 60s for the first to return."""

    interruption_policy: Literal["fail", "restart"] = "fail"
    """What to do when a stream breaks after content was sent: end it with ABORTED, or
    start the answer again at the next target, announced by a Restart event."""


class HealthConfig(_Section):
    """When a target is benched, and for how long."""

    failure_threshold: int = Field(default=2, ge=1)
    """Transient failures in a row that bench a target."""

    bench_failure_share: float = Field(default=0.9, ge=0, le=1)
    """The share of its newest outcomes that have to be failures as well: of ten calls,
    and of all that began within the last 0.5s. With 0 those in a row are enough."""

    cooldown_base: Duration = 4.0
    """How long the first bench lasts; each further one twice as long."""

    cooldown_cap: Duration = 15.0
    """The longest bench that is not asked for by the provider; no shorter than
    cooldown_base."""

    @model_validator(mode="after")
    def _grows(self) -> "HealthConfig":
        if self.cooldown_cap < self.cooldown_base:
            raise ValueError("cooldown_cap is shorter than cooldown_base: set both")
        return self


class ModelConfig(AttemptConfig):
    """What is known of one model."""

    reasoning: bool | None = None
    """It reasons before it answers: its first content may take longer. Without it as
    is known of the model; one that is not known may reason."""

    media: list[Literal["image", "pdf", "audio", "video"]] | None = None
    """What media it takes. This and the next four are for models that are not known,
    or otherwise than is known."""

    tools: bool | None = None
    """It can call tools."""

    json_schema: bool | None = None
    """It answers by JSON Schema."""

    sampling: bool | None = None
    """It takes temperature, top_p and top_k."""

    max_output_tokens: int | None = Field(default=None, ge=1)
    """The longest answer that it can write."""

    max_concurrency: Concurrency | None = None
    """How many attempts may run at it at once; beyond it the next target is tried."""

    def known(self, known: Capabilities) -> Capabilities:
        """What it takes: this over what is `known`."""
        said = {
            "media": None if self.media is None else frozenset(self.media),
            "tools": self.tools,
            "schema": self.json_schema,
            "sampling": self.sampling,
            "max_output_tokens": self.max_output_tokens,
            "reasons": self.reasoning,
        }
        over: dict[str, Any] = {key: v for key, v in said.items() if v is not None}
        return replace(known, **over) if over else known


class _ProviderConfig(AttemptConfig):
    max_concurrency: Concurrency | None = None
    """How many attempts may run there at once; beyond it the next target is tried."""

    closed: bool = False
    """Only the models listed here may be named."""

    models: dict[str, ModelConfig] = {}
    """What is known of single models, by id. Others may be named all the same,
    unless the list is closed."""

    def made_of(self) -> dict[str, object]:
        """What its connections and processes are made of: a change needs new ones."""
        own = type(self).model_fields.keys() - _ProviderConfig.model_fields.keys()
        return {name: getattr(self, name) for name in own}

    def place(self) -> dict[str, object]:
        """Where it is: what was seen of its health holds there."""
        return self.made_of()

    def key(self) -> SecretStr | None:
        """What it is asked with."""
        return None

    @cached_property
    def known_models(self) -> dict[str, Capabilities]:
        """What each of `models` takes."""
        return {
            model: settings.known(capabilities(model))
            for model, settings in self.models.items()
        }

    def known(self, model: str) -> Capabilities:
        """What a model of it takes."""
        return self.known_models.get(model) or capabilities(model)


class EgressSettings(_Section):
    """How a provider is reached: proxy, TLS, HTTP/2."""

    proxy: Proxy | None = None
    """The proxy that leads to it, such as "http://proxy.example:3128", or with http,
    https, socks5 or socks5h; one that wants credentials is named as "env:NAME" or
    "file:/path". "none" for no proxy. Without it as HTTPS_PROXY, HTTP_PROXY, ALL_PROXY
    and NO_PROXY say."""

    http2: bool = False
    """Speak HTTP/2 where the provider does, over TLS. By a proxy it saves handshakes:
    connections of HTTP/1.1 are kept only without one."""

    ca_file: Authorities | None = None
    """The authorities to trust instead of the usual ones: a file in PEM form, or a
    folder as c_rehash makes it. This and the next two are read again when they change.
    Without it as SSL_CERT_FILE and SSL_CERT_DIR say, or else certifi's."""

    client_certificate: PemFile | None = None
    """A certificate to show to the provider, and those that lead to its root."""

    client_key: PemFile | None = None
    """The key of client_certificate, without a password. Without it that file
    holds it."""

    _egress: Egress | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _reachable(self, info: ValidationInfo) -> "EgressSettings":
        if self.client_key is not None and self.client_certificate is None:
            raise ValueError("client_key needs client_certificate too: set both")
        environ: Mapping[str, str] = (info.context or {}).get("environ", os.environ)
        usual = environment_files(environ)
        if self.ca_file is None:
            check_environment(usual)
        else:
            named = "folder" if self.ca_file.is_dir() else "authorities"
            usual = TrustFiles(**{named: self.ca_file})
        files = replace(usual, certificate=self.client_certificate, key=self.client_key)
        self._egress = Egress(
            trust(files, http2=self.http2),
            "" if self.proxy is None else self.proxy.get_secret_value(),
            EnvironmentProxies.read(environ) if self.proxy is None else _NO_PROXIES,
        )
        return self

    @property
    def egress(self) -> Egress:
        """How it is reached, by what its files hold now."""
        assert self._egress is not None  # noqa: S101 - validated
        return self._egress


class HttpConfig(_ProviderConfig, EgressSettings):
    """What all providers over HTTP have."""

    api_key: Secret | None = None
    """The key, by name: "env:NAME" or "file:/path"."""

    connect_timeout: Timeout = 5.0
    """How long connecting may take, TLS included."""

    provider_options: list[str] = []
    """The keys of the request body that callers may set."""

    media_hosts: list[MediaHost] = []
    """Hosts, and their subdomains, from which the provider may fetch media that callers
    name by URL. A server that majordomo does not know by its base URL, such as vLLM in
    a network of one's own, fetches from these alone; "*" adds all that are not in a
    private network. Known services fetch from those and from these."""

    @property
    def self_hosted(self) -> bool:
        """It is a server of somebody's own, and no service that everybody knows."""
        base_url: str | None = getattr(self, "base_url", None)
        if base_url is None or base_url == type(self).model_fields["base_url"].default:
            return False
        return not guess(base_url).hosts

    def made_of(self) -> dict[str, object]:
        return {
            **super().made_of(),
            "known": self.known_models,
            "egress": self.egress,
        }

    def place(self) -> dict[str, object]:
        own = type(self).model_fields.keys() - HttpConfig.model_fields.keys()
        return {name: getattr(self, name) for name in ("kind", *own)}

    def key(self) -> SecretStr | None:
        return self.api_key


class OpenAIConfig(HttpConfig):
    """OpenAI, or who speaks its Responses API too."""

    kind: Literal["openai"]
    """This kind."""

    base_url: BaseUrl = "https://api.openai.com/v1"
    """What comes before /responses and /chat/completions."""

    api: Literal["responses", "chat"] = "responses"
    """Which of its APIs: Responses, or Chat Completions."""


class AnthropicConfig(HttpConfig):
    """Anthropic, or who speaks its Messages API."""

    kind: Literal["anthropic"]
    """This kind."""

    base_url: BaseUrl = "https://api.anthropic.com/v1"
    """What comes before /messages."""

    betas: list[str] = []
    """Beta features to turn on, as the header anthropic-beta names them."""


class GeminiConfig(HttpConfig):
    """Google's Gemini, by an API key, or at Vertex AI by the account of the machine."""

    kind: Literal["gemini"]
    """This kind."""

    base_url: BaseUrl | None = None
    """What comes before /models. Without it Google's, of the Gemini API, or of Vertex
    AI where a project is set."""

    project: str | None = Field(default=None, pattern=r"^[a-z0-9:.-]+$")
    """Vertex AI: the Google Cloud project. It needs the extra majordomo-grpc[vertex]
    and Google's application default credentials."""

    location: str = Field(default="global", pattern=r"^[a-z0-9-]+$")
    """Vertex AI: the region."""


class OpenAICompatibleConfig(HttpConfig):
    """A server that speaks OpenAI's Chat Completions."""

    kind: Literal["openai-compatible"]
    """This kind."""

    base_url: BaseUrl
    """What comes before /chat/completions."""

    profile: ProfileName | None = None
    """How the server differs from OpenAI's. Without it told from the base URL."""


class LocalConfig(_ProviderConfig):
    """A model on this machine, in llama.cpp's server."""

    kind: Literal["local"]
    """This kind."""

    model_path: Path | None = Field(default=None, strict=False)
    """A GGUF file; without it the embedded model."""

    threads: int | None = Field(default=None, ge=1)
    """Threads that compute. Without it one fewer than there are processors."""

    context: int | None = Field(default=None, ge=256)
    """Tokens of prompt and answer. Without it 2048."""

    start: Literal["on_demand", "at_start"] = "on_demand"
    """When llama.cpp is started: with the first call, or with the server."""


class ScriptedModelConfig(ModelConfig):
    """A model that does as it is told."""

    script: list[Annotated[str, AfterValidator(_script)]] = []
    """One step an attempt, in order; the last one repeats."""


class ScriptedConfig(_ProviderConfig):
    """A provider that answers and fails as told: for demos and tests."""

    kind: Literal["scripted"]
    """This kind."""

    models: dict[str, ScriptedModelConfig] = {}  # type: ignore[assignment]
    """Scripts by model id. Any other id is itself a script, such as "status:503"."""

    def made_of(self) -> dict[str, object]:
        return {name: model.script for name, model in self.models.items()}


ProviderConfig = (
    OpenAIConfig
    | AnthropicConfig
    | GeminiConfig
    | OpenAICompatibleConfig
    | LocalConfig
    | ScriptedConfig
)


class ResolverConfig(_Section):
    """A plugin that says, when a call comes, what a tier stands for."""

    timeout: Timeout = 1.0
    """How long it may take; then the call fails with UNAVAILABLE."""


class Config(_Section):
    """The whole of it."""

    server: ServerConfig = ServerConfig()
    tokens: dict[str, TokenConfig] = {}
    """Callers' tokens, by a name for people. With any of them every call of ours needs
    one."""

    chain: ChainConfig = ChainConfig()
    health: HealthConfig = HealthConfig()
    providers: dict[str, Annotated[ProviderConfig, Field(discriminator="kind")]] = {}
    """Where models are, by the name that chains call it."""

    tiers: dict[str, str] = {}
    """Names for chains: targets and other tiers, comma-separated."""

    resolvers: dict[str, ResolverConfig] = {}
    """Plugins asked, in this order, for tiers that are not listed above. The name is
    that of an entry point of the group majordomo.resolvers in an installed package."""

    def secrets(self) -> list[str]:
        """What must never be told."""
        reached = [it for it in self.providers.values() if isinstance(it, HttpConfig)]
        keys = [it.api_key.get_secret_value() for it in reached if it.api_key]
        return keys + [secret for it in reached for secret in it.egress.secrets()]

    def inner_hosts(self) -> list[str]:
        """Hosts of providers but for those that everybody knows: not for callers."""
        return [
            urlsplit(str(getattr(it, "base_url", ""))).hostname or ""
            for it in self.providers.values()
            if isinstance(it, HttpConfig) and it.self_hosted
        ]

    def policy(self) -> Policy:
        """How to walk a chain where the call does not say."""
        return Policy(
            transient_retries=self.chain.transient_retries,
            advance_on_permanent=self.chain.advance_on_permanent,
            advance_on=frozenset(self.chain.advance_on),  # type: ignore[arg-type]
            all_benched=_ALL_BENCHED[self.chain.all_benched_policy],
            interruption=_INTERRUPTION[self.chain.interruption_policy],
        )

    def health_settings(self) -> HealthSettings:
        return HealthSettings(**dict(self.health))
