"""How often a target may be tried that is out of rotation (docs/semantics.md, 4.10).

A small bucket of tokens for each target: enough that a bench costs nobody an answer
where the target does answer, and little for one that is dead.
"""

_CAPACITY = 20.0
_REFILL = 1.0
"""Tokens a second, at least."""

_REFILL_SHARE = 0.05
"""Tokens for each call that asks, where that is more."""

_DRAWN_FOR_ONE_LEFT = 3.0
"""Tokens that a caller may have drawn for each that is left."""

_PERIOD = 1.0
"""Seconds between two refills."""


class Bucket:
    """The tokens of one target, shared by its callers; full when it is made.

    A caller may have drawn at most three times what is left, so that some are always
    left for others (the dynamic threshold of shared switch buffers). Moments are
    monotonic seconds.
    """

    __slots__ = ("_asked", "_drawn", "_filled", "_tokens")

    def __init__(self, now: float) -> None:
        self._tokens = _CAPACITY
        self._filled = now
        self._asked = 0
        self._drawn: dict[str, float] = {}

    def ask(self, now: float) -> None:
        """A call has nobody else to ask: of many such calls some get through."""
        self._asked += 1
        passed = now - self._filled
        if passed < _PERIOD:
            return
        gained = max(passed * _REFILL, self._asked * _REFILL_SHARE)
        self._tokens = min(_CAPACITY, self._tokens + gained)
        self._drawn = {
            caller: left
            for caller, drawn in self._drawn.items()
            if (left := drawn - gained) > 0
        }
        self._filled = now
        self._asked = 0

    def spend(self) -> None:
        """An attempt is made that needs no token: it counts all the same."""
        self._tokens -= 1

    def draw(self, caller: str) -> bool:
        """Take a token for `caller`; False where none is left for it."""
        drawn = self._drawn.get(caller, 0.0)
        if self._tokens < 1 or drawn >= _DRAWN_FOR_ONE_LEFT * self._tokens:
            return False
        self._tokens -= 1
        self._drawn[caller] = drawn + 1
        return True
