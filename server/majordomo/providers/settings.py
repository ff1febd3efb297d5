"""What the settings of all kinds of providers have in common.

A kind of provider is a folder: its settings make its codec and connect it. The folder's
settings stand in `majordomo.providers.kinds`, and all else reads them there.
"""

import os
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from majordomo.chain.prices import Prices
from majordomo.chain.target import Peer, Provider
from majordomo.codec.base import Codec
from majordomo.codec.capabilities import Capabilities, capabilities
from majordomo.media.references import MediaHosts
from majordomo.providers.profiles import guess
from majordomo.proxies import EnvironmentProxies, check_proxy, credentials
from majordomo.section import BaseUrl, Price, Secret, Section, Timeout, read_secret
from majordomo.transport.egress import DIRECT, Egress
from majordomo.transport.trust import (
    TrustFiles,
    check_authorities,
    check_environment,
    environment_files,
    trust,
)

Token = Callable[[], Awaitable[str]]
"""Gives the bearer token of the moment."""

_NO_PROXIES = EnvironmentProxies()


def _proxy(value: object, info: ValidationInfo) -> SecretStr:
    """A proxy's URL: one with credentials is a secret, and named like one."""
    text = str(value)
    if text == DIRECT:
        return SecretStr(text)
    if text.startswith(("env:", "file:")):
        named = read_secret(text, info)
        check_proxy(named.get_secret_value())
        return named
    check_proxy(text)
    if [*credentials(text)]:
        raise ValueError(
            "must hold no credentials; put the whole URL into a variable or a file, "
            'and name that as "env:NAME" or "file:/path"'
        )
    return SecretStr(text)


Proxy = Annotated[
    SecretStr,
    BeforeValidator(_proxy),
    WithJsonSchema(
        {"type": "string", "pattern": "^(none|(https?|socks5h?)://.+|(env|file):.+)$"}
    ),
]
PemFile = Annotated[Path, Field(strict=False)]
Authorities = Annotated[PemFile, AfterValidator(check_authorities)]
MediaHost = Annotated[str, Field(pattern=r"^([A-Za-z0-9:._-]+|\*)$")]
Concurrency = Annotated[int, Field(ge=1)]


class AttemptSettings(Section):
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


class PricesSettings(Section):
    """What a million tokens of a model cost, in a currency of your own, the same for
    all models."""

    input: Price
    """Input that was in no cache."""

    output: Price
    """Output, reasoning included."""

    cached_input: Price | None = None
    """Input read from a prompt cache. Without it as `input`."""

    cache_write: Price | None = None
    """Input written to a prompt cache. Without it as `input`."""

    def prices(self) -> Prices:
        """The same as the walk counts with."""
        read, written = self.cached_input, self.cache_write
        return Prices(
            self.input,
            self.output,
            cached_input=self.input if read is None else read,
            cache_write=self.input if written is None else written,
        )


class ModelSettings(AttemptSettings):
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

    prices: PricesSettings | None = None
    """What its tokens cost: for the log, spans and metrics."""

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


@dataclass(frozen=True, slots=True)
class Preset:
    """A provider that is configured without a file, where `variable` holds its key."""

    variable: str
    name: str
    settings: dict[str, str]
    """Those that its kind does not have by default, and its kind."""


