"""Exit codes, for scripts. 0 is success; 2, which click uses, is a usage error."""

FAILURE = 1
"""The call failed, or what was checked is not in order."""

UNREACHABLE = 3
"""No server answers at the address."""
