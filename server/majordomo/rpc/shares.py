"""What callers may hold of something that there is only so much of (rule 6.8)."""

_KEPT_FROM = 8
"""Of fewer, nothing is kept for others: it would be all that there is for one."""


class Shares:
    """Counts what each holder has.

    A holder may take what is free until three quarters are in use. From then on it may
    have half of all: anyone who took the most leaves the rest to others. Nobody waits.
    """

    def __init__(self, most: int) -> None:
        self._used = 0
        self._held: dict[str, int] = {}
        self.limit(most)

    def limit(self, most: int) -> None:
        """Set how much there is; what is held stays."""
        self._most = most
        self._open = most * 3 // 4 if most >= _KEPT_FROM else most
        self._half = most // 2

    def take(self, holder: str, amount: int, *, own: int = 0) -> bool:
        """Let `holder` have `amount` more; False, and nothing, if that is too much.

        A holder that is alone may have any amount: nothing is in use but its `own`.
        """
        used = self._used + amount
        held = self._held.get(holder, 0) + amount
        scarce = used > self._open and self._used != own
        if scarce and (used > self._most or held > self._half):
            return False
        self._used = used
        self._held[holder] = held
        return True

    def give(self, holder: str, amount: int) -> None:
        """Take `amount` back from `holder`."""
        self._used -= amount
        held = self._held[holder] - amount
        if held:
            self._held[holder] = held
        else:
            del self._held[holder]

    def held(self, holder: str) -> int:
        return self._held.get(holder, 0)
