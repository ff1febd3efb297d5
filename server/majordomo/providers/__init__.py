"""Providers: a folder each, with the codec of its API format and what else it needs."""

from majordomo.distribution import require

require("server")
