"""What a caller's token allows: methods by their scopes, chains and targets by name."""

from dataclasses import dataclass, field

from majordomo.chain.names import elements
from majordomo.contract import GENERATION, OPERATOR
from majordomo.errors import PermissionDenied, Unauthenticated

SCOPES = {GENERATION: "generate", OPERATOR: "operate"}
"""What a token needs for the methods of a service."""


@dataclass(slots=True)
class Terms:
    """What a token allows; of a token that has been taken away, nothing."""

    scopes: frozenset[str] = frozenset(SCOPES.values())
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
    configured_name: str = ""
    """Of its token, or on its certificate: what the log and metrics call it."""
