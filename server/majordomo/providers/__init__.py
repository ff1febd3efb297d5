"""Providers: a folder each, with its settings, its codec and what else it needs."""

from majordomo.distribution import require

require("server")
