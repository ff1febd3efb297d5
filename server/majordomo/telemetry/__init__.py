"""Observers of calls: spans, and the form in which a console shows them."""

from majordomo.distribution import require

require("server")
