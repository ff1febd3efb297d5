"""The gRPC surface: servicers, validation, statuses, interceptors, the server."""

from majordomo.distribution import require

require("server")
