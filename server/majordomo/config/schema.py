"""What may be configured: the sections, their keys, and what each may hold.

The texts below the keys are the reference page and what editors show.
"""

import ssl
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
    model_validator,
)

from majordomo.chain.call import Policy
from majordomo.chain.failure import PERMANENT
from majordomo.chain.health import HealthSettings
from majordomo.chain.names import MODEL_ID, NAME
from majordomo.contract import label
from majordomo.providers.kinds import KINDS
from majordomo.providers.settings import AttemptSettings, ProviderSettings
from majordomo.section import Duration, Section, Size, Timeout
from majordomo.v1.attempt_pb2 import FailureReason
from majordomo.v1.generation_service_pb2 import (
    ALL_BENCHED_POLICY_FAIL,
    ALL_BENCHED_POLICY_LAST_RESORT,
    ALL_BENCHED_POLICY_TRY_SOONEST,
    ALL_BENCHED_POLICY_WAIT,
    INTERRUPTION_POLICY_FAIL,
    INTERRUPTION_POLICY_RESTART,
)

_PERMANENT = {
    label(FailureReason, reason).lower(): reason for reason in sorted(PERMANENT)
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


def _listen(value: str) -> str:
    if value.startswith("unix:"):
        if value == "unix:":
            raise ValueError("name the socket's path, as in unix:/run/majordomo.sock")
        return value
    return _host_port(value)


def _host_port(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()):
        raise ValueError(f"{value!r} is no host:port, such as 127.0.0.1:50051")
    if int(port) > _LAST_PORT:
        raise ValueError(f"there is no port {port}: ports end at {_LAST_PORT}")
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


_LAST_PORT = 65_535

HostPort = Annotated[
    str,
    AfterValidator(_host_port),
    WithJsonSchema({"type": "string", "pattern": r"^.+:\d{1,5}$"}),
]
PermanentReason = Annotated[
    int, BeforeValidator(_reason), WithJsonSchema({"enum": list(_PERMANENT)})
]

if TYPE_CHECKING:
    OneOfKinds = ProviderSettings
else:
    OneOfKinds = Annotated[reduce(or_, KINDS), Field(discriminator="kind")]


class TlsConfig(Section):
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


class TokenConfig(Section):
    """Who may call: anyone who shows the token. Without any, everybody may."""

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


class ServerConfig(Section):
    """Where the server listens, and what it answers with by default."""

    listen: Annotated[
        str,
        AfterValidator(_listen),
        WithJsonSchema({"type": "string", "pattern": r"^(unix:.+|.+:\d{1,5})$"}),
    ] = "127.0.0.1:50051"
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
    """Tell anyone who asks what the services and messages are, as grpcurl does."""

    batch_threads: bool = True
    """On Linux, schedule gRPC's threads so that they do not interrupt the event loop
    (SCHED_BATCH), which saves about a tenth of the CPU of a call. Turn it off to see
    whether it adds to a latency."""

    tls: TlsConfig | None = None
    """Without it the server speaks plain text."""

    metrics_listen: HostPort | None = None
    """host:port of a page for Prometheus, /metrics, over plain HTTP. Without it there
    is none."""

    health_listen: HostPort | None = None
    """host:port where grpc.health.v1 alone is served, in plain text and without tokens:
    for probes that speak no TLS, such as those of Kubernetes. Without it there is
    none."""

    max_connection_age: Duration | None = None
    """How old a connection may become before its client is asked to open another, which
    is how clients find new replicas; calls that run on it end well. Each connection has
    a tenth more or less. Without it there is no limit."""


class ChainConfig(AttemptSettings):
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


class HealthConfig(Section):
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


class ResolverConfig(Section):
    """A plugin that says, when a call comes, what a tier stands for."""

    timeout: Timeout = 1.0
    """How long it may take; then the call fails with UNAVAILABLE."""


class Config(Section):
    """The whole of it."""

    server: ServerConfig = ServerConfig()
    tokens: dict[str, TokenConfig] = {}
    """Callers' tokens, by a name for people. With any of them every call of ours needs
    one."""

    chain: ChainConfig = ChainConfig()
    health: HealthConfig = HealthConfig()
    providers: dict[str, OneOfKinds] = {}
    """Where models are, by the name that chains call it."""

    tiers: dict[str, str] = {}
    """Names for chains: targets and other tiers, comma-separated."""

    resolvers: dict[str, ResolverConfig] = {}
    """Plugins asked, in this order, for tiers that are not listed above. The name is
    that of an entry point of the group majordomo.resolvers in an installed package."""

    def secrets(self) -> list[str]:
        """What must never be shown."""
        return [secret for it in self.providers.values() for secret in it.secrets()]

    def inner_hosts(self) -> list[str]:
        """Hosts of providers but for those that everybody knows: not for callers."""
        return [host for it in self.providers.values() for host in it.inner_hosts()]

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
