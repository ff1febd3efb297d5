"""The clients' languages: how each is built and tested, and what its tests showed."""
