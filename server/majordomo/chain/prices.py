"""What a model's tokens cost, as the configuration says (rule 2.22).

Decimals throughout: what is shown is what was written, added up without rounding.
"""

from dataclasses import dataclass
from decimal import Decimal

from majordomo.v1.attempt_pb2 import Usage

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Prices:
    """What a million tokens of a model cost, in the currency of the configuration."""

    input: Decimal
    output: Decimal
    cached_input: Decimal
    """Of input that is read from a prompt cache."""

    cache_write: Decimal
    """Of input that is written to a prompt cache."""

    def cost(self, usage: Usage) -> Decimal:
        """What `usage` costs, exactly. Parts never exceed their whole."""
        read, written = usage.cache_read_tokens, usage.cache_write_tokens
        fresh = max(usage.input_tokens - read - written, 0)
        return (
            fresh * self.input
            + read * self.cached_input
            + written * self.cache_write
            + usage.output_tokens * self.output
        ) / _MILLION
