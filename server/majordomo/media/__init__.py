"""Requests made to fit a target: what their media may be."""

from majordomo.distribution import require

require("server")
