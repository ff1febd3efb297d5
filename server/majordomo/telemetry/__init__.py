"""Observers of calls: spans, metrics and the log, and where each is sent."""

from majordomo.distribution import require

require("server")
