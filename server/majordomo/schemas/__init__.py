"""JSON Schemas of callers: read within bounds, made to fit a target, kept to.

A schema comes with every call again, and from anyone who may call: what is made of one
is kept by its text, bounded, and what would take long or much is refused.
"""

from majordomo.distribution import require

require("server")
