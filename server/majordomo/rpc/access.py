"""Who may call what: tokens, their scopes, and what each may name.

A caller sends `authorization: Bearer TOKEN`. The configuration holds the SHA-256 of
each token and never the token. Without any in the configuration everybody may call;
health checks and reflection are open in any case. The token is looked at before the
request is read.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from grpc.aio import ServicerContext

from majordomo.chain.names import elements
from majordomo.config.schema import TokenConfig
from majordomo.contract import GENERATION, OPERATOR
from majordomo.rpc.wrapping import Behaviour, WrappingInterceptor

_SCOPES = {GENERATION: "generate", OPERATOR: "operate"}


class Unauthenticated(Exception):
    """The caller showed no token, or one that is not known."""


class PermissionDenied(Exception):
    """The caller's token does not cover what it asks for."""


@dataclass(slots=True)
class Terms:
    """What a token allows; of a token that has been taken away, nothing."""

    scopes: frozenset[str] = frozenset(_SCOPES.values())
    max_calls: int | None = None
    chains: frozenset[str] | None = None
    targets: frozenset[str] | None = None
    revoked: bool = field(default=False, init=False)

    def require(self, scope: str) -> None:
        """Raise Unauthenticated or PermissionDenied unless it covers `scope`."""
        if self.revoked:
            raise Unauthenticated
        if scope not in self.scopes:
            raise PermissionDenied(f"this needs a token with the scope {scope}")

    def require_chain(self, chain: str) -> None:
        """Raise PermissionDenied unless all that `chain` names may be named."""
        if self.chains is None and self.targets is None:
            return
        chains, targets = self.chains or frozenset(), self.targets or frozenset()
        for element in elements(chain):
            provider, slash, _ = element.partition("/")
            if not slash:
                allowed = element in chains
            else:
                allowed = element in targets or f"{provider}/*" in targets
            if not allowed:
                raise PermissionDenied(f"this token may not name {element}")


@dataclass(slots=True)
class Caller:
    """Whose a call is: a token's, or where there are none, a connection's."""

    name: str
    terms: Terms


caller: ContextVar[Caller] = ContextVar("caller")
"""Who makes the call in hand."""


class Access(WrappingInterceptor):
    """Turns callers away whose token does not allow what they call.

    Raises Unauthenticated and PermissionDenied, for the boundary outside of it.
    """

    everything = True

    def __init__(self, tokens: Mapping[str, TokenConfig]) -> None:
        super().__init__()
        self._callers: dict[bytes, Caller] = {}
        self._anybody = Terms()
        self.configure(tokens)

    def configure(self, tokens: Mapping[str, TokenConfig]) -> None:
        """Let these in from now on, and no others."""
        before, self._callers = self._callers, {}
        for name, token in tokens.items():
            digest = bytes.fromhex(token.sha256)
            known = before.pop(digest, None) or Caller(name, Terms())
            known.name = f"token {name}"
            known.terms.scopes = frozenset(token.scopes)
            known.terms.max_calls = token.max_calls
            known.terms.chains = _set(token.chains)
            known.terms.targets = _set(token.targets)
            self._callers[digest] = known
        for gone in before.values():
            gone.terms.revoked = True
        if tokens:
            self._anybody.revoked = True
        elif self._anybody.revoked:
            self._anybody = Terms()

    def wrap(self, behaviour: Any, method: str) -> Behaviour:
        scope = _SCOPES.get(method.partition("/")[0])

        async def guarded(request: Any, context: ServicerContext[Any, Any]) -> Any:
            if self._callers and scope is not None:
                shown = self._shown(context)
                shown.terms.require(scope)
            else:
                shown = Caller(context.peer(), self._anybody)
            caller.set(shown)
            return await behaviour(request, context)

        return guarded

    def _shown(self, context: ServicerContext[Any, Any]) -> Caller:
        """Whose token the call shows. Raises Unauthenticated."""
        digest = hashlib.sha256(_token(context)).digest()
        shown: Caller | None = None
        for known, whose in self._callers.items():  # all of them: time tells nothing
            if hmac.compare_digest(known, digest):
                shown = whose
        if shown is None:
            raise Unauthenticated
        return shown


def _set(names: Iterable[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def _token(context: ServicerContext[Any, Any]) -> bytes:
    """The one bearer token of the call; raises Unauthenticated."""
    shown = [
        value
        for key, value in context.invocation_metadata() or ()
        if key == "authorization"
    ]
    if len(shown) != 1:
        raise Unauthenticated
    text = shown[0] if isinstance(shown[0], str) else shown[0].decode("latin-1")
    kind, _, token = text.partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise Unauthenticated
    return token.strip().encode()
