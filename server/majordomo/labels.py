"""The contract's enumerated values by their names."""

import re
from functools import cache
from typing import Any


def label(enumeration: Any, value: int) -> str:
    """The name of `value` without its enumeration's prefix: OVERLOADED.

    The number as text where it has no name: a newer server may have sent it.
    """
    return _labels(enumeration).get(value, str(value))


@cache
def _labels(enumeration: Any) -> dict[int, str]:
    words = re.sub(r"(?<!^)(?=[A-Z])", "_", enumeration.DESCRIPTOR.name)
    prefix = f"{words.upper()}_"
    return {value: name.removeprefix(prefix) for name, value in enumeration.items()}
