"""How commands end, for scripts. 0 is well; 2, of click, is a wrong command line."""

FAILED = 1
"""What was asked for failed, or is not as it should be."""

NO_SERVER = 3
"""Nobody answers at the address."""
