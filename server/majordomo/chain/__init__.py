"""The failover chain: the walk, health, budgets and outcomes.

Knows neither HTTP nor gRPC. The rules that it keeps are in docs/semantics.md.
"""

from majordomo.distribution import require

require("server")
