"""HTTP to providers: connections, requests, the provider around a codec."""

from majordomo.distribution import require

require("server")
