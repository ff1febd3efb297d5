"""The gRPC surface: servicers, validation, statuses, interceptors, the server."""
