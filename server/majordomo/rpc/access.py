"""Who may call what: tokens and their scopes.

A caller sends `authorization: Bearer TOKEN`. The configuration holds the SHA-256 of
each token and never the token. Without any in the configuration everybody may call;
health checks and reflection are open in any case.
"""

import hashlib
import hmac
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from grpc.aio import ServicerContext

from majordomo.config import TokenConfig
from majordomo.rpc.wrapping import Behaviour, WrappingInterceptor

_SCOPES = {
    "majordomo.v1.GenerationService": "generate",
    "majordomo.v1.OperatorService": "operate",
}

caller: ContextVar[str] = ContextVar("caller", default="")
"""Who makes the call in hand: a token's name, or without tokens the peer's address."""


class Unauthenticated(Exception):
    """The caller showed no token, or one that is not known."""


class PermissionDenied(Exception):
    """The caller's token does not cover the method."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"this needs a token with the scope {scope}")


@dataclass(frozen=True, slots=True)
class _Grant:
    name: str
    digest: bytes
    scopes: frozenset[str]


class Access(WrappingInterceptor):
    """Turns callers away whose token does not allow what they call.

    Raises Unauthenticated and PermissionDenied, for the boundary outside of it.
    """

    def __init__(self, tokens: Mapping[str, TokenConfig]) -> None:
        super().__init__()
        self.configure(tokens)

    def configure(self, tokens: Mapping[str, TokenConfig]) -> None:
        """Let these in from now on, and no others."""
        self._grants = [
            _Grant(name, bytes.fromhex(token.sha256), frozenset(token.scopes))
            for name, token in tokens.items()
        ]

    def wrap(self, behaviour: Any, method: str) -> Behaviour:
        scope = _SCOPES[method.partition("/")[0]]

        async def guarded(request: Any, context: ServicerContext[Any, Any]) -> Any:
            named = self._check(context, scope) if self._grants else context.peer()
            caller.set(named)
            return await behaviour(request, context)

        return guarded

    def _check(self, context: ServicerContext[Any, Any], scope: str) -> str:
        """The name of the token that was shown."""
        digest = hashlib.sha256(_token(context)).digest()
        shown: _Grant | None = None
        for grant in self._grants:  # all of them: the time tells nothing
            if hmac.compare_digest(grant.digest, digest):
                shown = grant
        if shown is None:
            raise Unauthenticated
        if scope not in shown.scopes:
            raise PermissionDenied(scope)
        return shown.name


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