class ProviderSettings(AttemptSettings):
    """What all providers have."""

    KEY_VARIABLE: ClassVar[str] = ""
    """The variable that a provider's own tools read its key from."""

    kind: str
    """What it speaks."""

    max_concurrency: Concurrency | None = None
    """How many attempts may run there at once; beyond it the next target is tried."""

    closed: bool = False
    """Only the models listed here may be named."""

    models: dict[str, ModelSettings] = {}
    """What is known of single models, by id. Others may be named all the same,
    unless the list is closed."""

    @classmethod
    def kind_name(cls) -> str:
        """The `kind` that a configuration names it by."""
        (name,) = get_args(cls.model_fields["kind"].annotation)
        return str(name)

    @classmethod
    def presets(cls) -> Iterator[Preset]:
        """Who is configured by the environment's keys alone."""
        if cls.KEY_VARIABLE:
            kind = cls.kind_name()
            yield Preset(cls.KEY_VARIABLE, kind, {"kind": kind})

    @classmethod
    def reserved_options(cls, values: Mapping[str, Any]) -> Set[str]:  # noqa: ARG003
        """Keys of a request that no caller may set, whatever `values` lists.

        `values` are the settings before they are validated.
        """
        return frozenset()

    @abstractmethod
    def connect(self, name: str) -> Provider:
        """The provider that chains call `name`."""

    def peer(self, name: str) -> Peer:
        """The other side of its calls, in the words of OpenTelemetry's conventions."""
        return Peer(name)

    def fingerprint(self) -> dict[str, object]:
        """What its connections and processes are made of: a change needs new ones."""
        own = type(self).model_fields.keys() - ProviderSettings.model_fields.keys()
        return {name: getattr(self, name) for name in ("kind", *own)}

    def place(self) -> dict[str, object]:
        """Where it is: what was seen of its health holds there."""
        return self.fingerprint()

    def key(self) -> SecretStr | None:
        """The key that its requests carry."""
        return None

    def secrets(self) -> list[str]:
        """All that must stay unknown to others."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return [v.get_secret_value() for v in values if isinstance(v, SecretStr)]

    def inner_hosts(self) -> list[str]:
        """Hosts that callers must not learn of."""
        return []

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


class EgressSettings(Section):
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


class HttpSettings(ProviderSettings, EgressSettings):
    """What all providers over HTTP have."""

    KEY_HEADER: ClassVar[str] = "authorization"
    """Where the key goes: as a bearer token, or, in any other header, by itself."""

    TELEMETRY_NAME: ClassVar[str] = ""
    """gen_ai.provider.name, where OpenTelemetry's conventions have one."""

    base_url: BaseUrl
    """What comes before the path of a request."""

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

    @abstractmethod
    def codec(self, name: str) -> Codec:
        """What writes the requests and reads the answers of the provider `name`."""

    @property
    def url(self) -> str:
        """The base URL that is used."""
        return self.base_url

    @property
    def key_header(self) -> str:
        """The header of the key that this server takes."""
        return self.KEY_HEADER

    @property
    def telemetry_name(self) -> str:
        """What telemetry calls this server; "": by the name of its provider."""
        return self.TELEMETRY_NAME

    def extra_headers(self) -> dict[str, str]:
        """What each request carries besides the key."""
        return {}

    def token(self) -> Token | None:
        """What gives the bearer token of the moment, where no key lasts."""
        return None

    def connect(self, name: str) -> Provider:
        # What is only checked needs nothing to connect with.
        from majordomo.transport.provider import HttpProvider  # noqa: PLC0415

        return HttpProvider(
            self.codec(name),
            self.url,
            self._headers(),
            connect_timeout=self.connect_timeout,
            egress=self.egress,
            token=self.token(),
            media_hosts=self._media_hosts(),
        )

    def peer(self, name: str) -> Peer:
        url = urlsplit(self.url)
        port = url.port or (443 if url.scheme == "https" else 80)
        return Peer(self.telemetry_name or name, url.hostname or "", port)

    @property
    def self_hosted(self) -> bool:
        """It is a server of somebody's own, and no service that everybody knows."""
        usual = type(self).model_fields["base_url"].default
        return self.base_url != usual and not guess(self.base_url).hosts

    def fingerprint(self) -> dict[str, object]:
        return {
            **super().fingerprint(),
            "url": self.url,
            "known": self.known_models,
            "egress": self.egress,
        }

    def place(self) -> dict[str, object]:
        own = type(self).model_fields.keys() - HttpSettings.model_fields.keys()
        place = {name: getattr(self, name) for name in own}
        return {"kind": self.kind, "url": self.url, **place}

    def key(self) -> SecretStr | None:
        return self.api_key

    def secrets(self) -> list[str]:
        """As of all providers, and of a proxy's URL the credentials alone."""
        proxy = self.proxy and self.proxy.get_secret_value()
        own = [secret for secret in super().secrets() if secret != proxy]
        return [*own, *self.egress.secrets()]

    def inner_hosts(self) -> list[str]:
        return [urlsplit(self.url).hostname or ""] if self.self_hosted else []

    def _headers(self) -> dict[str, str]:
        if self.api_key is None:
            return self.extra_headers()
        key = self.api_key.get_secret_value()
        header = self.key_header
        value = f"Bearer {key}" if header == "authorization" else key
        return {**self.extra_headers(), header: value}

    def _media_hosts(self) -> MediaHosts:
        """A server of one's own fetches from the hosts that are named alone."""
        named = frozenset(host.lower() for host in self.media_hosts)
        return MediaHosts(named - {"*"}, others="*" in named or not self.self_hosted)
