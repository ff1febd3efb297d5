"""`python -m majordomo.cli` is `majordomo`."""

from majordomo.cli import main

main()
