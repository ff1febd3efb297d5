"""A resolver that every other time does not know.

Its tiers are named `flaky-...`. The first question for one fails, and with it the call:
UNAVAILABLE, and no word against trying again. The second is answered with `acme/echo`,
the third fails, and so on. So a client that tries again has an answer, and one that
does not has an error.
"""

from collections import Counter

_asked: Counter[str] = Counter()


async def resolve(tier: str) -> str | None:
    if not tier.startswith("flaky-"):
        return None
    _asked[tier] += 1
    if _asked[tier] % 2:
        raise ConnectionError("the service that knows is away")
    return "acme/echo"
