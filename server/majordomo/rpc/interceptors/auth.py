"""Who may call what: tokens, their scopes, and what each may name.

A caller sends `authorization: Bearer TOKEN`. The configuration holds the SHA-256 of
each token and never the token. Without any in the configuration everybody may call;
health checks and reflection are open in any case. The token is looked at before the
request is read.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any

from grpc.aio import ServicerContext

from majordomo.config.schema import TokenConfig
from majordomo.errors import Unauthenticated
from majordomo.rpc.interceptors.base import Behaviour, Interceptor
from majordomo.rpc.scope import current
from majordomo.rpc.terms import SCOPES, Caller, Terms

_LONGEST_NAME = 256
"""Characters of a name on a certificate."""


class AuthInterceptor(Interceptor):
    """Turns callers away whose token does not allow what they call.

    Raises Unauthenticated and PermissionDenied, for ErrorInterceptor outside of it.
    """

    everything = True

    def __init__(
        self, tokens: Mapping[str, TokenConfig], *, certificates: bool = False
    ) -> None:
        super().__init__()
        self._certificates = certificates
        """Callers show some."""

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
            known.configured_name = name
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
        scope = SCOPES.get(method.partition("/")[0])

        async def guarded(request: Any, context: ServicerContext[Any, Any]) -> Any:
            if self._callers and scope is not None:
                shown = self._shown(context)
                shown.terms.require(scope)
            else:
                shown = self._unnamed(context)
            call = current.get()
            call.caller = shown
            if call.record is not None:
                call.record.on_caller(shown.configured_name)
            return await behaviour(request, context)

        return guarded

    def _unnamed(self, context: ServicerContext[Any, Any]) -> Caller:
        """The other end of the connection, by its certificate's name if it has one."""
        name = _certified(context) if self._certificates else ""
        return Caller(context.peer(), self._anybody, name)

    def _shown(self, context: ServicerContext[Any, Any]) -> Caller:
        """Whose token the call shows. Raises Unauthenticated."""
        digest = hashlib.sha256(_token(context)).digest()
        shown: Caller | None = None
        for known, whose in self._callers.items():  # all of them: time shows nothing
            if hmac.compare_digest(known, digest):
                shown = whose
        if shown is None:
            raise Unauthenticated
        return shown


def _set(names: Iterable[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def _certified(context: ServicerContext[Any, Any]) -> str:
    """The first name on the caller's certificate: an alternative one, else the common
    one. The authority that signs callers' certificates vouches for it."""
    names = context.peer_identities() or ()
    return next(iter(names), b"").decode(errors="replace")[:_LONGEST_NAME]


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
