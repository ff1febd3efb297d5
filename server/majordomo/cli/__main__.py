"""`python -m majordomo.cli` is `majordomo`."""

from majordomo.cli import main

if __name__ == "__main__":
    main()
