"""Providers: one codec a wire format, and the one module that does the I/O."""

from majordomo.distribution import require

require("server")
