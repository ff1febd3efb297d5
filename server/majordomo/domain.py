"""The name that this service's errors go by."""

ERROR_DOMAIN = "majordomo-grpc.github.io"
"""google.rpc.ErrorInfo.domain: whose reasons these are, unique in the world (AIP-193).
It is part of the contract: clients in every language compare it."""
