"""What is recorded of calls and health: spans, metrics, the log; and where it goes, by
OTLP, to Prometheus or to a console. It knows no gRPC."""

from majordomo.distribution import require

require("server")
