"""HTTP to providers: connections, requests, the provider around a codec."""
