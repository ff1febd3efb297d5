"""The command `majordomo`, also as `python -m majordomo`."""

import sys

from majordomo.distribution import MissingExtra, require
from majordomo.process import take_signals


def main() -> None:
    """Run the command line; where the server is not installed, say how to."""
    take_signals()
    try:
        require("server")
    except MissingExtra as missing:
        sys.exit(f"majordomo: {missing}")
    from majordomo.cli import main as run  # noqa: PLC0415 - it needs the extra

    run()


if __name__ == "__main__":
    main()
