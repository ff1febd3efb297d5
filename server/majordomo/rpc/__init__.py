"""The gRPC surface: servicers and what surrounds them, validation, statuses, and the
server that puts all together."""

from majordomo.distribution import require

require("server")
