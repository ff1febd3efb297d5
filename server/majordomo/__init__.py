"""majordomo: a gRPC service that answers prompts through a failover chain of models."""
