"""From a provider's refusal to a failure reason."""
